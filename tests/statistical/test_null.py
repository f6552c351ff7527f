"""The null experiment of the ledger: the same regime twice, on streams of its own each time, shows no difference.

400 seeds for each world. A 99% interval that is right misses 0 with probability 1%, so 4 of 400 in the mean and 11 or
more with probability 0.3%. The seeds are 0 to 399 and were not chosen. Were the intervals 95% ones, 20 would miss.
"""

import numpy as np
import pytest

from lib import intervals
from lib.ledger import LEVEL
from lib.recursion import recurse
from lib.regimes import Accumulate, FreshReal, Replace
from lib.worlds.discrete import Discrete
from lib.worlds.gaussian import Gaussian
from lib.worlds.regression import Regression

pytestmark = pytest.mark.statistical

SEEDS, ALLOWED = 400, 390
WORLDS = {
    "gaussian": (Gaussian(), "trace_ratio", Replace(), 30),
    "gaussian error": (Gaussian(estimator="unbiased"), "squared_mean_error", Accumulate(), 30),
    "discrete": (Discrete("zipf", 20), "heterozygosity_ratio", FreshReal(0.2), 30),
    "regression": (Regression(3), "excess_risk", Accumulate(), 30),
}


def differences(world, score, pair, n, level, independent=True):
    """Seeds at which the interval of the difference at the last generation excludes 0."""
    found = 0
    for seed in range(SEEDS):
        data = recurse(
            world, pair, n=n, generations=4, runs=100, seed=seed, scores=score, independent=independent, progress=False
        )
        a, b = data[score].isel(generation=-1).values
        found += intervals.difference(a, b, level).excludes_zero
    return found


@pytest.mark.parametrize("name", WORLDS)
def test_the_same_regime_twice_is_no_difference(name):
    world, score, regime, n = WORLDS[name]
    assert SEEDS - differences(world, score, {"one": regime, "other": regime}, n, LEVEL) >= ALLOWED


def test_the_null_experiment_can_fail():
    """At 50% half of the seeds must differ: the count reacts to the level. A true difference is seen at nearly every
    seed."""
    world, score, regime, n = WORLDS["regression"]
    half = differences(world, score, {"one": regime, "other": regime}, n, 0.5)
    assert 150 < half < 250  # binomial(400, ½): outside with probability 10⁻⁶
    real = differences(world, score, {"one": Replace(), "other": Accumulate()}, n, LEVEL)
    assert real > 390


def test_streams_are_independent_only_where_asked():
    world, score, regime, n = WORLDS["regression"]
    pair = {"one": regime, "other": regime}
    shared, own = (
        recurse(world, pair, n=n, generations=3, runs=5, seed=1, scores=score, independent=i)[score].values
        for i in (False, True)
    )
    assert np.array_equal(shared[0], shared[1]) and not np.isclose(own[0], own[1]).any()
