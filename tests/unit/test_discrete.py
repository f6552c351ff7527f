"""The discrete world: counts, scores and truths by hand, its laws by going through every outcome."""

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from lib import theory
from lib.data import word_counts
from lib.discrete import Discrete, DiscreteModel, extinct_at, multinomial
from lib.pool import Counts, Part, Rows
from lib.recursion import recurse
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
from lib.theory import discrete as laws
from tests.unit.enumeration import drawn, law

EVERY = [
    Replace(),
    ReplaceGrown(),
    Accumulate(),
    AccumulateSubsample(),
    Keep(0.5),
    Keep(0.5, redraw=False),
    FreshReal(0.5),
    RealOnly(),
    RealOnly(grow=False),
    Mixture(0.5, 0.5, 0),
    Mixture(0.5, 0.25, 0.25),
]
TRUTH = (0.6, 0.3, 0.1)
SMALL = {"n": 20, "generations": 4, "runs": 5, "seed": 3}


# The samplers


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 10**12), min_size=2, max_size=30).filter(any),
    st.integers(1, 10**13),
    st.integers(0, 2**32 - 1),
)
def test_a_lost_state_stays_lost_whatever_is_rounded(counts, n, seed):
    counts = np.array([counts, counts[::-1]])
    found = multinomial(np.random.default_rng(seed), n, counts / counts.sum(axis=1, keepdims=True))
    assert (found.sum(axis=1) == n).all()
    assert (found >= 0).all()
    assert (found[counts == 0] == 0).all()


def test_the_probabilities_given_are_left_alone():
    probabilities = np.array([[0.5, 0.3, 0.2]])
    multinomial(np.random.default_rng(0), 10, probabilities)
    assert probabilities.tolist() == [[0.5, 0.3, 0.2]]


@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
def test_a_fit_is_the_relative_frequency_of_all_parts(sampler):
    world = Discrete(TRUTH, sampler=sampler)
    parts = (Part(Counts(4, np.array([[3, 1, 0]])), 0, 1.0), Part(Rows(np.array([[2, 2, 0, 1]])), 1, 0.0))
    fit = world.fit(parts, None)
    assert fit.model.probabilities.tolist() == [[4 / 8, 2 / 8, 2 / 8]]
    assert (fit.steps, fit.examples) == (1, 8)


@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
def test_a_point_mass_stays_one(sampler):
    world = Discrete(TRUTH, sampler=sampler)
    model = DiscreteModel(7, np.array([[0, 7, 0]]))
    assert world.reduce(world.sample(model, 50, None, np.random.default_rng(0))).values.tolist() == [[0, 50, 0]]


# Scores and truths


def test_scores_against_their_definitions():
    truth = np.array([0.5, 0.3, 0.12, 0.05, 0.03, 0.0])
    world = Discrete(truth, tail=0.08)
    counts = np.array([[40, 40, 15, 5, 0, 0], [50, 20, 10, 10, 10, 0]])
    found = world.score(DiscreteModel(100, counts), None, (*world.scores, "probabilities", "present"))
    p = counts / 100
    assert_allclose(found["heterozygosity_ratio"], (1 - (p**2).sum(axis=1)) / (1 - (truth**2).sum()))
    assert found["support"].tolist() == [4, 5]
    assert_allclose(found["missing_mass"], [0.03, 0])
    assert_allclose(found["tail_ratio"], [0.05 / 0.08, 0.2 / 0.08])
    assert_allclose(found["total_variation"], np.abs(p - truth).sum(axis=1) / 2)
    assert_allclose(found["kl"], [np.inf, stats.entropy(truth[:5], p[1, :5])])
    assert_allclose(found["reverse_kl"], [(q[q > 0] * np.log(q[q > 0] / truth[q > 0])).sum() for q in p])
    assert (found["probabilities"] == p).all()
    assert (found["present"] == (counts > 0)).all()


def test_a_perfect_fit_scores_perfectly():
    world = Discrete((0.5, 0.25, 0.25))
    found = world.score(DiscreteModel(8, np.array([[4, 2, 2]])), None, world.scores)
    assert [float(found[name][0]) for name in world.scores] == [1, 3, 0, 1, 0, 0, 0]


def test_kl_has_no_noise_at_ten_to_the_thirteen():
    data = recurse(
        Discrete("uniform", 50), Replace(), n=10**13, generations=1, runs=200, seed=0, scores=("kl", "reverse_kl")
    )
    # 2n·KL is chi-squared with K − 1 degrees of freedom.
    for score in ("kl", "reverse_kl"):
        assert_allclose(2e13 * data[score].mean(), 49, rtol=0.1)
        assert (data[score] > 0).all()


@pytest.mark.parametrize(
    ("world", "rare"),
    [
        (Discrete((0.7, 0.2, 0.06, 0.04), tail=0.04), [3]),
        (Discrete((0.7, 0.2, 0.06, 0.04), tail=0.05), [2, 3]),
        (Discrete((0.04, 0.06, 0.2, 0.7), tail=0.1), [0, 1]),
        (Discrete((0.0, 0.06, 0.24, 0.7), tail=0.01), [1]),
        (Discrete("uniform", 20, tail=0.1), [18, 19]),
        (Discrete((0.5, 0.5), tail=1.0), [0, 1]),
    ],
)
def test_the_tail_holds_at_least_its_share(world, rare):
    assert world._rare.tolist() == rare


def test_truths():
    assert_allclose(Discrete("uniform", 4).probabilities, 0.25)
    assert_allclose(Discrete("zipf", 3).probabilities, np.array([6, 3, 2]) / 11)
    assert_allclose(Discrete("zipf", 3, exponent=2).probabilities, np.array([36, 9, 4]) / 49)
    assert_allclose(Discrete([0.25, 0.75]).probabilities, [0.25, 0.75])
    words = Discrete("words")
    counts = np.array(list(word_counts().values()))
    assert_allclose(words.probabilities * counts.sum(), counts)
    assert words.settings()["truth"] == "words"


BAD = [
    (lambda: Discrete("normal", 5), "truth='normal' .*'uniform', 'zipf', 'words'"),
    (lambda: Discrete("uniform"), "states=None .*at least 2"),
    (lambda: Discrete("zipf", 1), "states=1 .*at least 2"),
    (lambda: Discrete("zipf", 2.5), "states=2.5 .*whole number"),
    (lambda: Discrete("zipf", 5, exponent=-1), "exponent=-1 .*at least 0"),
    (lambda: Discrete("zipf", 5, exponent=np.nan), "exponent=nan"),
    (lambda: Discrete("words", 5), "states=5 .*brings its own"),
    (lambda: Discrete((0.5, 0.5), 2), "states=2 .*brings its own"),
    (lambda: Discrete(()), "truth=.*support of at least two states; this one has 0"),
    (lambda: Discrete((0.0, 0.0)), "truth=.*support of at least two states; this one has 0"),
    (lambda: Discrete((1.0, 0.0)), "truth=.*support of at least two states; this one has 1"),
    (lambda: Discrete((0.7, 0.4)), "truth=.*sum to 1; these sum to 1.1"),
    (lambda: Discrete((0.7, 0.3 - 1e-8)), "truth=.*sum to 1; these sum to 0.99999999"),
    (lambda: Discrete((1.2, -0.2)), "truth=.*none of them negative"),
    (lambda: Discrete((0.5, np.nan)), "truth=.*finite"),
    (lambda: Discrete([[0.5, 0.5]]), "truth=.*a vector"),
    (lambda: Discrete(None), "truth=None"),
    (lambda: Discrete("uniform", 3, tail=0), "tail=0 .*above 0"),
    (lambda: Discrete("uniform", 3, tail=1.5), "tail=1.5 .*between 0 and 1"),
    (lambda: Discrete("uniform", 3, sampler="fast"), "sampler='fast'"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[m for _, m in BAD])
def test_bad_worlds_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


REFUSED = [
    ({"n": 10**9, "regimes": Keep(0.5)}, "n=1000000000 .*pools below 1000000000 .*Keep.* draws from 1000000000"),
    ({"n": 10**9, "regimes": Keep(0.5, redraw=False)}, "n=1000000000 .*fixed.* draws from 1000000000"),
    ({"n": 25 * 10**7, "regimes": AccumulateSubsample()}, "n=250000000 .*AccumulateSubsample draws from 1000000000"),
    ({"n": 10**9, "regimes": Mixture(0.5, 0.5, 0)}, "n=1000000000 .*Mixture.* draws from 1000000000"),
    ({"n": 2**63}, "n=9223372036854775808 .*fewer than 2\\*\\*63"),
    ({"n": 2**62, "regimes": Accumulate()}, "n=.*Accumulate comes to 18446744073709551616"),
    ({"n": 2**62, "regimes": ReplaceGrown()}, "n=.*ReplaceGrown comes to 18446744073709551616"),
    ({"n": 10**9, "world": Discrete(TRUTH, sampler="explicit")}, "n=1000000000 .*explicit samples"),
    (
        {"n": 10**8, "regimes": ReplaceGrown(), "world": Discrete(TRUTH, sampler="explicit")},
        "ReplaceGrown comes to 400000000",
    ),
    ({"scores": "entropy"}, "scores='entropy' .*'support'"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_what_cannot_be_computed_is_refused_before_any_work(change, message, monkeypatch):
    monkeypatch.setattr(Discrete, "real", lambda *a: pytest.fail("work was done"))
    arguments = {"world": Discrete(TRUTH), "regimes": Replace(), **SMALL} | change
    with pytest.raises(ValueError, match=message):
        recurse(arguments.pop("world"), arguments.pop("regimes"), **arguments)


# The recursion


def test_ten_to_the_thirteen_samples_in_every_regime_that_draws_no_subset():
    regimes = [r for r in EVERY if not r.drawn_from([10**13] * 4)]
    assert len(regimes) == 6
    data = recurse(Discrete("zipf", 30), regimes, **SMALL | {"n": 10**13})
    assert data["train_size"].max() == 4 * 10**13
    assert (data["support"] == 30).all()
    assert (data["total_variation"] < 1e-5).all() and (data["total_variation"] > 0).all()


@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
def test_adding_a_run_or_a_generation_or_a_regime_changes_no_other_number(sampler):
    world = Discrete("zipf", 12, sampler=sampler)
    few = recurse(world, EVERY, **SMALL, keep="probabilities")
    many = recurse(world, [*EVERY, Keep(0.2)], **SMALL | {"runs": 9, "generations": 6}, keep="probabilities")
    kept = many["probabilities"].isel(generation=slice(4), run=slice(5)).sel(regime=few["regime"])
    xr.testing.assert_equal(few["probabilities"], kept)


@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
def test_a_continued_checkpoint_returns_the_same_numbers(sampler, tmp_path):
    world = Discrete("zipf", 12, sampler=sampler)
    whole = recurse(world, EVERY, **SMALL, block=2)
    recurse(world, EVERY[:4], **SMALL | {"generations": 2}, block=2, checkpoint=tmp_path)
    for _ in range(2):
        xr.testing.assert_identical(recurse(world, EVERY, **SMALL, block=2, checkpoint=tmp_path), whole)


def test_settings_are_recorded_and_go_through_netcdf(tmp_path):
    data = recurse(Discrete(np.array([0.5, 0.5])), Replace(), **SMALL, keep="present")
    assert json.loads(data.attrs["truth"]) == [0.5, 0.5]
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    stored = xr.load_dataset(tmp_path / "a.nc", engine="h5netcdf")
    xr.testing.assert_equal(data, stored)
    xr.testing.assert_equal(extinct_at(data["present"]), extinct_at(stored["present"]))


def test_what_is_lost_never_returns_unless_real_data_do():
    data = recurse(Discrete("zipf", 40), EVERY, **SMALL | {"generations": 12, "runs": 50}, keep="present")
    back = (data["present"].astype(int).diff("generation") > 0).any(["generation", "run", "state"])
    returns = {str(r) for r in EVERY if isinstance(r, FreshReal) or r == RealOnly()}
    # A subset of the pool, or of the original data, can miss a state that is still there.
    redrawn = {str(r) for r in EVERY if isinstance(r, AccumulateSubsample | Mixture | Keep) and r.needs_take} - {
        str(Mixture(0.5, 0.5, 0))
    }
    assert {str(r) for r in back["regime"].values[back]} == returns | redrawn
    held = data["present"].sel(regime="Accumulate")
    assert (held == held.isel(generation=0)).all()


def test_extinct_at_is_the_first_generation_without_the_state():
    present = xr.DataArray(
        np.array([[[1, 1, 1], [1, 0, 1]], [[0, 1, 1], [1, 0, 1]], [[0, 1, 0], [1, 0, 1]]], dtype=bool)[None],
        dims=("regime", "generation", "run", "state"),
        coords={"generation": [1, 2, 3]},
    )
    found = extinct_at(present)
    assert found.dims == ("regime", "run", "state")
    np.testing.assert_array_equal(found.values[0], [[2, np.nan, 3], [np.nan, 1, np.nan]])


# Laws against every outcome


def moments(outcomes):
    counts = np.array(list(outcomes), dtype=float)
    return counts / counts.sum(axis=1, keepdims=True), np.array(list(outcomes.values()))


@pytest.mark.parametrize("regime", EVERY, ids=str)
def test_heterozygosity_and_error_obey_the_products_in_every_regime(regime):
    n, generations = 4, 3
    truth = np.array(TRUTH)
    het, error = [], []
    for outcomes in law(regime, TRUTH, n, generations):
        p, chance = moments(outcomes)
        assert_allclose(chance.sum(), 1, rtol=1e-12)
        assert_allclose(chance @ p, truth, rtol=1e-12)
        het.append(chance @ (p * (1 - p)).sum(axis=1) / (truth @ (1 - truth)))
        error.append(chance @ (p - truth) ** 2 / (truth * (1 - truth)))
    assert_allclose(het, laws.expected_heterozygosity(regime, n, generations), rtol=1e-12)
    assert_allclose(
        error, np.repeat(laws.expected_squared_error(regime, n, generations)[:, None], 3, axis=1), rtol=1e-12
    )


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_the_full_chain_of_twelve_samples_and_three_states(n):
    counts = laws.compositions(n, 3)
    assert len(counts) == (n + 1) * (n + 2) // 2
    assert (counts.sum(axis=1) == n).all()
    chain = laws.transition_matrix(n, 3)
    assert_allclose(chain.sum(axis=1), 1, rtol=1e-12)
    now = laws.multinomial_table(counts, np.array([TRUTH]))[0]
    generations = 30
    lost, fixed, support, missing, het = [], [], [], [], []
    for _ in range(generations):
        lost.append(now @ (counts == 0))
        fixed.append(now @ (counts == n))
        support.append(now @ (counts > 0).sum(axis=1))
        missing.append(now @ ((counts == 0) @ np.array(TRUTH)))
        het.append(now @ (counts / n * (1 - counts / n)).sum(axis=1))
        now = now @ chain
    assert_allclose(laws.lost(TRUTH, n, generations), lost, atol=1e-12)
    assert_allclose(laws.survival(TRUTH, n, generations), 1 - np.array(lost), atol=1e-12)
    assert_allclose(laws.fixation(TRUTH, n, generations), fixed, atol=1e-12)
    assert_allclose(laws.expected_support(TRUTH, n, generations), support, atol=1e-12)
    assert_allclose(laws.expected_missing_mass(TRUTH, n, generations), missing, atol=1e-12)
    if n > 1:
        assert_allclose(laws.expected_heterozygosity(Replace(), n, generations) * 0.54, het, atol=1e-12)


def test_the_chain_is_absorbed_in_each_state_with_its_probability():
    counts = laws.compositions(12, 3)
    first = laws.multinomial_table(counts, np.array([TRUTH]))[0]
    last = first @ np.linalg.matrix_power(laws.transition_matrix(12, 3), 2000)
    assert_allclose([last[(counts == 12)[:, k]].sum() for k in range(3)], TRUTH, rtol=1e-9)
    assert_allclose(laws.fixation(TRUTH, 12, 2000)[-1], TRUTH, rtol=1e-9)
    assert_allclose(laws.survival(TRUTH, 12, 2000)[-1], TRUTH, rtol=1e-9)


@pytest.mark.parametrize("n", [2, 5, 12])
def test_the_urn_of_three_generations(n):
    now = laws.multinomial_table(laws.compositions(n, 3), np.array([TRUTH]))[0]
    missed = laws.first_sample_miss(TRUTH, n)
    for t in range(1, 4):
        counts = laws.compositions(n * t, 3)
        p = counts / (n * t)
        assert_allclose(now @ (counts == 0), missed, rtol=1e-10)
        assert_allclose(
            now @ (counts > 0).sum(axis=1), laws.expected_support(TRUTH, n, t, "accumulate")[-1], rtol=1e-10
        )
        assert_allclose(
            now @ ((counts == 0) @ np.array(TRUTH)), laws.expected_missing_mass(TRUTH, n, t, "accumulate")[-1]
        )
        het = now @ (p * (1 - p)).sum(axis=1)
        assert_allclose(het / 0.54, laws.expected_heterozygosity(Accumulate(), n, t)[-1], rtol=1e-10)
        if t < 3:
            matrix = laws.urn_matrix(n, 3, t)
            assert_allclose(matrix.sum(axis=1), 1, rtol=1e-12)
            now = now @ matrix


def test_the_matrices_are_what_enumeration_finds():
    counts = laws.compositions(4, 3)
    now = laws.multinomial_table(counts, np.array([TRUTH]))[0]
    for chain, regime in ((laws.transition_matrix(4, 3), Replace()), (laws.urn_matrix(4, 3, 1), Accumulate())):
        after = law(regime, TRUTH, 4, 2)[-1]
        target = laws.compositions(4 if regime == Replace() else 8, 3)
        assert_allclose(now @ chain, [after.get(tuple(c), 0.0) for c in target.tolist()], atol=1e-13)
    assert_allclose(list(drawn(4, TRUTH).values()), now, atol=1e-15)


def test_loss_in_sets_that_grow_is_what_enumeration_finds():
    found = [moments(outcomes) for outcomes in law(ReplaceGrown(), TRUTH, 3, 4)]
    expected = [chance @ (p == 0) for p, chance in found]
    assert_allclose(laws.lost(TRUTH, lambda t: 3 * t, 4), expected, atol=1e-12)


def test_loss_beyond_the_exact_chain(monkeypatch):
    q = np.array([0, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9, 1])
    exact = laws.lost(q, 1000, 1500)
    monkeypatch.setattr(laws, "EXACT_BELOW", 200)
    assert_allclose(laws.lost(q, 1000, 1500), exact, atol=1e-6)
    # While t ≪ n the number of descendants of one sample is a branching process with Poisson(1) children.
    alive = 1.0
    for t, found in enumerate(laws.lost(np.array([5e-13]), 10**13, 200)):
        assert_allclose(found, np.exp(-5 * alive), rtol=1e-9), t
        alive = -np.expm1(-alive)


def test_growth_stops_the_loss():
    found = laws.lost(1e-6, lambda t: 10**6 * 2 ** (t - 1), 60)
    assert found[0] == pytest.approx(np.exp(-1), rel=1e-5)
    assert found[-1] == pytest.approx(found[-20], rel=1e-6)
    assert found[-1] < 0.46
    assert laws.lost(1e-6, 10**6, 60)[-1] > 0.95


def test_times_to_loss():
    # By summing the probability of still being there, given loss, over the exact chain.
    n, count = 12, 3
    inner = np.arange(n + 1)
    chain = stats.binom.pmf(inner[None], n, inner[:, None] / n)
    now, expected = (inner == count).astype(float), 0.0
    for _ in range(3000):
        expected += now[1:-1] @ (1 - inner[1:-1] / n) / (1 - count / n)
        now = now @ chain
    assert_allclose(laws.mean_time_to_loss(count, n), expected, rtol=1e-10)
    for count, tolerance in ((1, 0.06), (100, 0.01), (900, 0.01)):
        assert laws.mean_time_to_loss(count, 1001) == pytest.approx(laws.mean_time_to_loss(count, 1000), rel=tolerance)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: laws.lost(1.5, 10, 3), "q=.*between 0 and 1"),
        (lambda: laws.lost(0.5, 0, 3), "n=0"),
        (lambda: laws.first_sample_miss(-0.5, 3), "q=.*between 0 and 1"),
        (lambda: laws.lost(0.5, 10, 0), "generations=0"),
        (lambda: laws.mean_time_to_loss(10, 10), "count=10 .*between 1 and 9"),
        (lambda: laws.expected_support(TRUTH, 10, 3, "keep"), "regime='keep' .*'replace', 'accumulate'"),
        (lambda: theory.discrete.expected_heterozygosity("Replace", 10, 3), "regime='Replace'"),
    ],
)
def test_what_has_no_law_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
