"""Weights, temperatures, shifts and verifiers: what they change, what they leave alone, and what is refused."""

import numpy as np
import pytest

from lib.pool import Counts, Rows
from lib.recursion import recurse
from lib.regimes import Accumulate, FreshReal, Keep, Replace
from lib.theory import EULER_SUM, limits, regression
from lib.verifier import Verifier
from lib.worlds.discrete import Discrete, sharpened
from lib.worlds.gaussian import Gaussian
from lib.worlds.regression import Regression

CALL = {"n": 20, "generations": 4, "runs": 5, "seed": 3}


@pytest.mark.parametrize("estimator", ["mle", "unbiased", "known"])
@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
def test_a_weight_equal_to_the_share_is_no_weight(estimator, sampler):
    world = Gaussian(2, estimator=estimator, sampler=sampler)
    plain, weighted = (recurse(world, r, **CALL) for r in (FreshReal(0.25), FreshReal(0.25, weight=0.25)))
    for score in world.scores:
        assert np.allclose(plain[score], weighted[score], rtol=1e-9, atol=1e-12), score


def test_weights_move_the_fit_and_nothing_else():
    world = Gaussian(estimator="known")
    light, heavy = (recurse(world, FreshReal(0.5, weight=w), **CALL) for w in (0.2, 0.9))
    one, other = (data["squared_mean_error"].values[0] for data in (light, heavy))
    assert np.array_equal(one[0], other[0]) and (one[1:] != other[1:]).all()
    assert np.array_equal(light["real_share"], heavy["real_share"])
    assert np.array_equal(light["train_size"], heavy["train_size"])


def test_all_weight_on_real_data_forgets_the_model():
    runs = 40_000
    data = recurse(
        Gaussian(estimator="known"),
        FreshReal(0.5, weight=1.0),
        n=20,
        generations=5,
        runs=runs,
        seed=4,
        scores="squared_mean_error",
    )
    values = data["squared_mean_error"].isel(generation=-1).values
    assert abs(values.mean() - 1 / 10) < 4 * values.std() / np.sqrt(runs)


@pytest.mark.parametrize("world", [Discrete("zipf", 10), Regression(2, design="fresh")])
def test_worlds_without_weights_refuse_them(world):
    with pytest.raises(ValueError, match="regimes='FreshReal\\(0.5, weight 0.618\\)' is not allowed.*knows no weights"):
        recurse(world, FreshReal(0.5, weight=limits.GOLDEN), **CALL)


@pytest.mark.parametrize(("share", "weight"), [(0.5, 1.5), (0.5, -0.1), (1.0, 0.5), (0.0, 0.5)])
def test_weights_that_make_no_sense_are_refused(share, weight):
    with pytest.raises(ValueError, match="weight="):
        FreshReal(share, weight)


def test_a_known_covariance_stays():
    data = recurse(Gaussian(3, estimator="known"), [Replace(), Accumulate()], **CALL)
    assert np.allclose(data["trace_ratio"], 1) and np.allclose(data["log_det_ratio"], 0)
    assert (data["squared_mean_error"] > 0).all()


@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
def test_temperature_is_for_models_and_not_for_real_data(sampler):
    cold, warm = (
        recurse(Gaussian(sampler=sampler, temperature=t), [Replace(), FreshReal(1.0)], **CALL) for t in (0.0, 1.0)
    )
    assert cold.isel(generation=0).equals(warm.isel(generation=0))
    assert cold.sel(regime="FreshReal(1)").equals(warm.sel(regime="FreshReal(1)"))
    assert np.allclose(cold["trace_ratio"].sel(regime="Replace").isel(generation=slice(1, None)), 0)
    assert np.allclose(np.diff(cold["squared_mean_error"].sel(regime="Replace"), axis=0), 0)


def test_sharpened():
    p = np.array([0.5, 0.3, 0.2])
    assert np.allclose(sharpened(p), p)
    assert np.allclose(sharpened(p, 0.5), p**2 / (p**2).sum())
    assert np.allclose(sharpened(p, 1e-3), [1, 0, 0])
    assert np.allclose(sharpened(p, 2.0), np.sqrt(p) / np.sqrt(p).sum())
    # The state that completes the share is kept; a share that is met exactly needs no further state.
    assert np.allclose(sharpened(p, 1.0, 0.6), [0.625, 0.375, 0])
    assert np.allclose(sharpened(p, 1.0, 0.5), [1, 0, 0])
    assert np.allclose(sharpened(np.stack([p, p[::-1]]), 1.0, 0.6), [[0.625, 0.375, 0], [0, 0.375, 0.625]])
    assert np.allclose(sharpened(np.array([0.0, 1.0]), 0.5, 0.9), [0, 1])


@pytest.mark.parametrize("change", [{"temperature": 0.5}, {"top_p": 0.5}])
def test_sharpening_is_for_models_and_not_for_real_data(change):
    plain, sharp = (recurse(Discrete("zipf", 30, **c), [Replace(), FreshReal(1.0)], **CALL) for c in ({}, change))
    assert sharp.isel(generation=0).equals(plain.isel(generation=0))
    assert sharp.sel(regime="FreshReal(1)").equals(plain.sel(regime="FreshReal(1)"))
    ends = [d["support"].sel(regime="Replace").isel(generation=-1).mean() for d in (sharp, plain)]
    assert ends[0] < ends[1]


def test_a_shift_is_for_models_and_not_for_real_data():
    plain, off = (
        recurse(Regression(3, design="fresh", shift=c), [Replace(), FreshReal(1.0)], **CALL) for c in (0.0, 5.0)
    )
    assert off.isel(generation=0).equals(plain.isel(generation=0))
    assert off.sel(regime="FreshReal(1)").equals(plain.sel(regime="FreshReal(1)"))
    moved = (off - plain)["shrinkage"].sel(regime="Replace")
    assert np.allclose(moved, 5.0 * np.arange(4)[:, None])  # exactly: both see the same noise


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(temperature=-1), "temperature=-1"),
        (lambda: Gaussian(temperature=np.inf), "temperature=inf"),
        (lambda: Gaussian(estimator="given"), "estimator='given'"),
        (lambda: Discrete("zipf", 5, temperature=0), "temperature=0"),
        (lambda: Discrete("zipf", 5, top_p=0), "top_p=0"),
        (lambda: Discrete("zipf", 5, top_p=1.2), "top_p=1.2"),
        (lambda: Regression(shift=-1), "shift=-1"),
        (lambda: Verifier((0.5, 1.5), 0.5), "accept=1.5"),
        (lambda: Verifier((0.0, 0.0), 0.5), "accept, kept"),
        (lambda: Verifier((0.5, 0.5), 0.0), "accept, kept"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_verifier_passes_on_the_tilted_law():
    """Mean counts against n p a / Σ p a, each within 4 standard errors."""
    runs, p, accept = 4000, np.array([0.5, 0.3, 0.2]), (0.9, 0.6, 0.3)
    batch = Counts(1000, np.random.default_rng(1).multinomial(1000, p, size=runs))
    passed = Verifier(accept, 0.4)(batch, np.random.default_rng(2))
    assert passed.size == 400 and (passed.values.sum(axis=1) == 400).all()
    assert (passed.values <= batch.values).all()
    law = 400 * limits.tilted(accept)(p)
    error = passed.values.std(axis=0) / np.sqrt(runs)
    assert (abs(passed.values.mean(axis=0) - law) < 4 * error).all()


def test_a_verifier_says_when_it_accepts_too_little_and_what_it_cannot_see():
    batch = Counts(100, np.array([[100, 0], [0, 100]]))
    with pytest.raises(ValueError, match="kept=0.5.*one run had 0 of 100"):
        Verifier((1.0, 0.0), 0.5)(batch, np.random.default_rng(0))
    for wrong in (Rows(np.zeros((2, 10), dtype=int)), Counts(100, np.array([[100]]))):
        with pytest.raises(ValueError, match="select="):
            Verifier((1.0, 0.5), 0.5)(wrong, np.random.default_rng(0))


def test_the_verifier_is_recorded_with_the_run():
    verifier = Verifier((1.0, 0.8), 0.25)
    data = recurse(Discrete([0.5, 0.5]), Replace(), select=verifier, **CALL)
    assert data.attrs["select"] == repr(verifier)
    assert data["train_size"].values.ravel().tolist() == [20, 5, 5, 5]


def test_one_law_for_three_biases():
    t, h = 50, 0.7
    power = limits.recurring_factor(Accumulate(), h, t)
    assert np.allclose(h * power, regression.ridge_shrinkage_accumulate(h, t))
    assert np.allclose(limits.tempered_variance(Accumulate(), 10**12, t, h), power, rtol=1e-6)
    assert np.allclose(power, np.cumprod(np.concatenate([[1], (np.arange(1, t) + h) / np.arange(2, t + 1)])))
    assert np.allclose(limits.recurring_factor(Accumulate(), 0.0, t), 1 / np.arange(1, t + 1))
    assert np.allclose(limits.recurring_factor(Accumulate(), 1.0, t), 1)
    assert np.allclose(limits.recurring_factor(Replace(), h, 3), [1, h, h**2])
    # Few wrong answers under a verifier that keeps h of them for each right one.
    few = limits.mean_field(Accumulate(), [1 - 1e-9, 1e-9], t, limits.tilted((1.0, h)))
    assert np.allclose(few[:, 1] / 1e-9, power, rtol=1e-6)


def test_weights_and_breakdown():
    w = np.linspace(0.01, 1, 1000)
    for ratio in (0.25, 1.0, 4.0):
        best = (np.sqrt(ratio**2 + 4 * ratio) - ratio) / 2
        assert limits.weighted_error(best, ratio) == pytest.approx(best)
        assert (limits.weighted_error(w, ratio) >= best - 1e-12).all()
    assert limits.weighted_error(limits.GOLDEN) == pytest.approx(limits.GOLDEN) == pytest.approx(0.6180339887)
    assert limits.weighted_error(0.5) == pytest.approx(2 / 3)
    assert limits.breakdown(0.9, 0.3) == pytest.approx(0.75)
    p = limits.breakdown(0.8, 0.2)
    assert limits.tilted((0.8, 0.2))(np.array([1 - p, p])) == pytest.approx([0.5, 0.5])


def test_shifts_and_worth():
    assert limits.recurring_shift(Replace(), 5)[-1] == 4
    assert limits.recurring_shift(Accumulate(), 4)[-1] == pytest.approx(1 / 2 + 1 / 3 + 1 / 4)
    assert limits.recurring_shift(FreshReal(0.25), 200)[-1] == pytest.approx(3)
    assert limits.recurring_shift(Accumulate(fresh=0.25), 10**5)[-1] == pytest.approx(3, rel=0.1)
    assert limits.real_equivalent(Accumulate(), 10**6, 10**4)[-1] == pytest.approx(1 / EULER_SUM, rel=1e-3)
    assert limits.strong_collapse_risk(10**9, 10, 0.5, 0.3, 1.0) == pytest.approx(0.09, rel=1e-6)
    assert limits.maximal_error_bound(1, 0.1) == 1 and limits.maximal_error_bound(10**4, 0.1) < 0.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: limits.recurring_factor(Keep(0.1), 0.5, 3), "regime="),
        (lambda: limits.recurring_factor(Accumulate(), -0.5, 3), "factor="),
        (lambda: limits.recurring_shift(Accumulate(kept=0.5), 3), "regime="),
        (lambda: limits.tempered_variance(Accumulate(fresh=0.1), 10, 3, 0.5), "regime="),
        (lambda: limits.mean_field(Keep(0.1), [0.5, 0.5], 3, limits.tilted((1, 1))), "regime="),
        (lambda: limits.breakdown(0, 0), "right, wrong"),
        (lambda: limits.strong_collapse_risk(100, 10, 1.0, 1.5, 1.0), "synthetic=1.5"),
    ],
)
def test_laws_refuse_what_they_do_not_cover(call, message):
    with pytest.raises(ValueError, match=message):
        call()
