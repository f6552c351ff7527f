"""What all tests share: where the repository is, and the modules beside the book's pages."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))
# A test computes what it judges, whatever results the shell that starts it would have found again.
for name in ("LIB_STORE", "LIB_CHECKPOINTS", "LIB_RESULTS"):
    os.environ.pop(name, None)


@pytest.fixture(scope="session")
def root():
    return ROOT
