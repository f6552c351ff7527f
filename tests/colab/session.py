"""One chapter as a reader begins it on Colab: run by the Python of an environment that has Colab's versions and
nothing else.

    python session.py NOTEBOOK PROJECT [--install]

Executes the setup cell as on Colab (it installs the project from the folder PROJECT, since there may be no public
address; without --install it must find everything there), the parameters with small values, and the cells up to the
first experiment.
"""

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
import types

# Whatever a chapter's parameter of this name is by default, a session's first experiment is this small.
SMALL = {"n": 64, "m": 20, "runs": 2, "generations": 2, "steps": 4}
SMALL |= {"n_mixture": 60, "n_kernel": 40, "kernel_generations": 3, "notebook_runs": 10}
SMALL |= {"words": 64, "word_generations": 2, "word_runs": 2, "base_blocks": 64, "base_steps": 4, "beams": 2}
LEAST = {"04": {"runs": 8}, "12": {"generations": 60}}  # what a chapter says it needs at least
ADDRESS = "https://github.com/someone/some-book"
NO_EXPERIMENT = ("10", "13")  # these chapters read what the others have found


def cells(path):
    found = [cell for cell in json.load(open(path, encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    return [("".join(cell["source"]), cell["metadata"].get("tags", [])) for cell in found]


def run_setup(source, project, install, run):
    """The setup cell, with the address of the repository replaced by a folder where pip is called."""
    assert ".invalid/" in source or "github.com/" in source
    before = source.split('repository, branch = "')[1].split('"')[0]
    called, real = [], subprocess.run

    def instead(command, **settings):
        called.append(command)
        local = [str(project) if str(part).startswith("git+") else part for part in command]
        return real(local, **settings) if install else None

    subprocess.run = instead
    try:
        run(source.replace(before, ADDRESS))
    finally:
        subprocess.run = real
    (command,) = called
    assert f"git+{ADDRESS}@main" in command and "--no-deps" in command, command
    lacking = command[command.index(f"git+{ADDRESS}@main") + 1 :]
    assert install or not lacking, f"after one setup cell these are still lacking: {lacking}"
    assert importlib.util.find_spec("lib"), "the setup cell has not installed the project"


def main(notebook, project, install):
    import matplotlib

    matplotlib.use("Agg")
    from IPython.core.interactiveshell import InteractiveShell

    for name in ("google", "google.colab"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)  # packages look for it
    shell = InteractiveShell.instance()

    def run(source):
        result = shell.run_cell(source, store_history=True)
        result.raise_error()

    number, begun, experiments = notebook.rsplit("/", 1)[-1].split("-")[0], False, 0
    for source, tags in cells(notebook):
        if "setup" in tags:
            run_setup(source, project, install, run)
            continue
        run(source)
        if "parameters" in tags:
            small = SMALL | LEAST.get(number, {})
            run("\n".join(f"{name} = {value}" for name, value in small.items() if name in shell.user_ns) or "pass")
        begun |= "notebook.begin(" in source
        if begun and "recurse(" in source and "def " not in source:
            experiments += 1
            break
    chapter = shell.user_ns["chapter"]
    assert begun and (experiments or number in NO_EXPERIMENT), "the chapter has come to no experiment"

    import xarray as xr

    if experiments:
        data = [v for v in [*shell.user_ns.values(), *chapter.results.values()] if isinstance(v, xr.Dataset)]
        assert data and all("regime" in d.dims for d in data), "the first experiment has left no results"
    print(f"{notebook.rsplit('/', 1)[-1]}: {len(chapter.parameters)} parameters, {experiments} experiment")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "--install" in sys.argv[3:])
