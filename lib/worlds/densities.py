"""Densities: Gaussian mixtures (Shumailov et al. 2024, supplement), kernel estimates (Kazdan et al. 2025)."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from lib.errors import among, number, refuse, whole
from lib.pool import Rows, merged, runs
from lib.streams import child
from lib.world import Fit, Score, World
from lib.worlds.shapes import SHAPES, Shape, test_points

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
class GMMModel:
    """Weights (runs, k), means (runs, k, d) and covariances (runs, k, d, d) of the components."""

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

    extras = {"shown": ("sample", "coordinate")}

    def __post_init__(self):
        among("data", self.data, tuple(SHAPES))

    @property
    def shape(self) -> Shape:
        """The shape of the data."""
        return SHAPES[self.data]

    @property
    def test(self) -> np.ndarray:
        """Real points that no model is fitted to, the same ones for every model; shape (500, d)."""
        return test_points(self.data, 500, 1)

    def check(self, demands, sizes, scores, named):
        if min(sizes) < max(2, self.fewest):
            refuse("n", min(sizes), f"at least {max(2, self.fewest)} points for {type(self).__name__}")
        for demand in demands:
            if demand.most > MOST_ROWS:
                refuse("n", sizes[0], f"at most {MOST_ROWS} points of a run; {demand.label} comes to {demand.most}")

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
            out["test_nll"] = -np.array([self.log_density(model, run, self.test).mean() for run in range(runs(model))])
        return out


@dataclass(frozen=True)
class GMM(_Density):
    """Gaussian mixtures with full covariances, fitted by scikit-learn's EM from scratch, one run after the other.

    An M step keeps the mean and the covariance of the data (but for scikit-learn's 10⁻⁶ on each variance). So those of
    the mixture follow the exact laws of one Gaussian under maximum likelihood, whatever the data and the components.

    Parameters
    ----------
    data : a name in `SHAPES`; each coordinate is standardised by its true mean and standard deviation.
    components : k ≥ 1. With few points for each, fits start from ties, which rounding decides: other processors then
        give other numbers.
    score_samples : samples per run from which the weights of the modes are estimated.

    Scores: `variance_ratio`, `squared_mean_error` and their sum `second_moment` are means over coordinates, about the
    true mean (truth: 1, 0, 1). For data with modes a sample counts for the true mode that is nearest to it: `rare_mode`
    is the share of the one least probable in truth (the last of several), `mode_diversity` Σp(1−p) of the shares over
    its true value, and `between_modes` the share of samples in the convex hull of the modes and outside the regions
    about them that hold 99% of their own points.

    Extra: `shown`, three hundred samples.
    """

    data: str = "uneven_blobs"
    components: int = 3
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

    def fit(self, train, rng):
        values = merged(train).values
        found, steps = [], 0
        for points, seed in zip(values, rng.integers(2**31, size=len(values)), strict=True):
            with warnings.catch_warnings():
                # The loop goes on with a fit that has not converged, or has fewer distinct points than components.
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
        if not {"shown", *MODE_SCORES} & set(names):
            return out
        points = self.sample(model, self.score_samples, None, rng).values
        known = {"shown": points[:, :SHOWN]}
        if MODE_SCORES.keys() & set(names):
            nearest = ((points[:, :, None] - self.shape.modes) ** 2).sum(axis=-1).argmin(axis=2)
            truth = np.array(self.shape.weights)
            p = np.stack([(nearest == k).mean(axis=1) for k in range(truth.size)], axis=1)
            # Σp(1−p) of shares among m samples is low by the factor 1 − 1/m.
            diversity = (p * (1 - p)).sum(axis=1) / (1 - 1 / self.score_samples)
            known |= {
                "smallest_mode": p.min(axis=1),
                "rare_mode": p[:, truth.size - 1 - truth[::-1].argmin()],
                "mode_diversity": diversity / (truth @ (1 - truth)),
                "between_modes": self.shape.between(points).mean(axis=1),
            }
        return out | {name: known[name] for name in names if name in known}


@dataclass(frozen=True)
class KDE(_Density):
    """Kernel density estimates with a normal kernel, the same in every direction.

    A sample is a training point plus kernel noise. A fit is evaluated in one pass over its points, in chunks.

    Parameters
    ----------
    data : as for `GMM`.
    bandwidth : the kernel's standard deviation, a positive number; or "scott", N^{−1/(d+4)}, or "silverman",
        (N(d+2)/4)^{−1/(d+4)}, N the size of the training set and d the dimension: times the standard deviation of the
        real data, which is 1, and not that of the set.

    Scores: `test_nll`, `variance_ratio`, `squared_mean_error` and `second_moment`, as for `GMM`. Extra: `shown`, three
    hundred samples.
    """

    data: str = "moons"
    bandwidth: float | str = 0.1

    scores = SCORES
    random = ("score",)
    fewest = 2

    def __post_init__(self):
        super().__post_init__()
        width(self.bandwidth, 2, self.shape.dimension)

    def fit(self, train, rng):
        values = merged(train).values
        return Fit(KDEModel(values, width(self.bandwidth, *values.shape[1:])), steps=1, examples=values.shape[1])

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
