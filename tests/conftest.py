"""What all tests share: where the repository is, and the modules beside the book's pages."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))


@pytest.fixture(scope="session")
def root():
    return ROOT
