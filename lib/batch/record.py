"""What a repository keeps of a large sweep: a summary small enough to commit, and where it comes from.

A sweep file with a `record` key is one that `make records` runs. The key may say how much is kept:

    record:
      keep_runs: 6        # whole trajectories beside the mean and the quantiles over runs
      generations: 40     # generations kept, all early ones, then about evenly on a log scale
      scores: [a, b]      # variables kept; by default all that have dims regime, generation and run

An axis `seed` counts as more runs. `lib.records.record(NAME)` reads what is written here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xarray as xr

from lib import records
from lib.batch.folder import Folder
from lib.batch.merge import SERIES, collect, seeds_as_runs
from lib.errors import among, whole

KEYS = ("keep_runs", "generations", "scores")


def write(out: str, target: Path) -> Path:
    """Write `NAME.nc` and `NAME.json` of a finished sweep in the local folder `out` into `target`. Returns the latter's path.

    ValueError if runs of the sweep are missing: a record is of a whole sweep.
    """
    folder = Folder(out)
    names = collect(out)
    about = folder.read_json(names["json"])
    if about["runs"] < about["of"]:
        raise ValueError(
            f"{out}: {about['of'] - about['runs']} of {about['of']} runs are not finished; only a whole sweep is recorded"
        )
    kept = dict(about["sweep"].get("record") or {}) if isinstance(about["sweep"].get("record"), dict) else {}
    for name in kept:
        among("record", name, KEYS)
    name = about["name"]
    target.mkdir(parents=True, exist_ok=True)
    aside = target / f".{name}.nc"
    aside.unlink(missing_ok=True)
    for number, group in enumerate(about["groups"]):
        with xr.open_dataset(folder.local / names["nc"], group=group, engine="h5netcdf") as data:
            small = _small(data, kept, about)
        encoding = {
            v: {"zlib": True, "complevel": 9, "shuffle": True} for v in small.data_vars if small[v].dtype.kind == "f"
        }
        small.to_netcdf(aside, mode="w" if number == 0 else "a", group=group, engine="h5netcdf", encoding=encoding)
    stored = _about(about)
    text = json.dumps(stored, indent=1, ensure_ascii=False) + "\n"
    aside.replace(target / f"{name}.nc")
    note = target / f".{name}.json"
    note.write_text(text, encoding="utf-8")
    return note.replace(target / f"{name}.json")


def _small(data: xr.Dataset, kept: dict[str, Any], about: dict[str, Any]) -> xr.Dataset:
    """The summary of a collected data set; one without regimes, generations and runs is kept as it is."""
    if "scores" in kept:
        for score in kept["scores"]:
            among("record.scores", score, tuple(data.data_vars))
        data = data[list(kept["scores"])]
    if not set(SERIES) <= set(data.dims):
        return data.load()
    axes = {"set", *about["axes"]}
    data = data[[name for name, values in data.data_vars.items() if set(values.dims) <= {*SERIES, *axes}]].load()
    if "seed" in data.dims:
        data = xr.Dataset({name: seeds_as_runs(values) for name, values in data.data_vars.items()}, attrs=data.attrs)
    return records.summary(
        data,
        whole("record.keep_runs", kept.get("keep_runs", records.KEPT_RUNS), 0),
        whole("record.generations", kept.get("generations", records.KEPT_GENERATIONS), 1),
    )


def _about(about: dict[str, Any]) -> dict[str, Any]:
    """What the record says about itself: one device and one commit if all runs agree, else all of them."""

    def one(values: list) -> Any:
        return values[0] if len(values) == 1 else values

    devices = about["device"]
    stored = {
        name: about[name]
        for name in ("name", "sweep", "code", "axes", "defaults", "groups", "runs", "seconds", "span", "date")
    }
    stored |= {
        "commit": about["commit"][-1],
        "changed": any(about["changed"]) or len(about["commit"]) > 1,
        "device": devices[0] if len(devices) == 1 else " and ".join(devices),
        "cores": one(about["cores"]),
        "python": one(about["python"]),
        "versions": one(about["versions"]),
    }
    stored["found"] = [run for run in about["found"] if run["findings"] or run["notes"]]
    return stored
