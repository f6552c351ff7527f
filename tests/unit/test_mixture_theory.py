"""The laws of the kernel density recursion: by hand, in their limits, and against the Gaussian's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from lib import theory
from lib.regimes import Accumulate, AccumulateSubsample, FreshReal, Keep, Mixture, RealOnly, Replace, ReplaceGrown
from lib.theory import mixture as laws
from tests.unit.refusals import refused

KNOWN = [Replace(), ReplaceGrown(), Accumulate(), RealOnly()]


@pytest.mark.parametrize("regime", KNOWN, ids=str)
def test_without_smoothing_they_are_the_gaussians(regime):
    assert_allclose(laws.expected_error(regime, 10, 30, 0.0), theory.expected_error(regime, 10, 30), rtol=1e-12)
    assert_allclose(laws.expected_variance(regime, 10, 30, 0.0), theory.expected_variance(regime, 10, 30), rtol=1e-12)


def test_the_second_moment_counts_the_smoothings():
    t = np.arange(1, 41)
    for regime, count in (
        (Replace(), t),
        (ReplaceGrown(), t),
        (Accumulate(), np.cumsum(1 / t)),
        (AccumulateSubsample(), np.cumsum(1 / t)),
        (RealOnly(), np.ones(40)),
        (Keep(0.25), (1 - 0.75**t) / 0.25),
        (FreshReal(0.25), (1 - 0.75**t) / 0.25),
        (Mixture(1, 0, 0), t),
        (Mixture(0, 1, 0), np.ones(40)),
    ):
        assert_allclose(laws.expected_second_moment(regime, 20, 40, 0.3), 1 + 0.09 * count, rtol=1e-12)


def test_under_replace_the_spread_has_a_limit_and_the_mean_does_not():
    n, h = 50, 0.2
    variance, error = (f(Replace(), n, 5000, h) for f in (laws.expected_variance, laws.expected_error))
    assert_allclose(variance[-1], n * h**2, rtol=1e-9)
    assert_allclose(np.diff(error)[-1], h**2, rtol=1e-9)
    # The first two fits by hand: a set of n real points, then n points of a density of variance 1 − 1/n + h².
    assert_allclose(variance[:2], [1 - 1 / n + h**2, (1 - 1 / n) * (1 - 1 / n + h**2) + h**2])


def test_a_fixed_bandwidth_makes_accumulating_drift_and_a_shrinking_one_does_not():
    fixed = laws.expected_second_moment(Accumulate(), 100, 4000, 0.5)
    assert_allclose(fixed[3999] - fixed[399], 0.25 * np.log(10), rtol=1e-2)
    for dimension in (1, 2, 3):
        h = laws.bandwidths("scott", Accumulate(), 100, 20_000, dimension)
        added = laws.expected_second_moment(Accumulate(), 100, 20_000, h) - 1 - h**2
        limit = laws.accumulate_scott_limit(100, dimension)
        assert added[-1] < limit
        rest = 100 ** (-2 / (dimension + 4)) * 20_000 ** (-2 / (dimension + 4)) * (dimension + 4) / 2
        assert_allclose(limit - added[-1], rest, rtol=1e-3)
    for regime in (Replace(), AccumulateSubsample(), Keep(0.5)):
        assert len(set(laws.bandwidths("scott", regime, 100, 5, 2))) == 1
    assert_allclose(laws.bandwidths(0.3, Accumulate(), 100, 3, 2), 0.3)
    assert_allclose(laws.bandwidths("scott", ReplaceGrown(), 64, 2, 2), [0.5, 128 ** (-1 / 6)])


def test_what_has_no_law_is_refused():
    for regime in (Keep(0.5), Mixture(0.5, 0.5, 0), AccumulateSubsample()):
        with refused("regime"):
            laws.expected_error(regime, 10, 3, 0.1)
    with refused("widths"):
        laws.expected_error(Replace(), 10, 3, -0.1)
    with refused("regime"):
        laws.expected_second_moment("replace", 10, 3, 0.1)
