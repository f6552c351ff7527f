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
hands over what it has found. Each function imports what it needs: a worker, which executes notebooks, draws no figures.
"""

from __future__ import annotations

from pathlib import Path


def load(path: str | Path):
    """The sweep in a YAML file, checked (`lib.batch.sweep.load`)."""
    from lib.batch import sweep

    return sweep.load(path)


def plan(sweep, out: str, rerun_failed: bool = False):
    """Which runs of a sweep are in the folder `out`, and which are to be done (`lib.batch.drive.plan`)."""
    from lib.batch import drive

    return drive.plan(sweep, out, rerun_failed)


def run(plan, **where) -> tuple[int, int]:
    """Do what is missing. Returns how many runs are finished and how many failed (`lib.batch.drive.run`)."""
    from lib.batch import drive

    return drive.run(plan, **where)


def status(out: str) -> dict:
    """What a sweep's folder holds (`lib.batch.drive.status`)."""
    from lib.batch import drive

    return drive.status(out)


def collect(out: str) -> dict[str, str]:
    """Merge what is finished into one table and one array (`lib.batch.merge.collect`)."""
    from lib.batch import merge

    return merge.collect(out)


def report(out: str) -> str:
    """Write one HTML page about a sweep (`lib.batch.page.report`)."""
    from lib.batch import page

    return page.report(out)
