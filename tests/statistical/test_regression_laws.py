"""Every law of the regression world against simulation, and the two samplers against each other.

Seeds were fixed before the first look. Laws: 20 000 runs, |z| < 4 for each mean. One z exceeds 4 by chance with
probability 6·10⁻⁵; about 1100 of them are looked at, most of them strongly correlated: below 7% for a fresh choice of
seeds. Samplers: each p-value above 10⁻⁵; 30 of them give a false alarm with probability below 3·10⁻⁴.
"""

import numpy as np
import pytest
from scipy import stats

from lib.recursion import recurse
from lib.regimes import Accumulate, AccumulateSubsample, FreshReal, RealOnly, Replace, ReplaceGrown
from lib.theory import expected_error
from lib.theory import regression as laws
from lib.worlds.regression import Regression
from tests.statistical.test_gaussian_laws import z_scores

pytestmark = pytest.mark.statistical

RUNS = 20_000
SEED = 20240724
D, N, T = 4, 30, 10
WHOLE = [Replace(), ReplaceGrown(), Accumulate(), RealOnly(), RealOnly(grow=False)]
FRESH = [*WHOLE, FreshReal(0.1), FreshReal(0.5), FreshReal(0.9)]


def check_risk(world, regimes, n, generations, design):
    data = recurse(world, regimes, n=n, generations=generations, runs=RUNS, seed=SEED, scores="excess_risk")
    for regime in regimes:
        expected = laws.expected_excess_risk(regime, n, generations, world.dimension, world.noise, design)
        z = z_scores(data["excess_risk"].sel(regime=str(regime)), expected)
        assert abs(z).max() < 4, (regime, z)


@pytest.mark.parametrize("d", [1, 4])
def test_laws_of_the_fixed_design(d):
    check_risk(Regression(d, noise=0.7), WHOLE, N, T, "fixed")


@pytest.mark.parametrize(("d", "n"), [(1, 100), (10, 100), (10, 300)])
def test_law_of_subsets_of_the_pool(d, n):
    check_risk(Regression(d, noise=0.7, sampler="explicit"), [AccumulateSubsample()], n, T, "fixed")


def test_law_of_subsets_is_low_by_two_over_n_where_rows_are_few():
    world = Regression(10, sampler="explicit")
    data = recurse(world, AccumulateSubsample(), n=30, generations=T, runs=RUNS, seed=SEED, scores="excess_risk")
    found = data["excess_risk"].isel(regime=0, generation=-1).mean("run").item()
    law = laws.expected_excess_risk(AccumulateSubsample(), 30, T, 10)[-1]
    assert 1 < 30 * (found / law - 1) < 3


def test_law_of_subsets_far_from_few_rows_is_that_of_a_mean():
    law = 10_000 * laws.expected_excess_risk(AccumulateSubsample(), 10_000, 300, 1)
    assert np.allclose(law, 10_000 * expected_error(AccumulateSubsample(), 10_000, 300), rtol=1e-3)


def test_law_of_subsets_tends_to_a_number():
    law = laws.expected_excess_risk(AccumulateSubsample(), 10**6, 4000, 1) / laws.first_fit_risk(10**6, 1)
    assert abs(law[-1] + 3 / 4000 - (np.pi**2 / 2 - 2)) < 1e-5


@pytest.mark.parametrize(("d", "n"), [(1, 12), (10, 100), (30, 100)])
def test_spread_of_the_risk_of_a_run(d, n):
    data = recurse(Regression(d), [Replace(), Accumulate()], n=n, generations=5, runs=RUNS, seed=SEED)["excess_risk"]
    for regime in data["regime"].values:
        x = data.sel(regime=regime).values
        x = x / x.mean(axis=1, keepdims=True) - 1
        z = (x.var(axis=1) - laws.relative_spread(n, d) ** 2) / ((x**2).std(axis=1) / np.sqrt(RUNS))
        assert abs(z).max() < 4, (regime, z)


def test_law_of_subsets_with_too_few_different_rows_is_refused():
    with pytest.raises(ValueError, match="different ones in a subset"):
        laws.expected_excess_risk(AccumulateSubsample(), 120, 100, 100)
    with pytest.raises(ValueError, match="fixed design"):
        laws.expected_excess_risk(AccumulateSubsample(), 120, 3, 10, design="fresh")
    with pytest.raises(ValueError, match="n=13 is not allowed: more than d.3=13 rows"):
        laws.relative_spread(13, 10)


@pytest.mark.parametrize("d", [1, 4])
def test_laws_of_fresh_designs(d):
    check_risk(Regression(d, noise=0.7, design="fresh"), FRESH, N, T, "fresh")


@pytest.mark.parametrize("design", ["fixed", "fresh"])
def test_laws_of_explicit_rows(design):
    world = Regression(2, design=design, sampler="explicit")
    check_risk(
        world,
        [Replace(), ReplaceGrown(), Accumulate(), RealOnly(), *([FreshReal(0.5)] if design == "fresh" else [])],
        12,
        4,
        design,
    )


@pytest.mark.parametrize("design", ["fixed", "fresh"])
def test_laws_of_growing_sets(design):
    regimes = [Replace(), ReplaceGrown(), Accumulate(), RealOnly()]
    check_risk(Regression(D, design=design), regimes, lambda t: 20 * 2 ** (t - 1), 6, design)


def test_ten_to_the_thirteen_rows_obey_the_same_laws():
    for design in ("fixed", "fresh"):
        check_risk(Regression(D, design=design), WHOLE, 10**13, 4, design)


@pytest.mark.parametrize("penalty", ["fixed", "per_row"])
@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_laws_of_a_given_design_and_of_ridge(ridge, penalty):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(8, D)) * [0.3, 0.6, 1.0, 2.0]
    weights = np.array([1.0, -1.0, 0.5, 2.0])
    values, vectors = np.linalg.eigh(x.T @ x)
    along = vectors.T @ weights
    regimes = [Replace(), ReplaceGrown(), Accumulate()]
    world = Regression(D, noise=0.3, design=x, ridge=ridge, penalty=penalty, weights=weights)
    data = recurse(world, regimes, n=8, generations=T, runs=RUNS, seed=SEED, keep="weights")
    first = ridge * (8 if penalty == "per_row" else 1)
    for regime in regimes:
        of = data.sel(regime=str(regime))
        risk = laws.ridge_excess_risk(regime, values, along, first, T, noise=0.3, penalty=penalty)
        assert abs(z_scores(of["excess_risk"], risk)).max() < 4, regime
        shrunk = laws.ridge_shrinkage(regime, values / (values + first), T, penalty)
        assert abs(z_scores(of["shrinkage"], shrunk @ along**2 / (weights @ weights))).max() < 4, regime
        found = np.einsum("grc,ck->kgr", of["weights"].values, vectors) / along[:, None, None]
        z = (found.mean(axis=2) - shrunk.T) / found.std(axis=2, ddof=1) * np.sqrt(RUNS)
        assert abs(z).max() < 4, regime


@pytest.mark.parametrize("design", ["fixed", "fresh"])
@pytest.mark.parametrize(("n", "d"), [(6, 1), (10, 6), (40, 20)])
def test_the_samplers_agree_in_law(n, d, design):
    regimes = [Replace(), Accumulate(), *([FreshReal(0.5)] if design == "fresh" else [])]
    settings = {"n": n, "generations": 6, "runs": 2000}
    drawn = recurse(Regression(d, design=design, sampler="explicit"), regimes, seed=SEED, **settings)
    summed = recurse(Regression(d, design=design), regimes, seed=SEED + 1, **settings)
    for regime in drawn["regime"].values:
        for score in ("excess_risk", "shrinkage"):
            one, two = (x[score].sel(regime=regime).isel(generation=-1).values for x in (drawn, summed))
            assert stats.ks_2samp(one, two).pvalue > 1e-5, (regime, score)


def test_a_wrong_law_is_caught():
    """The tests above have power: a law off by one generation, or of the other design, is far outside |z| < 4."""
    data = recurse(Regression(D), Accumulate(), n=N, generations=T, runs=RUNS, seed=SEED, scores="excess_risk")
    found = data["excess_risk"].isel(regime=0)
    assert abs(z_scores(found, laws.expected_excess_risk(Accumulate(), N, T + 1, D)[1:])).max() > 4
    assert abs(z_scores(found, laws.expected_excess_risk(Accumulate(), N, T, D, design="fresh"))).max() > 4
