"""Intervals: against scipy, and by their coverage where it is exact.

Coverage: 2000 or 4000 repetitions with a fixed seed; a correct 95% interval misses the bounds below with probability
under 10⁻⁵.
"""

import numpy as np
import pytest
from scipy import stats

from lib import intervals

SEED = 20240724


def test_mean_is_the_t_interval():
    values = np.random.default_rng(SEED).normal(size=12)
    found = intervals.mean(values, 0.9)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (found.estimate, found.low, found.high) == pytest.approx((values.mean(), low, high))


def test_differences_are_paired():
    rng = np.random.default_rng(SEED)
    shared = rng.normal(0, 100, size=20)
    a, b = shared + 1 + 0.1 * rng.normal(size=20), shared
    assert intervals.difference(a, b).low > 0
    assert intervals.separated(a, b)
    with pytest.raises(ValueError, match="b="):
        intervals.difference(a, b[:3])


def test_three_runs_separate_nothing():
    assert not intervals.separated([5, 5.1, 5.2], [0, 0.1, 0.2])
    assert intervals.separated([5, 5.1, 5.2, 5.3], [0, 0.1, 0.2, 0.31])


def test_coverage_of_the_median_and_of_a_proportion():
    rng = np.random.default_rng(SEED)
    samples = np.sort(rng.exponential(size=(4000, 31)))
    found = intervals.median(np.arange(31.0))  # which order statistics it goes between
    covered = (samples[:, int(found.low)] <= np.log(2)) & (np.log(2) <= samples[:, int(found.high)])
    assert covered.mean() > 0.935
    known = [intervals.proportion(k, 40) for k in range(41)]
    covered = [known[k].low <= 0.1 <= known[k].high for k in rng.binomial(40, 0.1, size=4000)]
    assert np.mean(covered) > 0.935


@pytest.mark.parametrize(("probability", "level"), [(0.5, 0.95), (0.5, 0.99), (0.05, 0.99)])
def test_a_quantile_lies_between_the_order_statistics_that_scipy_takes(probability, level):
    values = np.random.default_rng(SEED).normal(size=400)
    found = intervals.quantile(values, probability, level)
    known = stats.quantile_test(values, q=found.estimate, p=probability).confidence_interval(level)
    assert (found.low, found.high) == (known.low, known.high)


def test_coverage_of_the_mean():
    rng = np.random.default_rng(SEED)
    covered = [intervals.mean(rng.normal(size=8)) for _ in range(2000)]
    assert 0.93 < np.mean([i.low <= 0 <= i.high for i in covered]) < 0.97


@pytest.mark.parametrize("values", [[], [1, np.nan], [np.inf, 1]])
def test_values_that_are_no_numbers(values):
    with pytest.raises(ValueError, match="values="):
        intervals.mean(values)


def test_numbers_are_printed_as_numbers():
    assert f"{intervals.Interval(-0.5, -1, 0.25, 0.95):.2f}" == "−0.50 [−1.00, 0.25]"
    assert intervals.number(3.8e-5, ".2g") == "3.8·10⁻⁵"
    assert intervals.number(12.0) == "12"
