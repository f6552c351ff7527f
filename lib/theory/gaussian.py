"""Exact laws of the Gaussian recursion, drawn over the simulations and used as their oracles.

Conventions: t counts fits. Fit 1 sees n₁ real samples, fit t what the regime makes of the data so far. S_t is one entry
of the fitted covariance relative to the truth (in one dimension, the variance ratio), the *error* is E[(μ_t − μ₀)²] in
units of the true variance, per coordinate. n_k is the size of set k and N_t = n₁ + … + n_t.

The laws hold for any truth with finite variance. Derivations condition on the model before, as in the proof of Theorem
3.1 of Shumailov et al. (2024); all are checked by simulation of explicit points in `tests/statistical`.
"""

from functools import singledispatch

import numpy as np
from scipy import integrate, interpolate, special

from lib import regimes
from lib.errors import among, refuse, whole
from lib.pool import portion
from lib.regimes import Regime, Replace

EULER_SUM = np.pi**2 / 6  # Σ 1/i²: the accumulated error in units of the first fit's (Gerstgrasser et al. 2024)


def expected_variance(regime: Regime, n, generations: int, estimator: str = "mle") -> np.ndarray:
    """E[S_t] for t = 1 … generations, shape (generations,). `n` is a set size or a function of the generation;
    ValueError where no closed form is known."""
    return _moments(regime, n, generations, estimator)[0]


def expected_error(regime: Regime, n, generations: int, estimator: str = "mle") -> np.ndarray:
    """E[(μ_t − μ₀)²] for t = 1 … generations in units of the true variance, per coordinate; shape (generations,)."""
    return _moments(regime, n, generations, estimator)[1]


def limit(values) -> float:
    """What an exact law tends to as t → ∞, from its values at t = 1 … T with T ≥ 1024: extrapolated from the changes
    over its last two doublings, infinite (or −∞) if the last is more than nine tenths of the one before. Rises like
    Σ1/i² halve, those like ln t stay; T has to be large beside the size of the sets where the law knows it. What nears
    its limit more slowly than t^−0.15 cannot be told from what has none."""
    values = np.asarray(values, dtype=float)
    if len(values) < 1024:
        refuse("values", len(values), "a law's values at 1024 generations or more")
    quarter, half, end = (float(values[len(values) // k - 1]) for k in (4, 2, 1))
    before, last = half - quarter, end - half
    if abs(last) <= 1e-9 * abs(end):
        return end
    shrinks = last / before if before else np.inf
    return end + last * shrinks / (1 - shrinks) if 0 <= shrinks < 0.9 else float(np.copysign(np.inf, last))


def set_sizes(regime: Regime, n, generations: int, least: int) -> list[int]:
    """n_1, n_2, … of a call, checked together with its regime."""
    if not isinstance(regime, Regime):
        refuse("regime", regime, "a regime of lib.regimes")
    sizes = [whole("n", n(t) if callable(n) else n, least) for t in range(1, whole("generations", generations, 1) + 1)]
    regime.check(sizes)
    return sizes


def plain(regime: Regime) -> None:
    """Refuse what is not Accumulate() itself."""
    if regime != regimes.Accumulate():
        refuse("regime", regime, "Accumulate() without fresh or discarded real data: only for that is this law known")


def _moments(regime, n, generations, estimator):
    among("estimator", estimator, ("mle", "unbiased"))
    sizes = set_sizes(regime, n, generations, 2)
    return _law(regime, np.array(sizes, dtype=float), estimator == "unbiased")


@singledispatch
def _law(regime, sizes, unbiased):
    refuse("regime", regime, "a regime of lib.regimes with a closed form")


@_law.register
def _(regime: Replace | regimes.ReplaceGrown, sizes, unbiased):
    counts = sizes if isinstance(regime, Replace) else np.cumsum(sizes)
    variance = np.ones_like(counts) if unbiased else np.cumprod(1 - 1 / counts)
    before = np.concatenate([[1.0], variance[:-1]])
    return variance, np.cumsum(before / counts)


@_law.register
def _(regime: regimes.Accumulate, sizes, unbiased):
    if regime.fresh or regime.kept < 1:
        kept = portion(regime.kept, int(sizes[0]))
        return _accumulate_with_real(_portions(regime.fresh, sizes) / sizes, kept, sizes, unbiased)
    total = np.cumsum(sizes)
    if unbiased:
        factors = np.ones_like(sizes)
        factors[1:] = 1 - (sizes[1:] / total[1:]) / (total[1:] - 1)
    else:
        factors = 1 - sizes / total**2
    variance = np.cumprod(factors)
    before = np.concatenate([[1.0], variance[:-1]])
    return variance, np.cumsum(before * sizes / total**2)


def _accumulate_with_real(shares, kept, sizes, unbiased):
    """All is kept, of the original set only `kept` samples, and a share a of each new batch is real.

    With w the batch's part of the pool, the pool's mean keeps 1 − w of its error and takes w·(1 − a) of that of the
    newest fit, whose covariance is `cross`: 1/n between a subset's mean and the mean of all n, and afterwards the pool
    is what was fitted. `moment` is the pool's mean square about the truth.
    """
    variance, error = 1.0 if unbiased else 1 - 1 / sizes[0], 1 / sizes[0]
    total, moment, pooled, cross = kept, 1.0, 1 / kept if kept else 0.0, 1 / sizes[0]
    variances, errors = [variance], [error]
    for a, n in zip(shares[1:], sizes[1:], strict=True):
        w = n / (total + n)
        moment = (1 - w) * moment + w * ((1 - a) * (variance + error) + a)
        batch = (1 - a) ** 2 * error + ((1 - a) * variance + a) / n
        error = (1 - w) ** 2 * pooled + 2 * (1 - w) * w * (1 - a) * cross + w**2 * batch
        total, pooled, cross = total + n, error, error
        variance = (moment - error) * (total / (total - 1) if unbiased else 1)
        variances.append(variance)
        errors.append(error)
    return np.array(variances), np.array(errors)


@_law.register
def _(regime: regimes.AccumulateSubsample, sizes, unbiased):
    n = sizes[0]
    if not (sizes == n).all():
        refuse("n", sizes.tolist(), "equal set sizes: this law is known for those only")
    t = np.arange(1, len(sizes) + 1)
    rate = (1 - 3 / t) if unbiased else -(3 - 1 / n) / t
    with np.errstate(divide="ignore"):
        factors = 1 + rate / (t * n - 1)
    factors[0] = 1.0
    pooled = np.cumprod(factors)  # P_t: expected variance of the pool, divisor tn − 1
    c = 1.0 if unbiased else 1 - 1 / n
    steps = (c + 1 - 1 / t[:-1]) * pooled[:-1] / (n * t[1:] ** 2)
    centre = 1 / n + np.concatenate([[0.0], np.cumsum(steps)])  # A_t: squared error of the pool's mean
    return c * pooled, centre + (1 - 1 / t) * pooled / n


@_law.register
def _(regime: regimes.RealOnly, sizes, unbiased):
    total = np.cumsum(sizes) if regime.grow else np.full_like(sizes, sizes[0])
    return (np.ones_like(total) if unbiased else 1 - 1 / total), 1 / total


def _with_real(real_counts, sizes, unbiased, start, kept_variance, kept_spread, weight=None):
    """The recursion shared by all regimes that hold r real samples beside s synthetic ones in a fit.

    The fitted mean's squared distance from a centre (the truth, the original mean or the kept mean) is `start` after
    fit 1; the real part has `kept_variance`, its mean the distance `kept_spread(r)`, and by default the weight r/N.
    """
    variance, distance = [1.0 if unbiased else 1 - 1 / sizes[0]], [start]
    for r, size in zip(real_counts[1:], sizes[1:], strict=True):
        s, a = size - r, r / size if weight is None else weight
        synthetic = (1 - a) ** 2 * (distance[-1] + variance[-1] / s) if s else 0.0
        now = synthetic + (a**2 * kept_spread(r) if r else 0.0)
        # 1/Σw² samples count, N where all count alike.
        b = 1 / (1 - (a**2 / r if r else 0.0) - ((1 - a) ** 2 / s if s else 0.0)) if unbiased else 1.0
        variance.append(b * (a * kept_variance + (1 - a) * (variance[-1] + distance[-1]) - now))
        distance.append(now)
    return np.array(variance), np.array(distance)


def _portions(share, sizes):
    return np.array([portion(share, int(n)) for n in sizes], dtype=float)


@_law.register
def _(regime: regimes.FreshReal, sizes, unbiased):
    counts = _portions(regime.share, sizes)
    return _with_real(counts, sizes, unbiased, 1 / sizes[0], 1.0, lambda r: 1 / r, regime.weight)


@_law.register
def _(regime: regimes.Keep, sizes, unbiased):
    n, counts = sizes[0], _portions(regime.share, sizes)
    if not counts.any():
        return _law(Replace(), sizes, unbiased)
    if regime.redraw:
        variance, distance = _with_real(counts, sizes, unbiased, 0.0, 1 - 1 / n, lambda r: 1 / r - 1 / n)
        return variance, 1 / n + distance
    if not (sizes == n).all():
        refuse("n", sizes.tolist(), "equal set sizes: this law is known for those only")
    r = counts[0]
    variance, distance = _with_real(counts, sizes, unbiased, 1 / r - 1 / n, 1 - 1 / r, lambda r: 0.0)
    fading = (1 - r / n) ** np.arange(len(sizes))
    return variance, 1 / r + distance - 2 * fading * (1 / r - 1 / n)


@_law.register
def _(regime: regimes.Mixture, sizes, unbiased):
    if regime.beta == 0:
        same = regimes.FreshReal(regime.gamma) if regime.fresh else regimes.Keep(regime.gamma)
        return _law(same, sizes, unbiased)
    n = sizes[0]
    if (regime.fresh and regime.gamma > 0) or not (sizes == n).all():
        refuse("regime", regime, "equal set sizes and fresh=False: this law is known for those only")
    alpha, beta, gamma = (count / n for count in regime.counts(int(n)))
    inner, distance = [1 - 1 / n], [0.0]  # the MLE variance of the set, and its mean's distance from the original mean
    for _ in sizes[1:]:
        v, d = inner[-1], distance[-1]
        u = n * v / (n - 1)
        w = u if unbiased else v
        distance.append((1 - gamma) ** 2 * d + gamma * (1 - gamma) / n + beta * (1 - beta) * u / n + alpha * w / n)
        inner.append(gamma * (1 - 1 / n) + (1 - gamma) * d + beta * v + alpha * w - distance[-1])
    inner = np.array(inner)
    return inner * (n / (n - 1) if unbiased else 1.0), 1 / n + np.array(distance)


def expected_w2_replace(n: int, generations: int, estimator: str = "unbiased") -> np.ndarray:
    """E[W₂²(N(μ_t, S_t), N(0, 1))] under Replace in one dimension, t = 1 … generations.

    Unbiased: t/n + 2(1 − c₄ᵗ), which diverges as Theorem 3.1 of Shumailov et al. (2024) says; under the MLE
    2(1 − (c₄ √(1 − 1/n))ᵗ), which stays below 2; c₄ = E[σ̂]/σ = √(2/(n−1)) Γ(n/2)/Γ((n−1)/2).
    """
    variance, error = _moments(Replace(), n, generations, estimator)
    c4 = np.sqrt(2 / (n - 1)) * np.exp(special.gammaln(n / 2) - special.gammaln((n - 1) / 2))
    ratio = c4 * (1.0 if estimator == "unbiased" else np.sqrt(1 - 1 / n))
    return error + variance + 1 - 2 * ratio ** np.arange(1, generations + 1)


def log_drift(n: int, d: int = 1, estimator: str = "unbiased") -> float:
    """E[change of ln det Σ] in one fit under Replace, n > d: Σ_{i≤d} ψ((n−i)/2) − d ln((n−1)/2), MLE + d ln(1 − 1/n).

    In one dimension about −1/(n−1) (unbiased) and −2/n (MLE): so fast the median of the variance decays.
    """
    if n <= d:
        refuse("n", n, f"more than dimension={d} samples; the determinant is 0 otherwise")
    i = np.arange(1, d + 1)
    drift = (_digamma_minus_log((n - i) / 2) + np.log1p((1 - i) / (n - 1))).sum()
    return float(drift + (d * np.log1p(-1 / n) if estimator == "mle" else 0.0))


def _digamma_minus_log(x: np.ndarray) -> np.ndarray:
    """ψ(x) − ln x, by its asymptotic series where the two would cancel: at x of 10¹³ all digits would be lost."""
    large = x > 1e3
    series = -1 / (2 * x) - 1 / (12 * x**2) + 1 / (120 * x**4)
    return np.where(large, series, special.digamma(x) - np.log(x))


def log_spread(n: int, d: int = 1) -> float:
    """Variance of the change of ln det Σ in one fit under Replace, n > d: Σ_{i≤d} ψ′((n−i)/2), either estimator."""
    return float(special.polygamma(1, (n - np.arange(1, d + 1)) / 2).sum())


def variance_quantiles_replace(n: int, generations, probabilities, estimator: str = "unbiased") -> np.ndarray:
    """Exact quantiles of S_t under Replace in one dimension, shape (len(generations), len(probabilities)).

    ln S_t is a sum of t independent ln(χ²_{n−1}/(n−1)), whose characteristic function is a ratio of Gamma functions;
    the distribution function follows by Gil-Pelaez inversion.
    """
    k = n - 1
    rows = []
    for t in np.atleast_1d(generations):
        spread = np.sqrt(t * log_spread(n))
        # 40 standard deviations are more than the characteristic function reaches.
        s = np.linspace(0, 40 / spread, 2049)[1:]
        log_phi = t * (special.loggamma(k / 2 + 1j * s) - special.loggamma(k / 2) + 1j * s * np.log(2 / k))
        drift = t * log_drift(n)
        x = drift + spread * np.linspace(-7, 7, 141)
        # The centred integrand is smooth; its value at s = 0 is the mean's distance from x.
        wave = np.imag(np.exp(log_phi[None] - 1j * np.outer(x, s))) / s
        wave = np.concatenate([(drift - x)[:, None], wave], axis=1)
        cdf = 0.5 - integrate.simpson(wave, x=np.concatenate([[0.0], s]), axis=1) / np.pi
        inside = (cdf > 1e-7) & (cdf < 1 - 1e-7)
        # Against the normal score of its probability the quantile is nearly straight: few points interpolate it well.
        curve = interpolate.PchipInterpolator(special.ndtri(cdf[inside]), x[inside])
        rows.append(curve(special.ndtri(probabilities)))
    shift = np.log1p(-1 / n) * np.atleast_1d(generations)[:, None] if estimator == "mle" else 0.0
    return np.exp(np.array(rows) + shift)


def accumulate_error_bound(sizes) -> np.ndarray:
    """2/n₁ − 1/N_t: the error of Accumulate stays below it under every schedule of batch sizes."""
    sizes = np.asarray(sizes, dtype=float)
    return 2 / sizes[0] - 1 / np.cumsum(sizes)


def growth_error_factor(growth: float, terms: int = 100_000) -> float:
    """n₁ times the limiting error of Accumulate, to first order in 1/n₁, when each batch is g times the one before:
    Σ g^{k−1}(g−1)²/(g^k−1)², and π²/6 for equal batches."""
    if growth < 1:
        refuse("growth", growth, "a factor of at least 1")
    if growth == 1:
        return EULER_SUM
    k = np.arange(1, terms + 1)
    # g^{k−1}(g−1)²/(g^k−1)² = (g−1)² g^{−k−1}/(1−g^{−k})²: written with negative powers it cannot overflow.
    shrink = np.exp(-k * np.log(growth))
    return float((growth - 1) ** 2 / growth * (shrink / (1 - shrink) ** 2).sum())


def replace_growth_factor(growth: float) -> float:
    """n₁ times the limiting error of Replace (unbiased) when each set is `growth` > 1 times the one before: g/(g−1)."""
    if growth <= 1:
        refuse("growth", growth, "a factor above 1; at constant size the error has no limit")
    return growth / (growth - 1)
