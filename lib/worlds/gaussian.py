"""The Gaussian world: fit a mean and a covariance, sample from the fit (Shumailov et al. 2024, Theorem 3.1)."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from lib.errors import among, number, refuse, whole
from lib.pool import Rows, merged
from lib.streams import child
from lib.world import Fit, Score, World
from lib.worlds.moments import Moments, bartlett

MOST_ROWS = 10**8  # explicit points per run; a float64 array of them is 0.8 GB for each dimension


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


@dataclass(frozen=True)
class Gaussian(World):
    """Gaussians of any dimension, all runs at once. Real data come from N(0, I).

    Parameters
    ----------
    dimension : d ≥ 1.
    estimator : "mle" divides the scatter by the number of samples N, "unbiased" by N − 1; "known" fits the mean only,
        and has the true covariance. Where samples are weighted, N is 1/Σw² with weights w that sum to 1.
    sampler : "statistic" draws the mean and the Wishart scatter of a batch (Bartlett's decomposition), exact in law and
        as cheap for 10**13 samples as for ten; "explicit" draws the points, which a regime needs that draws subsets
        again and again.
    temperature : a model is sampled from its density to the power 1/temperature, a Gaussian with the covariance
        multiplied by it, as language models are; at 0 every sample is the mean. Real data are what they are.

    Scores of a fit N(μ, Σ) against the truth: `trace_ratio` tr Σ / d; `log_det_ratio` ln det Σ; `squared_mean_error`
    |μ|²; `w2_squared`, the squared 2-Wasserstein distance; `kl`, KL(truth ‖ fit) in nats, the excess test loss. Where
    n ≤ d, Σ is singular, and `log_det_ratio` and `kl` are NaN. Extras: `mean` and `covariance` themselves.
    """

    dimension: int = 1
    estimator: str = "mle"
    sampler: str = "statistic"
    temperature: float = 1.0

    random = ()
    weighs = True
    scores = {
        "trace_ratio": Score("variance", "less", "total variance, truth = 1"),
        "log_det_ratio": Score("variance", "less", "ln det of the covariance, truth = 0"),
        "squared_mean_error": Score("excess risk", "more", "squared error of the mean"),
        "w2_squared": Score("excess risk", "more", "squared 2-Wasserstein distance"),
        "kl": Score("excess risk", "more", "KL(truth ‖ fit)", "nats"),
    }
    extras = {"mean": ("i",), "covariance": ("i", "j")}

    def __post_init__(self):
        self._set(dimension=whole("dimension", self.dimension, 1))
        among("estimator", self.estimator, ("mle", "unbiased", "known"))
        number("temperature", self.temperature)
        among("sampler", self.sampler, ("statistic", "explicit"))

    def check(self, demands, sizes, scores, named):
        n = min(sizes)
        if n < 2:
            refuse("n", n, "at least 2 samples; one has no variance")
        if named and n <= self.dimension:
            for score in {"log_det_ratio", "kl"} & set(scores):
                refuse("scores", score, f"others at n={n} ≤ dimension={self.dimension}: the covariance is singular")
        if self.sampler == "explicit" and max(sizes) > MOST_ROWS:
            refuse("n", max(sizes), f'at most {MOST_ROWS} points without sampler="statistic"')
        for demand in demands:
            if demand.takes and self.sampler == "statistic":
                refuse("sampler", "statistic", f'"explicit" for {demand.label}: moments give no subsets')

    def real(self, runs, size, rng, used):
        truth = GaussianModel(np.zeros((runs, self.dimension)), self._identity(runs))
        return self._drawn(truth, size, child(rng, used))

    def _identity(self, runs):
        return np.broadcast_to(np.eye(self.dimension), (runs, self.dimension, self.dimension))

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
        return Fit(GaussianModel(mean, self._identity(len(mean))), steps=1, examples=size)

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
        if self.estimator == "unbiased" and squares >= 1:
            refuse("weight", 1.0, "weights that leave more than one sample to estimate a variance from")
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
        square, log_det = (model.mean**2).sum(axis=1), _log_det(model)
        known = {
            "trace_ratio": lambda: np.einsum("rij,rij->r", model.factor, model.factor) / self.dimension,
            "log_det_ratio": lambda: log_det,
            "squared_mean_error": lambda: square,
            "w2_squared": lambda: square + _bures(model.factor),
            "kl": lambda: _kl(model, log_det),
            "mean": lambda: model.mean,
            "covariance": lambda: model.covariance,
        }
        return {name: known[name]() for name in names}


def _log_det(model: GaussianModel) -> np.ndarray:
    diagonal = np.abs(np.diagonal(model.factor, axis1=1, axis2=2))
    if diagonal.shape[1] < model.mean.shape[1]:
        return np.full(len(diagonal), np.nan)
    with np.errstate(divide="ignore"):
        found = 2 * np.log(diagonal).sum(axis=1)
    return np.where(np.isfinite(found), found, np.nan)


def _bures(factor: np.ndarray) -> np.ndarray:
    """Squared Bures distance of Σ from I (Gelbrich 1990), as Σ (√λ − 1)²: tr Σ + d − 2 tr Σ^½ would cancel at n of
    10**13."""
    _, d, rank = factor.shape
    # Of fewer columns the small product: the eigenvalues that the large one has besides are 0, but for rounding.
    square = factor @ factor.swapaxes(1, 2) if rank == d else factor.swapaxes(1, 2) @ factor
    values = np.sqrt(np.clip(np.linalg.eigvalsh(square), 0, None))
    return ((values - 1) ** 2).sum(axis=1) + (d - rank)


def _kl(model: GaussianModel, log_det: np.ndarray) -> np.ndarray:
    out, regular = np.full(len(log_det), np.nan), np.isfinite(log_det)
    if regular.any():
        inverse = _inverse_lower(model.factor[regular])
        shift = inverse @ model.mean[regular][:, :, None]
        squares = (inverse**2).sum(axis=(1, 2)) + (shift**2).sum(axis=(1, 2))
        out[regular] = 0.5 * (squares - model.mean.shape[1] + log_det[regular])
    return out


def _inverse_lower(factor: np.ndarray) -> np.ndarray:
    """Inverses of regular lower triangular matrices (runs, d, d), by LAPACK's routine for triangles if they are large
    enough to call it for each run by itself."""
    if factor.shape[1] < 16:
        return np.linalg.inv(factor)
    return np.stack([linalg.lapack.dtrtri(one, lower=1)[0] for one in factor])


def _lower_factor(scatter: np.ndarray) -> np.ndarray:
    """Lower trapezoidal F with F Fᵀ = scatter, shape (runs, d, k): k = d, or less where every run's scatter is
    singular.

    Eigenvalues below the resolution of floating point are rounding noise and count as 0: kept, they would give back
    directions that the data never had. Columns past a run's rank are 0.
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
    # The signs of eigenvectors are those of the processor; a Cholesky factor has a positive diagonal on all of them.
    lower *= np.where(np.diagonal(lower, axis1=1, axis2=2) < 0, -1.0, 1.0)[:, None, :]
    rank = present.sum(axis=1)
    factor[singular] = np.where(np.arange(d) < rank[:, None, None], lower, 0.0)
    return factor[:, :, : rank.max()] if singular.all() else factor
