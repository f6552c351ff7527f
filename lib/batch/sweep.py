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
    record: {keep_runs: 6}               # what `make records` keeps; see lib.batch.record

Everything is checked against the notebook's parameters cell before anything starts. A parameter's help may end with
what is allowed in square brackets: `[1 .. 1000]`, `[2 ..]` or `[mle | unbiased]`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import yaml
from dask.utils import parse_bytes

from lib.batch.parameters import Parameter, declared, imports_of, known, read_notebook
from lib.errors import Refused, among, refuse, whole
from lib.provenance import code_digest

KEYS = ("notebook", "grid", "list", "fixed", "seeds", "retries", "resources", "estimate", "record")
RESOURCES = ("cores", "gpu", "memory", "time")
LIMIT = 3600.0  # seconds that a run may take if the sweep does not say: a lost kernel must not stop a sweep for ever
MOST_SEEDS = 100_000


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
    retries: int = 0
    resources: Resources = Resources()
    estimate: dict[str, float] = field(default_factory=dict)
    record: dict[str, Any] | None = None

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the parameters in which runs differ or which the sweep sets."""
        return tuple(dict.fromkeys([*self.axes, *(name for row in self.sets for name in row)]))

    def key(self, configuration: Mapping[str, Any]) -> str:
        """The name of a run: a hash of its configuration and of the code's version."""
        text = json.dumps({"configuration": configuration, "code": self.code}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def modules(self) -> list[str]:
        """What the notebook imports."""
        return imports_of(self.notebook)

    @cached_property
    def code(self) -> str:
        """The version of the code that a run depends on: a hash of the notebook's code and of its modules, with all of
        `lib` that these import."""
        cells = "\n".join(cell.source for cell in self.notebook.cells if cell.cell_type == "code")
        return hashlib.sha256((cells + code_digest(self.modules)).encode()).hexdigest()[:16]


def load(path: str | Path) -> Sweep:
    """The sweep in a file, checked. ValueError or OSError, naming what is wrong, before any work."""
    path = Path(path)
    try:
        source = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no valid YAML in UTF-8: {error}") from error
    try:
        return check(source, path.parent, path.stem)
    except Refused as error:
        error.add_note(f"in {path}")
        raise


def check(source: Any, folder: Path, name: str) -> Sweep:
    """The sweep that `source` describes; its notebook is looked for in `folder`."""
    if not isinstance(source, dict):
        refuse("sweep", source, "a mapping with a key `notebook` and a `grid` or a `list`")
    for key in source:
        among("key", key, KEYS)
    if not isinstance(source.get("notebook"), str):
        refuse("notebook", source.get("notebook"), "the path of a notebook, from the folder of the sweep file")
    notebook = read_notebook(folder / source["notebook"])
    parameters = declared(notebook, folder / source["notebook"])
    grid, fixed = _mapping(source, "grid"), _mapping(source, "fixed")
    axes = {}
    for axis, values in grid.items():
        if not isinstance(values, list) or not values:
            refuse(f"grid.{axis}", values, "a list of one value or more")
        axes[axis] = tuple(known(parameters, axis).check(value) for value in values)
    seeds = {"seed": _seeds(source["seeds"], parameters)} if "seeds" in source else {}
    sets = _sets(source.get("list"), parameters)
    fixed = {key: known(parameters, key).check(value) for key, value in fixed.items()}
    if not axes and not seeds and not source.get("list"):
        refuse("grid", source.get("grid"), "at least one axis with values, or a `list` of parameter sets")
    named = dict.fromkeys(key for row in sets for key in row)
    places = {"grid": axes, "seeds": seeds, "fixed": fixed, "list": named}
    for (first, a), (second, b) in itertools.combinations(places.items(), 2):
        if both := set(a) & set(b):
            refuse(second, sorted(both), f"parameters that {first} does not set as well")
    axes |= seeds
    # Rows of the list are completed, so that each says in full how it differs from the others.
    usual = {key: parameter.default for key, parameter in parameters.items()} | fixed
    sets = tuple({key: row.get(key, usual[key]) for key in named} for row in sets)
    return Sweep(
        name=name,
        source=json.loads(json.dumps(source, default=str)),
        notebook=notebook,
        parameters=parameters,
        axes=axes,
        sets=sets,
        configurations=_configurations(usual, axes, sets),
        retries=whole("retries", source.get("retries", 0), 0),
        resources=_resources(_mapping(source, "resources")),
        estimate=_estimate(_mapping(source, "estimate")),
        record=_mapping(source, "record") if "record" in source else None,
    )


def _sets(rows: Any, parameters) -> tuple[dict[str, Any], ...]:
    if rows is None:
        return ({},)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and row for row in rows):
        refuse("list", rows, "one parameter set or more, each a mapping from names to values")
    return tuple({name: known(parameters, name).check(value) for name, value in row.items()} for row in rows)


def _seeds(seeds: Any, parameters) -> tuple[int, ...]:
    parameter = known(parameters, "seed")
    if isinstance(seeds, list) and seeds:
        return tuple(parameter.check(seed) for seed in seeds)
    count = whole("seeds", seeds, 1)
    if count > MOST_SEEDS:
        refuse("seeds", seeds, f"at most {MOST_SEEDS}")
    return tuple(parameter.check(parameter.default + k) for k in range(count))


def _configurations(usual, axes, sets) -> tuple[dict[str, Any], ...]:
    """The full parameters of every run, in the order of the list and then of the grid; two equal ones are an error.
    `usual` are the values of parameters that the sweep does not vary."""
    found, seen = [], set()
    for row in sets:
        for values in itertools.product(*axes.values()):
            chosen = row | dict(zip(axes, values, strict=True))
            configuration = usual | chosen
            text = json.dumps(configuration, sort_keys=True)
            if text in seen:
                refuse("configuration", chosen, "named once; two runs would have it")
            seen.add(text)
            found.append(configuration)
    return tuple(found)


def _resources(given) -> Resources:
    for name in given:
        among("resources", name, RESOURCES)
    memory, time = given.get("memory", 0), given.get("time", LIMIT)
    try:
        size = parse_bytes(memory)
    except (ValueError, TypeError, AttributeError, OverflowError):
        size = -1
    if size != 0 and not 1e6 <= size < 1e18:
        refuse("resources.memory", memory, 'a text such as "2 GB", bytes from a million on, or 0 for no limit')
    try:
        if isinstance(time, bool) or (isinstance(time, str) and time.strip()[-1:].isdigit()):
            raise ValueError("a text without a unit")
        seconds = pd.Timedelta(time, unit=None if isinstance(time, str) else "s").total_seconds()
    except (ValueError, TypeError, OverflowError):
        seconds = -1
    if not seconds > 0:
        refuse("resources.time", time, 'seconds above 0, or a text such as "10 min"')
    cores = whole("resources.cores", given.get("cores", 1), 1)
    return Resources(cores, whole("resources.gpu", given.get("gpu", 0), 0), int(size), seconds)


def _estimate(given) -> dict[str, float]:
    for name, value in given.items():
        among("estimate", name, ("seconds", "megabytes"))
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            refuse(f"estimate.{name}", value, "a number of one run, at least 0")
    return {name: float(value) for name, value in given.items()}


def _mapping(source, key) -> dict[str, Any]:
    value = source.get(key)
    if value is None or value is True:
        return {}
    if not isinstance(value, dict):
        refuse(key, value, "a mapping from names to values")
    return value


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
