"""What a repository keeps of a large sweep: a summary small enough to commit, and where it comes from.

A sweep file with a `record` key is one that `make records` runs. The key may say how much is kept:

    record:
      keep_runs: 6        # whole trajectories beside the mean and the quantiles over runs
      generations: 40     # generations kept, all early ones, then about evenly on a log scale

An axis `seed` counts as more runs. `lib.records.record(NAME)` reads what is written here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xarray as xr

from lib import records
from lib.batch.folder import Folder
from lib.batch.merge import collect, packed, seeds_as_runs
from lib.errors import among, whole

KEYS = ("keep_runs", "generations")


def write(out: str, target: Path) -> Path:
    """Write `NAME.nc` and `NAME.json` of a finished sweep in the local folder `out` into `target`. Returns the latter's
    path.

    ValueError if runs of the sweep are missing: a record is of a whole sweep.
    """
    folder, names = Folder(out), collect(out)
    about = folder.read_json(names["json"])
    if about["runs"] < about["of"]:
        missing = f"{about['of'] - about['runs']} of {about['of']} runs are not finished"
        raise ValueError(f"{out}: {missing}; only a whole sweep is recorded")
    kept = about["sweep"]["record"] if isinstance(about["sweep"].get("record"), dict) else {}
    for name in kept:
        among("record", name, KEYS)
    target.mkdir(parents=True, exist_ok=True)
    aside = target / f".{about['name']}.nc"
    aside.unlink(missing_ok=True)
    for group in about["groups"]:
        with xr.open_dataset(folder.local / names["nc"], group=group, engine="h5netcdf") as data:
            small = _small(data, kept, about)
        small.to_netcdf(aside, mode="a", group=group, engine="h5netcdf", encoding=packed(small, 9))
    del about["of"]
    about["found"] = [run for run in about["found"] if run["findings"] or run["notes"]]
    note = target / f".{about['name']}.json"
    note.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(target / f"{about['name']}.nc")
    return note.replace(target / f"{about['name']}.json")


def _small(data: xr.Dataset, kept: dict[str, Any], about: dict[str, Any]) -> xr.Dataset:
    """The summary of a collected data set; one without regimes, generations and runs is kept as it is."""
    if not set(records.SERIES) <= set(data.dims):
        return data.load()
    dims = {*records.SERIES, *about["axes"]}
    data = seeds_as_runs(data[[name for name, values in data.items() if set(values.dims) <= dims]].load())
    runs = whole("record.keep_runs", kept.get("keep_runs", records.KEPT_RUNS), 0)
    generations = whole("record.generations", kept.get("generations", records.KEPT_GENERATIONS), 1)
    return records.summary(data, runs, generations)
