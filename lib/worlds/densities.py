"""Densities in the plane and beyond: Gaussian mixtures (Shumailov et al. 2024, supplement) and kernel density estimates (Kazdan et al. 2025)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy.spatial import Delaunay
from scipy.special import logsumexp
from scipy.stats import chi2
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from lib.errors import among, number, refuse, whole
from lib.pool import Rows, merged
from lib.streams import child
from lib.world import Fit, Score, World

MOST_ROWS = 10**7  # points per run that a regime ever holds
CHUNK = 1 << 20  # pairs of a test point and a kernel that are held at once: 8 MB
SHOWN = 300  # samples of a run that the extra `shown` holds
SCORES = {
    "test_nll": Score("loss", "more", "loss on real test points", "nats per point"),
    "variance_ratio": Score("variance", "less", "variance, truth = 1"),
    "squared_mean_error": Score("excess risk", "more", "squared error of the mean"),
    "second_moment": Score("fidelity", "more", "second moment about the true mean, truth = 1"),
}
MODE_SCORES = {
    "smallest_mode": Score("tail", "less", "smallest share of a mode"),
    "rare_mode": Score("tail", "less", "share of the rarest mode"),
    "mode_diversity": Score("diversity", "less", "diversity of the modes, truth = 1"),
    "between_modes": Score("fidelity", "more", "share of samples between the modes"),
}


@dataclass(frozen=True)
class Shape:
    """A distribution of points: a map of two uniform variables, plus normal noise in every coordinate.

    `place(u, v)` returns the points without noise, shape u.shape + (d,). `weights` are those of the modes, if there are any,
    and then `place` is constant on each of them.
    """

    place: Callable[[np.ndarray, np.ndarray], np.ndarray]
    noise: float
    weights: tuple[float, ...] = ()

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each coordinate, by quadrature: midpoints in u, which enters linearly or is a label
        with steps at multiples of 1/1200, and Gauss–Legendre in v, which enters smoothly."""
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
        """Whether points (…, d), standardised, lie between the modes: in their convex hull, and farther from each than 99% of its
        own points are."""
        gaps = (points[..., None, :] - self.modes) * self.moments[1] / self.noise
        far = (gaps**2).sum(axis=-1).min(axis=-1) > chi2.ppf(0.99, self.dimension)
        return far & (Delaunay(self.modes).find_simplex(points) >= 0)

    def rows(self, runs: int, size: int, rng: np.random.Generator) -> np.ndarray:
        """Independent points, each coordinate standardised by its true mean and standard deviation; shape (runs, size, d)."""
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


# The shapes of scikit-learn's makers of the same names. Those space their points evenly or give each blob the same count; here
# every point is drawn by itself, so that a set of any size is a sample.
SHAPES = {
    "blobs": _blobs((1 / 3, 1 / 3, 1 / 3)),
    "uneven_blobs": _blobs((0.6, 0.3, 0.1)),
    "circles": Shape(_circles, 0.05),
    "moons": Shape(_moons, 0.1),
    "swiss_roll": Shape(_swiss_roll, 0.5),
}


@dataclass(frozen=True)
class GMMModel:
    """For each run and component: weights (runs, k), means (runs, k, d), covariances (runs, k, d, d)."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True)
class KDEModel:
    """A normal kernel of standard deviation `bandwidth` around every training point: points (runs, size, d)."""

    points: np.ndarray
    bandwidth: float


class _Density(World):
    """What both worlds share: the shapes, the test points, and scores that need no more than moments and densities."""

    def __post_init__(self):
        among("data", self.data, tuple(SHAPES))
        self._set(
            test_points=whole("test_points", self.test_points, 1), test_seed=whole("test_seed", self.test_seed, 0)
        )

    @property
    def shape(self) -> Shape:
        """The shape of the data."""
        return SHAPES[self.data]

    @property
    def test(self) -> np.ndarray:
        """The real test points, the same ones for every model; shape (test_points, d)."""
        return _test(self.data, self.test_points, self.test_seed)

    def check(self, demands, sizes, scores, named):
        if min(sizes) < max(2, self.fewest):
            refuse("n", min(sizes), f"at least {max(2, self.fewest)} points for {type(self).__name__}")
        for demand in demands:
            if demand.most > MOST_ROWS:
                allowed = f"at most {MOST_ROWS} points of a run at once; {demand.label} comes to {demand.most}"
                refuse("n", sizes[0], allowed)

    def real(self, runs, size, rng, used):
        return Rows(self.shape.rows(runs, size, child(rng, used)))

    def score(self, model, rng, names):
        out = {}
        if {"variance_ratio", "squared_mean_error", "second_moment"} & set(names):
            mean, variance = self.moments(model)
            spread, error = variance.mean(axis=1), (mean**2).mean(axis=1)
            known = {"variance_ratio": spread, "squared_mean_error": error, "second_moment": spread + error}
            out |= {name: known[name] for name in names if name in known}
        if "test_nll" in names:
            out["test_nll"] = -np.array([self.log_density(model, run, self.test).mean() for run in range(_runs(model))])
        return out


def _runs(model):
    return len(model.means if isinstance(model, GMMModel) else model.points)


@cache
def _test(data: str, size: int, seed: int) -> np.ndarray:
    points = SHAPES[data].rows(1, size, np.random.default_rng(seed))[0]
    points.setflags(write=False)
    return points


@dataclass(frozen=True)
class GMM(_Density):
    """Gaussian mixtures with full covariances, fitted by scikit-learn's EM from scratch, one run after the other.

    An M step keeps the mean and the covariance of the data: those of the fitted mixture are the training set's (but for
    scikit-learn's 10⁻⁶ on each variance). So the mixture's variance and mean follow the exact laws of one Gaussian under
    maximum likelihood, whatever the shape of the data and the number of components.

    Parameters
    ----------
    data : a name in `SHAPES`; each coordinate is standardised by its true mean and standard deviation.
    components : k ≥ 1. The honest setting has as many as the data have modes.
    test_points, test_seed : real points that no model is fitted to, the same for every run, and the seed they come from.
    score_samples : samples per run from which the weights of the modes are estimated.

    Scores: `test_nll`, nats per real test point; `variance_ratio`, `squared_mean_error` and their sum `second_moment`, means over
    coordinates of the fitted density's variance, squared mean and second moment about the true mean (truth: 1, 0, 1). For
    data with modes also `smallest_mode`, the smallest share of samples that is nearest to one of the true modes, whichever
    that is in a fit, `rare_mode`, the share nearest to the mode that is least probable in truth (the last of several),
    `mode_diversity`, Σp(1−p) of these shares over its true value, and `between_modes`, the share of samples that lie in the
    convex hull of the true modes and outside every region about one of them that holds 99% of its own points.

    Extras: `mode_weights` (data with modes only), the shares themselves, and `shown`, three hundred samples.
    """

    data: str = "uneven_blobs"
    components: int = 3
    test_points: int = 500
    test_seed: int = 1
    score_samples: int = 2000

    random = ("fit", "score")

    def __post_init__(self):
        super().__post_init__()
        self._set(components=whole("components", self.components, 1))
        self._set(score_samples=whole("score_samples", self.score_samples, SHOWN))

    @property
    def fewest(self) -> int:
        """Points that a fit needs."""
        return self.components

    @property
    def scores(self) -> dict[str, Score]:
        return SCORES | MODE_SCORES if self.shape.weights else SCORES

    @property
    def extras(self) -> dict[str, tuple[str, ...]]:
        return ({"mode_weights": ("mode",)} if self.shape.weights else {}) | {"shown": ("sample", "coordinate")}

    def fit(self, train, rng):
        values = merged(train).values
        found, steps = [], 0
        for points, seed in zip(values, rng.integers(2**31, size=len(values)), strict=True):
            with warnings.catch_warnings():
                # A fit that has not converged, or has fewer distinct points than components, is a fit that the loop goes on with.
                warnings.simplefilter("ignore", ConvergenceWarning)
                fitted = GaussianMixture(self.components, random_state=int(seed)).fit(points)
            found.append((fitted.weights_, fitted.means_, fitted.covariances_))
            steps = max(steps, fitted.n_iter_)
        return Fit(GMMModel(*map(np.array, zip(*found, strict=True))), steps, steps * values.shape[1])

    def sample(self, model, size, inputs, rng):
        first, second = rng.spawn(2)
        runs, k, d = model.means.shape
        steps = np.cumsum(model.weights, axis=1)
        uniform = first.random((runs, size)) * steps[:, -1:]
        label = np.array([np.searchsorted(s, u, side="right") for s, u in zip(steps, uniform, strict=True)])
        run = np.arange(runs)[:, None]
        factor = np.linalg.cholesky(model.covariances)[run, label]
        noise = second.standard_normal((runs, size, d))
        return Rows(model.means[run, label] + np.einsum("rnij,rnj->rni", factor, noise))

    def moments(self, model):
        """Mean and variance of the fitted mixture in each coordinate, shape (runs, d)."""
        mean = np.einsum("rk,rkd->rd", model.weights, model.means)
        between = np.einsum("rk,rkd->rd", model.weights, (model.means - mean[:, None]) ** 2)
        return mean, between + np.einsum("rk,rkdd->rd", model.weights, model.covariances)

    def log_density(self, model, run: int, points: np.ndarray) -> np.ndarray:
        """ln of one run's density at points of shape (m, d)."""
        factor = np.linalg.cholesky(model.covariances[run])
        gaps = (points[:, None] - model.means[run])[..., None]
        standard = np.linalg.solve(factor[None], gaps)[..., 0]
        log_scale = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
        constant = 0.5 * points.shape[1] * math.log(2 * math.pi)
        return logsumexp(-0.5 * (standard**2).sum(axis=-1) - log_scale - constant, b=model.weights[run], axis=1)

    def score(self, model, rng, names):
        out = super().score(model, rng, names)
        of_modes = {"smallest_mode", "rare_mode", "mode_diversity", "mode_weights"}
        if (of_modes | {"between_modes", "shown"}) & set(names):
            points = self.sample(model, self.score_samples, None, rng).values
            if "shown" in names:
                out["shown"] = points[:, :SHOWN]
            if "between_modes" in names:
                out["between_modes"] = self.shape.between(points).mean(axis=1)
        if of_modes & set(names):
            nearest = ((points[:, :, None] - self.shape.modes) ** 2).sum(axis=-1).argmin(axis=2)
            truth = np.array(self.shape.weights)
            p = np.stack([(nearest == k).mean(axis=1) for k in range(truth.size)], axis=1)
            # Σp(1−p) of shares among m samples is low by the factor 1 − 1/m.
            diversity = (p * (1 - p)).sum(axis=1) / (1 - 1 / self.score_samples)
            known = {
                "mode_weights": p,
                "smallest_mode": p.min(axis=1),
                "rare_mode": p[:, truth.size - 1 - truth[::-1].argmin()],
                "mode_diversity": diversity / (truth @ (1 - truth)),
            }
            out |= {name: known[name] for name in names if name in known}
        return out


@dataclass(frozen=True)
class KDE(_Density):
    """Kernel density estimates with a normal kernel, the same in every direction.

    A sample is a training point plus kernel noise. Evaluating a fit takes one pass over its points in chunks: memory grows
    with neither the test points times the training points nor the square of either.

    Parameters
    ----------
    data, test_points, test_seed : as for `GMM`.
    bandwidth : the kernel's standard deviation, a positive number; or "scott", N^{−1/(d+4)}, or "silverman",
        (N(d+2)/4)^{−1/(d+4)}, with N the size of the training set and d the dimension, times the standard deviation of the real
        data, which is 1 here, and not that of the set.

    Scores: `test_nll`, `variance_ratio`, `squared_mean_error` and `second_moment`, as for `GMM`. Extra: `shown`, three hundred samples.
    """

    data: str = "moons"
    bandwidth: float | str = 0.1
    test_points: int = 500
    test_seed: int = 1

    scores = SCORES
    extras = {"shown": ("sample", "coordinate")}
    random = ("score",)
    fewest = 2

    def __post_init__(self):
        super().__post_init__()
        width(self.bandwidth, 2, self.shape.dimension)

    def width(self, size: int) -> float:
        """The bandwidth for a training set of `size` points."""
        return width(self.bandwidth, size, self.shape.dimension)

    def fit(self, train, rng):
        values = merged(train).values
        return Fit(KDEModel(values, self.width(values.shape[1])), steps=1, examples=values.shape[1])

    def sample(self, model, size, inputs, rng):
        first, second = rng.spawn(2)
        runs, count, d = model.points.shape
        chosen = first.integers(count, size=(runs, size))
        values = model.points[np.arange(runs)[:, None], chosen]
        values += model.bandwidth * second.standard_normal((runs, size, d))
        return Rows(values)

    def moments(self, model):
        """Mean and variance of the fitted density in each coordinate, shape (runs, d)."""
        return model.points.mean(axis=1), model.points.var(axis=1) + model.bandwidth**2

    def log_density(self, model, run: int, points: np.ndarray) -> np.ndarray:
        """ln of one run's density at points of shape (m, d)."""
        count, d = model.points.shape[1:]
        at = points / model.bandwidth
        step = max(1, CHUNK // len(points))
        highest, total = np.full(len(points), -np.inf), np.zeros(len(points))
        for start in range(0, count, step):
            centres = model.points[run, start : start + step] / model.bandwidth
            # −|x − c|²/2 but for −|x|²/2, which is the same for all kernels and is added at the end.
            exponent = at @ centres.T
            exponent -= 0.5 * np.einsum("cd,cd->c", centres, centres)
            peak = np.maximum(highest, exponent.max(axis=1))
            exponent -= peak[:, None]
            np.exp(exponent, out=exponent)
            total = total * np.exp(highest - peak) + exponent.sum(axis=1)
            highest = peak
        scale = math.log(count) + d * math.log(model.bandwidth * math.sqrt(2 * math.pi))
        return highest + np.log(total) - 0.5 * np.einsum("md,md->m", at, at) - scale

    def score(self, model, rng, names):
        out = super().score(model, rng, names)
        if "shown" in names:
            out["shown"] = self.sample(model, SHOWN, None, rng).values
        return out


def width(bandwidth: float | str, size: int, dimension: int) -> float:
    """The bandwidth of a KDE as a number; "scott" and "silverman" depend on the size of the training set."""
    if isinstance(bandwidth, str):
        among("bandwidth", bandwidth, ("scott", "silverman"))
        count = size if bandwidth == "scott" else size * (dimension + 2) / 4
        return float(count) ** (-1 / (dimension + 4))
    return number("bandwidth", bandwidth, above=0)
