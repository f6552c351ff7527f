"""What a world is: one model family with its data. Worlds know no regimes and count no generations."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from itertools import accumulate, count
from pathlib import Path
from typing import Any

import numpy as np

from lib import pool
from lib.checkpoint import folders
from lib.errors import refuse
from lib.regimes import Draws, Regime, Step


@dataclass(frozen=True)
class Fit:
    """A fitted model of all runs and the compute that one run's fit took: optimiser steps and training examples seen."""

    model: Any
    steps: int
    examples: int


class World:
    """Base of all worlds: the parts of the interface that most worlds share. A world is a frozen dataclass.

    `random` names the methods beside `real` and `sample` that use the stream they are given; the others get None (making a
    stream costs as much as a small matrix product). `scores` names what `score` can compute, with a leading run axis; `extras` what it computes on request only (through
    `keep`), and the names of the dimensions that follow the run axis, e.g. `{"samples": ("sample", "row", "column")}`.
    """

    random: tuple[str, ...] = ("inputs", "fit", "score")
    scores: tuple[str, ...] = ()
    extras: dict[str, tuple[str, ...]] = {}
    batches: tuple[type, ...] = (pool.Rows,)
    # `score` is also given `first`, the model of generation 1 (None at generation 1 itself).
    compares: bool = False
    # `fit` respects the weights of the parts of a training set.
    weighs: bool = False
    # `fit` is also given `scratch`, where a fit that takes hours keeps its progress (None without a checkpoint).
    long_fits: bool = False
    # Its fits are trained, so that a generation takes seconds or more and is worth keeping.
    trained: bool = False

    def check(self, regimes: list, sizes: list[int], scores: tuple[str, ...], named: bool) -> None:
        """Refuse, before any work, what cannot be computed. `named`: the scores were asked for by name."""

    def real(self, runs: int, size: int, rng: np.random.Generator, used: int) -> pool.Batch:
        """`size` real samples for each run. `used` have been handed out before; `lib.streams.child(rng, used)` is the
        stream of the next ones. A finite corpus hands out disjoint parts."""
        raise NotImplementedError

    def inputs(self, source: pool.Batch, size: int, rng: np.random.Generator) -> Any:
        """What the model is conditioned on when it samples (prompts, a fixed design); None for a plain generator."""
        return None

    def reduce(self, batch: pool.Batch) -> pool.Batch:
        """The batch as a sufficient statistic, if this world has one."""
        return batch

    def fit(self, train: pool.TrainingSet, rng: np.random.Generator) -> Fit:
        """Fit one model per run to a training set."""
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

    model_type: type | None = None

    def save(self, obj: Any, folder: Path) -> None:
        """Store a model or a batch, a dataclass of what `lib.checkpoint.folders.save` takes."""
        folders.save(folder, {"type": type(obj).__name__} | {f.name: getattr(obj, f.name) for f in dataclasses.fields(obj)})

    def load(self, folder: Path) -> Any:
        """What `save` stored there."""
        values = folders.load(folder)
        types = {t.__name__: t for t in (*self.batches, self.model_type) if t is not None}
        if (name := values.pop("type")) not in types:
            refuse("checkpoint", str(folder), f"an object of {', '.join(types)}, found {name}")
        return types[name](**values)


def check_real_rows(regimes: list, sizes: list[int], available: int, what: str) -> None:
    """Refuse set sizes n_1, n_2, … for which a regime would ask a finite corpus for more real rows than it has."""
    for regime in regimes:
        needed = sizes[0] + sum(draws.real for draws in all_draws(regime, sizes))
        if needed > available:
            allowed = f"{regime} over {len(sizes)} generations needs {needed} real rows, has {available} {what}"
            refuse("n", sizes[0], allowed)


def all_draws(regime: Regime, sizes: list[int]) -> list[Draws]:
    """What a regime will ask for at generations 2, 3, …, given the set sizes n_1, n_2, …"""
    return [regime.draws(Step(t, n, total)) for t, n, total in zip(count(1), sizes, accumulate(sizes))][1:]


def most_samples(regime: Regime, sizes: list[int]) -> int:
    """The largest number of samples per run that a regime ever holds in one batch or one training set."""
    asked = [draws.synthetic + draws.real for draws in all_draws(regime, sizes)]
    return max([*sizes, *asked, sizes[0] + sum(asked) if regime.accumulates else 0])


def plain(value: Any) -> Any:
    """A setting as a value that JSON can hold: frozen scipy distributions by name and arguments, the rest by `str`."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "dist") and hasattr(value, "kwds"):
        arguments = [*map(str, value.args), *(f"{k}={v}" for k, v in value.kwds.items())]
        return f"{value.dist.name}({', '.join(arguments)})"
    if hasattr(value, "mean") and hasattr(value, "cov"):
        return f"{type(value).__name__}(mean={plain(np.asarray(value.mean))}, cov={plain(np.asarray(value.cov))})"
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))  # an address says nothing of what is there
