"""Shapes of points in the plane and beyond, each drawn by itself, that densities are fitted to."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy.spatial import Delaunay
from scipy.stats import chi2


@dataclass(frozen=True)
class Shape:
    """A distribution of points: a map of two uniform variables, plus normal noise in every coordinate.

    `place(u, v)` returns the points without noise, shape u.shape + (d,). `weights` are those of the modes, if there are
    any, and then `place` is constant on each of them.
    """

    place: Callable[[np.ndarray, np.ndarray], np.ndarray]
    noise: float
    weights: tuple[float, ...] = ()

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each coordinate: midpoints in u, which enters linearly or in steps of a
        multiple of 1/1200, and Gauss–Legendre in v, which enters smoothly."""
        nodes, weights = np.polynomial.legendre.leggauss(64)
        u, v = np.meshgrid((np.arange(1200) + 0.5) / 1200, (nodes + 1) / 2, indexing="ij")
        points = self.place(u, v)
        mean = np.einsum("uvd,v->d", points, weights / 2400)
        variance = np.einsum("uvd,v->d", (points - mean) ** 2, weights / 2400) + self.noise**2
        return mean, np.sqrt(variance)

    @property
    def dimension(self) -> int:
        """Coordinates of a point."""
        return self.moments[0].size

    @property
    def modes(self) -> np.ndarray:
        """Centres of the modes in standardised coordinates, shape (modes, d)."""
        mean, scale = self.moments
        label = np.cumsum(self.weights) - np.array(self.weights) / 2
        return (self.place(label, label) - mean) / scale

    def between(self, points: np.ndarray) -> np.ndarray:
        """Whether points (…, d) lie between the modes: in their hull, farther from each than 99% of its own points."""
        gaps = (points[..., None, :] - self.modes) * self.moments[1] / self.noise
        far = (gaps**2).sum(axis=-1).min(axis=-1) > chi2.ppf(0.99, self.dimension)
        return far & (Delaunay(self.modes).find_simplex(points) >= 0)

    def rows(self, runs: int, size: int, rng: np.random.Generator) -> np.ndarray:
        """Independent points, standardised by their true moments, shape (runs, size, d)."""
        first, second, third = rng.spawn(3)
        points = self.place(first.random((runs, size)), second.random((runs, size)))
        points += self.noise * third.standard_normal(points.shape)
        mean, scale = self.moments
        return (points - mean) / scale


def _blobs(weights: tuple[float, ...]) -> Shape:
    angle = 2 * np.pi * np.arange(len(weights)) / len(weights)
    centres = 4 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    steps = np.cumsum(weights)[:-1]
    return Shape(lambda u, v: centres[np.searchsorted(steps, u, side="right")], 1.0, weights)


def _circles(u, v):
    radius, angle = np.where(u < 0.5, 1.0, 0.5), 2 * np.pi * v
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def _moons(u, v):
    angle, upper = np.pi * v, u < 0.5
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    return np.stack([x, y], axis=-1)


def _swiss_roll(u, v):
    angle = 1.5 * np.pi * (1 + 2 * v)
    return np.stack([angle * np.cos(angle), 21 * u, angle * np.sin(angle)], axis=-1)


# The shapes of scikit-learn's makers of the same names. Those space their points evenly or give each blob the same
# count; here every point is drawn by itself, so that a set of any size is a sample.
SHAPES = {
    "blobs": _blobs((1 / 3, 1 / 3, 1 / 3)),
    "uneven_blobs": _blobs((0.6, 0.3, 0.1)),
    "circles": Shape(_circles, 0.05),
    "moons": Shape(_moons, 0.1),
    "swiss_roll": Shape(_swiss_roll, 0.5),
}


@cache
def test_points(data: str, size: int, seed: int) -> np.ndarray:
    """Points of a shape that no model is fitted to, the same array in every call."""
    points = SHAPES[data].rows(1, size, np.random.default_rng(seed))[0]
    points.setflags(write=False)
    return points
