"""The truth of the Gaussian world: any distribution with finite variance, and how far a fitted Gaussian is from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import linalg, stats

from lib.errors import refuse
from lib.world import Score

SCORES = {
    "trace_ratio": Score("variance", "less", "total variance, truth = 1"),
    "log_det_ratio": Score("variance", "less", "ln det of the covariance, truth = 0"),
    "squared_mean_error": Score("excess risk", "more", "squared error of the mean"),
    "w2_squared": Score("excess risk", "more", "squared 2-Wasserstein distance"),
    "gelbrich": Score("excess risk", "more", "Gelbrich's bound of the squared 2-Wasserstein distance"),
    "kl": Score("excess risk", "more", "KL(truth ‖ fit)", "nats"),
}


@dataclass(frozen=True)
class GaussianModel:
    """N(mean, factor @ factor.T) for each run: mean (runs, d) and a lower trapezoidal factor (runs, d, k), which holds
    what the covariance cannot: directions whose spreads differ by many digits."""

    mean: np.ndarray
    factor: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Shape (runs, d, d)."""
        return self.factor @ self.factor.swapaxes(1, 2)


def _inverse_lower(factor: np.ndarray) -> np.ndarray:
    """Inverses of regular lower triangular matrices (runs, d, d), by LAPACK's routine for triangles if they are large
    enough to call it for each run by itself."""
    if factor.shape[1] < 16:
        return np.linalg.inv(factor)
    return np.stack([linalg.lapack.dtrtri(one, lower=1)[0] for one in factor])


@dataclass(frozen=True)
class Truth:
    """The real distribution as the scores see it: mean (d,), covariance (d, d), its lower factor, and for a univariate
    truth that is not Gaussian the correlation of its quantiles with a normal's."""

    distribution: Any
    mean: np.ndarray
    covariance: np.ndarray
    root: np.ndarray
    gaussian: bool

    @classmethod
    def of(cls, truth: Any, d: int) -> Truth:
        if truth is None:
            return cls(None, np.zeros(d), np.eye(d), np.eye(d), True)
        if isinstance(truth, stats.rv_continuous | stats.rv_discrete) and not truth.numargs:
            truth = truth()  # a distribution that needs no shape is as good as a frozen one
        name = getattr(getattr(truth, "dist", None), "name", type(truth).__name__)
        mean, covariance = _moments(truth, d)
        if mean.shape != (d,) or covariance.shape != (d, d):
            refuse("truth", name, f"a distribution of dimension={d}; this one has mean of shape {mean.shape}")
        finite = np.isfinite(mean).all() and np.isfinite(covariance).all()
        if not finite or np.linalg.matrix_rank(covariance, hermitian=True) < d:
            refuse("truth", name, "a distribution with finite mean and a finite covariance of full rank")
        gaussian = name in ("norm", "multivariate_normal_frozen")
        return cls(truth, mean, covariance, np.linalg.cholesky(covariance), gaussian)

    @property
    def univariate(self) -> bool:
        """Whether it is one distribution for every coordinate, with quantiles."""
        return hasattr(self.distribution, "ppf")

    @property
    def names(self) -> tuple[str, ...]:
        """The scores that can be computed against it."""
        if self.gaussian:
            return tuple(name for name in SCORES if name != "gelbrich")
        by_quantiles = self.univariate and self.mean.size == 1
        return tuple(name for name in SCORES if name != "kl" and (name != "w2_squared" or by_quantiles))

    def model(self, runs: int) -> GaussianModel:
        """The truth as a model of every run, to be sampled from."""
        mean, root = (np.broadcast_to(a, (runs, *a.shape)) for a in (self.mean, self.root))
        return GaussianModel(mean, root)

    def rows(self, runs: int, size: int, d: int, rng: np.random.Generator) -> np.ndarray:
        """Explicit points, shape (runs, size, d)."""
        shape = (runs, size, d) if self.univariate else (runs, size)
        drawn = self.distribution.rvs(size=shape, random_state=rng)
        return np.asarray(drawn, dtype=float).reshape(runs, size, d)

    @cached_property
    def quantile_product(self) -> float:
        """∫ Q₀(u) Φ⁻¹(u) du = E[Q₀(Φ(Z)) Z], Q₀ the quantile function of a univariate truth, Z standard normal."""
        truth = self.distribution
        if hasattr(truth, "pmf"):
            # By parts the integral is ∫ φ(Φ⁻¹(F(x))) dx, a sum over the steps of the distribution function.
            tail = np.geomspace(1e-15, 0.5, 1 << 16)
            values = np.unique(np.concatenate([truth.ppf(tail), truth.isf(tail)]))
            if not ((values - values[0]) % 1).any():
                values = np.arange(values[0], values[-1] + 1)
            heights = stats.norm.pdf(stats.norm.ppf(truth.cdf(values[:-1])))
            return float((heights * np.diff(values)).sum())
        # Beyond 30 some quantile functions overflow; what is left out is below rounding.
        z = np.linspace(0, 30, 1 << 16)
        upper, lower = truth.isf(stats.norm.sf(z)), truth.ppf(stats.norm.sf(z))
        return float(np.trapezoid((upper - lower) * z * stats.norm.pdf(z), z))

    @cached_property
    def standard(self) -> bool:
        """Whether the covariance is the identity: then nothing has to be multiplied by its roots."""
        return np.array_equal(self.covariance, np.eye(self.mean.size))

    def scores(self, model: GaussianModel, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        gap = model.mean - self.mean
        trace = np.einsum("rij,rij->r", model.factor, model.factor)
        square = (gap**2).sum(axis=1)
        log_det = self._log_det_ratio(model) if {"log_det_ratio", "kl"} & set(names) else None

        def w2():
            if self.gaussian:
                return square + self._bures(model, trace)
            return square + self.covariance[0, 0] + trace - 2 * np.sqrt(trace) * self.quantile_product

        known = {
            "trace_ratio": lambda: trace / np.trace(self.covariance),
            "log_det_ratio": lambda: log_det,
            "squared_mean_error": lambda: square,
            "w2_squared": w2,
            "gelbrich": lambda: square + self._bures(model, trace),
            "kl": lambda: self._kl(model, gap, log_det),
            "mean": lambda: model.mean,
            "covariance": lambda: model.covariance,
        }
        return {name: known[name]() for name in names}

    def _log_det_ratio(self, model):
        diagonal = np.abs(np.diagonal(model.factor, axis1=1, axis2=2))
        if diagonal.shape[1] < self.mean.size:
            return np.full(len(diagonal), np.nan)
        with np.errstate(divide="ignore"):
            ratio = 2 * np.log(diagonal).sum(axis=1) - 2 * np.log(np.diag(self.root)).sum()
        return np.where(np.isfinite(ratio), ratio, np.nan)

    def _bures(self, model, trace):
        """Squared Bures distance tr Σ + tr Σ₀ − 2 tr(Σ₀^½ Σ Σ₀^½)^½ between the covariances."""
        half = model.factor if self.standard else self.root.T @ model.factor
        _, d, rank = half.shape
        # Of fewer columns the small product: the eigenvalues that the large one has besides are 0, but for rounding.
        square = half @ half.swapaxes(1, 2) if rank == d else half.swapaxes(1, 2) @ half
        values = np.sqrt(np.clip(np.linalg.eigvalsh(square), 0, None))
        if self.standard:
            # Σ (√λ − 1)², the same number without the cancellation that would show for n of 10**13.
            return ((values - 1) ** 2).sum(axis=1) + (d - rank)
        return np.clip(trace + np.trace(self.covariance) - 2 * values.sum(axis=1), 0, None)

    def _kl(self, model, gap, log_det):
        d = self.mean.size
        out = np.full(len(gap), np.nan)
        regular = np.isfinite(log_det)
        if regular.any():
            factor, gap = model.factor[regular], gap[regular]
            if not self.standard:
                root = np.linalg.inv(self.root)
                factor, gap = root @ factor, gap @ root.T
            inverse = _inverse_lower(factor)
            shift = inverse @ gap[:, :, None]
            out[regular] = 0.5 * ((inverse**2).sum(axis=(1, 2)) + (shift**2).sum(axis=(1, 2)) - d + log_det[regular])
        return out


def _moments(truth: Any, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and covariance (d, d) of a frozen scipy distribution."""
    if hasattr(truth, "ppf"):
        return np.full(d, float(truth.mean())), float(truth.var()) * np.eye(d)
    if hasattr(truth, "df") and hasattr(truth, "shape") and hasattr(truth, "loc"):
        # A multivariate t has no methods for its moments.
        scale = truth.df / (truth.df - 2) if truth.df > 2 else np.nan
        return np.atleast_1d(truth.loc), np.atleast_2d(truth.shape) * scale
    if hasattr(truth, "mean") and hasattr(truth, "cov") and hasattr(truth, "rvs"):
        mean, covariance = (value() if callable(value) else value for value in (truth.mean, truth.cov))
        return np.atleast_1d(mean), np.atleast_2d(covariance)
    refuse("truth", truth, "None or a frozen scipy.stats distribution with mean, covariance and rvs")
