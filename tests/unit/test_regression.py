"""The regression world: fits against numpy's least squares on explicit rows, batches against the rows they stand
for."""

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from lib.pool import Part, Rows
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
from lib.worlds.gram import Gram, Labels
from lib.worlds.regression import Regression, RegressionModel
from tests.unit.refusals import refused

SMALL = {"n": 20, "generations": 4, "runs": 5, "seed": 3}
WHOLE = [Replace(), ReplaceGrown(), Accumulate(), RealOnly(), RealOnly(grow=False), FreshReal(1)]
SUBSETS = [AccumulateSubsample(), Keep(0.3), Keep(0.3, redraw=False), Mixture(0.5, 0.3, 0.2)]


def subsets(design, sampler):
    """Regimes that draw subsets; on a given design only of the pool, since a part of it is refused."""
    if sampler == "statistic":
        return []
    return SUBSETS if isinstance(design, str) else SUBSETS[:1]


GIVEN = np.random.default_rng(7).normal(size=(10, 3))


def rows(seed=0, runs=2, size=12, d=3):
    return Rows(np.random.default_rng(seed).normal(size=(runs, size, d + 1)))


def least_squares(values, penalty=0.0):
    """By pseudo-inverse, or ridge by rows of √λ added to the design: nothing of the library's arithmetic."""
    x, y = values[:, :-1], values[:, -1]
    d = x.shape[1]
    x, y = np.concatenate([x, np.sqrt(penalty) * np.eye(d)]), np.concatenate([y, np.zeros(d)])
    return np.linalg.pinv(x) @ y


def labelled(x, ys):
    """The `Labels` of one design x (T, d) labelled by each of ys (copies, T), for a single run."""
    q, r = np.linalg.qr(x)
    return Labels(len(ys) * len(x), len(x), r.T[None], (ys.mean(axis=0) @ q)[None], np.linalg.inv(r)[None])


# Batches


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_merged_sums_are_the_sums_over_all_rows(a, b, d, seed):
    one, two = rows(seed, size=a, d=d), rows(seed + 1, size=b, d=d)
    both, every = Gram.of(one).merge(Gram.of(two)), Gram.of(one.merge(two))
    assert both.size == every.size == a + b
    assert_allclose(both.gram, every.gram, atol=1e-10)
    assert_allclose(both.cross, every.cross, atol=1e-10)


def test_merged_labels_are_the_mean_labels_of_one_design():
    rng = np.random.default_rng(1)
    x, ys = rng.normal(size=(9, 3)), rng.normal(size=(5, 9))
    merged = labelled(x, ys[:2]).merge(labelled(x, ys[2:]))
    assert merged.size == 45 and merged.rows == 9
    stacked = np.concatenate([np.column_stack([x, y]) for y in ys])
    assert_allclose((merged.inverse @ merged.mean[:, :, None])[0, :, 0], least_squares(stacked))
    sums, plain = merged.sums(), Gram.of(Rows(stacked[None]))
    assert_allclose(sums.gram, plain.gram)
    assert_allclose(sums.cross, plain.cross)
    other = rows(2, runs=1, size=4)
    for both in (merged.merge(Gram.of(other)), Gram.of(other).merge(merged)):
        every = Gram.of(Rows(stacked[None]).merge(other))
        assert both.size == 49
        assert_allclose(both.gram, every.gram)
        assert_allclose(both.cross, every.cross)


def test_what_cannot_be_split_says_so():
    for batch in (Gram.of(rows()), labelled(np.eye(3), np.ones((4, 3)))):
        assert batch.take(12, None) is batch
        with refused("k", 5):
            batch.take(5, np.random.default_rng(0))


# Fits


@pytest.mark.parametrize("design", ["fixed", "fresh"])
@pytest.mark.parametrize(("ridge", "penalty", "factor"), [(0, "fixed", 0), (2.5, "fixed", 1), (0.5, "per_row", 19)])
def test_a_fit_is_least_squares_on_all_rows(design, ridge, penalty, factor):
    world = Regression(3, design=design, ridge=ridge, penalty=penalty, sampler="explicit")
    one, two = rows(1), rows(2, size=7)
    fit = world.fit((Part(world.reduce(one), 1.0), Part(world.reduce(two), 0.0)), None)
    for run in range(2):
        stacked = np.concatenate([one.values[run], two.values[run]])
        assert_allclose(fit.model.weights[run], least_squares(stacked, ridge * factor))
    assert (fit.steps, fit.examples) == (1, 19)


@pytest.mark.parametrize(("ridge", "penalty", "factor"), [(2.5, "fixed", 1), (0.5, "per_row", 27)])
def test_ridge_on_labels_of_one_design(ridge, penalty, factor):
    rng = np.random.default_rng(1)
    x, ys = rng.normal(size=(9, 3)), rng.normal(size=(3, 9))
    world = Regression(3, ridge=ridge, penalty=penalty)
    fit = world.fit((Part(world.reduce(labelled(x, ys)), 1.0),), None)
    stacked = np.concatenate([np.column_stack([x, y]) for y in ys])
    assert_allclose(fit.model.weights[0], least_squares(stacked, ridge * factor))


def test_scores_against_their_definitions():
    world = Regression(3, weights=[1.0, 2.0, -2.0])
    weights = np.array([[1.0, 2.0, -2.0], [0.5, 1.0, -1.0], [0.0, 0.0, 0.0]])
    found = world.score(RegressionModel(weights), None, ("excess_risk", "shrinkage", "weights"))
    assert_allclose(found["excess_risk"], [0, 9 / 4, 9])
    assert_allclose(found["shrinkage"], [1, 0.5, 0])
    assert found["weights"] is weights
    assert list(Regression(3, weights=np.zeros(3)).scores) == ["excess_risk"]
    assert_allclose(np.linalg.norm(Regression(7)._truth), 1)


@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
@pytest.mark.parametrize("design", ["fixed", "fresh", GIVEN], ids=["fixed", "fresh", "given"])
def test_without_noise_the_truth_is_found_in_every_regime(design, sampler):
    world = Regression(3, noise=0, design=design, sampler=sampler)
    regimes = WHOLE + subsets(design, sampler)
    data = recurse(world, regimes, **SMALL)
    assert (data["excess_risk"] < 1e-20).all()
    assert_allclose(data["shrinkage"], 1)


# Designs


def test_explicit_rows_of_a_fixed_design_have_the_same_x():
    world = Regression(3, sampler="explicit")
    real = world.real(2, 12, np.random.default_rng(0), 0)
    model = RegressionModel(np.ones((2, 3)))
    x = real.values[:, :, :-1]
    for size in (12, 24):
        drawn = world.sample(model, size, world.inputs(real, size, None), np.random.default_rng(2))
        assert_allclose(drawn.values[:, :, :-1], np.tile(x, (1, size // 12, 1)))
        assert (drawn.values[:, :12, -1] != real.values[:, :, -1]).all()
    assert (world.inputs(real, 17, None) == np.concatenate([x, x[:, :5]], axis=1)).all()
    later = world.real(2, 12, np.random.default_rng(0), 12)
    assert (later.values[:, :, :-1] != x).all()


@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
def test_a_given_design_is_used_as_it_is(sampler):
    world = Regression(3, design=GIVEN, sampler=sampler)
    for size in (10, 20):
        real = world.real(2, size, np.random.default_rng(0), 0)
        sums = Gram.of(real) if sampler == "explicit" else real.sums()
        assert_allclose(sums.gram, np.broadcast_to(GIVEN.T @ GIVEN * size / 10, (2, 3, 3)))
    data = recurse(world, [Replace(), Accumulate(), RealOnly()], **SMALL)
    assert json.loads(data.attrs["design"]) == GIVEN.tolist()


def test_a_fixed_design_is_the_same_wherever_inputs_come_from():
    for sampler in ("statistic", "explicit"):
        world, regimes = Regression(4, sampler=sampler), [Replace(), Accumulate(), ReplaceGrown()]
        real = recurse(world, regimes, **SMALL)
        previous = recurse(world, regimes, **SMALL, inputs_from="previous")
        xr.testing.assert_equal(real["excess_risk"], previous["excess_risk"])


@pytest.mark.parametrize("design", ["fixed", "fresh", GIVEN], ids=["fixed", "fresh", "given"])
def test_ten_to_the_thirteen_rows(design):
    data = recurse(Regression(3, design=design), WHOLE, **SMALL | {"n": 10**13})
    assert data["train_size"].max() == 4 * 10**13
    assert (data["excess_risk"] < 1e-10).all() and (data["excess_risk"] > 0).all()


@pytest.mark.parametrize("design", ["fixed", "fresh"])
def test_ridge_fits_fewer_rows_than_dimensions(design):
    data = recurse(Regression(12, noise=0, ridge=0.5, design=design), WHOLE, **SMALL | {"n": 5}, keep="weights")
    assert np.isfinite(data["excess_risk"]).all()
    length = (data["weights"].sel(regime="Replace") ** 2).sum("coordinate")
    assert (length.diff("generation") < 0).all()


@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
@pytest.mark.parametrize("design", ["fixed", "fresh", GIVEN], ids=["fixed", "fresh", "given"])
def test_adding_a_run_or_a_generation_or_a_regime_changes_no_other_number(design, sampler):
    world = Regression(3, design=design, sampler=sampler)
    regimes = WHOLE + subsets(design, sampler)
    few = recurse(world, regimes[1:], **SMALL)["excess_risk"]
    many = recurse(world, regimes, **SMALL | {"runs": 9, "generations": 6})["excess_risk"]
    # Matrix products of another number of runs may be rounded differently.
    assert_allclose(few, many.sel(regime=few["regime"])[:, :4, :5], rtol=1e-9)


@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
@pytest.mark.parametrize("ridge", [0, 1.0])
@pytest.mark.parametrize("design", ["fixed", "fresh", GIVEN], ids=["fixed", "fresh", "given"])
def test_a_continued_checkpoint_returns_the_same_numbers(design, ridge, sampler, tmp_path):
    world = Regression(3, design=design, ridge=ridge, sampler=sampler)
    regimes = WHOLE + subsets(design, sampler)
    whole = recurse(world, regimes, **SMALL, block=2)
    recurse(world, regimes[:3], **SMALL | {"generations": 2}, block=2, checkpoint=tmp_path)
    for _ in range(2):
        xr.testing.assert_identical(recurse(world, regimes, **SMALL, block=2, checkpoint=tmp_path), whole)


# Errors

BAD = [
    (lambda: Regression(0), ("dimension", 0)),
    (lambda: Regression(noise=-1), ("noise", -1)),
    (lambda: Regression(noise="1"), ("noise", "1")),
    (lambda: Regression(ridge=-0.1), ("ridge", -0.1)),
    (lambda: Regression(ridge=np.inf), ("ridge",)),
    (lambda: Regression(penalty="none"), ("penalty", "none")),
    (lambda: Regression(sampler="fast"), ("sampler", "fast")),
    (lambda: Regression(design="new"), ("design", "new")),
    (lambda: Regression(3, design=np.ones((5, 4))), ("design", (5, 4))),
    (
        lambda: Regression(3, design=np.ones((5, 3))),
        ("design", (5, 3)),
    ),
    (lambda: Regression(3, design=np.eye(3)[:2]), ("design", (2, 3))),
    (lambda: Regression(3, weights=[1.0, 2.0]), ("weights",)),
    (lambda: Regression(2, weights=[1.0, np.nan]), ("weights",)),
]


@pytest.mark.parametrize(("make", "expected"), BAD, ids=[str(m) for _, m in BAD])
def test_bad_worlds_are_named(make, expected):
    with refused(*expected):
        make()


REFUSED = [
    ({"n": 11}, ("n", 11)),
    ({"n": 5}, ("n", 5)),
    ({"n": lambda t: max(10, 22 - 6 * t), "world": Regression(10, design="fresh")}, ("n", 10)),
    (
        {"regimes": FreshReal(0.5)},
        ("design", "fixed"),
    ),
    ({"n": lambda t: 20 + t}, ("design", "fixed")),
    ({"regimes": Keep(0.5)}, ("sampler", "statistic")),
    ({"regimes": Keep(0.5, redraw=False)}, ("sampler", "statistic")),
    ({"regimes": AccumulateSubsample()}, ("sampler", "statistic")),
    ({"regimes": Mixture(0.5, 0.5, 0), "world": Regression(design="fresh")}, ("sampler", "statistic")),
    ({"n": 25, "world": Regression(3, design=GIVEN)}, ("n", 25)),
    (
        {"regimes": FreshReal(0.3), "world": Regression(3, design=GIVEN)},
        ("design", (10, 3)),
    ),
    (
        {"n": 10**8, "regimes": Accumulate(), "world": Regression(sampler="explicit")},
        ("n", 100000000),
    ),
    ({"n": 2**63}, ("n",)),
    ({"scores": "shrinkage", "world": Regression(2, weights=[0, 0])}, ("scores", "shrinkage")),
]


@pytest.mark.parametrize(("change", "expected"), REFUSED, ids=[str(m) for _, m in REFUSED])
def test_what_cannot_be_composed_is_refused_before_any_work(change, expected, monkeypatch):
    monkeypatch.setattr(Regression, "real", lambda *a: pytest.fail("work was done"))
    arguments = {"world": Regression(10), "regimes": Replace(), **SMALL} | change
    with refused(*expected):
        recurse(arguments.pop("world"), arguments.pop("regimes"), **arguments)
