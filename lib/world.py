"""What a world is: one model family with its data. Worlds know no regimes and count no generations."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib import pool
from lib.checkpoint import folders
from lib.errors import among, refuse
from lib.streams import child

KINDS = ("excess risk", "loss", "variance", "diversity", "tail", "fidelity")


@dataclass(frozen=True)
class Score:
    """What a score says, as figures, tables and questions read it.

    `kind`: "excess risk" is 0 for the truth; a "loss" has a floor that nobody knows; "variance" and "diversity" say how
    much varies; a "tail" what is left of rare things; "fidelity" how far what is produced resembles the truth. `worse`
    in collapse: "more" or "less". `label` and `unit` are those of an axis.
    """

    kind: str
    worse: str
    label: str
    unit: str = ""

    def __post_init__(self):
        among("kind", self.kind, KINDS)
        among("worse", self.worse, ("more", "less"))

    @property
    def attributes(self) -> dict[str, str]:
        """As they are stored with the numbers."""
        return {"kind": self.kind, "worse": self.worse, "long_name": self.label, "units": self.unit}


@dataclass(frozen=True)
class Demand:
    """What a regime will ask for, as numbers per run.

    For each generation: the set sizes, and the samples drawn from the newest model and, beside the first set, from the
    real distribution. `most` is the largest number of samples ever held in one batch or set; `drawn_from` the largest
    batch that a subset is drawn of, were it only once (0: none is); `takes`: subsets are drawn again and again.
    """

    label: str
    sizes: tuple[int, ...]
    synthetic: tuple[int, ...]
    real: tuple[int, ...]
    most: int
    drawn_from: int
    takes: bool

    @classmethod
    def of(cls, label: str, regime: Any, sizes: list[int]) -> Demand:
        """What a regime will ask for, given the set sizes n_1, n_2, …"""
        steps = itertools.starmap(pool.Step, zip(sizes, itertools.accumulate(sizes), strict=True))
        draws = [regime.draws(step) for step in steps][1:]
        synthetic, real = (0, *(d.synthetic for d in draws)), (0, *(d.real for d in draws))
        new = [a + b for a, b in zip(synthetic, real, strict=True)]
        most = max(*sizes, *new, sizes[0] + sum(new) if regime.accumulates else 0)
        return cls(label, tuple(sizes), synthetic, real, most, regime.drawn_from(sizes), regime.needs_take)

    def check_real(self, available: int, what: str) -> None:
        """Refuse to ask a finite corpus for more real rows than it has."""
        needed = self.sizes[0] + sum(self.real)
        if needed > available:
            asked = f"{self.label} over {len(self.sizes)} generations needs {needed} real rows"
            refuse("n", self.sizes[0], f"{asked}, has {available} {what}")


@dataclass(frozen=True)
class Fit:
    """A fitted model of all runs, and what one run's fit took: optimiser steps and training examples seen."""

    model: Any
    steps: int
    examples: int


class World:
    """Base of all worlds. A world is a frozen dataclass, and so are its models, which stand in the same module, so that
    a checkpoint finds their class again.

    `scores` declares what `score` can compute, with a leading run axis; `extras` what it computes on request only
    (through `keep`), and the names of the dimensions that follow the run axis. `random` names the methods beside `real`
    and `sample` that use the stream they are given; the others get None.
    """

    random: tuple[str, ...] = ("inputs", "fit", "score")
    scores: Mapping[str, Score] = {}
    extras: Mapping[str, tuple[str, ...]] = {}
    compares: bool = False  # `score` is also given `first`, the model of generation 1 (None at generation 1)
    weighs: bool = False  # `fit` respects the weights of the parts of a training set
    keeps_rows: bool = False  # batches are reduced for a fit only, because `inputs` reads them
    long_fits: bool = False  # `fit` is also given `scratch`, where it keeps its progress (None without a checkpoint)
    trained: bool = False  # a generation takes seconds or more and is worth keeping

    def check(self, demands: list[Demand], sizes: list[int], scores: tuple[str, ...], named: bool) -> None:
        """Refuse, before any work, what cannot be computed: `demands` of the regimes, set sizes n_1, n_2, …, and the
        scores; `named`: these were asked for by name."""

    def real(self, runs: int, size: int, rng: np.random.Generator, used: int) -> pool.Batch:
        """`size` real samples for each run, from the stream `lib.streams.child(rng, used)`: `used` have been handed out
        before, and a finite corpus hands out disjoint parts."""
        raise NotImplementedError

    def inputs(self, source: pool.Batch, size: int, rng: np.random.Generator) -> Any:
        """What the model is conditioned on when it samples (prompts, a fixed design); None for a plain generator."""
        return None

    def reduce(self, batch: pool.Batch) -> pool.Batch:
        """The batch as a sufficient statistic, if this world has one and the batch is none already."""
        return batch

    def fit(self, train: pool.TrainingSet, rng: np.random.Generator) -> Fit:
        """Fit one model per run to a training set, whose batches are reduced."""
        raise NotImplementedError

    def sample(self, model: Any, size: int, inputs: Any, rng: np.random.Generator) -> pool.Batch:
        """`size` samples from each run's model."""
        raise NotImplementedError

    def score(self, model: Any, rng: np.random.Generator, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """The named scores and extras, each with a leading run axis."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Every setting of the world as plain values, recorded with its results."""
        return {"world": type(self).__name__} | {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    def sources(self) -> Any:
        """What the world has read and its settings only name: texts, images, weights, or digests of them."""
        return None

    def _set(self, **values: Any) -> None:
        """Put settings in place of what was given, e.g. a whole number of a float that is one, in `__post_init__`."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def save(self, obj: Any, folder: Path) -> None:
        """Store a model or a batch, a dataclass of what `lib.checkpoint.folders.save` takes."""
        name = type(obj).__name__
        self._class(name, type(obj))
        folders.save(folder, {"type": name} | {f.name: getattr(obj, f.name) for f in dataclasses.fields(obj)})

    def load(self, folder: Path) -> Any:
        """What `save` stored there."""
        values = folders.load(folder)
        return self._class(values.pop("type"))(**values)

    def _class(self, name: str, expected: type | None = None) -> type:
        """The class of a model or a batch by its name: one of `lib.pool`, or of the modules of this world and its
        bases."""
        for module in (pool, *(sys.modules.get(base.__module__) for base in type(self).__mro__)):
            found = getattr(module, name, None)
            if dataclasses.is_dataclass(found) and expected in (None, found):
                return found
        allowed = f"models and batches that are dataclasses of its own module; {name} is none"
        refuse("world", type(self).__name__, allowed)


def dealt(corpus: np.ndarray, what: str, runs: int, size: int, rng: np.random.Generator, used: int) -> np.ndarray:
    """`size` rows of a finite corpus for each run, which takes it in an order of its own and has been handed `used`."""
    if used + size > len(corpus):
        refuse("n", size, f"needs {used + size} real rows, has {len(corpus)} {what}")
    return np.stack([corpus[r.permutation(len(corpus))[used : used + size]] for r in child(rng, 0).spawn(runs)])


def plain(value: Any) -> Any:
    """A setting as a value that JSON can hold: what has no content to be shown, by its class."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    text = str(value)
    return type(value).__name__ if " at 0x" in text else text
