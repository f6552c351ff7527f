"""Hundreds of parameterised notebooks, on a laptop or a cluster: papermill executes each, Dask hands them out.

    sweep = batch.load("book/sweeps/gaussian-grid.yaml")
    batch.run(batch.plan(sweep, "out"), workers=2)
    batch.collect("out")

`python -m lib.batch --help` is the same as commands, `lib.batch.sweep` says what a sweep file holds, `lib.batch.folder`
what a sweep leaves, `lib.records.leave_run` how a notebook hands over what it has found.
"""

from importlib import import_module

# Imported when first asked for: a worker, which executes notebooks, merges nothing.
_MODULES = {"load": "sweep", "plan": "drive", "run": "drive", "status": "merge", "collect": "merge", "report": "merge"}


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
