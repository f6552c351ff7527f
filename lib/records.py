"""What a run was, beside what it found: parameters, seeds, versions, commit, device, times.

Results travel in three ways:

- A chapter at its default parameters leaves a *summary* (`leave`) where LIB_RESULTS says: the ledger reads it.
- A run of a sweep, at whatever parameters, hands over *everything* (`leave_run`) in the folder that LIB_RUN names: a data set
  for each experiment, not summarised, since the runs are merged later. `lib.batch` sets LIB_RUN, collects what it finds there,
  and stores the parameters beside it. A notebook that a sweep executes needs a parameters cell, a call of
  `lib.recursion.recurse`, and `leave_run` at its end; a chapter's `chapter.end()` calls it too.
- What `make records` has kept of a sweep (`record`) lies in `lib/stored/sweeps/`; chapters draw it and label it as recorded.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from lib import provenance

COMMITTED = Path(__file__).parent / "stored" / "chapters"
# Recorded sweeps.
RECORDED = (Path(__file__).parent / "stored" / "sweeps",)
SERIES = ("regime", "generation", "run")
RECORDED_NAME = "recorded"  # how the names of data sets begin that a chapter takes from a record
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
KEPT_RUNS = 6  # whole trajectories kept with a summary, for definitions that look at a single run
KEPT_GENERATIONS = 40


def results_folder() -> Path:
    """Where results are read: the fresh folder named by LIB_RESULTS if one is set, else the committed one."""
    return Path(os.environ.get("LIB_RESULTS") or COMMITTED)


def key(configuration: Mapping[str, Any]) -> str:
    """A short hash of a configuration, the same wherever it is computed."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:16]


def summary(data: xr.Dataset, runs: int = KEPT_RUNS, generations: int = KEPT_GENERATIONS) -> xr.Dataset:
    """A data set of `recurse` small enough to commit: for each score a variable with dims (regime, generation, summary), where
    `summary` is "mean", the quantiles over runs ("q05" … "q95") and the first `runs` runs themselves ("run 0" …), in single
    precision. Dimensions before these three, of a collected sweep, stay.

    Up to `generations` of them are kept, all early ones, then about evenly on a log scale. What was kept for pictures (samples,
    means) stays in the notebook. A data set without runs is small enough as it is.
    """
    if "run" not in data.sizes:
        return data
    if total := data.sizes.get("generation"):
        chosen = np.unique(np.geomspace(1, total, min(total, generations)).round().astype(int)) - 1
        data = data.isel(generation=chosen)
    runs = min(runs, data.sizes["run"])
    labels = ["mean", *(f"q{100 * q:02.0f}" for q in QUANTILES), *(f"run {k}" for k in range(runs))]
    out = data.drop_vars([name for name in data.variables if "run" in data[name].dims])
    for name, values in data.data_vars.items():
        if values.dims[-3:] == ("regime", "generation", "run") and np.issubdtype(values.dtype, np.number):
            array = values.values
            parts = [
                array.mean(axis=-1)[..., None],
                np.moveaxis(np.quantile(array, QUANTILES, axis=-1), 0, -1),
                array[..., :runs],
            ]
            out[name] = ((*values.dims[:-1], "summary"), np.concatenate(parts, axis=-1).astype("float32"))
    return out.assign_coords(summary=labels)


def leave(
    chapter: int,
    configuration: Mapping[str, Any],
    results: Mapping[str, xr.Dataset],
    findings: list[dict],
    seconds: float,
    folder: str | Path,
) -> None:
    """Write `NN.nc` (a group per data set of which the summary keeps anything) and `NN.json` into `folder`, each aside and then
    renamed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{chapter:02d}"
    aside = folder / f".{stem}.nc"
    aside.unlink(missing_ok=True)
    # What a judge needs and no trajectory keeps is left out as a whole: an empty group still takes eight kilobytes.
    kept = {name: small for name, data in results.items() if (small := summary(data)).data_vars}
    for number, (name, small) in enumerate(kept.items()):
        encoding = {v: {"zlib": True, "complevel": 9} for v in small.data_vars if small[v].ndim == 3}
        small.to_netcdf(aside, mode="w" if number == 0 else "a", group=name, engine="h5netcdf", encoding=encoding)
    if kept:
        aside.replace(folder / f"{stem}.nc")
    stored = {
        "chapter": chapter,
        "key": key(configuration),
        "configuration": dict(configuration),
        "groups": list(kept),
        "findings": findings,
        "seconds": round(seconds, 1),
        "provenance": provenance.collected(),
    }
    aside = folder / f".{stem}.json"
    aside.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")
    aside.replace(folder / f"{stem}.json")


def leave_run(
    results: Mapping[str, xr.Dataset],
    findings: list[dict] | None = None,
    notes: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
) -> Path | None:
    """Hand over what a run of a sweep has found, in `folder` or the one that LIB_RUN names; without either, do nothing.

    `results` maps names to data sets of numbers or text with any dims; data sets of one name are merged over the runs, so dims
    that mean the same have the same name. `findings` are judged claims (`lib.ledger.to_json`), `notes` anything else that JSON
    holds, small. Writes `data.nc`, with a group for each data set, and `findings.json`.
    """
    folder = folder or os.environ.get("LIB_RUN")
    if not folder:
        return None
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, data) in enumerate(results.items()):
        encoding = {
            v: {"zlib": True, "complevel": 4} for v in data.data_vars if data[v].ndim and data[v].dtype.kind in "fiu"
        }
        mode = "w" if number == 0 else "a"
        data.to_netcdf(folder / "data.nc", mode=mode, group=name, engine="h5netcdf", encoding=encoding)
    stored = {"groups": list(results), "findings": findings or [], "notes": dict(notes or {})}
    (folder / "findings.json").write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")
    return folder


@dataclass(frozen=True)
class Record:
    """A recorded sweep: `data` maps the names of its data sets to what `summary` keeps of them, with the sweep's axes as the first
    dims; `about` says what was run, where, when, and for how long."""

    name: str
    data: dict[str, xr.Dataset]
    about: dict[str, Any]

    @property
    def line(self) -> str:
        """The label that goes with every figure drawn from it."""
        about = self.about
        commit = f"commit {about['commit'][:10]}" if about["commit"] else "outside a repository"
        changed = " with changes" if about["changed"] else ""
        runs = f"{about['runs']} runs" if about["runs"] > 1 else "one run"
        return f"Recorded on {about['date'][:10]}, {commit}{changed}: {runs} of a notebook, {spent(about['seconds'])} in all, on {about['device']}."


def spent(seconds: float) -> str:
    """A time in words: seconds below a minute and a half, minutes above."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


def record(name: str) -> Record | None:
    """The recorded sweep of that name; None if there is none (`not_recorded` then says so in a sentence)."""
    for folder in RECORDED:
        if (folder / f"{name}.json").exists():
            about = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            path = folder / f"{name}.nc"
            return Record(name, {g: xr.load_dataset(path, group=g, engine="h5netcdf") for g in about["groups"]}, about)
    return None


def longest(scale: str, chapter: int) -> tuple[float, str] | None:
    """The mean seconds, and the device, of a recorded sweep that has run a chapter at a scale; the longest, None if there is none."""
    found = []
    for folder in RECORDED:
        for path in sorted(folder.glob("*.json")):
            about = json.loads(path.read_text(encoding="utf-8"))
            sweep = about["sweep"]
            scales = [*(sweep.get("grid") or {}).get("scale", []), (sweep.get("fixed") or {}).get("scale")]
            if Path(sweep["notebook"]).name.startswith(f"{chapter:02d}-") and scale in scales:
                devices = about["device"]
                found.append(
                    (about["seconds"] / about["runs"], devices if isinstance(devices, str) else ", ".join(devices))
                )
    return max(found, default=None)


def whole_runs(data: xr.Dataset) -> xr.Dataset:
    """The trajectories that a summary has kept whole, with dims as `recurse` gives them: (…, regime, generation, run).

    Of a sweep over a list (dim `set`) the rows that hold anything are kept; if it is only one, the dim goes.
    """
    kept = [label for label in data["summary"].values if str(label).startswith("run ")]
    out = data.sel(summary=kept).rename(summary="run").assign_coords(run=range(len(kept)))
    if "set" in out.dims:
        scores = [name for name, values in out.data_vars.items() if {"set", *SERIES} <= set(values.dims)]
        out = out.isel(set=out[scores].to_dataarray().notnull().any([*SERIES, "variable"]).values)
        out = out.isel(set=0, drop=True) if out.sizes["set"] == 1 else out
    return out


def not_recorded(name: str) -> str:
    """What a chapter says in place of a record that does not exist."""
    return f"*No run of `{name}` is recorded yet.* In a clone, `make records ONLY={name}` records it."


def read(chapter: int, folder: str | Path | None = None) -> tuple[dict[str, Any], dict[str, xr.Dataset]]:
    """What a chapter has left: its record and its summarised data sets."""
    folder = results_folder() if folder is None else Path(folder)
    path = folder / f"{chapter:02d}.json"
    if not path.exists():
        raise FileNotFoundError(f"{path}: chapter {chapter} has left no results; `make notebooks` writes them")
    stored = json.loads(path.read_text())
    data = {g: xr.load_dataset(folder / f"{chapter:02d}.nc", group=g, engine="h5netcdf") for g in stored["groups"]}
    return stored, data
