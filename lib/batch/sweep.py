"""What a sweep file says: a notebook, the parameter sets to run it with, and what each run may take.

    notebook: gaussian-grid.ipynb        # beside the sweep file, or a path from there
    grid:                                # every combination is one run
      dimension: [1, 3, 10]
      n: [10, 100]
    list:                                # and, or instead, sets by name; each is combined with the whole grid
      - {estimator: mle}
      - {estimator: unbiased, scores: trace}
    fixed: {runs: 100}                   # the same in every run
    seeds: 3                             # the notebook's seed and the next two; or a list of seeds
    retries: 1                           # how often a failed run is tried again; 0 by default
    resources: {cores: 1, gpu: 0, memory: 2 GB, time: 10 min}
    estimate: {seconds: 20, megabytes: 3}   # of one run, for the estimate that is printed first
    record: {keep_runs: 6}               # what `make records` keeps; see lib.batch.merge

Everything is checked against the notebook's parameters cell before anything starts. A parameter's help may end with
what is allowed in square brackets: `[1 .. 1000]`, `[2 ..]` or `[mle | unbiased]`.
"""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import yaml
from dask.utils import parse_bytes

from lib import records
from lib.batch.parameters import Parameter, declared, imports_of, known, read_notebook
from lib.errors import among, number, refuse, whole
from lib.provenance import code_digest

KEYS = ("notebook", "grid", "list", "fixed", "seeds", "retries", "resources", "estimate", "record")
LIMIT = 3600.0  # seconds that a run may take if the sweep does not say: a lost kernel must not stop a sweep for ever


@dataclass(frozen=True)
class Resources:
    """What one run takes: CPU cores, GPUs, bytes of memory (0: not limited) and seconds."""

    cores: int = 1
    gpu: int = 0
    memory: int = 0
    time: float = LIMIT


@dataclass(frozen=True)
class Sweep:
    """A checked sweep. `axes` are the parameters that vary over the grid, with their values; `sets` the rows of the
    list (one empty row if there is none); `configurations` the full parameters of each run, defaults included."""

    name: str
    source: dict[str, Any]
    notebook: nbformat.NotebookNode
    parameters: dict[str, Parameter]
    axes: dict[str, tuple]
    sets: tuple[dict[str, Any], ...]
    configurations: tuple[dict[str, Any], ...]
    retries: int
    resources: Resources
    estimate: dict[str, float]
    record: dict[str, Any] | None

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the parameters in which runs differ or which the sweep sets."""
        return tuple(dict.fromkeys([*self.axes, *(name for row in self.sets for name in row)]))

    def key(self, configuration: Mapping[str, Any]) -> str:
        """The name of a run: a hash of its configuration and of the code's version."""
        return records.key({"configuration": configuration, "code": self.code})

    @cached_property
    def modules(self) -> list[str]:
        """What the notebook imports."""
        return imports_of(self.notebook)

    @cached_property
    def code(self) -> str:
        """The version of what a run depends on: the notebook's code, and all of `lib` that it imports."""
        cells = "\n".join(cell.source for cell in self.notebook.cells if cell.cell_type == "code")
        return hashlib.sha256((cells + code_digest(self.modules)).encode()).hexdigest()[:16]


def load(path: str | Path) -> Sweep:
    """The sweep in a file, checked. ValueError or OSError, naming what is wrong, before any work."""
    source, folder = read_yaml(path), Path(path).parent
    if not isinstance(source, dict):
        refuse("sweep", source, "a mapping with a key `notebook` and a `grid` or a `list`")
    for key in source:
        among("key", key, KEYS)
    if not isinstance(source.get("notebook"), str):
        refuse("notebook", source.get("notebook"), "the path of a notebook, from the folder of the sweep file")
    notebook = read_notebook(folder / source["notebook"])
    parameters = declared(notebook, folder / source["notebook"])
    axes, rows = {}, source.get("list", [{}])
    estimate = _mapping(source, "estimate", ("seconds", "megabytes"))
    record = _mapping(source, "record", ("keep_runs", "generations"))
    for axis, values in _mapping(source, "grid").items():
        if not isinstance(values, list) or not values:
            refuse(f"grid.{axis}", values, "a list of one value or more")
        axes[axis] = tuple(known(parameters, axis).check(value) for value in values)
    seeds = {"seed": _seeds(source["seeds"], known(parameters, "seed"))} if "seeds" in source else {}
    if not axes and not seeds and "list" not in source:
        refuse("grid", source.get("grid"), "at least one axis with values, or a `list` of parameter sets")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        refuse("list", rows, "one parameter set or more, each a mapping from names to values")
    rows = [_values(row, parameters) for row in rows]
    fixed = _values(_mapping(source, "fixed"), parameters)
    named = dict.fromkeys(key for row in rows for key in row)
    places = {"grid": axes, "seeds": seeds, "fixed": fixed, "list": named}
    for (first, a), (second, b) in itertools.combinations(places.items(), 2):
        if both := set(a) & set(b):
            refuse(second, sorted(both), f"parameters that {first} does not set as well")
    axes |= seeds
    # Rows of the list are completed, so that each says in full how it differs from the others.
    usual = {key: parameter.default for key, parameter in parameters.items()} | fixed
    sets = tuple({key: row.get(key, usual[key]) for key in named} for row in rows)
    every = itertools.product(sets, itertools.product(*axes.values()))
    configurations = [usual | row | dict(zip(axes, values, strict=True)) for row, values in every]
    text, times = Counter(json.dumps(one, sort_keys=True) for one in configurations).most_common(1)[0]
    if times > 1:
        refuse("configuration", text, "named once; two runs would have it")
    return Sweep(
        name=Path(path).stem,
        source=json.loads(json.dumps(source, default=str)),
        notebook=notebook,
        parameters=parameters,
        axes=axes,
        sets=sets,
        configurations=tuple(configurations),
        retries=whole("retries", source.get("retries", 0), 0),
        resources=_resources(_mapping(source, "resources", ("cores", "gpu", "memory", "time"))),
        estimate={key: number(f"estimate.{key}", value) for key, value in estimate.items()},
        record={key: whole(f"record.{key}", value, 0) for key, value in record.items()} if "record" in source else None,
    )


def _values(given: Mapping[str, Any], parameters) -> dict[str, Any]:
    return {name: known(parameters, name).check(value) for name, value in given.items()}


def _seeds(seeds: Any, parameter: Parameter) -> tuple[int, ...]:
    if not isinstance(seeds, list) or not seeds:
        count = whole("seeds", seeds, 1)
        if count > 100_000:
            refuse("seeds", seeds, "at most 100000")
        seeds = range(parameter.default, parameter.default + count)
    return tuple(parameter.check(seed) for seed in seeds)


def _mapping(source, key: str, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """A part of the sweep; with `names`, it may have these keys only."""
    value = {} if source.get(key) in (None, True) else source[key]
    if not isinstance(value, dict):
        refuse(key, value, "a mapping from names to values")
    for name in value if names else ():
        among(key, name, names)
    return value


def _resources(given: Mapping[str, Any]) -> Resources:
    found = {"cores": whole("resources.cores", given.get("cores", 1), 1)}
    found["gpu"] = whole("resources.gpu", given.get("gpu", 0), 0)
    seconds = lambda time: pd.Timedelta(time if isinstance(time, str) else f"{time} s").total_seconds()  # noqa: E731
    for name, parse, least, allowed in (
        ("memory", parse_bytes, 1e6, 'a text such as "2 GB", or bytes, a million or more'),
        ("time", seconds, 1.0, 'a text such as "10 min", or seconds, one or more'),
    ):
        if name in given:
            try:
                found[name] = parse(given[name])
            except (ValueError, TypeError, AttributeError, OverflowError):
                found[name] = -1
            if not least <= found[name] < 1e18:
                refuse(f"resources.{name}", given[name], allowed)
    return Resources(**found)


class _Loader(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error; plain YAML takes the last one and says nothing."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is given twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> Any:
    """What a file says; ValueError naming it if it is no YAML."""
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no valid YAML in UTF-8: {error}") from error
