"""Laws of the density worlds against simulations of explicit points.

Seeds were fixed before the first look. Every law at every generation must be within four standard errors of the
simulated mean. One z exceeds 4 by chance with probability 6·10⁻⁵; 336 of them are looked at, most of them strongly
correlated: below 3% for a fresh choice of seeds.
"""

import numpy as np
import pytest

from lib import theory
from lib.recursion import recurse
from lib.regimes import Accumulate, AccumulateSubsample, FreshReal, Keep, Mixture, RealOnly, Replace, ReplaceGrown
from lib.theory import mixture as laws
from lib.worlds.densities import GMM, KDE

pytestmark = pytest.mark.statistical

BOTH = [Replace(), ReplaceGrown(), Accumulate(), RealOnly()]
MOMENT_ONLY = [AccumulateSubsample(), FreshReal(0.3), Keep(0.4), Keep(0.4, redraw=False), Mixture(0.4, 0.3, 0.3)]
KERNEL_LAWS = {
    "second_moment": laws.expected_second_moment,
    "squared_mean_error": laws.expected_error,
    "variance_ratio": laws.expected_variance,
}


def z_scores(values, law):
    return (values.mean("run") - law) / (values.std("run", ddof=1) / np.sqrt(values.sizes["run"]))


@pytest.mark.parametrize("bandwidth", [0.7, "scott"])
@pytest.mark.parametrize("name", ["moons", "uneven_blobs"])
def test_kernel_density_estimates(name, bandwidth):
    n, generations = 10, 4
    data = recurse(
        KDE(name, bandwidth),
        BOTH + MOMENT_ONLY,
        n=n,
        generations=generations,
        runs=20_000,
        seed=5,
        scores=tuple(KERNEL_LAWS),
    )
    for regime in BOTH + MOMENT_ONLY:
        widths = laws.bandwidths(bandwidth, regime, n, generations, 2)
        for score in KERNEL_LAWS if regime in BOTH else ("second_moment",):
            law = KERNEL_LAWS[score](regime, n, generations, widths)
            assert (abs(z_scores(data[score].sel(regime=str(regime)), law)) < 4).all(), (regime, score)


@pytest.mark.parametrize(("name", "components"), [("uneven_blobs", 3), ("moons", 2)])
def test_a_mixture_has_the_variance_and_the_error_of_one_gaussian(name, components):
    n, generations = 12, 5
    regimes = [Replace(), Accumulate(), AccumulateSubsample()]
    scores = ("variance_ratio", "squared_mean_error")
    data = recurse(GMM(name, components), regimes, n=n, generations=generations, runs=300, seed=5, scores=scores)
    for regime in regimes:
        expected = theory.expected_variance(regime, n, generations), theory.expected_error(regime, n, generations)
        for score, law in zip(scores, expected, strict=True):
            # scikit-learn adds 10⁻⁶ to each variance: far below the standard errors here.
            assert (abs(z_scores(data[score].sel(regime=str(regime)), law)) < 4).all(), (regime, score)
