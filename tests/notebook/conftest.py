"""The committed chapters."""

import json
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
CHAPTERS = sorted(NOTEBOOKS.glob("*.ipynb"))


def pytest_generate_tests(metafunc):
    if "chapter_path" in metafunc.fixturenames:
        assert CHAPTERS, f"no chapters in {NOTEBOOKS}"
        metafunc.parametrize("chapter_path", CHAPTERS, ids=[path.stem for path in CHAPTERS])


@pytest.fixture
def chapter(chapter_path):
    """A committed chapter as a dict, its sources joined."""
    notebook = json.loads(chapter_path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook
