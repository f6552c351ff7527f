"""Batches, training sets and the pool: what a world draws and what a regime composes from it.

A *batch* holds samples of one kind for all runs at once, as rows (`Rows`) or as a sufficient statistic that merges
(`Moments`, `Counts`). A *training set* is a tuple of parts. The *pool* holds what a regime may use: the original real data,
the newest synthetic batch, the union of everything so far for regimes that accumulate, and the previous set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Protocol

import numpy as np

from lib.errors import refuse
from lib.streams import Streams


class Batch(Protocol):
    """Samples with a leading run axis. `size` is the number of samples per run, a Python int (10**13 is allowed)."""

    size: int

    def merge(self, other: Batch) -> Batch: ...

    def take(self, k: int, rng: np.random.Generator) -> Batch: ...


@dataclass
class _Room:
    """An array with room for more rows, of which `used` are taken."""

    array: np.ndarray
    used: int = 0


@dataclass(frozen=True)
class Rows:
    """Samples as rows: `values` has shape (runs, size, ...)."""

    values: np.ndarray

    @property
    def size(self) -> int:
        """Samples per run."""
        return self.values.shape[1]

    def merge(self, other: Rows) -> Rows:
        """Both batches, one after the other.

        A pool that grows by a batch in each generation would be copied each time. So the rows lie in an array with room for more,
        and a batch that is the newest in its array is continued there; older ones still see their own rows only.
        """
        size = self.size + other.size
        room = getattr(self, "_room", None)
        if room is None or room.used != self.size or room.array.shape[1] < size:
            shape = (self.values.shape[0], max(size, 2 * self.size), *self.values.shape[2:])
            room = _Room(np.empty(shape, dtype=np.result_type(self.values, other.values)))
            room.array[:, : self.size] = self.values
        room.array[:, self.size : size] = other.values
        room.used = size
        merged = Rows(room.array[:, :size])
        object.__setattr__(merged, "_room", room)  # no field: it is neither compared nor stored
        return merged

    def take(self, k: int, rng: np.random.Generator) -> Rows:
        """`k` rows of each run, drawn without replacement and independently for each run."""
        _check_take(k, self.size)
        runs = self.values.shape[0]
        order = rng.random((runs, self.size))
        # argpartition leaves the chosen rows in an order of its own; sorted indices make the result canonical.
        index = np.sort(np.argpartition(order, min(k, self.size - 1), axis=1)[:, :k], axis=1)
        return Rows(np.take_along_axis(self.values, index.reshape(runs, k, *[1] * (self.values.ndim - 2)), axis=1))


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of Gaussian samples: a sufficient statistic that merges in O(d²) whatever the count.

    `mean` has shape (runs, d); `scatter`, the sum of centred outer products, (runs, d, d). `factor`, where known, is
    lower trapezoidal with scatter = factor @ factor.T: it keeps directions apart whose scales differ by more than
    floating point can hold in the scatter itself.
    """

    size: int
    mean: np.ndarray
    scatter: np.ndarray
    factor: np.ndarray | None = None

    @classmethod
    def of(cls, rows: Rows) -> Moments:
        """The moments of explicit rows of shape (runs, size, d)."""
        mean = rows.values.mean(axis=1)
        centred = rows.values - mean[:, None]
        # Centred rows have rank size − 1 at most: with fewer rows than dimensions the last column is rounding noise.
        factor = np.linalg.qr(centred, mode="r").swapaxes(1, 2)[:, :, : rows.size - 1]
        return cls(rows.size, mean, factor @ factor.swapaxes(1, 2), factor)

    def merge(self, other: Moments) -> Moments:
        """The moments of both batches together, by the parallel formula (Chan, Golub and LeVeque 1983).

        Weights are ratios of counts, so nothing overflows or cancels at a count of 10**13.
        """
        size = self.size + other.size
        weight = other.size / size
        delta = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter += (self.size * weight * delta)[:, :, None] * delta[:, None, :]
        return Moments(size, self.mean + weight * delta, scatter)

    def take(self, k: int, rng: np.random.Generator) -> Moments:
        """The moments of `k` of the samples, drawn from their law given the moments of all of them. Take once only.

        For Gaussian samples, S = W₁ + W₂ + uuᵀ with independent Wisharts W₁ of the subset, W₂ of the rest and a Gaussian
        u from the difference of their means. Standardised by the Cholesky factor of their sum, the three do not depend
        on S (Basu's theorem: S and the mean are complete and sufficient, the standardised parts ancillary). A second
        subset of the same samples would have to know the samples behind the first: that needs rows.
        """
        _check_take(k, self.size)
        if k == self.size:
            return self
        factor = np.linalg.cholesky(self.scatter) if self.factor is None else self.factor
        runs, _, rank = factor.shape
        rng_subset, rng_rest, rng_gap = rng.spawn(3)
        rest = self.size - k
        subset, other = bartlett(rng_subset, runs, rank, k - 1), bartlett(rng_rest, runs, rank, rest - 1)
        gap = rng_gap.standard_normal((runs, rank))
        total = subset @ subset.swapaxes(1, 2) + other @ other.swapaxes(1, 2) + gap[:, :, None] * gap[:, None, :]
        map_back = factor @ np.linalg.inv(np.linalg.cholesky(total))
        difference = (map_back @ gap[:, :, None])[:, :, 0] / np.sqrt(k * (rest / self.size))
        factor = map_back @ subset
        return Moments(k, self.mean + (rest / self.size) * difference, factor @ factor.swapaxes(1, 2), factor)


@dataclass(frozen=True)
class Counts:
    """How often each of K states occurs among the samples: `values` has shape (runs, K), int64; rows sum to `size`.

    A sufficient statistic for any discrete distribution. Counts can be split again and again, exactly.
    """

    size: int
    values: np.ndarray

    # numpy draws the multivariate hypergeometric from fewer samples than this.
    MOST_TO_TAKE_FROM: ClassVar[int] = 10**9

    @classmethod
    def of(cls, rows: Rows, states: int) -> Counts:
        """The counts of explicit states 0 … K − 1 of shape (runs, size)."""
        runs = rows.values.shape[0]
        flat = rows.values + states * np.arange(runs)[:, None]
        return cls(rows.size, np.bincount(flat.ravel(), minlength=runs * states).reshape(runs, states))

    def merge(self, other: Counts) -> Counts:
        """The counts of both batches together."""
        return Counts(self.size + other.size, self.values + other.values)

    def take(self, k: int, rng: np.random.Generator) -> Counts:
        """The counts of `k` of the samples, drawn without replacement: multivariate hypergeometric, independently for each run."""
        _check_take(k, self.size)
        if k == self.size:
            return self
        if self.size >= self.MOST_TO_TAKE_FROM:
            refuse("k", k, f"a subset of fewer than {self.MOST_TO_TAKE_FROM} samples; these are {self.size}")
        return Counts(k, np.array([rng.multivariate_hypergeometric(run, k, method="marginals") for run in self.values]))


def bartlett(rng: np.random.Generator, runs: int, d: int, degrees: int) -> np.ndarray:
    """Lower trapezoidal A with A Aᵀ ~ Wishart_d(I, degrees), shape (runs, d, min(d, degrees)).

    Bartlett's decomposition: chi variables on the diagonal, standard normals below. With fewer degrees of freedom
    than dimensions only the first `degrees` columns exist and A Aᵀ is singular, exactly as a scatter of few points.
    """
    columns = min(d, degrees)
    factor = np.zeros((runs, d, columns))
    if columns == 0:
        return factor
    diagonal = np.arange(columns)
    factor[:, diagonal, diagonal] = np.sqrt(rng.chisquare(float(degrees) - diagonal, size=(runs, columns)))
    if d > 1:
        below = _below(d, columns)
        factor[:, below[0], below[1]] = rng.spawn(1)[0].standard_normal((runs, len(below[0])))
    return factor


@cache
def _below(d: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices below the diagonal of a (d, columns) matrix, remembered: finding them costs as much as filling them."""
    return np.tril_indices(d, -1, columns)


def _check_take(k: int, size: int) -> None:
    if not 1 <= k <= size:
        refuse("k", k, f"between 1 and {size} samples can be taken without replacement from {size}")


@dataclass(frozen=True)
class Part:
    """A piece of a training set: a batch, the expected share of its samples that are real, and the weight of each sample in the fit,
    where 1 is a sample that just counts.

    Only worlds that say so (`World.weighs`) can fit other weights; regimes that use them (`Regime.weighs`) are refused elsewhere.
    """

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
    """Expected share of real samples in a training set, each counted once whatever its weight. Where a regime subsamples, a run's
    own share varies about it."""
    return sum(part.batch.size * part.real for part in train) / size(train)


def merged(train: TrainingSet) -> Batch:
    """All samples of a training set as one batch."""
    batch = train[0].batch
    for part in train[1:]:
        batch = batch.merge(part.batch)
    return batch


class Pool:
    """What a regime may compose from, in one block of runs.

    `original` is the first real set; `real` and `synthetic` are the newest batches, None if there are none. For a regime that
    `accumulates`, `union` holds everything that was kept, as one batch: a statistic costs the same at every generation. `previous` is
    the training set of the generation before, for regimes that take from it (`needs_take`).
    """

    def __init__(self, original: Batch, streams: Streams, accumulates: bool = False) -> None:
        self.original, self.streams, self.accumulates = original, streams, accumulates
        self.union: Batch | None = None
        self.real: Batch | None = None
        self.synthetic: Batch | None = None
        self._union_real, self._previous, self._subsets = 0, (), {}

    @property
    def previous(self) -> TrainingSet:
        if not self._previous:
            refuse("needs_take", False, "True for a regime that takes from the previous training set")
        return self._previous

    @previous.setter
    def previous(self, train: TrainingSet) -> None:
        self._previous = train

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
