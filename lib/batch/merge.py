"""From many runs to one table and one array, and to what a repository keeps of them.

    DIR/collected/NAME.parquet   one row for each value of a score: parameters, data set, regime, generation, run
    DIR/collected/NAME.nc        a group for each data set; the sweep's axes are its first dims (`set`: rows of a list)
    DIR/collected/NAME.json      what was collected: parameters, provenance, seconds; claims and notes of each run

Only finished runs are read. Runs that are missing are NaN in the NetCDF file and absent from the table. The table and
one data set of all runs are in memory at once.

Of a sweep with a key `record`, `record` keeps a small summary that `lib.records.record(NAME)` reads. The key may say
how many whole runs it holds beside mean and quantiles (`keep_runs: 6`) and how many generations, all early ones, then
about evenly on a log scale (`generations: 40`). An axis `seed` counts as more runs.
"""

import html
import sys
import tempfile
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd
import papermill
import xarray as xr

from lib import records
from lib.batch.folder import Folder
from lib.batch.kernel import SETTINGS, environment, own_kernel
from lib.records import SERIES

HERE = Path(__file__).parent


def collect(out: str) -> dict[str, str]:
    """Collect what is finished in a sweep's folder. Returns the names of the three files below it, by their ending. A
    run that is damaged is named and left out."""
    folder = Folder(out)
    stored, finished, runs, tables = folder.stored(), folder.finished(), {}, []
    names = {ending: f"collected/{stored['name']}.{ending}" for ending in ("parquet", "nc", "json")}
    with tempfile.TemporaryDirectory(prefix="collect-") as aside:
        for key in stored["runs"]:
            if key in finished:
                try:
                    runs[key] = _read(folder, key, Path(aside))
                except (ValueError, LookupError, TypeError, OSError) as error:
                    advice = f"delete {folder.address}/runs/{key}, and the same sweep does it again"
                    print(f"left out: run {key}: {type(error).__name__}: {error}; {advice}", file=sys.stderr)
        groups = list(dict.fromkeys(name for run in runs.values() for name in run["groups"]))
        if not groups:
            raise ValueError(f"{out!r}: no finished run has a data set; a notebook ends with lib.records.leave_run")
        for name in groups:
            parts = {key: _part(stored, key, run["file"], name) for key, run in runs.items() if name in run["groups"]}
            tables += [_table(stored, key, data, name) for key, data in parts.items()]
            whole = _combine(stored, list(parts.values()))
            whole.to_netcdf(f"{aside}/all.nc", mode="a", group=name, engine="h5netcdf", encoding=packed(whole))
        pd.concat(tables, ignore_index=True).to_parquet(f"{aside}/all.parquet", compression="zstd")
        for ending in ("parquet", "nc"):
            folder.put(names[ending], Path(aside, f"all.{ending}").read_bytes())
        folder.put(names["json"], _about(stored, runs) | {"groups": groups})
    return names


def packed(data: xr.Dataset, level: int = 4) -> dict[str, dict]:
    """How `to_netcdf` compresses the numbers of a data set."""
    how = {"zlib": True, "complevel": level, "shuffle": True}
    return {name: how for name, values in data.data_vars.items() if values.ndim and values.dtype.kind == "f"}


def _read(folder: Folder, key: str, aside: Path) -> dict[str, Any]:
    """What a finished run has left: its marker, where it ran, what it found, and a file whose groups can be read."""
    marker, found = folder.marker(key), folder.read_json(f"runs/{key}/results/findings.json") or {}
    run = {"marker": marker, "machine": folder.read_json(f"runs/{key}/config.json")["provenance"], "groups": []}
    if "results/data.nc" in marker["files"]:
        run["file"] = folder.fetch(f"runs/{key}/results/data.nc", aside)
        with xr.open_datatree(run["file"], engine="h5netcdf") as tree:
            run["groups"] = list(tree.load().children)
    return run | {
        "found": {name: found.get(name, usual) for name, usual in (("findings", []), ("answers", []), ("notes", {}))}
    }


def _part(stored: dict, key: str, file: Path, group: str) -> xr.Dataset:
    """A data set of a run, with the sweep's axes as its first dims of size 1."""
    parameters = stored["runs"][key]
    row = next(k for k, row in enumerate(stored["sets"]) if all(parameters[n] == v for n, v in row.items()))
    at = {axis: [row if axis == "set" else parameters[axis]] for axis in _axes(stored)}
    data = xr.load_dataset(file, group=group, engine="h5netcdf").drop_vars(at, errors="ignore")
    if clash := {*at, *stored["varied"]} & {*data.dims, *data.data_vars}:
        raise ValueError(f"{sorted(clash)} is a parameter of the sweep and a name in data set {group}")
    numbers = {name: values.astype(float) for name, values in data.items() if values.dtype.kind in "iub"}
    return data.assign(numbers).expand_dims(at)


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


def _table(stored: dict, key: str, data: xr.Dataset, name: str) -> pd.DataFrame:
    """A run's numbers with the dims of a series, or of the largest variable where a data set has none; what has more
    dims (samples, matrices) or is text stays in the NetCDF file."""
    axes = _axes(stored)
    dims = [*axes, *(dim for dim in SERIES if dim in data.dims)]
    if len(dims) == len(axes):
        dims = max((values.dims for values in data.values()), key=len)
    kept = data[[name for name, values in data.items() if values.dtype.kind == "f" and set(values.dims) <= set(dims)]]
    frame = kept.to_dataframe(dim_order=[dim for dim in dims if dim in kept.dims]).reset_index()
    parameters = {name: stored["runs"][key][name] for name in stored["varied"]}
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


def _about(stored: dict, runs: dict[str, dict]) -> dict[str, Any]:
    """What was collected: how many runs of what, where they ran (one value if all agree, else all of them), and what
    each of them found and noted."""
    markers, every = [run["marker"] for run in runs.values()], {}
    for name in ("commit", "changed", "device", "cores", "python", "versions"):
        values = [run["machine"][name] for run in runs.values()]
        every[name] = [value for k, value in enumerate(values) if value not in values[:k]]
    found = [
        {"key": key, "parameters": {name: stored["runs"][key][name] for name in stored["varied"]}, **run["found"]}
        for key, run in runs.items()
    ]
    return {
        **{name: stored[name] for name in ("name", "code", "defaults")},
        "sweep": stored["source"],
        "axes": _axes(stored),
        "runs": len(runs),
        "of": len(stored["runs"]),
        "seconds": round(sum(marker["seconds"] for marker in markers), 1),
        # From the start of the first run to the end of the last: the time it took, if it was not interrupted.
        "span": round(max(m["started"] + m["seconds"] for m in markers) - min(m["started"] for m in markers), 1),
        "date": max(run["machine"]["date"] for run in runs.values()),
        "commit": every["commit"][-1],
        "changed": any(every["changed"]) or len(every["commit"]) > 1,
        "device": " and ".join(every["device"]),
        **{name: every[name][0] if len(every[name]) == 1 else every[name] for name in ("cores", "python", "versions")},
        "found": found,
    }


def status(out: str) -> dict:
    """What a sweep's folder holds: the number of runs, which are finished, failed (with the reason) and missing."""
    folder = Folder(out)
    stored = folder.stored()
    keys, everything, failed = stored["runs"], folder.finished(), {}
    finished = everything & set(keys)
    for key in sorted(folder.failed() & set(keys)):
        parameters = {name: keys[key][name] for name in stored["varied"]}
        failed[key] = {"parameters": parameters, "reason": folder.read_json(f"failed/{key}/failed.json")["reason"]}
    counts = {"runs": len(keys), "others": len(everything - finished)}
    counts["missing"] = counts["runs"] - len(finished | set(failed))
    return {"name": stored["name"], "finished": sorted(finished), "failed": failed, **counts}


def report(out: str) -> str:
    """Collect, and write `report.ipynb`, executed over that, and its outputs as `report.html`, which needs nothing
    beside it. Returns the page's name."""
    folder, names, found = Folder(out), collect(out), status(out)
    with tempfile.TemporaryDirectory(prefix="report-") as place:
        aside = Path(place)
        files = {"arrays": folder.fetch(names["nc"], aside), "about": folder.fetch(names["json"], aside)}
        parameters = {name: str(path) for name, path in files.items()} | {"status": found}
        with own_kernel(aside, environment(), aside) as own:
            settings = {"parameters": parameters, "kernel_manager_class": own, **SETTINGS}
            done = papermill.execute_notebook(str(HERE / "report.ipynb"), f"{place}/report.ipynb", **settings)
        folder.put("report.ipynb", (aside / "report.ipynb").read_bytes())
    outputs = (output.get("data", {}) for cell in done.cells for output in cell.get("outputs", []))
    body = "\n".join(data["text/html"] for data in outputs if "text/html" in data)
    page = Template((HERE / "report.html").read_text(encoding="utf-8"))
    folder.put("report.html", page.substitute(title=html.escape(f"Sweep {found['name']}"), body=body))
    return "report.html"


def record(out: str, target: Path) -> Path:
    """Write `NAME.nc` and `NAME.json` of a finished sweep in the local folder `out` into `target`. Returns the latter's
    path. ValueError if runs are missing: a record is of a whole sweep."""
    folder, names = Folder(out), collect(out)
    about = folder.read_json(names["json"])
    if missing := about["of"] - about["runs"]:
        raise ValueError(f"{out}: {missing} of {about['of']} runs are not finished; only a whole sweep is recorded")
    del about["of"]
    with tempfile.TemporaryDirectory(prefix="record-") as aside:
        for group in about["groups"]:
            with xr.open_dataset(folder.local / names["nc"], group=group, engine="h5netcdf") as data:
                small = _small(data, about)
            encoding = packed(small, 9)
            small.to_netcdf(f"{aside}/all.nc", mode="a", group=group, engine="h5netcdf", encoding=encoding)
        Folder(str(target)).put(f"{about['name']}.nc", Path(aside, "all.nc").read_bytes())
    about["found"] = [run for run in about["found"] if run["findings"] or run["notes"]]
    Folder(str(target)).put(f"{about['name']}.json", about)
    return target / f"{about['name']}.json"


def _small(data: xr.Dataset, about: dict[str, Any]) -> xr.Dataset:
    """The summary of a collected data set; one without regimes, generations and runs is kept as it is."""
    if not set(SERIES) <= set(data.dims):
        return data.load()
    kept = about["sweep"]["record"] if isinstance(about["sweep"].get("record"), dict) else {}
    dims = {*SERIES, *about["axes"]}
    data = seeds_as_runs(data[[name for name, values in data.items() if set(values.dims) <= dims]].load())
    kept_runs, generations = kept.get("keep_runs", records.KEPT_RUNS), kept.get("generations", records.KEPT_GENERATIONS)
    return records.summary(data, kept_runs, generations)
