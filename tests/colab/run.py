"""Whether every chapter begins on Colab: a clean environment with Colab's versions, the chapter's own setup cell, a
small run.

Run by `make colab`. Everything it makes lies in _build/colab.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PLACE = ROOT / "_build" / "colab"
PINNED = re.compile(r"^([a-z0-9-]+)==([0-9.]+)$", re.MULTILINE)
KEPT = ("lib", "pyproject.toml", "README.md", "LICENSE")


def suitable():
    """A Python for which numpy 2.0.2, which Colab has, can be installed: this one's base, else one on the path."""
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"
        return str(base) if base.exists() else sys.executable
    for name in ("python3.12", "python3.11"):
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", "import venv"], capture_output=True).returncode == 0:
            return found
    sys.exit(f"Colab's numpy needs Python 3.11 or 3.12; .venv has {sys.version.split()[0]} and neither is on the path")


def make_environment():
    """A new virtual environment with what Colab has; its Python."""
    base = suitable()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    subprocess.run([base, "-m", "venv", PLACE / "env"], check=True)
    python = PLACE / "env" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    subprocess.run([*pip, *shlex.split(os.environ.get("PIP_ARGS", "")), "-r", HERE / "versions.txt"], check=True)
    return python


def copy_project():
    """What pip installs from a clone, without the clone: building it leaves files beside the sources."""
    target = PLACE / "project"
    target.mkdir()
    for name in KEPT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, target / name)
    return target


def installed(python):
    """Versions that the environment has, without build tags."""
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([0-9.]+)", listed, re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def main():
    started = time.monotonic()
    wanted = dict(PINNED.findall((HERE / "versions.txt").read_text()))
    print("Making an environment with the versions that Colab has", flush=True)
    python = make_environment()
    project = copy_project()
    failed = []
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LIB_", "PYTHON"))} | {
        "HOME": str(PLACE / "home")
    }
    (PLACE / "home").mkdir()
    for number, notebook in enumerate(sorted((ROOT / "notebooks").glob("*.ipynb"))):
        command = [python, HERE / "session.py", notebook, project, *(["--install"] if number == 0 else [])]
        done = subprocess.run(command, cwd=PLACE, env=environment, capture_output=True, text=True)
        lines = (
            done.stdout.splitlines()[-1:] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()[-25:]
        )
        print("\n".join(lines), flush=True)
        if done.returncode:
            failed.append(notebook.stem)
    differing = {
        name: installed(python).get(name) for name, version in wanted.items() if installed(python).get(name) != version
    }
    print(f"{time.monotonic() - started:.0f} s in all")
    if differing:
        sys.exit(f"Something has replaced what Colab has: {differing}, where {wanted} was installed")
    if failed:
        sys.exit(f"These chapters do not begin on Colab: {', '.join(failed)}")


if __name__ == "__main__":
    main()
