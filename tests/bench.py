"""Benchmarks as ratios measured in one run: medians of five, one BLAS thread. `make bench` runs this; exit code 1 if one misses.

The anchor for the Gaussian is the plain loop that published code uses: concatenate all points, refit them with `np.cov`, draw
new ones with `multivariate_normal`. Both sides score trace and mean.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from lib.gaussian import Gaussian
from lib.recursion import recurse
from lib.regimes import Accumulate

REPEATS = 5
BOTH = ("trace_ratio", "squared_mean_error")


def plain_loop(n: int, d: int, generations: int, seed: int) -> list[tuple[float, float]]:
    """Accumulate as it is usually written."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((n, d))
    out = []
    for generation in range(generations):
        mean, covariance = points.mean(axis=0), np.cov(points.T)
        out.append((np.trace(covariance) / d, mean @ mean))
        if generation < generations - 1:
            points = np.concatenate([points, rng.multivariate_normal(mean, covariance, size=n)])
    return out


def seconds(work) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(slow, fast, per: int = 1) -> float:
    """Median over five rounds of time(slow) / (time(fast) / per), both timed in each round."""
    return statistics.median(seconds(slow) / (seconds(fast) / per) for _ in range(REPEATS))


def gaussian(runs: int = 1, scores=BOTH, n: int = 1000, d: int = 100, generations: int = 100):
    """Our side of the Gaussian benchmarks."""
    settings = {"n": n, "generations": generations, "runs": runs, "seed": 1, "scores": scores, "progress": False}
    return lambda: recurse(Gaussian(d, "unbiased"), Accumulate(), **settings)


def vaes():
    """Eight seeds of the digits VAE one after another, and together."""
    from lib.vae import VAE

    def run(seeds, first):
        recurse(VAE(), Accumulate(), n=500, generations=1, runs=seeds, seed=first, scores=(), progress=False)

    return lambda: [run(1, k) for k in range(8)], lambda: run(8, 0)


def benchmarks():
    """Name, measured ratio, what it has to be, and whether larger is better."""

    def plain():
        plain_loop(1000, 100, 100, 1)

    gaussian(generations=2)()  # imports and first calls are nobody's time
    yield "Gaussian, accumulate, plain loop / one run", ratio(plain, gaussian()), 100, True
    yield "… per run in a batch of 100 runs", ratio(plain, gaussian(runs=100), per=100), 150, True
    yield "… one run with every score", ratio(plain, gaussian(scores=None)), 40, True
    few = gaussian(runs=10, n=10**3)
    yield "one generation at n = 10¹³ / at n = 10³", ratio(gaussian(runs=10, n=10**13), few), 1.3, False
    long, short = gaussian(runs=10, generations=800), gaussian(runs=10, generations=200)
    yield "a late generation / an early one", (ratio(long, short) * 200 - 200) / 600, 1.3, False
    yield "eight VAE seeds, one after another / together", ratio(*vaes()), 1.5, True


def main() -> int:
    """Print a line per benchmark; 1 if one misses its mark."""
    missed = 0
    for name, measured, mark, larger in benchmarks():
        good = measured >= mark if larger else measured <= mark
        missed += not good
        print(
            f"{'ok  ' if good else 'MISS'} {name}: {measured:.3g} ({'at least' if larger else 'at most'} {mark})",
            flush=True,
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
