"""Laws of what accumulating does not stop: biases that recur, filters, weights, and what was never sampled.

t counts fits. A *factor* h is what one generation leaves of a quantity by a bias of its own: the temperature for a
variance, s/(s+λ) for a ridge coefficient, ψ/φ for a share of errors under a verifier.
"""

from collections.abc import Callable

import numpy as np
from scipy import special

from lib.errors import refuse, share, whole
from lib.regimes import Accumulate, Regime, Replace
from lib.theory.gaussian import EULER_SUM, expected_error, plain
from lib.theory.regression import carried

GOLDEN = (np.sqrt(5) - 1) / 2


def recurring_factor(regime: Regime, factor: float, generations: int) -> np.ndarray:
    """What is left, relative to the first fit, when each generation's bias multiplies a linear quantity by h; n → ∞.

    Replace h^(t−1). Accumulate with equal batches ∏ (k+h)/(k+1) = Γ(t+h)/(Γ(1+h) Γ(t+1)) ~ t^−(1−h)/Γ(1+h): old data
    turn an exponential into a power, and no more. Derived here.
    """
    t = np.arange(1, whole("generations", generations, 1) + 1, dtype=float)
    if factor < 0:
        refuse("factor", factor, "a factor of at least 0")
    if isinstance(regime, Replace):
        return factor ** (t - 1)
    plain(regime)
    return np.exp(special.gammaln(t + factor) - special.gammaln(1 + factor) - special.gammaln(t + 1))


def tempered_variance(regime: Regime, n: int, generations: int, temperature: float) -> np.ndarray:
    """E[S_t] of the Gaussian under maximum likelihood when models are sampled at a temperature T; equal batches of n.

    Replace (1−1/n)(T(1−1/n))^(t−1). Accumulate (1−1/n) ∏_{k<t} ((k+T)/(k+1) − T/(n(k+1)²)), by the variance of a pool
    of kn points and n more. Derived here.
    """
    n, k = whole("n", n, 2), np.arange(1, whole("generations", generations, 1), dtype=float)
    if isinstance(regime, Replace):
        steps = np.full_like(k, temperature * (1 - 1 / n))
    else:
        plain(regime)
        steps = (k + temperature) / (k + 1) - temperature / (n * (k + 1) ** 2)
    return (1 - 1 / n) * np.cumprod(np.concatenate([[1.0], steps]))


def strong_collapse_risk(n, dimension: int, noise: float, synthetic: float, shift: float) -> np.ndarray:
    """E|ŵ − w*|² of least squares on n rows of which a share p₂ is labelled by w* + δ, |δ| = c, x ~ N(0, I): exact.

    To leading order p₂²c² + (σ² + p₁p₂c²) d/(n−d−1), as Dohmatob et al. (2025) have it in the limit of many rows.
    """
    share("synthetic", synthetic)
    n = np.asarray(n, dtype=float)
    return shift**2 * carried(synthetic * n, n, dimension) + noise**2 * dimension / (n - dimension - 1)


def recurring_shift(regime: Regime, generations: int) -> np.ndarray:
    """Bias of the fit, in units of c, when every model's labels are off by δ beyond its own error; n → ∞, equal sets.

    Replace t − 1. Accumulate H_t − 1: without bound, like ln t. With a share r of each batch real, `FreshReal` tends to
    (1−r)/r, and so does `Accumulate(fresh=r)`. Derived here.
    """
    bias = [0.0]
    for t in range(2, whole("generations", generations, 1) + 1):
        if isinstance(regime, Accumulate) and regime.kept == 1:
            fresh = regime.fresh
            bias.append(bias[-1] + ((1 - fresh) * (bias[-1] + 1) - bias[-1]) / t)
        else:
            fresh = 0.0 if isinstance(regime, Replace) else getattr(regime, "share", None)
            if fresh is None:
                refuse("regime", regime, "Replace(), FreshReal(share), Accumulate() or Accumulate(fresh=share)")
            bias.append((1 - fresh) * (bias[-1] + 1))
    return np.array(bias)


def weighted_error(weight, ratio: float = 1.0):
    """n times the stationary E[(μ−μ₀)²] when a fit gives `weight` w to n new real samples and 1 − w to n/ratio from the
    newest model, variance known: (w² + ratio (1−w)²)/(1 − (1−w)²); for ratio 1 as in He et al. (2025)."""
    w = np.asarray(weight, dtype=float)
    return (w**2 + ratio * (1 - w) ** 2) / (1 - (1 - w) ** 2)


def breakdown(right: float, wrong: float) -> float:
    """The share of wrong labels p* up to which those that a verifier keeps are mostly right: 1/(1 + ψ/φ), with keep
    rates φ = `right` of right and ψ = `wrong` of wrong labels (Feng et al. 2024 for linear classifiers)."""
    share("right", right), share("wrong", wrong)
    if not right + wrong:
        refuse("right, wrong", (right, wrong), "at least one keep rate above 0")
    return right / (right + wrong)


def mean_field(
    regime: Regime, start, generations: int, step: Callable[[np.ndarray], np.ndarray], passed: float = 1.0
) -> np.ndarray:
    """Probabilities p_t of a discrete model as n → ∞, shape (generations, K), when what is added to the data is
    step(p_t).

    Replace p_{t+1} = step(p_t), Accumulate the mean of the pool: a first set of size 1, each later one of `passed`.
    """
    p = [np.asarray(start, dtype=float)]
    if not isinstance(regime, Replace):
        plain(regime)
    for t in range(1, whole("generations", generations, 1)):
        new, size = step(p[-1]), 1 + (t - 1) * passed
        p.append(new if isinstance(regime, Replace) else (size * p[-1] + passed * new) / (size + passed))
    return np.array(p)


def tilted(accept) -> Callable[[np.ndarray], np.ndarray]:
    """What a verifier passes on of a model: p_k accept_k / Σ p accept."""
    accept = np.asarray(accept, dtype=float)
    return lambda p: p * accept / (p * accept).sum()


def real_equivalent(regime: Regime, n: int, generations: int) -> np.ndarray:
    """How many real samples, in units of n, would give the error that t fits have: 1/(n E[(μ_t−μ₀)²]), unbiased. Under
    Accumulate it tends to 6/π² (Dey and Donoho 2024)."""
    return 1 / (n * expected_error(regime, n, generations, "unbiased"))


def maximal_error_bound(n: int, epsilon: float) -> float:
    """P(|μ_t − μ₀| ≥ ε at any generation) ≤ π²/(6 n ε²) under Accumulate: μ_t is a martingale (Doob's inequality). In
    Barzilai and Shamir's (2025) Theorem 4.1 for smooth families n has to grow with ln t."""
    return min(1.0, EULER_SUM / (n * epsilon**2))
