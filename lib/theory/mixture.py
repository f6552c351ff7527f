"""Exact laws of kernel density estimates fitted again and again, whatever the distribution of the real data.

A sample of a KDE is a training point plus noise of variance h², so a point's history is a chain of copies, each with
its noise. Where the training points of a fit are chosen without looking at their values, the second moment about the
true mean only counts how many smoothings lie behind a point: under Replace t after t fits, under Accumulate H_t = 1 +
1/2 + … + 1/t in expectation.

Conventions: t counts fits, all quantities are per coordinate, real data have variance 1, and `widths` gives h_t, the
bandwidth of fit t, or one number for all. For h = 0 these are the laws of a Gaussian under maximum likelihood, and of a
Gaussian mixture whatever its components. The derivations are the project's own; each condition on the fit before.
"""

import numpy as np

from lib import regimes
from lib.errors import among, refuse
from lib.pool import portion
from lib.regimes import Regime
from lib.theory.gaussian import plain, set_sizes


def expected_second_moment(regime: Regime, n: int, generations: int, widths) -> np.ndarray:
    """E[variance + squared mean] of the fitted density about the true mean (truth: 1), t = 1 … generations."""
    squares = _squares(regime, n, generations, widths)
    return 1 + _smoothed(regime, n, squares) + squares


def expected_variance(regime: Regime, n: int, generations: int, widths) -> np.ndarray:
    """E[variance] of the fitted density, t = 1 … generations, for the regimes of `expected_error`."""
    return expected_second_moment(regime, n, generations, widths) - expected_error(regime, n, generations, widths)


def expected_error(regime: Regime, n: int, generations: int, widths) -> np.ndarray:
    """E[squared mean] of the fitted density about the true mean, t = 1 … generations, for Replace, ReplaceGrown,
    Accumulate and RealOnly."""
    squares = _squares(regime, n, generations, widths)
    return _drift(regime, n, squares, 1 + _smoothed(regime, n, squares))


def bandwidths(bandwidth, regime: Regime, n: int, generations: int, dimension: int) -> np.ndarray:
    """h_t for t = 1 … generations: the bandwidth for the training set that the regime composes at fit t."""
    grows = (regimes.Accumulate, regimes.ReplaceGrown, regimes.RealOnly)
    grows = isinstance(regime, grows) and regime != regimes.RealOnly(grow=False)
    sizes = n * (np.arange(1, generations + 1) if grows else np.ones(generations))
    if not isinstance(bandwidth, str):
        return np.full(generations, float(bandwidth))
    among("bandwidth", bandwidth, ("scott", "silverman"))
    count = sizes if bandwidth == "scott" else sizes * (dimension + 2) / 4
    return count ** (-1 / (dimension + 4))


def accumulate_scott_limit(n: int, dimension: int, terms: int = 100_000) -> float:
    """lim of the training set's E[second moment] − 1 under Accumulate with Scott's rule: Σ h_t²/(t+1), which converges
    because h_t² = (tn)^{−2/(d+4)} goes to 0. For a fixed bandwidth the sum grows like h² ln t."""
    power = 2 / (dimension + 4)
    t = np.arange(1, terms + 1)
    head = ((t * float(n)) ** -power / (t + 1)).sum()
    # The rest lies between two integrals; their mean is off by less than its last term.
    return float(head + float(n) ** -power * (terms + 1.0) ** -power / power)


def _squares(regime, n, generations, widths):
    sizes = set_sizes(regime, n, generations, 2)
    widths = np.broadcast_to(np.asarray(widths, dtype=float), len(sizes))
    if not (np.isfinite(widths).all() and (widths >= 0).all()):
        refuse("widths", widths.tolist(), "finite bandwidths, none negative")
    return widths**2


def _smoothed(regime, n, squares):
    """What smoothing has added to the second moment of the training set (of the pool, where one is kept) by fit t."""
    shares = _shares(regime, n, len(squares))
    added = np.zeros(len(squares))
    for t in range(1, len(squares)):
        newest, old = shares[t]
        added[t] = newest * (added[t - 1] + squares[t - 1]) + old * added[t - 1]
    return added


def _shares(regime, n, generations):
    """Share of the newest model's samples in the training set of each fit, and of the set before."""
    if isinstance(regime, regimes.Replace | regimes.ReplaceGrown):
        return [(1.0, 0.0)] * generations
    if isinstance(regime, regimes.Accumulate):
        plain(regime)
    if isinstance(regime, regimes.Accumulate | regimes.AccumulateSubsample):
        # A random part of the pool has the pool's expectation, and so has a model that is fitted to it.
        return [(1 / t, 1 - 1 / t) for t in range(1, generations + 1)]
    if isinstance(regime, regimes.RealOnly):
        return [(0.0, 0.0)] * generations
    if isinstance(regime, regimes.Keep | regimes.FreshReal):
        return [(1 - portion(regime.share, n) / n, 0.0)] * generations
    if isinstance(regime, regimes.Mixture):
        newest, copied, _ = regime.counts(n)
        return [(newest / n, copied / n)] * generations
    refuse("regime", regime, "a regime of lib.regimes with a closed form")


def _drift(regime, n, squares, moment):
    """E[squared mean] of the training set; `moment` is its E[second moment]."""
    t = np.arange(1, len(squares))
    if isinstance(regime, regimes.RealOnly):
        return 1 / (n * (np.arange(len(squares)) + 1.0)) if regime.grow else np.full(len(squares), 1 / n)
    if isinstance(regime, regimes.Accumulate):
        plain(regime)
        sizes = n * (t + 1) ** 2
    elif isinstance(regime, regimes.Replace | regimes.ReplaceGrown):
        sizes = n * (t + 1) if isinstance(regime, regimes.ReplaceGrown) else np.full(len(t), n)
    else:
        refuse("regime", regime, "Replace, ReplaceGrown, Accumulate or RealOnly, whose mean has a closed form here")
    error = [1 / n]
    for size, second, square in zip(sizes, moment[:-1], squares[:-1], strict=True):
        error.append(error[-1] + (second - error[-1] + square) / size)
    return np.array(error)
