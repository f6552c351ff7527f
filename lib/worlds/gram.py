"""Batches for linear regression: what least squares needs to know of rows (x, y), whatever their number.

`Gram` is for rows whose x differ from batch to batch, `Labels` for one design that is labelled again and again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.errors import refuse
from lib.pool import Rows


class _Whole:
    """What cannot be split."""

    def take(self, k: int, rng: np.random.Generator):
        """ValueError, unless all samples are taken."""
        if k != self.size:
            refuse("k", k, f"all {self.size} samples; a subset of them takes explicit rows")
        return self


@dataclass(frozen=True)
class Gram(_Whole):
    """Sums over the samples of each run: `gram` = XᵀX of shape (runs, d, d) and `cross` = Xᵀy of shape (runs, d)."""

    size: int
    gram: np.ndarray
    cross: np.ndarray

    @classmethod
    def of(cls, rows: Rows) -> Gram:
        """The sums of explicit rows (x, y) of shape (runs, size, d + 1)."""
        x, y = rows.values[:, :, :-1], rows.values[:, :, -1]
        across = x.swapaxes(1, 2)
        return cls(rows.size, across @ x, (across @ y[:, :, None])[:, :, 0])

    def sums(self) -> Gram:
        """Itself: what every batch of this module can be turned into."""
        return self

    def merge(self, other: Gram | Labels) -> Gram:
        """The sums over both batches."""
        other = other.sums()
        return Gram(self.size + other.size, self.gram + other.gram, self.cross + other.cross)


@dataclass(frozen=True)
class Labels(_Whole):
    """The mean label of each row of one design that has been labelled size / rows times.

    Least squares sees labels y through Qᵀy only, X = Q Aᵀ with orthonormal columns in Q: `root` is A, lower trapezoidal
    of shape (runs, d, k), and `mean` the mean of Qᵀy over the labellings, shape (runs, k). `inverse` is A⁻ᵀ. All
    batches of a run are about the same design, so merging is a mean.
    """

    size: int
    rows: int
    root: np.ndarray
    mean: np.ndarray
    inverse: np.ndarray | None = None

    def sums(self) -> Gram:
        """The same samples as sums over rows."""
        copies = self.size // self.rows
        cross = (self.root @ self.mean[:, :, None])[:, :, 0]
        return Gram(self.size, copies * (self.root @ self.root.swapaxes(1, 2)), copies * cross)

    def merge(self, other: Labels | Gram) -> Labels | Gram:
        """The mean over all labellings; sums, if the other batch has rows of its own."""
        if isinstance(other, Gram):
            return self.sums().merge(other)
        size = self.size + other.size
        mean = self.mean + (other.size / size) * (other.mean - self.mean)
        return Labels(size, self.rows, self.root, mean, self.inverse)
