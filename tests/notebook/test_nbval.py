"""nbval is no formality: with a law changed in lib, a chapter's stored outputs no longer hold."""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest

LAW = "expected_variance"
SPOILED = f"""

_unspoiled = {LAW}


def {LAW}(*arguments, **settings):
    return 1.05 * _unspoiled(*arguments, **settings)
"""
TINY = f"""\
from lib import theory
from lib.regimes import Accumulate

print(f"{{theory.{LAW}(Accumulate(), 100, 10)[-1]:.4f}}")"""


@pytest.fixture
def copy(root, tmp_path):
    """A folder with a copy of lib in it, which a kernel started there imports."""
    shutil.copytree(root / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def nbval(folder, *options):
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    environment.pop("LIB_RESULTS", None)
    ini = folder / "pytest.ini"
    ini.write_text("[pytest]\n")
    return subprocess.run(
        [*command, "-c", str(ini), *options, str(folder / "chapter.ipynb")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def spoil(folder):
    with (folder / "lib" / "theory" / "__init__.py").open("a") as file:
        file.write(SPOILED)


def write_executed(folder, source):
    """A one-cell notebook with the output that the unchanged lib gives."""
    shown = subprocess.run(
        [sys.executable, "-c", source], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert shown.strip()
    cell = nbformat.v4.new_code_cell(source, execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=shown)]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "chapter.ipynb")


def test_a_small_notebook_passes_and_fails_with_the_law(copy):
    write_executed(copy, TINY)
    before = nbval(copy)
    assert before.returncode == 0, before.stdout
    spoil(copy)
    after = nbval(copy)
    assert after.returncode == 1 and "mismatch" in after.stdout.lower(), after.stdout


@pytest.mark.slow
def test_the_gaussian_chapter_fails_with_the_law(copy, root):
    chapter = nbformat.read(root / "notebooks" / "02-gaussian.ipynb", as_version=4)
    quoting = [i for i, cell in enumerate(chapter.cells) if cell.cell_type == "code" and f"theory.{LAW}" in cell.source]
    showing = [i for i in quoting if "say(" in chapter.cells[i].source]
    # Up to the first sentence that quotes the law is enough, and saves the rest of the chapter's time.
    chapter.cells = chapter.cells[: showing[0] + 1]
    assert chapter.cells[-1].outputs, "the chapter's outputs are not stored; make notebooks"
    nbformat.write(chapter, copy / "chapter.ipynb")
    before = nbval(copy)
    assert before.returncode == 0, before.stdout[-3000:]
    spoil(copy)
    after = nbval(copy)
    assert after.returncode == 1 and "mismatch" in after.stdout.lower(), after.stdout[-3000:]
