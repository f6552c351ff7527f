"""The discrete world against its laws: every outcome of small recursions, means of large ones.

Seeds were fixed before the first look. Outcomes: chi-squared tests on 20 000 runs, each p-value above 10⁻⁵; 72 of them
give a false alarm with probability below 10⁻³. Means: 8000 runs, |z| < 4; one z exceeds 4 by chance with probability
6·10⁻⁵, and about 1100 are looked at, most of them strongly correlated: below 8% for a fresh choice of seeds.
"""

import numpy as np
import pytest
from scipy import stats

from lib.recursion import recurse
from lib.regimes import Accumulate, AccumulateSubsample, FreshReal, Replace, ReplaceGrown
from lib.theory import discrete as laws
from lib.theory import expected_error
from lib.worlds.discrete import Discrete, extinct_at
from tests.statistical.test_gaussian_laws import z_scores
from tests.unit import chains
from tests.unit.enumeration import law
from tests.unit.every import WITH_LAWS
from tests.unit.test_discrete import EVERY, TRUTH

pytestmark = pytest.mark.statistical

RUNS = 20_000
RUNS_OF_MEANS = 8000
SEED = 20240724


def p_value(counts, outcomes):
    """Chi-squared p-value of observed counts (runs, K) against the exact law; rare outcomes are put together."""
    rows, times = np.unique(counts, axis=0, return_counts=True)
    seen = {tuple(row): k for row, k in zip(rows.tolist(), times, strict=True)}
    assert set(seen) <= set(outcomes)
    expected = np.array(list(outcomes.values())) * len(counts)
    observed = np.array([seen.get(outcome, 0) for outcome in outcomes], dtype=float)
    common = expected >= 10
    expected = np.append(expected[common], expected[~common].sum())
    observed = np.append(observed[common], observed[~common].sum())
    if expected[-1] < 10:
        expected[-2], observed[-2] = expected[-2:].sum(), observed[-2:].sum()
        expected, observed = expected[:-1], observed[:-1]
    return stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), len(expected) - 1)


@pytest.mark.parametrize("regime", EVERY, ids=str)
def test_every_outcome_of_four_samples_and_three_states(regime):
    data = recurse(
        Discrete(TRUTH),
        regime,
        n=4,
        generations=3,
        runs=RUNS,
        seed=SEED,
        scores=(),
        keep="probabilities",
    )
    for t, outcomes in enumerate(law(regime, TRUTH, 4, 3)):
        counts = data["probabilities"].isel(regime=0, generation=t).values * int(data["train_size"][0, t])
        assert p_value(counts.round().astype(int), outcomes) > 1e-5, t


@pytest.mark.parametrize("regime", [Replace(), Accumulate()], ids=str)
def test_every_outcome_of_twelve_samples_and_three_states(regime):
    now = chains.multinomial_table(chains.compositions(12, 3), np.array([TRUTH]))[0]
    data = recurse(Discrete(TRUTH), regime, n=12, generations=3, runs=RUNS, seed=SEED, scores=(), keep="probabilities")
    for t in range(3):
        size = int(data["train_size"][0, t])
        outcomes = {tuple(c): p for c, p in zip(chains.compositions(size, 3).tolist(), now, strict=True)}
        counts = data["probabilities"].isel(regime=0, generation=t).values * size
        assert p_value(counts.round().astype(int), outcomes) > 1e-5, t
        now = now @ (chains.transition_matrix(12, 3) if regime == Replace() else chains.urn_matrix(12, 3, t + 1))


@pytest.mark.parametrize("regime", WITH_LAWS, ids=str)
def test_heterozygosity_and_error_in_every_regime(regime):
    world = Discrete("zipf", 10)
    data = recurse(
        world,
        regime,
        n=20,
        generations=10,
        runs=RUNS_OF_MEANS,
        seed=SEED,
        scores="heterozygosity_ratio",
        keep="probabilities",
    )
    data = data.isel(regime=0)
    assert abs(z_scores(data["heterozygosity_ratio"], laws.expected_heterozygosity(regime, 20, 10))).max() < 4
    q = world.probabilities
    error = ((data["probabilities"] - q) ** 2).isel(state=[0, 9]) / (q * (1 - q))[[0, 9]]
    assert abs(z_scores(error.transpose("state", "generation", "run"), expected_error(regime, 20, 10, "mle"))).max() < 4


@pytest.mark.parametrize("n", [50, 2000])
def test_support_and_missing_mass_of_words_that_thin_out(n):
    world, generations = Discrete("zipf", 60), 15
    regimes = [Replace(), Accumulate(), ReplaceGrown()]
    scores = ("support", "missing_mass", "tail_ratio")
    data = recurse(world, regimes, n=n, generations=generations, runs=RUNS_OF_MEANS, seed=SEED, scores=scores)
    sizes = {"Replace": (n, "replace"), "Accumulate": (n, "accumulate"), "ReplaceGrown": (lambda t: n * t, "replace")}
    for label, (size, kind) in sizes.items():
        of = data.sel(regime=label)
        assert (
            abs(z_scores(of["support"], laws.expected_support(world.probabilities, size, generations, kind))).max() < 4
        ), label
        assert (
            abs(
                z_scores(of["missing_mass"], laws.expected_missing_mass(world.probabilities, size, generations, kind))
            ).max()
            < 4
        )
        assert (
            abs(z_scores(of["tail_ratio"], 1.0)).max() < 4
        )  # the mean of the tail is kept, whatever happens to most runs


def test_loss_and_fixation_of_each_state():
    world = Discrete((0.7, 0.2, 0.06, 0.04))
    data = recurse(
        world, Replace(), n=25, generations=60, runs=RUNS, seed=SEED, scores=(), keep=("present", "probabilities")
    )
    every = np.array([1, 2, 5, 20, 60])
    data = data.isel(regime=0).sel(generation=every).transpose("state", "generation", "run")
    lost = laws.lost(world.probabilities, 25, 60)[every - 1].T
    fixed = laws.fixation(world.probabilities, 25, 60)[every - 1].T
    for found, law_ in ((1.0 - data["present"], lost), (1.0 * (data["probabilities"] == 1), fixed)):
        z = (found.mean("run").values - law_) / np.sqrt(np.maximum(law_ * (1 - law_), 1e-9) / RUNS)
        assert abs(z).max() < 4


def test_the_mean_time_to_one_state():
    """Against the exact chain: the mean is the sum over t of the chance that more than one state is left."""
    exact = {n: 1 + (1 - laws.fixation(np.full(10, 0.1), n, 40 * n).sum(axis=1)).sum() for n in (10, 100)}
    assert abs(exact[10] - 17.50) < 0.01 and abs(exact[100] - 187.4) < 0.1
    assert 1.07 < laws.mean_time_to_one_state(np.full(10, 0.1), 10) / exact[10] < 1.09
    assert 1.01 < laws.mean_time_to_one_state(np.full(10, 0.1), 100) / exact[100] < 1.02
    assert abs(laws.mean_time_to_one_state([0.1] * 10, 1000) - 18_000 * np.log(10 / 9)) < 1e-6


def test_the_mean_time_to_loss():
    world = Discrete((0.5, 0.5))
    data = recurse(
        world, Replace(), n=10, generations=200, runs=RUNS, seed=SEED, scores=(), keep=("present", "probabilities")
    )
    at = extinct_at(data["present"]).isel(regime=0, state=0).values
    first = (data["probabilities"].isel(regime=0, state=0, generation=0) * 10).values.round()
    assert data["present"].isel(regime=0, generation=-1).sum("state").max() == 1
    for count in (3, 5):
        times = at[(first == count) & ~np.isnan(at)] - 1
        z = (times.mean() - laws.mean_time_to_loss(count, 10)) / times.std(ddof=1) * np.sqrt(times.size)
        assert abs(z) < 4


def test_ten_to_the_thirteen_samples_obey_the_same_law():
    regimes = [Replace(), Accumulate(), FreshReal(0.5), ReplaceGrown()]
    world, n = Discrete("zipf", 5), 10**13
    data = recurse(world, regimes, n=n, generations=6, runs=RUNS, seed=SEED, scores=(), keep="probabilities")
    q = world.probabilities
    for regime in regimes:
        error = (data["probabilities"].sel(regime=str(regime)) - q) ** 2 / (q * (1 - q))
        expected = expected_error(regime, n, 6, "mle")
        assert abs(z_scores((n * error).transpose("state", "generation", "run"), n * expected)).max() < 4


def test_a_wrong_law_is_caught():
    """The tests above have power: regimes taken for each other, or sampling with replacement, are far outside their
    bounds."""
    data = recurse(
        Discrete(TRUTH),
        AccumulateSubsample(),
        n=4,
        generations=3,
        runs=RUNS,
        seed=SEED,
        scores=(),
        keep="probabilities",
    )
    counts = (data["probabilities"].isel(regime=0, generation=2).values * 4).round().astype(int)
    assert p_value(counts, law(Replace(), TRUTH, 4, 3)[-1]) < 1e-5
    data = recurse(
        Discrete("zipf", 10), Accumulate(), n=20, generations=10, runs=RUNS, seed=SEED, scores="heterozygosity_ratio"
    )
    late = laws.expected_heterozygosity(Accumulate(), 20, 11)[1:]
    assert abs(z_scores(data["heterozygosity_ratio"].isel(regime=0), late)).max() > 4
