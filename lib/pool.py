"""Batches, training sets and the pool: what a world draws and what a regime composes from it.

A *batch* holds samples of one kind for all runs at once, as rows (`Rows`) or as a sufficient statistic that merges
(`Counts`, and others beside their worlds). A *training set* is a tuple of parts. The *pool* is all that a
regime may use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from lib.errors import refuse
from lib.streams import Streams


class Batch(Protocol):
    """Samples with a leading run axis. `size` is the number of samples per run, a Python int (10**13 is allowed)."""

    size: int

    def merge(self, other: Batch) -> Batch: ...

    def take(self, k: int, rng: np.random.Generator) -> Batch: ...


@dataclass(frozen=True)
class Rows:
    """Samples as rows: `values` has shape (runs, size, ...)."""

    values: np.ndarray

    @property
    def size(self) -> int:
        """Samples per run."""
        return self.values.shape[1]

    def merge(self, other: Rows) -> Rows:
        """Both batches, one after the other."""
        return Rows(np.concatenate([self.values, other.values], axis=1))

    def take(self, k: int, rng: np.random.Generator) -> Rows:
        """`k` rows of each run, drawn without replacement and independently for each run."""
        check_take(k, self.size)
        runs = self.values.shape[0]
        order = rng.random((runs, self.size))
        # argpartition leaves the chosen rows in an order of its own; sorted indices make the result canonical.
        index = np.sort(np.argpartition(order, min(k, self.size - 1), axis=1)[:, :k], axis=1)
        return Rows(np.take_along_axis(self.values, index.reshape(runs, k, *[1] * (self.values.ndim - 2)), axis=1))


@dataclass(frozen=True)
class Counts:
    """How often each of K states occurs among the samples: `values` has shape (runs, K), int64; rows sum to `size`."""

    size: int
    values: np.ndarray

    # numpy draws the multivariate hypergeometric from fewer samples than this.
    MOST_TO_TAKE_FROM: ClassVar[int] = 10**9

    def merge(self, other: Counts) -> Counts:
        """The counts of both batches together."""
        return Counts(self.size + other.size, self.values + other.values)

    def take(self, k: int, rng: np.random.Generator) -> Counts:
        """The counts of `k` of the samples, drawn without replacement and independently for each run."""
        check_take(k, self.size)
        if k == self.size:
            return self
        if self.size >= self.MOST_TO_TAKE_FROM:
            refuse("k", k, f"a subset of fewer than {self.MOST_TO_TAKE_FROM} samples; these are {self.size}")
        return Counts(k, np.array([rng.multivariate_hypergeometric(run, k, method="marginals") for run in self.values]))


def check_take(k: int, size: int) -> None:
    """Refuse a subset that is empty or larger than what it is drawn from."""
    if not 1 <= k <= size:
        refuse("k", k, f"between 1 and {size} samples can be taken without replacement from {size}")


@dataclass(frozen=True)
class Part:
    """A piece of a training set: a batch, the expected share of its samples that are real, and the weight of each
    sample in the fit; only worlds that say so (`World.weighs`) can fit others than 1."""

    batch: Batch
    real: float
    weight: float = 1.0

    def __post_init__(self):
        if self.batch is None:
            refuse("draws", None, "new samples of every kind that `compose` takes: the regime asked for none of these")


TrainingSet = tuple[Part, ...]


def portion(fraction: float, n: int) -> int:
    """`fraction` of n as a count, halves rounded up."""
    return min(n, math.floor(fraction * n + 0.5))


def runs(batch: Batch) -> int:
    """How many runs a batch has samples of."""
    return next(len(value) for value in vars(batch).values() if isinstance(value, np.ndarray))


def size(train: TrainingSet) -> int:
    """Samples per run in a training set."""
    return sum(part.batch.size for part in train)


def real_share(train: TrainingSet) -> float:
    """Expected share of real samples in a training set, each counted once whatever its weight."""
    return sum(part.batch.size * part.real for part in train) / size(train)


def merged(train: TrainingSet) -> Batch:
    """All samples of a training set as one batch."""
    batch = train[0].batch
    for part in train[1:]:
        batch = batch.merge(part.batch)
    return batch


@dataclass(frozen=True)
class Step:
    """Where the recursion stands: the set size n of the generation and the sum of all so far (n·t if equal)."""

    n: int
    total: int


@dataclass(frozen=True)
class Draws:
    """Samples a regime asks for before it composes: from the newest model, and new real ones."""

    synthetic: int = 0
    real: int = 0


class NoStream:
    """In place of a random stream, for a regime that has not asked for one."""

    def __getattr__(self, name: str):
        refuse("needs_take", False, "True for a regime that draws subsets in `compose`")


class Pool:
    """What a regime may compose from, in one block of runs.

    `original` is the first real set; `real` and `synthetic` are the newest batches, None if there are none. For a
    regime that `accumulates`, `union` holds everything that was kept, as one batch. `previous`, the training set of the
    generation before, is `held` for regimes that take from it (`needs_take`).
    """

    def __init__(self, original: Batch, streams: Streams, accumulates: bool = False) -> None:
        self.original, self.streams, self.accumulates = original, streams, accumulates
        self.union: Batch | None = None
        self.real: Batch | None = None
        self.synthetic: Batch | None = None
        self.held: TrainingSet = ()
        self._union_real, self._subsets = 0, {}

    @property
    def previous(self) -> TrainingSet:
        if not self.held:
            refuse("needs_take", False, "True for a regime that takes from the previous training set")
        return self.held

    def begin(self, kept: Batch | None) -> None:
        """Start the union with what is kept of the original set, nothing if None."""
        self.union, self._union_real = kept, 0 if kept is None else kept.size

    def add(self, *, real: Batch | None, synthetic: Batch | None) -> None:
        """Take in a generation's new batches."""
        self.real, self.synthetic = real, synthetic
        if self.accumulates:
            for batch in (real, synthetic):
                if batch is not None:
                    self.union = batch if self.union is None else self.union.merge(batch)
            self._union_real += 0 if real is None else real.size

    def newest(self) -> Part:
        """The newest batch of synthetic data, as one part."""
        return Part(self.synthetic, real=0.0)

    def everything(self) -> Part:
        """All data so far, as one part."""
        if not self.accumulates:
            refuse("accumulates", False, "True for a regime that trains on everything so far")
        return Part(self.union, self._union_real / self.union.size)

    def subset(self, k: int) -> Batch:
        """`k` samples of the original set, the same ones at every generation."""
        if k == self.original.size:
            return self.original
        if k not in self._subsets:
            self._subsets[k] = self.original.take(k, self.streams(1, "subset"))
        return self._subsets[k]
