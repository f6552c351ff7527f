"""The Gaussian world: fit a mean and a covariance, sample from the fit (Shumailov et al. 2024, Theorem 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import linalg, stats

from lib.errors import among, number, refuse, whole
from lib.pool import Moments, Rows, bartlett, merged
from lib.streams import child
from lib.world import Fit, Score, World

MOST_ROWS = 10**8  # explicit points per run; a float64 array of them is 0.8 GB for each dimension
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
    """N(mean, covariance) for each run: mean (runs, d) and a lower trapezoidal factor (runs, d, k) with covariance =
    factor @ factor.T. The factor holds what the covariance cannot: directions whose spreads differ by many digits."""

    mean: np.ndarray
    factor: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Shape (runs, d, d)."""
        return self.factor @ self.factor.swapaxes(1, 2)


@dataclass(frozen=True)
class Gaussian(World):
    """Gaussians of any dimension, all runs at once.

    Parameters
    ----------
    dimension : d ≥ 1.
    estimator : "mle" divides the scatter by the number of samples N, "unbiased" by N − 1; "known" fits the mean only, and has the
        true covariance. Where samples are weighted, N is 1/Σw² with weights w that sum to 1.
    sampler : "statistic" draws the mean and the Wishart scatter of a batch (Bartlett's decomposition), exact in law and as
        cheap for 10**13 samples as for ten; "explicit" draws the points. A regime that draws subsets again and again
        (AccumulateSubsample, Keep redrawn, Mixture with beta > 0 or kept original data) needs the points.
    temperature : a model is sampled from its density to the power 1/temperature, a Gaussian with the covariance multiplied by
        it, as language models are; at 0 every sample is the mean. Real data are what they are.
    truth : where the real data come from: None for N(0, I), a frozen `scipy.stats` distribution with finite variance
        (univariate: independent coordinates; multivariate: of the right dimension).

    Scores, each against the truth with mean μ₀ and covariance Σ₀, for a fit N(μ, Σ):

    - `trace_ratio`: tr Σ / tr Σ₀
    - `log_det_ratio`: ln det Σ − ln det Σ₀ (NaN for n ≤ d, where Σ is singular)
    - `squared_mean_error`: |μ − μ₀|², in squared units of the data
    - `w2_squared`: squared 2-Wasserstein distance to the truth (Gelbrich 1990 for a Gaussian truth; by quantiles for another
      truth in one dimension)
    - `gelbrich`: for a truth that is not Gaussian, the lower bound of the same formula
    - `kl`: Kullback–Leibler divergence of the fit from the truth, KL(truth ‖ fit), in nats: the excess test loss of the fit
      (Gaussian truth only; NaN for n ≤ d)

    Extras: `mean` and `covariance` themselves.
    """

    dimension: int = 1
    estimator: str = "mle"
    sampler: str = "statistic"
    truth: Any = None
    temperature: float = 1.0

    random = ()
    weighs = True
    extras = {"mean": ("i",), "covariance": ("i", "j")}

    def __post_init__(self):
        self._set(dimension=whole("dimension", self.dimension, 1))
        among("estimator", self.estimator, ("mle", "unbiased", "known"))
        number("temperature", self.temperature)
        among("sampler", self.sampler, ("statistic", "explicit"))
        _ = self._truth  # refuses a truth that has no variance or another dimension

    @cached_property
    def _truth(self) -> _Truth:
        return _Truth.of(self.truth, self.dimension)

    @property
    def scores(self) -> dict[str, Score]:
        names = ["trace_ratio", "log_det_ratio", "squared_mean_error"]
        if self._truth.gaussian:
            names += ["w2_squared", "kl"]
        else:
            names += ["w2_squared", "gelbrich"] if self.dimension == 1 else ["gelbrich"]
        return {name: SCORES[name] for name in names}

    def check(self, demands, sizes, scores, named):
        n = min(sizes)
        if n < 2:
            refuse("n", n, "at least 2 samples; one has no variance")
        if named and n <= self.dimension:
            for score in {"log_det_ratio", "kl"} & set(scores):
                refuse("scores", score, f"others at n={n} ≤ dimension={self.dimension}: the covariance is singular")
        points = self.sampler == "explicit" or not self._truth.gaussian
        if points and max(sizes) > MOST_ROWS:
            allowed = f'at most {MOST_ROWS} explicit points; for more, sampler="statistic" and a Gaussian truth'
            refuse("n", max(sizes), allowed)
        if self.sampler == "statistic":
            for demand in demands:
                if demand.takes:
                    allowed = f'"explicit" for {demand.label}: it draws subsets, which moments cannot give'
                    refuse("sampler", "statistic", allowed)

    def real(self, runs, size, rng, used):
        rng = child(rng, used)
        if self._truth.gaussian:
            return self._drawn(self._truth.model(runs), size, rng)
        return Rows(self._truth.rows(runs, size, self.dimension, rng))

    def reduce(self, batch):
        return Moments.of(batch) if isinstance(batch, Rows) else batch

    def fit(self, train, rng):
        if any(part.weight != 1 for part in train):
            return self._weighted(train)
        total = merged(train)
        if self.estimator == "known":
            return self._known(total.mean, total.size)
        divisor = total.size - (self.estimator == "unbiased")
        factor = _lower_factor(total.scatter) if total.factor is None else total.factor
        return Fit(GaussianModel(total.mean, factor / np.sqrt(divisor)), steps=1, examples=total.size)

    def _known(self, mean, size):
        return Fit(GaussianModel(mean, self._truth.model(len(mean)).factor), steps=1, examples=size)

    def _weighted(self, train):
        """Mean and covariance about it with a weight on each part's samples."""
        batches = [part.batch for part in train]
        shares = np.array([part.weight * part.batch.size for part in train])
        shares = shares / shares.sum()
        mean = sum(w * b.mean for w, b in zip(shares, batches, strict=True))
        size = sum(b.size for b in batches)
        if self.estimator == "known":
            return self._known(mean, size)
        covariance = np.zeros_like(batches[0].scatter)
        for w, b in zip(shares, batches, strict=True):
            gap = b.mean - mean
            covariance += w * (b.scatter / b.size + gap[:, :, None] * gap[:, None, :])
        squares = sum(w**2 / b.size for w, b in zip(shares, batches, strict=True))
        factor = _lower_factor(covariance) / np.sqrt(1 - squares if self.estimator == "unbiased" else 1.0)
        return Fit(GaussianModel(mean, factor), steps=1, examples=size)

    def sample(self, model, size, inputs, rng):
        if self.temperature != 1:
            model = GaussianModel(model.mean, np.sqrt(self.temperature) * model.factor)
        return self._drawn(model, size, rng)

    def _drawn(self, model, size, rng):
        runs, _, rank = model.factor.shape
        if self.sampler == "explicit":
            points = rng.standard_normal((runs, size, rank)) @ model.factor.swapaxes(1, 2)
            points += model.mean[:, None]
            return Rows(points)
        shift = (model.factor @ rng.standard_normal((runs, rank, 1)))[:, :, 0]
        factor = model.factor @ bartlett(rng.spawn(1)[0], runs, rank, size - 1)
        return Moments(size, model.mean + shift / np.sqrt(size), factor @ factor.swapaxes(1, 2), factor)

    def score(self, model, rng, names):
        return self._truth.scores(model, names)


def _lower_factor(scatter: np.ndarray) -> np.ndarray:
    """Lower trapezoidal F with F Fᵀ = scatter, shape (runs, d, k): k = d, or less where every run's scatter is singular.

    Eigenvalues below the resolution of floating point (n ≤ d, or a direction that has collapsed) are rounding noise and
    count as 0: kept, they would give back directions that the data never had. Columns past a run's rank are 0.
    """
    d = scatter.shape[1]
    resolution = 10 * d * np.finfo(float).eps
    try:
        factor = np.linalg.cholesky(scatter)
        pivots = np.diagonal(factor, axis1=1, axis2=2) ** 2
        singular = pivots.min(axis=1) <= resolution * pivots.max(axis=1)
        if not singular.any():
            return factor
    except np.linalg.LinAlgError:
        factor, singular = np.zeros_like(scatter), np.ones(len(scatter), dtype=bool)
    values, vectors = np.linalg.eigh(scatter[singular])
    present = values > resolution * values[:, -1:]
    root = vectors * np.sqrt(np.where(present, values, 0.0))[:, None, :]
    lower = np.linalg.qr(root.swapaxes(1, 2), mode="r").swapaxes(1, 2)
    rank = present.sum(axis=1)
    factor[singular] = np.where(np.arange(d) < rank[:, None, None], lower, 0.0)
    return factor[:, :, : rank.max()] if singular.all() else factor


def _inverse_lower(factor: np.ndarray) -> np.ndarray:
    """Inverses of regular lower triangular matrices, shape (runs, d, d). LAPACK's routine for triangles does a quarter of the
    work of a general inverse, but is called for each run by itself, which pays only where a matrix is large."""
    if factor.shape[1] < 16:
        return np.linalg.inv(factor)
    return np.stack([linalg.lapack.dtrtri(one, lower=1)[0] for one in factor])


@dataclass(frozen=True)
class _Truth:
    """The real distribution as the scores see it: mean (d,), covariance (d, d), its lower factor, and for a univariate truth
    that is not Gaussian the correlation of its quantiles with a normal's."""

    distribution: Any
    mean: np.ndarray
    covariance: np.ndarray
    root: np.ndarray
    gaussian: bool

    @classmethod
    def of(cls, truth: Any, d: int) -> _Truth:
        if truth is None:
            return cls(None, np.zeros(d), np.eye(d), np.eye(d), True)
        name = getattr(getattr(truth, "dist", None), "name", type(truth).__name__)
        gaussian = name in ("norm", "multivariate_normal_frozen")
        mean, covariance = _moments(truth, d)
        if mean.shape != (d,) or covariance.shape != (d, d):
            refuse("truth", name, f"a distribution of dimension={d}; this one has mean of shape {mean.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all() and np.trace(covariance) > 0):
            refuse("truth", name, "a distribution with finite mean and finite, positive variance")
        if np.linalg.matrix_rank(covariance, hermitian=True) < d:
            refuse("truth", name, "a distribution with a covariance of full rank")
        root = np.linalg.cholesky(covariance)
        return cls(truth, mean, covariance, root, gaussian)

    def model(self, runs: int) -> GaussianModel:
        """The truth as a model of every run, to be sampled from."""
        mean, root = (np.broadcast_to(a, (runs, *a.shape)) for a in (self.mean, self.root))
        return GaussianModel(mean, root)

    def rows(self, runs: int, size: int, d: int, rng: np.random.Generator) -> np.ndarray:
        """Explicit points, shape (runs, size, d)."""
        univariate = hasattr(self.distribution, "ppf")
        drawn = self.distribution.rvs(size=(runs, size, d) if univariate else (runs, size), random_state=rng)
        return np.asarray(drawn, dtype=float).reshape(runs, size, d)

    @cached_property
    def quantile_product(self) -> float:
        """∫ Q₀(u) Φ⁻¹(u) du = E[Q₀(Φ(Z)) Z] with Q₀ the quantile function of a univariate truth and Z standard normal."""
        truth = self.distribution
        if hasattr(truth.dist, "pmf"):
            # By parts the integral is ∫ φ(Φ⁻¹(F(x))) dx, a sum over the unit steps of a distribution function on the integers.
            steps = np.arange(truth.ppf(1e-15), truth.isf(1e-15))
            return float(stats.norm.pdf(stats.norm.ppf(truth.cdf(steps))).sum())
        z = np.linspace(
            0, 30, 1 << 16
        )  # beyond 30 some quantile functions overflow; what is left out is below rounding
        upper, lower = truth.isf(stats.norm.sf(z)), truth.ppf(stats.norm.sf(z))
        return float(np.trapezoid((upper - lower) * z * stats.norm.pdf(z), z))

    @cached_property
    def inverse_root(self) -> np.ndarray:
        return np.linalg.inv(self.root)

    @cached_property
    def standard(self) -> bool:
        """Whether the covariance is the identity: then nothing has to be multiplied by its roots."""
        return np.array_equal(self.covariance, np.eye(self.mean.size))

    @cached_property
    def log_det(self) -> float:
        return 2 * float(np.log(np.diag(self.root)).sum())

    def scores(self, model: GaussianModel, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        gap = model.mean - self.mean
        trace = np.einsum("rij,rij->r", model.factor, model.factor)
        square = (gap**2).sum(axis=1)
        out = {}
        if {"log_det_ratio", "kl"} & set(names):
            log_det = self._log_det_ratio(model)
        for name in names:
            if name == "trace_ratio":
                out[name] = trace / np.trace(self.covariance)
            elif name == "log_det_ratio":
                out[name] = log_det
            elif name == "squared_mean_error":
                out[name] = square
            elif name == "w2_squared" and not self.gaussian:
                deviation = np.sqrt(trace)
                out[name] = square + self.covariance[0, 0] + trace - 2 * deviation * self.quantile_product
            elif name in ("w2_squared", "gelbrich"):
                out[name] = square + self._bures(model, trace)
            elif name == "kl":
                out[name] = self._kl(model, gap, log_det)
            else:
                out[name] = {"mean": model.mean, "covariance": model.covariance}[name]
        return out

    def _log_det_ratio(self, model):
        d = self.mean.size
        diagonal = np.abs(np.diagonal(model.factor, axis1=1, axis2=2))
        if diagonal.shape[1] < d:
            return np.full(len(diagonal), np.nan)
        with np.errstate(divide="ignore"):
            ratio = 2 * np.log(diagonal).sum(axis=1) - self.log_det
        return np.where(np.isfinite(ratio), ratio, np.nan)

    def _bures(self, model, trace):
        """Squared Bures distance tr Σ + tr Σ₀ − 2 tr(Σ₀^½ Σ Σ₀^½)^½ between the covariances."""
        half = model.factor if self.standard else self.root.T @ model.factor
        values = np.sqrt(np.clip(np.linalg.eigvalsh(half @ half.swapaxes(1, 2)), 0, None))
        if self.standard:
            # Σ (√λ − 1)², the same number without the cancellation that would show for n of 10**13.
            return ((values - 1) ** 2).sum(axis=1)
        return np.clip(trace + np.trace(self.covariance) - 2 * values.sum(axis=1), 0, None)

    def _kl(self, model, gap, log_det):
        d = self.mean.size
        out = np.full(len(gap), np.nan)
        regular = np.isfinite(log_det)
        if regular.any():
            factor, gap = model.factor[regular], gap[regular]
            if not self.standard:
                factor, gap = self.inverse_root @ factor, gap @ self.inverse_root.T
            inverse = _inverse_lower(factor)
            shift = inverse @ gap[:, :, None]
            out[regular] = 0.5 * ((inverse**2).sum(axis=(1, 2)) + (shift**2).sum(axis=(1, 2)) - d + log_det[regular])
        return out


def _moments(truth: Any, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and covariance (d, d) of a frozen scipy distribution."""
    if hasattr(truth, "ppf"):
        return np.full(d, float(truth.mean())), float(truth.var()) * np.eye(d)
    if (
        hasattr(truth, "df") and hasattr(truth, "shape") and hasattr(truth, "loc")
    ):  # multivariate t has no moments' methods
        scale = truth.df / (truth.df - 2) if truth.df > 2 else np.nan
        return np.atleast_1d(truth.loc), np.atleast_2d(truth.shape) * scale
    if hasattr(truth, "mean") and hasattr(truth, "cov") and hasattr(truth, "rvs"):
        mean, covariance = (getattr(truth, name) for name in ("mean", "cov"))
        return np.atleast_1d(mean() if callable(mean) else mean), np.atleast_2d(
            covariance() if callable(covariance) else covariance
        )
    refuse("truth", truth, "None or a frozen scipy.stats distribution with mean, covariance and rvs")
