"""Hundreds of parameterised notebooks, on a laptop or a cluster: papermill executes each, Dask hands them out.

    sweep = batch.load("book/sweeps/gaussian-grid.yaml")
    batch.run(batch.plan(sweep, "out"), workers=2)
    batch.collect("out")

`python -m lib.batch --help` is the same as commands, `lib.batch.sweep` says what a sweep file holds, `lib.batch.folder`
what a sweep leaves, `lib.records.leave_run` how a notebook hands over what it has found.
"""

from importlib import import_module

# Imported when first asked for: a worker, which executes notebooks, merges nothing.
_PLACES = {"load": "sweep.load", "plan": "drive.Plan", "run": "drive.run"}
_PLACES |= {name: f"merge.{name}" for name in ("status", "collect", "report", "record")}


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, what = _PLACES[name].partition(".")
    return getattr(import_module(f"{__name__}.{module}"), what)
