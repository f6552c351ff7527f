"""Every Gaussian law against simulations of explicit points, and the two samplers against each other.

Seeds were fixed before the first look. Laws: 20 000 runs, |z| < 4 for each mean. One z exceeds 4 by chance with
probability 6·10⁻⁵; the tests below look at about 2900 of them, most of them strongly correlated, so for a fresh choice
of seeds a correct library fails somewhere with probability below 19%. Sampler tests: each p-value above 10⁻⁵; 40 of
them give a false alarm with probability below 4·10⁻⁴.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lib import theory
from lib.pool import Rows
from lib.recursion import recurse
from lib.regimes import (
    Accumulate,
    FreshReal,
    Keep,
    RealOnly,
    Replace,
    ReplaceGrown,
)
from lib.streams import child
from lib.worlds.gaussian import Gaussian
from tests.unit.every import WITH_LAWS

pytestmark = pytest.mark.statistical

RUNS = 20_000
SEED = 20240724
N, T = 20, 10  # t ≤ n/2: beyond that sample means of unbiased Replace mislead


def z_scores(values, law):
    """(mean − law) in standard errors, for values of dims (…, run); 0 where there is no spread and no difference."""
    error = values.std("run", ddof=1) / np.sqrt(values.sizes["run"])
    gap = values.mean("run") - law
    return np.where(abs(gap) < 1e-12, 0.0, gap / error.where(error > 0, 1e-300))


@pytest.fixture(scope="module", params=["mle", "unbiased"])
def explicit(request):
    world = Gaussian(1, request.param, "explicit")
    data = recurse(
        world, WITH_LAWS, n=N, generations=T, runs=RUNS, seed=SEED, scores=("trace_ratio", "squared_mean_error")
    )
    return request.param, data


@pytest.mark.parametrize("regime", WITH_LAWS, ids=str)
def test_laws_of_every_regime(explicit, regime):
    estimator, data = explicit
    for score, law in (("trace_ratio", theory.expected_variance), ("squared_mean_error", theory.expected_error)):
        z = z_scores(data[score].sel(regime=str(regime)), law(regime, N, T, estimator))
        assert abs(z).max() < 4, (score, z)


def test_the_one_oracle_for_all_regimes(explicit):
    estimator, data = explicit
    if estimator == "mle":
        z = z_scores(data["trace_ratio"] + data["squared_mean_error"], 1.0)
        assert abs(z).max() < 4


@dataclass(frozen=True)
class Elsewhere(Gaussian):
    """Real data from another distribution, of mean 0 and variance 1."""

    truth: Any = None

    def real(self, runs, size, rng, used):
        return Rows(self.truth.rvs(size=(runs, size, 1), random_state=child(rng, used)))


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
@pytest.mark.parametrize("truth", [stats.expon(-1), stats.uniform(-(3**0.5), 2 * 3**0.5)], ids=lambda t: t.dist.name)
def test_laws_hold_for_a_truth_that_is_not_gaussian(estimator, truth):
    regimes = [Replace(), Accumulate(), FreshReal(0.3)]
    world = Elsewhere(1, estimator, "statistic", truth=truth)
    data = recurse(
        world, regimes, n=N, generations=T, runs=RUNS, seed=SEED, scores=("trace_ratio", "squared_mean_error")
    )
    for regime in regimes:
        of = data.sel(regime=str(regime))
        assert abs(z_scores(of["trace_ratio"], theory.expected_variance(regime, N, T, estimator))).max() < 4
        assert abs(z_scores(of["squared_mean_error"], theory.expected_error(regime, N, T, estimator))).max() < 4


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
def test_laws_of_the_statistic_sampler_per_coordinate(estimator):
    regimes = [r for r in WITH_LAWS if not r.needs_take]
    world = Gaussian(3, estimator, "statistic")
    scores = ("trace_ratio", "squared_mean_error")
    data = recurse(world, regimes, n=N, generations=T, runs=RUNS, seed=SEED, scores=scores)
    for regime in regimes:
        of = data.sel(regime=str(regime))
        assert abs(z_scores(of["trace_ratio"], theory.expected_variance(regime, N, T, estimator))).max() < 4
        assert abs(z_scores(of["squared_mean_error"] / 3, theory.expected_error(regime, N, T, estimator))).max() < 4


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
@pytest.mark.parametrize("growth", [1.5, 3])
def test_laws_of_growing_sets(estimator, growth):
    def sizes(t):
        return round(8 * growth ** (t - 1))

    regimes = [Replace(), ReplaceGrown(), Accumulate(), Accumulate(fresh=0.25), RealOnly(), FreshReal(0.3), Keep(0.0)]
    world = Gaussian(1, estimator)
    regimes = [r for r in regimes if not r.needs_take]
    data = recurse(
        world, regimes, n=sizes, generations=8, runs=RUNS, seed=SEED, scores=("trace_ratio", "squared_mean_error")
    )
    for regime in regimes:
        of = data.sel(regime=str(regime))
        assert abs(z_scores(of["trace_ratio"], theory.expected_variance(regime, sizes, 8, estimator))).max() < 4
        assert abs(z_scores(of["squared_mean_error"], theory.expected_error(regime, sizes, 8, estimator))).max() < 4


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
def test_expected_w2_under_replace(estimator):
    data = recurse(Gaussian(1, estimator), Replace(), n=N, generations=T, runs=RUNS, seed=SEED, scores="w2_squared")
    assert abs(z_scores(data["w2_squared"], theory.expected_w2_replace(N, T, estimator))).max() < 4


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
@pytest.mark.parametrize(("n", "d"), [(10, 1), (30, 4), (12, 10)])
def test_law_of_the_log_determinant_beyond_the_reach_of_means(estimator, n, d):
    """Mean and variance of ln det under Replace at t = 5n, where sample means of the variance itself mislead."""
    t = 5 * n
    data = recurse(Gaussian(d, estimator), Replace(), n=n, generations=t, runs=RUNS, seed=SEED, scores="log_det_ratio")
    values = data["log_det_ratio"].isel(regime=0).sel(generation=[n // 2, t])
    times = values["generation"].values
    assert abs(z_scores(values, theory.log_drift(n, d, estimator) * times)).max() < 4
    centred = (values - values.mean("run")) ** 2
    assert abs(z_scores(centred, theory.gaussian.log_spread(n, d) * times)).max() < 4


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
@pytest.mark.parametrize(("n", "t"), [(3, 4), (20, 100)])
def test_exact_quantiles_under_replace(estimator, n, t):
    data = recurse(Gaussian(1, estimator), Replace(), n=n, generations=t, runs=RUNS, seed=SEED, scores="trace_ratio")
    values = data["trace_ratio"].isel(regime=0, generation=-1).values
    for p in (0.05, 0.5, 0.95):
        quantile = theory.variance_quantiles_replace(n, [t], [p], estimator)[0, 0]
        assert abs((values < quantile).mean() - p) / np.sqrt(p * (1 - p) / RUNS) < 4


# The statistic sampler against the explicit one: final log variance, two-sample Kolmogorov–Smirnov, 2000 runs each.


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
@pytest.mark.parametrize(("n", "d"), [(2, 1), (5, 1), (50, 1), (12, 3), (6, 10), (40, 20)])
def test_the_samplers_agree_in_law(estimator, n, d):
    regimes = [Replace(), Accumulate()]
    settings = {"n": n, "generations": 8, "runs": 2000, "scores": ("trace_ratio", "squared_mean_error", "w2_squared")}
    drawn = recurse(Gaussian(d, estimator, "explicit"), regimes, seed=SEED, **settings)
    summed = recurse(Gaussian(d, estimator, "statistic"), regimes, seed=SEED + 1, **settings)
    for regime in ("Replace", "Accumulate"):
        for score in settings["scores"]:
            one, two = (np.log(x[score].sel(regime=regime).isel(generation=-1).values) for x in (drawn, summed))
            assert stats.ks_2samp(one, two).pvalue > 1e-5, (regime, score)


@pytest.mark.parametrize(("n", "d"), [(12, 3), (40, 20)])
def test_the_samplers_agree_in_the_determinant(n, d):
    settings = {"n": n, "generations": 8, "runs": 2000, "scores": "log_det_ratio"}
    regimes = [Replace(), Accumulate(), Keep(0.25, redraw=False)]
    drawn = recurse(Gaussian(d, "mle", "explicit"), regimes, seed=SEED, **settings)["log_det_ratio"]
    summed = recurse(Gaussian(d, "mle", "statistic"), regimes, seed=SEED + 1, **settings)["log_det_ratio"]
    for regime in drawn["regime"].values:
        one, two = (x.sel(regime=regime).isel(generation=-1).values for x in (drawn, summed))
        assert stats.ks_2samp(one, two).pvalue > 1e-5, regime


@pytest.mark.parametrize(("n", "d"), [(10, 1), (10, 4), (6, 9)])
def test_a_subset_split_off_moments_has_the_law_of_a_subset_of_points(n, d):
    settings = {"n": n, "generations": 5, "runs": 2000, "scores": ("trace_ratio", "squared_mean_error")}
    regime = Keep(0.5, redraw=False)
    drawn = recurse(Gaussian(d, "mle", "explicit"), regime, seed=SEED, **settings)
    summed = recurse(Gaussian(d, "mle", "statistic"), regime, seed=SEED + 1, **settings)
    for score in settings["scores"]:
        for generation in (1, 4):
            one, two = (x[score].isel(regime=0, generation=generation).values for x in (drawn, summed))
            assert stats.ks_2samp(one, two).pvalue > 1e-5, (score, generation)


def test_a_wrong_law_is_caught():
    """The tests above have power: a law off by one generation, or an estimator swapped, is far outside |z| < 4."""
    world = Gaussian(1, "mle", "statistic")
    data = recurse(
        world, Accumulate(), n=N, generations=T, runs=RUNS, seed=SEED, scores=("trace_ratio", "squared_mean_error")
    )
    late = theory.expected_error(Accumulate(), N, T + 1)[1:]
    assert abs(z_scores(data["squared_mean_error"].isel(regime=0), late)).max() > 4
    swapped = theory.expected_variance(Accumulate(), N, T, "unbiased")
    assert abs(z_scores(data["trace_ratio"].isel(regime=0), swapped)).max() > 4
