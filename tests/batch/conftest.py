"""One local cluster for all tests that only need some workers."""

import pytest

from lib.batch import cluster
from lib.batch.sweep import Resources


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name == "batch":
            item.add_marker(pytest.mark.xdist_group("batch"))
            if item.path.name != "test_sweep.py":  # the others start kernels
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def client():
    with cluster.connect(Resources(), 100, workers=2) as found:
        yield found
