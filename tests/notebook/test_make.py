"""The Makefile and the commands behind it, as far as they can be tried without building the book."""

import argparse
import json
import os
import re
import stat
import subprocess
import sys

import environment as own
import nbformat
import pytest
from execute import Chapter, report, run_all, waves
from make import tidy


def make(root, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=root, env=environment, capture_output=True, text=True)


def test_help_is_the_default_and_names_every_target(root):
    shown = make(root).stdout
    assert shown == make(root, "help").stdout
    phony = re.search(r"^\.PHONY: (.*)$", (root / "Makefile").read_text(), re.MULTILINE).group(1).split()
    assert [line.split()[1] for line in shown.splitlines()] == phony


def fake_python(folder, version):
    """A program that answers like an interpreter of another version, but runs the real one's code."""
    path = folder / "python-other"
    start = f"import sys, runpy; sys.version_info = {version!r}; sys.argv = sys.argv[1:]; "
    path.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c \'{start}runpy.run_path(sys.argv[0], run_name="__main__")\' "$@"\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize("version", [(3, 10, 4), (3, 14, 0)])
def test_another_python_is_refused_by_its_version(root, tmp_path, version):
    done = make(root, "venv", f"PYTHON={fake_python(tmp_path, version)}")
    assert done.returncode != 0
    assert "needs Python 3.11, 3.12 or 3.13" in done.stdout and f"is Python {version[0]}.{version[1]}" in done.stdout


def test_a_missing_python_is_named(root):
    done = make(root, "venv", "PYTHON=python-that-is-not-there")
    assert done.returncode != 0 and "There is no python-that-is-not-there" in done.stdout


def notebook(path, *sources):
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources]), path)


def chapter(folder, name, *sources):
    notebook(folder / f"{name}.ipynb", *sources)
    return Chapter(folder / f"{name}.ipynb", folder / f"{name}.out.ipynb", folder / f"{name}.log")


def test_a_failing_chapter_is_reported_and_the_others_finish(tmp_path):
    good = chapter(tmp_path, "01-good", "import os, sys", "print(sys.executable, os.environ['OMP_NUM_THREADS'])")
    bad = chapter(tmp_path, "02-bad", "x = 1", "raise KeyError('the law')", "y = 2")
    dead = chapter(tmp_path, "03-dead", "import os", "os._exit(3)")
    assert run_all([good, bad, dead], tmp_path / "results") == [bad, dead]
    shown = json.loads(good.output.read_text())["cells"][1]["outputs"][0]["text"]
    assert "".join(shown) == f"{sys.executable} 1\n"
    text = report(bad)
    assert "02-bad failed in cell 1" in text and "KeyError: 'the law'" in text and str(bad.output) in text
    assert bad.output.exists()
    assert "03-dead failed" in report(dead)


def test_a_chapter_finds_the_folder_for_its_results(tmp_path):
    one = chapter(
        tmp_path, "01-one", "import os, pathlib", "pathlib.Path(os.environ['LIB_RESULTS'], '01.json').touch()"
    )
    (tmp_path / "results").mkdir()
    assert run_all([one], tmp_path / "results") == []
    assert (tmp_path / "results" / "01.json").exists()


def test_the_chapters_of_the_ledger_come_last(tmp_path):
    names = ("01-a", "02-b", "10-c", "11-d", "13-e")
    order = waves([Chapter(tmp_path / f"{name}.ipynb", None, None) for name in names])
    assert [[c.name for c in wave] for wave in order] == [["01-a", "02-b", "11-d"], ["10-c"], ["13-e"]]


def test_tidying_drops_what_changes_without_a_reason():
    cell = nbformat.v4.new_code_cell("1", metadata={"papermill": {"duration": 1.0}, "execution": {}, "tags": []})
    view = nbformat.v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "V"})
    kept = nbformat.v4.new_output("execute_result", {"text/plain": "1"}, execution_count=1)
    cell.outputs = [view, kept]
    notebook = tidy(nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": {}, "widgets": {}}))
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert dict(notebook.cells[0].metadata) == {} and notebook.cells[0].outputs == [kept]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """book/environment.py pointed at a folder of its own, with the slow programs replaced by a record of the calls."""
    for name, value in {
        "ROOT": tmp_path,
        "VENV": tmp_path / ".venv",
        "STAMP": tmp_path / ".venv" / "installed",
    }.items():
        monkeypatch.setattr(own, name, str(value))
    monkeypatch.setattr(own, "VENV_PYTHON", str(tmp_path / ".venv" / "bin" / "python"))
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_text(name)
    calls = []

    def call(command):
        calls.append(command[2] if command[1] == "-m" else command)
        if command[2] == "venv":
            (tmp_path / ".venv" / "bin").mkdir(parents=True)
            (tmp_path / ".venv" / "bin" / "python").touch()
        return 0

    monkeypatch.setattr(own.subprocess, "call", call)
    # A touched file stands for an interpreter that works, one with text in it for a broken one.
    monkeypatch.setattr(
        own, "version_of", lambda python: None if os.path.getsize(python) else tuple(sys.version_info[:2])
    )
    return tmp_path, calls


def test_an_environment_is_made_once(place):
    folder, calls = place
    assert own.main(False) == 0 and calls == ["venv", "pip", "pip"]
    assert own.main(False) == 0 and calls == ["venv", "pip", "pip"]
    (folder / "requirements.txt").write_text("changed")
    assert own.main(False) == 0 and calls == ["venv", "pip", "pip", "pip", "pip"]


def test_a_half_made_or_broken_environment_is_made_again(place):
    folder, calls = place
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").touch()
    assert own.main(False) == 0 and calls == ["venv", "pip", "pip"]
    (folder / ".venv" / "bin" / "python").write_text("broken")
    assert own.main(False) == 0 and calls == ["venv", "pip", "pip"] * 2


def test_asked_for_one_chapter_nothing_else_is_started(tmp_path, monkeypatch, root):
    import make as commands

    (tmp_path / "notebooks").mkdir()
    for name in ("01-setting", "03-tails"):
        (tmp_path / "notebooks" / f"{name}.ipynb").write_bytes((root / "notebooks" / f"{name}.ipynb").read_bytes())
    before = (tmp_path / "notebooks" / "01-setting.ipynb").read_bytes()
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    monkeypatch.setattr(commands, "BUILD", tmp_path / "_build")
    started = []

    def run_all(chapters, results):
        started.extend(chapter.name for chapter in chapters)
        for chapter in chapters:
            executed = nbformat.read(chapter.source, as_version=4)
            executed.cells[-1].source = "executed"
            nbformat.write(executed, chapter.output)
        return []

    monkeypatch.setattr(commands, "run_all", run_all)
    assert commands.notebooks(argparse.Namespace(only=["3"])) == 0
    assert started == ["03-tails"]
    assert (tmp_path / "notebooks" / "01-setting.ipynb").read_bytes() == before
    assert nbformat.read(tmp_path / "notebooks" / "03-tails.ipynb", as_version=4).cells[-1].source == "executed"


def test_the_commands_of_a_reader_import_nothing_heavy(root):
    code = (
        "import sys; sys.path.insert(0, 'book'); import make; print(sorted({'torch', 'scipy', 'sphinx'} & "
        "set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
