"""The closed forms against each other, their limits and the numbers published for them."""

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from lib import theory
from lib.regimes import (
    Accumulate,
    AccumulateSubsample,
    FreshReal,
    Keep,
    Mixture,
    RealOnly,
    Replace,
    ReplaceGrown,
)

EVERY = [
    Replace(),
    ReplaceGrown(),
    Accumulate(),
    Accumulate(fresh=0.3),
    AccumulateSubsample(),
    Keep(0.3),
    Keep(0.3, redraw=False),
    FreshReal(0.3),
    RealOnly(),
    RealOnly(grow=False),
    Mixture(0.5, 0.3, 0.2),
    Mixture(0.5, 0.5, 0),
]


@pytest.mark.parametrize("regime", EVERY, ids=str)
@pytest.mark.parametrize("n", [2, 10, 1000])
def test_variance_and_error_add_up_to_the_truth_under_mle(regime, n):
    if n == 2 and (
        not isinstance(regime, Replace | ReplaceGrown | Accumulate | AccumulateSubsample | RealOnly)
        or getattr(regime, "fresh", 0)
    ):
        n = 10
    total = theory.expected_variance(regime, n, 50) + theory.expected_error(regime, n, 50)
    assert_allclose(total, 1, rtol=1e-12)


@pytest.mark.parametrize("regime", EVERY, ids=str)
@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
def test_the_first_fit_is_the_same_in_every_regime(regime, estimator):
    assert_allclose(theory.expected_variance(regime, 10, 1, estimator), 0.9 if estimator == "mle" else 1.0)
    assert_allclose(theory.expected_error(regime, 10, 1, estimator), 0.1)


def test_mixtures_that_are_other_regimes_have_their_laws():
    for mixture, same in (
        (Mixture(1, 0, 0), Replace()),
        (Mixture(0.7, 0, 0.3), Keep(0.3)),
        (Mixture(0.7, 0, 0.3, fresh=True), FreshReal(0.3)),
    ):
        for law in (theory.expected_variance, theory.expected_error):
            for estimator in ("mle", "unbiased"):
                assert_allclose(law(mixture, 20, 9, estimator), law(same, 20, 9, estimator), rtol=1e-14)


def test_the_general_mixture_law_meets_keep_where_they_meet():
    # The recursion for β > 0 at a β too small to hold a sample is Keep's, computed another way.
    near = Mixture(0.7, 0.0, 0.3)
    sizes = np.full(9, 20.0)
    variance, error = theory.gaussian._law(Keep(0.3), sizes, False)
    alpha, beta, gamma = (c / 20 for c in near.counts(20))
    inner, distance = 1 - 1 / 20, 0.0
    for t in range(1, 9):
        v, d = inner, distance
        distance = (1 - gamma) ** 2 * d + gamma * (1 - gamma) / 20 + alpha * v / 20
        inner = gamma * (1 - 1 / 20) + (1 - gamma) * d + beta * v + alpha * v - distance
        assert_allclose([inner, 1 / 20 + distance], [variance[t], error[t]], rtol=1e-13)


def test_a_vanishing_inflow_of_real_data_is_accumulate():
    sizes = np.array([10.0, 20.0, 15.0, 40.0])
    for unbiased in (False, True):
        none = theory.gaussian._accumulate_with_real(np.zeros(4), 10, sizes, unbiased)
        np.testing.assert_allclose(none, theory.gaussian._law(Accumulate(), sizes, unbiased), rtol=1e-13)
        every = theory.gaussian._accumulate_with_real(np.ones(4), 10, sizes, unbiased)
        np.testing.assert_allclose(every, theory.gaussian._law(RealOnly(), sizes, unbiased), rtol=1e-13)


def test_limits():
    for n, limit in ((10, 0.8434), (100, 0.98363)):
        assert np.sinc(1 / np.sqrt(n)) == pytest.approx(limit, abs=5e-5)  # sin(π/√n)/(π/√n)
        assert theory.expected_variance(Accumulate(), n, 200_000)[-1] == pytest.approx(limit, abs=1e-4)
    assert theory.expected_variance(Accumulate(), 100, 200, "unbiased")[-1] == pytest.approx(0.99360, abs=1e-5)
    assert 1000 * theory.expected_error(Accumulate(), 1000, 100_000, "unbiased")[-1] == pytest.approx(
        np.pi**2 / 6, abs=2e-3
    )


@pytest.mark.parametrize(
    ("regime", "factor"),
    [
        (Accumulate(), 1.645),
        (AccumulateSubsample(), 2.93),
        (FreshReal(0.1), 5.24),
        (Keep(0.1), 6.18),
        (Keep(0.1, False), 14.67),
    ],
    ids=str,
)
def test_error_in_units_of_the_first_fit(regime, factor):
    assert 1000 * theory.expected_error(regime, 1000, 50_000)[-1] == pytest.approx(factor, rel=2e-3)


@pytest.mark.parametrize(
    ("growth", "factor"), [(1, 1.645), (1.1, 1.599), (1.5, 1.469), (2, 1.372), (4, 1.208), (10, 1.092)]
)
def test_growing_sets_shrink_the_accumulated_error(growth, factor):
    assert theory.growth_error_factor(growth) == pytest.approx(factor, abs=5e-4)
    n = 10**6
    sizes = [round(n * growth**t) for t in range(200 if growth == 1 else 30)]
    law = theory.expected_error(Accumulate(), lambda t: sizes[t - 1], len(sizes), "unbiased")
    assert n * law[-1] == pytest.approx(factor, rel=2e-2)
    assert (law <= theory.accumulate_error_bound(sizes)).all()


def test_the_universal_bound_is_sharp():
    sizes = [10**6, 10**9]
    error = theory.expected_error(Accumulate(), lambda t: sizes[t - 1], 2, "unbiased")[-1]
    assert error * 10**6 < 2
    # One large batch after the first repeats its error in full.
    assert 10**6 * theory.expected_error(Accumulate(), lambda t: [10**6, 10**6][t - 1], 2, "unbiased")[
        -1
    ] == pytest.approx(1.25)


def test_geometric_growth_bounds_replace_too():
    error = theory.expected_error(Replace(), lambda t: 1000 * 2 ** (t - 1), 40, "unbiased")
    assert 1000 * error[-1] == pytest.approx(theory.replace_growth_factor(2), rel=1e-6)


def test_exact_quantiles_of_one_generation_are_chi_squared():
    p = [0.01, 0.05, 0.5, 0.95, 0.99]
    for n in (3, 10, 200):
        assert_allclose(theory.variance_quantiles_replace(n, [1], p)[0], stats.chi2.ppf(p, n - 1) / (n - 1), rtol=1e-3)
        mle = theory.variance_quantiles_replace(n, [1], p, "mle")[0]
        assert_allclose(mle, stats.chi2.ppf(p, n - 1) / n, rtol=1e-3)


def test_the_drift_is_about_one_over_n():
    assert theory.log_drift(1000) == pytest.approx(-1 / 999, rel=1e-3)
    assert theory.log_drift(1000, estimator="mle") == pytest.approx(-2 / 1000, rel=2e-3)


@pytest.mark.parametrize("n", [2_000, 2_003, 10**6, 10**13])
def test_the_drift_keeps_its_digits(n):
    # Reference with 40 digits, in two dimensions so that the logarithms of both arguments enter.
    with mpmath.workdps(40):
        exact = sum(mpmath.digamma(mpmath.mpf(n - i) / 2) - mpmath.log(mpmath.mpf(n - 1) / 2) for i in (1, 2))
    assert theory.log_drift(n, 2) == pytest.approx(float(exact), rel=1e-10)


def test_w2_under_mle_never_exceeds_two():
    assert theory.expected_w2_replace(5, 10_000, "mle").max() < 2
    assert theory.expected_w2_replace(5, 10_000)[-1] > 1000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.expected_variance(Replace(), 1, 3), "n=1 .*at least 2"),
        (lambda: theory.expected_variance(Replace(), 10, 0), "generations=0"),
        (lambda: theory.expected_variance(Replace(), 10, 3, "map"), "estimator='map'"),
        (lambda: theory.expected_variance(AccumulateSubsample(), lambda t: 10 * t, 3), "n=.*equal set sizes"),
        (lambda: theory.expected_variance(Mixture(0.4, 0.3, 0.3, fresh=True), 10, 3), "fresh=False"),
        (lambda: theory.log_drift(5, 5), "n=5 .*more than dimension=5"),
        (lambda: theory.replace_growth_factor(1), "growth=1"),
        (lambda: theory.growth_error_factor(0.5), "growth=0.5"),
        (lambda: theory.expected_variance("Replace", 10, 3), "regime='Replace' .*lib.regimes"),
    ],
)
def test_what_has_no_law_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
