"""Gaussian samples as what a fit sees of them: mean and scatter, drawn and merged whatever their number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from lib.pool import Rows, check_take


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of Gaussian samples: a sufficient statistic that merges in O(d²) whatever the count.

    `mean` has shape (runs, d); `scatter`, the sum of centred outer products, (runs, d, d). `factor`, where known, is
    lower trapezoidal with scatter = factor @ factor.T, and holds scales that differ by more digits than it can.
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
        # Centred rows have rank size − 1 at most: what is beyond, or beyond the dimensions in which the rows lie, is
        # rounding noise, and would give back directions that they never had.
        factor = np.linalg.qr(centred, mode="r").swapaxes(1, 2)[:, :, : rows.size - 1]
        if rows.size > 1:
            pivots = np.abs(np.diagonal(factor, axis1=1, axis2=2))
            present = pivots > 10 * mean.shape[1] * np.finfo(float).eps * pivots.max(axis=1, keepdims=True)
            if not present.all():
                factor = np.where(present[:, None], factor, 0.0)
        return cls(rows.size, mean, factor @ factor.swapaxes(1, 2), factor)

    def merge(self, other: Moments) -> Moments:
        """The moments of both batches together (Chan, Golub and LeVeque 1983). Weights are ratios of counts, so nothing
        overflows or cancels at a count of 10**13."""
        size = self.size + other.size
        weight = other.size / size
        delta = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter += (self.size * weight * delta)[:, :, None] * delta[:, None, :]
        return Moments(size, self.mean + weight * delta, scatter)

    def take(self, k: int, rng: np.random.Generator) -> Moments:
        """The moments of `k` of the samples, drawn from their law given the moments of all of them. Take once only.

        For Gaussian samples, S = W₁ + W₂ + uuᵀ with independent Wisharts W₁ of the subset, W₂ of the rest and a
        Gaussian u from the difference of their means. Standardised by the Cholesky factor of their sum, the three do
        not depend on S (Basu's theorem). A second subset of the same samples needs rows.
        """
        check_take(k, self.size)
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


def bartlett(rng: np.random.Generator, runs: int, d: int, degrees: int) -> np.ndarray:
    """Lower trapezoidal A with A Aᵀ ~ Wishart_d(I, degrees), shape (runs, d, min(d, degrees)).

    Bartlett's decomposition: chi variables on the diagonal, standard normals below. With fewer degrees of freedom than
    dimensions A Aᵀ is singular, exactly as a scatter of few points.
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
