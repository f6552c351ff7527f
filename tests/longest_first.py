"""A plugin of pytest for nbval: the chapters that take longest come first, so that none is left alone at the end."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book"))

from make import seconds


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: -seconds(item.path.stem))
