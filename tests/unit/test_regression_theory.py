"""The laws of the regression world against each other, their limits and the numbers published for them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from lib.regimes import Accumulate, FreshReal, Keep, Mixture, RealOnly, Replace, ReplaceGrown
from lib.theory import regression as laws
from tests.unit.refusals import refused


def test_laws_of_the_fixed_design_are_those_published():
    first = 2**2 * 10 / (111 - 11)
    i = np.arange(1, 51)
    for regime, factor in ((Replace(), i), (ReplaceGrown(), np.cumsum(1 / i)), (Accumulate(), np.cumsum(1 / i**2))):
        assert_allclose(laws.expected_excess_risk(regime, 111, 50, 10, noise=2), first * factor)
    assert_allclose(laws.first_fit_risk(111, 10, 2), first)
    assert pytest.approx(6 / np.pi**2) == laws.ASYMPTOTIC_EFFICIENCY
    late = laws.expected_excess_risk(Accumulate(), 111, 100_000, 10, noise=2)[-1]
    assert (1 - 1e-4) * np.pi**2 / 6 < late / first < np.pi**2 / 6


def test_fresh_designs_err_less_except_under_replace():
    for regime, less in ((Replace(), False), (ReplaceGrown(), True), (Accumulate(), True)):
        fixed, fresh = (laws.expected_excess_risk(regime, 20, 10, 8, design=design) for design in ("fixed", "fresh"))
        assert_allclose(fixed[0], fresh[0])
        assert (fresh[1:] < fixed[1:]).all() if less else np.allclose(fixed, fresh)
    # With many rows for each dimension the designs no longer differ.
    fixed, fresh = (
        laws.expected_excess_risk(Accumulate(), 10**6, 10, 8, design=design) for design in ("fixed", "fresh")
    )
    assert_allclose(fixed, fresh, rtol=1e-4)


def test_regimes_that_are_others_have_their_laws():
    for design in ("fixed", "fresh"):
        assert_allclose(
            laws.expected_excess_risk(FreshReal(1), 30, 5, 4, design=design),
            laws.expected_excess_risk(RealOnly(grow=False), 30, 5, 4, design=design),
        )
    replace = laws.expected_excess_risk(Replace(), 30, 5, 4, design="fresh")
    assert_allclose(laws.expected_excess_risk(FreshReal(0.0), 30, 5, 4, design="fresh"), replace)


def test_growing_copies_of_a_fixed_design():
    growing = [20, 40, 80, 160]
    risk = laws.first_fit_risk(20, 4)
    found = laws.expected_excess_risk(Replace(), lambda t: growing[t - 1], 4, 4)
    assert_allclose(found, risk * np.cumsum([1, 1 / 2, 1 / 4, 1 / 8]))
    found = laws.expected_excess_risk(Accumulate(), lambda t: growing[t - 1], 4, 4)
    assert_allclose(found, risk * np.cumsum([1, 2 / 9, 4 / 49, 8 / 225]))


def test_ridge_laws():
    h = np.array([0.5, 0.9, 1.0])
    t = np.arange(1, 31)[:, None]
    for penalty in ("fixed", "per_row"):
        assert_allclose(laws.ridge_shrinkage(Replace(), h, 30, penalty), h**t)
    assert_allclose(laws.ridge_shrinkage(Accumulate(), h, 30), np.broadcast_to(h, (30, 3)))
    closed = laws.ridge_shrinkage_accumulate(h, 30)
    assert_allclose(laws.ridge_shrinkage(Accumulate(), h, 30, "per_row"), closed)
    assert_allclose(laws.ridge_shrinkage(ReplaceGrown(), h, 30, "per_row"), h**t)
    assert_allclose(laws.ridge_shrinkage(ReplaceGrown(), h, 30), np.cumprod(t / (t + 1 / h - 1), axis=0))
    assert closed[-1, 0] < 0.11 and closed[-1, 2] == pytest.approx(1)


def test_least_squares_is_ridge_without_a_penalty():
    s, i = np.array([3.0, 7.0]), np.arange(1, 11)
    for regime, factor in ((Replace(), i), (ReplaceGrown(), np.cumsum(1 / i)), (Accumulate(), np.cumsum(1 / i**2))):
        found = laws.ridge_excess_risk(regime, s, [5.0, 1.0], 0, 10, noise=0.5)
        assert_allclose(found, 0.25 * (1 / s).sum() * factor)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: laws.expected_excess_risk(Replace(), 11, 3, 10), ("n", 11)),
        (lambda: laws.expected_excess_risk(Keep(0.5), 20, 3, 4), ("regime",)),
        (lambda: laws.expected_excess_risk(FreshReal(0.5), 20, 3, 4), ("design", "fixed")),
        (lambda: laws.expected_excess_risk(Mixture(0.5, 0.5, 0), 20, 3, 4, design="fresh"), ("regime",)),
        (lambda: laws.expected_excess_risk(Replace(), lambda t: 20 + t, 3, 4), ("n",)),
        (lambda: laws.expected_excess_risk(Replace(), 20, 3, 4, design="given"), ("design", "given")),
        (lambda: laws.expected_excess_risk("Replace", 20, 3, 4), ("regime", "Replace")),
        (lambda: laws.ridge_shrinkage(Keep(0.5), 0.5, 3), ("regime",)),
        (lambda: laws.ridge_shrinkage(Replace(), 1.5, 3), ("kept",)),
        (lambda: laws.ridge_shrinkage(Replace(), 0.5, 3, "none"), ("penalty", "none")),
        (lambda: laws.ridge_excess_risk(Replace(), [0.0, 1.0], [1, 1], 0, 3), ("eigenvalues",)),
        (lambda: laws.ridge_excess_risk(Replace(), [2.0, 1.0], [1, 1], -1, 3), ("ridge", -1)),
    ],
)
def test_what_has_no_law_is_an_error(call, expected):
    with refused(*expected):
        call()


@pytest.mark.parametrize("regime", [Accumulate(fresh=0.1), Accumulate(kept=0.5)], ids=str)
def test_a_law_of_accumulate_is_not_passed_off_as_that_of_its_variants(regime):
    with refused("regime"):
        laws.expected_excess_risk(regime, 40, 5, 3)
