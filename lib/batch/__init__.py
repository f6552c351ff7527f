"""Hundreds of parameterised notebooks, on a laptop or a cluster: papermill executes each, Dask hands them out.

    python -m lib.batch run SWEEP.yaml --out DIR     # again: only what is missing
    python -m lib.batch status DIR
    python -m lib.batch collect DIR                  # one Parquet file and one NetCDF file
    python -m lib.batch report DIR                   # one HTML page

The same from Python:

    from lib import batch
    sweep = batch.load("book/sweeps/gaussian-grid.yaml")
    batch.run(batch.plan(sweep, "out"), workers=2)
    batch.collect("out")

`lib.batch.sweep` says what a sweep file holds, `lib.batch.folder` what a sweep leaves, `lib.records.leave_run` how a notebook
hands over what it has found.
"""

from lib.batch.collect import collect
from lib.batch.drive import plan, run, status
from lib.batch.sweep import load

__all__ = ["collect", "load", "plan", "run", "status"]
