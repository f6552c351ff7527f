"""The laws of chapter 11 against simulation.

Seeds were fixed before the first look. |z| < 4 for each mean: one exceeds 4 by chance with probability 6·10⁻⁵, about
150 are looked at, most of them strongly correlated: below 1% for a fresh choice of seeds. Laws for n → ∞ are tested at
an n at which the rest is far below the error.
"""

import numpy as np
import pytest

from lib import theory
from lib.recursion import recurse
from lib.regimes import Accumulate, FreshReal, Replace
from lib.theory import limits
from lib.verifier import Verifier
from lib.worlds.discrete import Discrete, sharpened
from lib.worlds.gaussian import Gaussian
from lib.worlds.regression import Regression
from tests.statistical.test_gaussian_laws import z_scores

pytestmark = pytest.mark.statistical

RUNS, SEED = 20_000, 20250526


@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
@pytest.mark.parametrize("temperature", [0.0, 0.6, 1.3])
def test_tempered_variance(temperature, sampler):
    world = Gaussian(temperature=temperature, sampler=sampler)
    data = recurse(world, [Replace(), Accumulate()], n=8, generations=6, runs=RUNS, seed=SEED, scores="trace_ratio")
    for regime in (Replace(), Accumulate()):
        values = data["trace_ratio"].sel(regime=str(regime))
        law = limits.tempered_variance(regime, 8, 6, temperature)
        if temperature == 0 and isinstance(regime, Replace):
            assert np.allclose(values[1:], 0) and np.allclose(law[1:], 0)
            values, law = values[:1], law[:1]
        assert abs(z_scores(values, law)).max() < 4


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
@pytest.mark.parametrize("weight", [0.1, 0.618, 0.95])
def test_weighted_real_data(weight, estimator):
    regime = FreshReal(0.25, weight=weight)
    scores = ("trace_ratio", "squared_mean_error")
    data = recurse(Gaussian(estimator=estimator), regime, n=20, generations=6, runs=RUNS, seed=SEED, scores=scores)
    for score, law in zip(scores, (theory.expected_variance, theory.expected_error), strict=True):
        assert abs(z_scores(data[score].isel(regime=0), law(regime, 20, 6, estimator))).max() < 4


@pytest.mark.parametrize("ratio", [0.25, 1.0])
def test_the_stationary_error_of_a_weight(ratio):
    """With `ratio` real samples for each synthetic one."""
    share = ratio / (1 + ratio)
    regimes = [FreshReal(share, weight=w) for w in (0.35, 0.618, 0.9)]
    n = 40
    data = recurse(
        Gaussian(estimator="known"), regimes, n=n, generations=30, runs=RUNS, seed=SEED, scores="squared_mean_error"
    )
    for regime in regimes:
        values = share * n * data["squared_mean_error"].sel(regime=str(regime)).isel(generation=[-1])
        assert abs(z_scores(values, limits.weighted_error(regime.weight, ratio))).max() < 4


def test_strong_collapse():
    world = Regression(10, 0.5, design="fresh", shift=1.0)
    for n in (1000, 10_000):
        data = recurse(
            world, FreshReal(0.7), n=lambda t, n=n: 10**13 if t == 1 else n, generations=2, runs=RUNS, seed=SEED
        )
        values = data["excess_risk"].isel(regime=0, generation=[1])
        assert abs(z_scores(values, limits.strong_collapse_risk(n, 10, 0.5, 0.3, 1.0))).max() < 4


def test_a_shift_that_recurs():
    regimes = [Replace(), Accumulate(), FreshReal(0.2), Accumulate(fresh=0.2)]
    data = recurse(Regression(4, 1.0, design="fresh", shift=1.0), regimes, n=10**6, generations=12, runs=50, seed=SEED)
    for regime in regimes:
        found = (data["shrinkage"].sel(regime=str(regime)) - 1).mean("run")
        assert np.allclose(found, limits.recurring_shift(regime, 12), atol=0.003)


def test_verifiers_and_cuts_follow_their_mean_fields():
    accept, truth = (0.9, 0.6, 0.3), [0.45, 0.35, 0.2]
    regimes = [Replace(), Accumulate()]
    size = {"n": 10**6, "generations": 12, "runs": 10, "seed": SEED, "scores": (), "keep": "probabilities"}
    verified = recurse(Discrete(truth), regimes, select=Verifier(accept, 0.25), **size)
    zipf = Discrete("zipf", 50, temperature=0.8, top_p=0.9)
    cut = recurse(zipf, regimes, **size)
    for regime in regimes:
        law = limits.mean_field(regime, truth, 12, limits.tilted(accept), 0.25)
        assert np.allclose(verified["probabilities"].sel(regime=str(regime)).mean("run"), law, atol=0.003)
        law = limits.mean_field(regime, zipf.probabilities, 12, lambda p: sharpened(p, 0.8, 0.9))
        assert np.allclose(cut["probabilities"].sel(regime=str(regime)).mean("run"), law, atol=0.01)


def test_the_gaussian_stays_within_its_martingale_bound():
    for n in (25, 100, 400):
        data = recurse(
            Gaussian(), Accumulate(), n=n, generations=200, runs=4000, seed=SEED, scores="squared_mean_error"
        )
        far = (data["squared_mean_error"].max("generation") >= 0.25**2).mean().item()
        assert far <= limits.maximal_error_bound(n, 0.25)
