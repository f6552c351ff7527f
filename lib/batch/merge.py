"""From many runs to one table and one array.

    DIR/collected/NAME.parquet   one row for each value of a score: parameters, data set, regime, generation, run
    DIR/collected/NAME.nc        a group for each data set; the sweep's axes are its first dims (`set`: rows of a list)
    DIR/collected/NAME.json      what was collected: parameters, provenance, seconds; claims and notes of each run

Only finished runs are read, and only the files that their markers list. Runs that are missing are NaN in the NetCDF
file and absent from the table. All that is collected is in memory at once.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5netcdf
import pandas as pd
import xarray as xr

from lib.batch.folder import Folder
from lib.records import SERIES


@dataclass(frozen=True)
class Run:
    """What a finished run has left: its marker, where it ran, what it found, and its data sets by name, with the
    sweep's axes as first dims of size 1."""

    parameters: dict[str, Any]
    marker: dict[str, Any]
    machine: dict[str, Any]
    found: dict[str, Any]
    data: dict[str, xr.Dataset]


def collect(out: str) -> dict[str, str]:
    """Collect what is finished in a sweep's folder. Returns the names of the three files below it, by their ending. A
    run that is damaged is named and left out."""
    folder = Folder(out)
    stored, finished, runs = folder.stored(), folder.finished(), {}
    names = {ending: f"collected/{stored['name']}.{ending}" for ending in ("parquet", "nc", "json")}
    with tempfile.TemporaryDirectory(prefix="collect-") as aside:
        for key in stored["runs"]:
            if key in finished:
                try:
                    runs[key] = _read(folder, stored, key, Path(aside))
                except (ValueError, LookupError, TypeError, OSError) as error:
                    advice = f"delete {folder.address}/runs/{key}, and the same sweep does it again"
                    print(f"left out: run {key}: {type(error).__name__}: {error}; {advice}", file=sys.stderr)
        groups = list(dict.fromkeys(name for run in runs.values() for name in run.data))
        if not groups:
            raise ValueError(f"{out!r}: no finished run has a data set; a notebook ends with lib.records.leave_run")
        for name in groups:
            whole = _combine(stored, [run.data[name] for run in runs.values() if name in run.data])
            whole.to_netcdf(f"{aside}/all.nc", mode="a", group=name, engine="h5netcdf", encoding=packed(whole))
        tables = [_table(stored, run, name) for run in runs.values() for name in run.data]
        pd.concat(tables, ignore_index=True).to_parquet(f"{aside}/all.parquet", compression="zstd")
        about = json.dumps(_about(stored, runs) | {"groups": groups}, indent=1, ensure_ascii=False) + "\n"
        Path(aside, "all.json").write_text(about, encoding="utf-8")
        for ending, name in names.items():
            folder.put(name, Path(aside, f"all.{ending}").read_bytes())
    return names


def packed(data: xr.Dataset, level: int = 4) -> dict[str, dict]:
    """How `to_netcdf` compresses the numbers of a data set."""
    how = {"zlib": True, "complevel": level, "shuffle": True}
    return {name: how for name, values in data.data_vars.items() if values.ndim and values.dtype.kind == "f"}


def _read(folder: Folder, stored: dict, key: str, aside: Path) -> Run:
    parameters, marker, data = stored["runs"][key], folder.marker(key), {}
    row = next(k for k, row in enumerate(stored["sets"]) if all(parameters[n] == v for n, v in row.items()))
    at = {axis: [row if axis == "set" else parameters[axis]] for axis in _axes(stored)}
    for file in sorted(name for name in marker["files"] if name.startswith("results/") and name.endswith(".nc")):
        path = folder.fetch(f"runs/{key}/{file}", aside)
        with h5netcdf.File(path, "r") as open_file:
            groups = list(open_file.groups)
        for group in groups or [None]:
            with xr.open_dataset(path, group=group, engine="h5netcdf") as found:
                found = found.load().drop_vars(at, errors="ignore")
            if clash := {*at, *stored["varied"]} & {*found.dims, *found.data_vars}:
                raise ValueError(f"{sorted(clash)} is a parameter of the sweep and a name in data set {group}")
            numbers = {name: values.astype(float) for name, values in found.items() if values.dtype.kind in "iub"}
            data[group or Path(file).stem] = found.assign(numbers).expand_dims(at)
    found = folder.read_json(f"runs/{key}/results/findings.json") or {"findings": [], "notes": {}}
    found = {"findings": found["findings"], "notes": found["notes"]}
    return Run(parameters, marker, folder.read_json(f"runs/{key}/config.json")["provenance"], found, data)


def _axes(stored: dict) -> dict[str, list]:
    """The sweep's dims and their values; the rows of a list are one dim, `set`, numbered."""
    sets = {"set": list(range(len(stored["sets"])))} if any(stored["sets"]) else {}
    return sets | stored["axes"]


def _combine(stored: dict, parts: list[xr.Dataset]) -> xr.Dataset:
    """The data sets of one name as one. Other dims are the union of all; attributes stay if all runs agree on them: the
    others are parameters, and those are axes."""
    axes, order = _axes(stored), {}
    parts = [part.assign_coords({d: range(n) for d, n in part.sizes.items() if d not in part.coords}) for part in parts]
    for dim in dict.fromkeys(dim for part in parts for dim in part.dims if dim not in axes):
        values = list(dict.fromkeys(v for part in parts if dim in part.dims for v in part[dim].values.tolist()))
        order[dim] = values if any(isinstance(value, str) for value in values) else sorted(values)
    parts = [part.reindex({dim: values for dim, values in order.items() if dim in part.dims}) for part in parts]
    how = {"data_vars": "all", "coords": "minimal", "compat": "no_conflicts", "join": "outer"}
    whole = xr.combine_by_coords(parts, combine_attrs="drop_conflicts", **how).reindex(axes)
    rows = {name: ("set", [row[name] for row in stored["sets"]]) for name in stored["sets"][0]}
    return whole.assign_coords(rows).assign_attrs(sweep=stored["name"], code=stored["code"])


def _table(stored: dict, run: Run, name: str) -> pd.DataFrame:
    """A run's numbers with the dims of a series, or of the largest variable where a data set has none; what has more
    dims (samples, matrices) or is text stays in the NetCDF file."""
    data, axes = run.data[name], _axes(stored)
    dims = [*axes, *(dim for dim in SERIES if dim in data.dims)]
    if len(dims) == len(axes):
        dims = max((values.dims for values in data.values()), key=len)
    kept = data[[name for name, values in data.items() if values.dtype.kind == "f" and set(values.dims) <= set(dims)]]
    frame = kept.to_dataframe(dim_order=[dim for dim in dims if dim in kept.dims]).reset_index()
    parameters = {name: run.parameters[name] for name in stored["varied"]}
    frame = frame.drop(columns=[*axes]).assign(**parameters, dataset=name)
    return frame[[*parameters, "dataset", *frame.columns.drop([*parameters, "dataset"])]]


def seeds_as_runs(data: xr.Dataset) -> xr.Dataset:
    """Seeds as more runs; what does not depend on the run is the same for every seed."""
    if "seed" not in data.dims:
        return data
    same = data[[name for name, values in data.data_vars.items() if "run" not in values.dims]].isel(seed=0, drop=True)
    runs = data[[name for name in data.data_vars if name not in same]]
    flat = runs.stack(both=("seed", "run"), create_index=False).drop_vars(["seed", "run"]).rename(both="run")
    return flat.assign_coords(run=range(flat.sizes["run"])).assign(same.drop_vars("run", errors="ignore").data_vars)


def _about(stored: dict, runs: dict[str, Run]) -> dict[str, Any]:
    """What was collected: how many runs of what, where they ran (one value if all agree, else all of them), and what
    each of them found and noted."""
    markers, every, found = [run.marker for run in runs.values()], {}, []
    for key, run in runs.items():
        varied = {name: run.parameters[name] for name in stored["varied"]}
        found.append({"key": key, "parameters": varied, **run.found})
    for name in ("commit", "changed", "device", "cores", "python", "versions"):
        texts = dict.fromkeys(json.dumps(run.machine[name]) for run in runs.values())
        every[name] = [json.loads(text) for text in texts]
    return {
        **{name: stored[name] for name in ("name", "code", "defaults")},
        "sweep": stored["source"],
        "axes": _axes(stored),
        "runs": len(runs),
        "of": len(stored["runs"]),
        "seconds": round(sum(marker["seconds"] for marker in markers), 1),
        # From the start of the first run to the end of the last: the time it took, if it was not interrupted.
        "span": round(max(m["started"] + m["seconds"] for m in markers) - min(m["started"] for m in markers), 1),
        "date": max(run.machine["date"] for run in runs.values()),
        "commit": every["commit"][-1],
        "changed": any(every["changed"]) or len(every["commit"]) > 1,
        "device": " and ".join(every["device"]),
        **{name: every[name][0] if len(every[name]) == 1 else every[name] for name in ("cores", "python", "versions")},
        "found": found,
    }
