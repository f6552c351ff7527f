"""Exact laws of the discrete recursion: the Wright–Fisher chain under Replace, an urn under Accumulate.

t counts fits, q is the true probability of a state, n the size of a set. *Lost*: the model gives the state probability
0. A state that is lost under Replace or Accumulate never returns.

The laws are read off the genealogy of the newest samples: traced back through one fit, A of them have as many ancestors
as A balls occupy boxes when thrown into n; after t − 1 fits back the ancestors are real samples, so a state is lost
with probability E[(1−q)^A] (Kingman 1982; Möhle 1999 for the duality). One genealogy serves every q.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special, stats

from lib.errors import among, refuse, whole
from lib.regimes import Regime
from lib.theory.gaussian import expected_variance

EXACT_BELOW = 1000  # ancestors; the chain is exact up to so many, and a normal law with exact moments above


def expected_heterozygosity(regime: Regime, n, generations: int) -> np.ndarray:
    """E[Σp_t(1−p_t)] / Σq(1−q) for t = 1 … generations, shape (generations,), every regime: the total variance of the
    states' indicators, (1−1/n)ᵗ under Replace, ∏(1−1/(nk²)) under Accumulate."""
    return expected_variance(regime, n, generations, "mle")


def first_sample_miss(q, n: int) -> np.ndarray:
    """(1−q)ⁿ: the probability that n real samples miss a state, and under Accumulate that it is ever lost."""
    return np.exp(-whole("n", n, 1) * _rate(_probabilities(q)))


def lost(q, n, generations: int) -> np.ndarray:
    """P(state of probability q is lost by fit t) under Replace, t = 1 … generations, shape (generations, *q.shape).

    `n` is a set size or a function of the generation (`lambda t: n * t` for ReplaceGrown). Exact for sizes up to 1000.
    Beyond, the number of ancestors is taken as normal, with its mean and variance by recursion, until it is below 1000,
    and from there by the exact chain: absolute error below 10⁻⁶ at n = 1000 and smaller still for more.
    """
    q = _probabilities(q)
    sizes = [whole("n", n(t) if callable(n) else n, 1) for t in range(1, whole("generations", generations, 1) + 1)]
    rate = _rate(q)
    out = np.empty((generations, *q.shape))
    for t, ancestors in enumerate(_genealogy(sizes)):
        if ancestors.chances is None:
            # E[e^{−rA}] of a normal A; once e^{−rA} is below e^{−500} nobody can tell it from 0.
            exponent = -rate * (ancestors.mean - np.minimum(rate, 1.0) * ancestors.variance / 2)
            out[t] = np.where(rate * ancestors.mean < 500, np.exp(exponent), 0.0)
        else:
            present = np.flatnonzero(ancestors.chances > 1e-18)
            out[t] = np.exp(-np.multiply.outer(rate, present)) @ ancestors.chances[present]
    return out


def survival(q, n, generations: int) -> np.ndarray:
    """P(state of probability q is still there at fit t) under Replace, shape (generations, *q.shape); tends to q. For a
    state of count c in some set, q = c/n, and t counts the fits after that."""
    return 1 - lost(q, n, generations)


def share_law(q: float, n: int, generations: int) -> np.ndarray:
    """P(a state of probability q has k of the n samples of set t) under Replace, t = 1 … generations, shape
    (generations, n + 1): the neutral Wright–Fisher chain itself, for n ≤ 1000."""
    n, q = whole("n", n, 1), float(_probabilities(q))
    if n > EXACT_BELOW:
        refuse("n", n, f"at most {EXACT_BELOW}: the chain is a matrix of n + 1 rows")
    counts = np.arange(n + 1)
    chain = stats.binom.pmf(counts[None, :], n, counts[:, None] / n)
    out = [stats.binom.pmf(counts, n, q)]
    for _ in range(whole("generations", generations, 1) - 1):
        out.append(out[-1] @ chain)
    return np.array(out)


def fixation(q, n, generations: int) -> np.ndarray:
    """P(the state of probability q is the only one left by fit t) under Replace, shape (generations, *q.shape)."""
    return lost(1 - _probabilities(q), n, generations)


def expected_support(probabilities, n, generations: int, regime: str = "replace") -> np.ndarray:
    """Expected number of states that the model can still produce, t = 1 … generations, shape (generations,), under
    "replace", or "accumulate", which keeps for ever what the first sample has seen."""
    return _over_states(probabilities, n, generations, regime, np.ones_like)


def expected_missing_mass(probabilities, n, generations: int, regime: str = "replace") -> np.ndarray:
    """Expected true probability of the states that the model cannot produce, shape (generations,)."""
    return 1 - _over_states(probabilities, n, generations, regime, lambda q: q)


def _over_states(probabilities, n, generations, regime, weight):
    among("regime", regime, ("replace", "accumulate"))
    # States of equal probability share their law: words seen once are half of a vocabulary.
    q, states = np.unique(_probabilities(probabilities), return_counts=True)
    if regime == "replace":
        there = survival(q, n, generations)
    else:
        first = n(1) if callable(n) else n
        there = np.broadcast_to(1 - first_sample_miss(q, first), (generations, q.size))
    return there @ (weight(q) * states)


@dataclass(frozen=True)
class _Ancestors:
    """The law of a number of ancestors: its mean and variance, and once it is small P(A = 0, 1, …) as well."""

    mean: float
    variance: float
    chances: np.ndarray | None = None

    @classmethod
    def of(cls, mean: float, variance: float) -> _Ancestors:
        if mean > EXACT_BELOW:
            return cls(mean, variance)
        most = int(np.ceil(mean + 9 * np.sqrt(variance)))
        if variance < 1e-6:
            return cls(mean, variance, (np.arange(most + 1) == round(mean)).astype(float))
        edges = np.arange(most + 2) - 0.5
        chances = np.diff(special.ndtr((edges - mean) / np.sqrt(variance)))
        return cls(mean, variance, chances / chances.sum())

    def thrown_into(self, boxes: int) -> _Ancestors:
        """One fit further back, while their number is taken as normal: as many ancestors as boxes are occupied."""
        # Boxes occupied by A balls: mean n(1−(1−1/n)^A), variance n e^{−x}(1 − (1+x)e^{−x}) with x = A/n to leading
        # order in 1/n, and the spread of A itself passed through.
        x = self.mean / boxes
        log_empty = self.mean * np.log1p(-1 / boxes) if boxes > 1 else -np.inf
        slope = np.exp(log_empty)
        mean = -boxes * np.expm1(log_empty) - slope / boxes * self.variance / 2
        spread = boxes * np.exp(-x) * -(np.expm1(-x) + x * np.exp(-x))
        return _Ancestors.of(mean, spread + slope**2 * self.variance)


def _genealogy(sizes: list[int]) -> list[_Ancestors]:
    """For t = 1, 2, … the number of ancestors of set t among the real samples, t − 1 fits back."""
    if len(set(sizes)) == 1:
        found = [_Ancestors.of(float(sizes[0]), 0.0)]
        for n in sizes[1:]:
            found += _one_fit_back(found[-1:], n)
        return found
    # All sets go back together, from the last one on, so that the table of each fit is made once.
    found = []
    for n in reversed(sizes):
        found = [*_one_fit_back(found, n), _Ancestors.of(float(n), 0.0)]
    return found[::-1]


def _one_fit_back(found: list[_Ancestors], boxes: int) -> list[_Ancestors]:
    exact = [k for k, ancestors in enumerate(found) if ancestors.chances is not None]
    out = [ancestors.thrown_into(boxes) if ancestors.chances is None else ancestors for ancestors in found]
    if exact:
        rows = np.zeros((len(exact), max(found[k].chances.size for k in exact)))
        for row, k in zip(rows, exact, strict=True):
            row[: found[k].chances.size] = found[k].chances
        for row, k in zip(rows @ occupancy(rows.shape[1] - 1, boxes), exact, strict=True):
            chances = row[: np.flatnonzero(row > 1e-18)[-1] + 1]
            out[k] = _Ancestors(found[k].mean, found[k].variance, chances)
    return out


@lru_cache(maxsize=4)
def occupancy(balls: int, boxes: int) -> np.ndarray:
    """P(j boxes occupied by i balls thrown into `boxes` boxes), shape (balls + 1, balls + 1), entry [i, j]."""
    table = np.zeros((balls + 1, balls + 1))
    table[0, 0] = 1.0
    occupied = np.arange(balls + 1) / boxes
    stay, leave = np.minimum(occupied, 1.0), np.maximum(1 - occupied, 0.0)
    for i in range(balls):
        table[i + 1] = table[i] * stay
        table[i + 1, 1:] += table[i, :-1] * leave[:-1]
    table.setflags(write=False)  # it is remembered: every caller gets the same array
    return table


def mean_time_to_loss(count: int, n: int) -> float:
    """Expected number of fits until a state of the given count in a set of n is lost, if it is; Replace.

    For n ≤ 1000 by solving the chain; beyond, the diffusion limit −2n p ln p/(1−p), p = count/n (Kimura and Ohta 1969),
    5% too long for a count of 1 and closer for more.
    """
    n = whole("n", n, 2)
    if whole("count", count, 1) >= n:
        refuse("count", count, f"between 1 and {n - 1}: a state that has all {n} samples is never lost")
    if n > EXACT_BELOW:
        p = count / n
        return float(-2 * n * p * np.log(p) / (1 - p))
    inner = np.arange(1, n)
    chain = stats.binom.pmf(inner[None, :], n, inner[:, None] / n)
    # Doob's transform: given loss in the end, moves are weighted by the chance 1 − j/n of loss from where they lead.
    chance = 1 - inner / n
    given_loss = chain * chance[None, :] / chance[:, None]
    return float(np.linalg.solve(np.eye(n - 1) - given_loss, np.ones(n - 1))[count - 1])


def mean_time_to_one_state(probabilities, n: int) -> float:
    """Expected number of fits until one state is left, Replace: −2n Σ(1−p) ln(1−p) in the diffusion limit (Ewens 2004),
    in sets of 10 too long by a twelfth and in sets of 100 by a hundredth."""
    p = _probabilities(probabilities)
    return float(2 * whole("n", n, 2) * special.entr(1 - p).sum())


def _probabilities(q) -> np.ndarray:
    q = np.asarray(q, dtype=float)
    if not ((q >= 0) & (q <= 1)).all():
        refuse("q", q, "probabilities between 0 and 1")
    return q


def _rate(q: np.ndarray) -> np.ndarray:
    """−ln(1−q), without loss for small q; infinite for q = 1."""
    with np.errstate(divide="ignore"):
        return -np.log1p(-q)
