"""The discrete world: counts, samplers, scores and truths by hand, and what it refuses."""

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from lib.pool import Counts, Part
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
from lib.worlds.discrete import Discrete, DiscreteModel, extinct_at, multinomial
from lib.worlds.language.wikipedia import word_counts
from tests.unit.every import every
from tests.unit.refusals import refused

# Those whose outcomes are gone through one by one.
EVERY = [
    regime
    for regime in every(0.5)
    if not (isinstance(regime, Accumulate) and regime != Accumulate())
    and not (isinstance(regime, Mixture) and regime.fresh)
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


def test_a_fit_is_the_relative_frequency_of_all_parts():
    world = Discrete(TRUTH)
    parts = (Part(Counts(4, np.array([[3, 1, 0]])), 1.0), Part(Counts(4, np.array([[1, 1, 2]])), 0.0))
    fit = world.fit(parts, None)
    assert fit.model.probabilities.tolist() == [[4 / 8, 2 / 8, 2 / 8]]
    assert (fit.steps, fit.examples) == (1, 8)


def test_a_point_mass_stays_one():
    world = Discrete(TRUTH)
    model = DiscreteModel(7, np.array([[0, 7, 0]]))
    assert world.sample(model, 50, None, np.random.default_rng(0)).values.tolist() == [[0, 50, 0]]


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
    (lambda: Discrete("normal", 5), ("truth", "normal")),
    (lambda: Discrete("uniform"), ("states", None)),
    (lambda: Discrete("zipf", 1), ("states", 1)),
    (lambda: Discrete("zipf", 2.5), ("states", 2.5)),
    (lambda: Discrete("zipf", 5, exponent=-1), ("exponent", -1)),
    (lambda: Discrete("zipf", 5, exponent=np.nan), ("exponent",)),
    (lambda: Discrete("words", 5), ("states", 5)),
    (lambda: Discrete((0.5, 0.5), 2), ("states", 2)),
    (lambda: Discrete(()), ("truth",)),
    (lambda: Discrete((0.0, 0.0)), ("truth",)),
    (lambda: Discrete((1.0, 0.0)), ("truth",)),
    (lambda: Discrete((0.7, 0.4)), ("truth",)),
    (lambda: Discrete((0.7, 0.3 - 1e-8)), ("truth",)),
    (lambda: Discrete((1.2, -0.2)), ("truth",)),
    (lambda: Discrete((0.5, np.nan)), ("truth",)),
    (lambda: Discrete([[0.5, 0.5]]), ("truth",)),
    (lambda: Discrete(None), ("truth", None)),
    (lambda: Discrete("uniform", 3, tail=0), ("tail", 0)),
    (lambda: Discrete("uniform", 3, tail=1.5), ("tail", 1.5)),
]


@pytest.mark.parametrize(("make", "expected"), BAD, ids=[str(m) for _, m in BAD])
def test_bad_worlds_are_named(make, expected):
    with refused(*expected):
        make()


REFUSED = [
    ({"n": 10**9, "regimes": Keep(0.5)}, ("n", 1000000000)),
    ({"n": 10**9, "regimes": Keep(0.5, redraw=False)}, ("n", 1000000000)),
    ({"n": 25 * 10**7, "regimes": AccumulateSubsample()}, ("n", 250000000)),
    ({"n": 10**9, "regimes": Mixture(0.5, 0.5, 0)}, ("n", 1000000000)),
    ({"n": 2**63}, ("n", 9223372036854775808)),
    ({"n": 2**62, "regimes": Accumulate()}, ("n",)),
    ({"n": 2**62, "regimes": ReplaceGrown()}, ("n",)),
    ({"scores": "entropy"}, ("scores", "entropy")),
]


@pytest.mark.parametrize(("change", "expected"), REFUSED, ids=[str(m) for _, m in REFUSED])
def test_what_cannot_be_computed_is_refused_before_any_work(change, expected, monkeypatch):
    monkeypatch.setattr(Discrete, "real", lambda *a: pytest.fail("work was done"))
    arguments = {"world": Discrete(TRUTH), "regimes": Replace(), **SMALL} | change
    with refused(*expected):
        recurse(arguments.pop("world"), arguments.pop("regimes"), **arguments)


# The recursion


def test_ten_to_the_thirteen_samples_in_every_regime_that_draws_no_subset():
    regimes = [r for r in EVERY if not r.drawn_from([10**13] * 4)]
    assert len(regimes) == 6
    data = recurse(Discrete("zipf", 30), regimes, **SMALL | {"n": 10**13})
    assert data["train_size"].max() == 4 * 10**13
    assert (data["support"] == 30).all()
    assert (data["total_variation"] < 1e-5).all() and (data["total_variation"] > 0).all()


def test_adding_a_run_or_a_generation_or_a_regime_changes_no_other_number():
    world = Discrete("zipf", 12)
    few = recurse(world, EVERY, **SMALL, keep="probabilities")
    many = recurse(world, [*EVERY, Keep(0.2)], **SMALL | {"runs": 9, "generations": 6}, keep="probabilities")
    kept = many["probabilities"].isel(generation=slice(4), run=slice(5)).sel(regime=few["regime"])
    xr.testing.assert_equal(few["probabilities"], kept)


def test_a_continued_checkpoint_returns_the_same_numbers(tmp_path):
    world = Discrete("zipf", 12)
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
