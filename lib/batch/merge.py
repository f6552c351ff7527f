"""From many runs to one table and one array: a tidy Parquet file and a NetCDF file, written run by run.

    DIR/collected/NAME.parquet   one row for each value of a score: the sweep's parameters, the data set, regime, generation, run
    DIR/collected/NAME.nc        a group for each data set; the sweep's axes are its first dims (`set` for the rows of a list)
    DIR/collected/NAME.json      what was collected: parameters, provenance, seconds; claims and notes of each run

Only finished runs are read, and only the files that their markers list. Runs that are missing are NaN in the NetCDF file and
absent from the table. At no time is more than one run held in memory.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr

from lib.batch.folder import Folder

SERIES = ("regime", "generation", "run")
TEXT = h5py.string_dtype()


@dataclass
class Layout:
    """The union of what the runs hold of one data set: sizes and coordinates of its dims, its variables and attributes."""

    sizes: dict[str, int] = field(default_factory=dict)
    coords: dict[str, list] = field(default_factory=dict)
    variables: dict[str, tuple[str, ...]] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)
    attrs: dict[str, Any] | None = None
    units: dict[str, dict] = field(default_factory=dict)

    def add(self, data: xr.Dataset, where: str) -> None:
        for dim, size in data.sizes.items():
            self.sizes[dim] = max(size, self.sizes.get(dim, 0))
            if dim in data.coords:
                known = self.coords.setdefault(dim, [])
                present = set(known)
                known += [value for value in data[dim].values.tolist() if value not in present]
                self.sizes[dim] = len(known)
        for name, values in data.data_vars.items():
            if self.variables.setdefault(name, values.dims) != values.dims:
                raise ValueError(f"{where}: {name} has dims {values.dims}, in another run {self.variables[name]}")
            if values.dtype.kind not in "fiub":
                self.texts.add(name)
            self.units[name] = {k: v for k, v in values.attrs.items() if isinstance(v, str)}
        own = {k: v for k, v in data.attrs.items() if isinstance(v, str | int | float | np.number)}
        # An attribute stays if all runs agree on it: the others are parameters, and those are axes.
        self.attrs = own if self.attrs is None else {k: v for k, v in self.attrs.items() if k in own and own[k] == v}

    def finish(self) -> Layout:
        for values in self.coords.values():
            if all(isinstance(value, int | float) for value in values):
                values.sort()
        return self

    def table_dims(self, data: xr.Dataset) -> tuple[str, ...]:
        """The dims of a row of the table: those of a series, or of the largest variable where there is none."""
        series = tuple(dim for dim in SERIES if dim in data.dims)
        return series or max((v.dims for v in data.data_vars.values()), key=len, default=())


def collect(out: str) -> dict[str, str]:
    """Collect what is finished in a sweep's folder. Returns the names of the three files below it, by their ending."""
    folder = Folder(out)
    stored = folder.stored()
    keys = [key for key in stored["runs"] if key in folder.finished()]
    if not keys:
        raise ValueError(f"{out!r} has no finished run to collect")
    names = {ending: f"collected/{stored['name']}.{ending}" for ending in ("parquet", "nc", "json")}
    with tempfile.TemporaryDirectory(prefix="collect-") as temporary:
        aside = Path(temporary)
        layouts: dict[str, Layout] = {}
        for key in keys:
            for name, data in _data(folder, key, aside):
                layouts.setdefault(name, Layout()).add(data, f"runs/{key}, data set {name}")
        if not layouts:
            raise ValueError(f"{out!r}: no run has left a data set; the notebook should end with lib.records.leave_run")
        for layout in layouts.values():
            layout.finish()
        _write_arrays(aside / "all.nc", folder, stored, keys, layouts, aside)
        _write_table(aside / "all.parquet", folder, stored, keys, layouts, aside)
        (aside / "all.json").write_text(
            json.dumps(_about(folder, stored, keys, layouts), indent=1, ensure_ascii=False) + "\n"
        )
        for ending, name in names.items():
            folder.put(aside / f"all.{ending}", name)
    return names


def seeds_as_runs(values: xr.DataArray) -> xr.DataArray:
    """Seeds as more runs; what does not depend on the run is the same for every seed."""
    if "run" not in values.dims:
        return values.isel(seed=0, drop=True) if "seed" in values.dims else values
    flat = values.stack(both=("seed", "run"), create_index=False).drop_vars(["seed", "run"], errors="ignore")
    return flat.rename(both="run").assign_coords(run=range(flat.sizes["both"]))


def _data(folder: Folder, key: str, aside: Path) -> Iterator[tuple[str, xr.Dataset]]:
    """The data sets of a run, by the names of their groups."""
    for file in folder.files(key, ".nc"):
        path = folder.fetch(f"runs/{key}/{file}", aside)
        with h5netcdf.File(path, "r") as stored:
            groups = list(stored.groups)
        for group in groups or [None]:
            with xr.open_dataset(path, group=group, engine="h5netcdf") as data:
                yield group or Path(file).stem, data.load()
        if folder.local is None:
            path.unlink()


def _axes(stored: dict) -> dict[str, list]:
    """The sweep's dims and their values; the rows of a list are one dim, `set`, numbered."""
    sets = {"set": list(range(len(stored["sets"])))} if any(stored["sets"]) else {}
    return sets | stored["axes"]


def _place(stored: dict, axes: dict[str, list], configuration: dict) -> tuple[int, ...]:
    """Where a run lies along the sweep's dims."""
    at = []
    for name, values in axes.items():
        if name == "set":
            rows = stored["sets"]
            at.append(next(k for k, row in enumerate(rows) if all(configuration[n] == v for n, v in row.items())))
        else:
            at.append(values.index(configuration[name]))
    return tuple(at)


def _write_arrays(path, folder, stored, keys, layouts, aside) -> None:
    axes = _axes(stored)
    with h5netcdf.File(path, "w") as file:
        file.attrs["sweep"] = stored["name"]
        file.attrs["code"] = stored["code"]
        for name, layout in layouts.items():
            group = file.create_group(name)
            if clash := {*axes, *stored["sets"][0]} & {*layout.sizes, *layout.variables}:
                raise ValueError(f"data set {name}: {sorted(clash)} is a parameter of the sweep and a name in the data")
            group.dimensions = {axis: len(values) for axis, values in axes.items()} | layout.sizes
            for dim, values in (axes | layout.coords).items():
                _coordinate(group, dim, values)
            if "set" in axes:
                for parameter in stored["sets"][0]:
                    _coordinate(group, parameter, [row[parameter] for row in stored["sets"]], "set")
            for key, value in (layout.attrs or {}).items():
                group.attrs[key] = value
            for variable, dims in layout.variables.items():
                shape = tuple(layout.sizes[d] for d in dims)
                text = variable in layout.texts
                created = group.create_variable(
                    variable, (*axes, *dims), TEXT if text else "f8", fillvalue=None if text else np.nan,
                    chunks=(*[1] * len(axes), *shape), compression=None if text else "gzip", compression_opts=None if text else 4,
                    shuffle=not text,
                )  # fmt: skip
                for key, value in layout.units[variable].items():
                    created.attrs[key] = value
        for key in keys:
            at = _place(stored, axes, stored["runs"][key])
            for name, data in _data(folder, key, aside):
                layout = layouts[name]
                for variable, values in data.data_vars.items():
                    shape = tuple(layout.sizes[d] for d in values.dims)
                    text = variable in layout.texts
                    slab = np.full(shape, "" if text else np.nan, dtype=object if text else float)
                    slab[np.ix_(*(_positions(layout, data, d) for d in values.dims))] = values.values
                    file[name][variable][at] = slab


def _coordinate(group, name: str, values: list, dim: str | None = None) -> None:
    number = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    whole = number and all(isinstance(v, int) for v in values)
    array = (
        np.array(values, dtype="i8" if whole else "f8") if number else np.array([str(v) for v in values], dtype=object)
    )
    group.create_variable(name, (dim or name,), array.dtype if number else TEXT, data=array)


def _positions(layout: Layout, data: xr.Dataset, dim: str) -> np.ndarray:
    """Where a run's values lie along a dim of the union."""
    if dim not in layout.coords:
        return np.arange(data.sizes[dim])
    where = {value: k for k, value in enumerate(layout.coords[dim])}
    return np.array([where[value] for value in data[dim].values.tolist()], dtype=int)


def _write_table(path, folder, stored, keys, layouts, aside) -> None:
    varied = stored["varied"]
    columns: dict[str, pa.DataType] = {
        name: _arrow_type([stored["runs"][key][name] for key in keys]) for name in varied
    }
    columns["dataset"] = pa.string()
    numbers: list[str] = []
    for layout in layouts.values():
        for dim, values in layout.coords.items():
            columns.setdefault(dim, _arrow_type(values))
        numbers += [name for name in layout.variables if name not in layout.texts and name not in numbers]
    columns |= {dim: pa.int64() for layout in layouts.values() for dim in layout.sizes if dim not in columns}
    columns |= {name: pa.float64() for name in numbers}
    schema = pa.schema(list(columns.items()))
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for key in keys:
            for name, data in _data(folder, key, aside):
                dims = layouts[name].table_dims(data)
                shape = tuple(data.sizes[dim] for dim in dims)
                rows = int(np.prod(shape))
                found = {parameter: np.repeat([_plain(stored["runs"][key][parameter])], rows) for parameter in varied}
                found["dataset"] = np.repeat([name], rows)
                for axis, dim in enumerate(dims):
                    values = data[dim].values if dim in data.coords else np.arange(shape[axis])
                    found[dim] = np.broadcast_to(values.reshape(-1, *[1] * (len(dims) - 1 - axis)), shape).ravel()
                for variable, values in data.data_vars.items():
                    # What has more dims than a row (samples, matrices) or is text stays in the NetCDF file.
                    if set(values.dims) <= set(dims) and variable not in layouts[name].texts:
                        full = values.expand_dims({d: data.sizes[d] for d in dims if d not in values.dims}).transpose(
                            *dims
                        )
                        found[variable] = np.asarray(full.values, dtype=float).ravel()
                arrays = [pa.array(found[c], type=t) if c in found else pa.nulls(rows, t) for c, t in columns.items()]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _arrow_type(values: list) -> pa.DataType:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds <= {int, float} else pa.string()


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _about(folder: Folder, stored: dict, keys: list[str], layouts: dict[str, Layout]) -> dict[str, Any]:
    """What was collected: how many runs of what, where they ran, and what each of them found and noted."""
    markers = [folder.marker(key) for key in keys]
    machines = [folder.read_json(f"runs/{key}/config.json")["provenance"] for key in keys]
    runs = []
    for key in keys:
        found = folder.read_json(f"runs/{key}/results/findings.json") or {"findings": [], "notes": {}}
        parameters = {name: stored["runs"][key][name] for name in stored["varied"]}
        runs.append({"key": key, "parameters": parameters, "findings": found["findings"], "notes": found["notes"]})

    def all_of(name):
        return list(dict.fromkeys(json.dumps(machine[name]) for machine in machines))

    return {
        "name": stored["name"],
        "sweep": stored["source"],
        "code": stored["code"],
        "axes": _axes(stored),
        "defaults": {name: parameter["default"] for name, parameter in stored["parameters"].items()},
        "groups": list(layouts),
        "runs": len(keys),
        "of": len(stored["runs"]),
        "seconds": round(sum(marker["seconds"] for marker in markers), 1),
        "date": max(machine["date"] for machine in machines),
        **{
            name: [json.loads(text) for text in all_of(name)]
            for name in ("commit", "changed", "device", "cores", "python", "versions")
        },
        "found": runs,
    }
