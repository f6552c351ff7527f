"""A regime and a world of one's own, each in one file: run, resumed, asked and drawn without a change to `lib`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from lib.errors import Refused
from lib.ledger import questions
from lib.pool import Rows
from lib.recursion import recurse
from lib.regimes import Accumulate, Keep, Regime, Replace
from lib.worlds.gaussian import Gaussian
from tests.unit.own_world import Waiting

SMALL = {"n": 20, "generations": 9, "runs": 6, "seed": 5}


def test_a_world_of_ones_own_is_run_and_asked_like_any_other():
    data = recurse(Waiting(3.0), [Replace(), Accumulate(), Keep(0.2)], **SMALL)
    assert data["kl"].attrs == {"kind": "excess risk", "worse": "more", "long_name": "KL(truth ‖ fit)", "units": "nats"}
    assert {a["question"] for a in questions.asked("waiting times", data)} == {"worse", "unbounded", "variety", "rare"}


def test_a_world_of_ones_own_goes_on_from_a_checkpoint(tmp_path):
    whole = recurse(Waiting(), [Replace(), Keep(0.2)], **SMALL)
    recurse(Waiting(), Replace(), **SMALL | {"generations": 4}, checkpoint=tmp_path)
    xr.testing.assert_identical(recurse(Waiting(), [Replace(), Keep(0.2)], **SMALL, checkpoint=tmp_path), whole)


def test_a_regime_of_ones_own_is_run_and_has_a_look_of_its_own():
    looks = pytest.importorskip("lib.chapter.looks")
    from tests.unit.own_regime import Fading

    data = recurse(Gaussian(sampler="explicit"), [Replace(), Fading()], **SMALL)
    assert list(data["family"].values) == ["Replace", "Fading"]
    assert list(data["train_size"].sel(regime="Fading").values) == [20] + [30] * 8
    assert looks.LOOKS["Fading"].color == "#AA4499"
    (variety,) = (a for a in questions.asked("", data, ["Fading"]) if a["question"] == "variety")
    assert variety["score"] == "trace_ratio"


def test_both_are_as_short_as_promised():
    here = Path(__file__).parent
    for name, most in (("own_regime.py", 25), ("own_world.py", 60)):
        assert len((here / name).read_text().splitlines()) <= most


class Forgetful(Regime):
    """Takes what it has not asked for."""

    def __init__(self, take):
        self.take = take

    def compose(self, pool, step, rng):
        return self.take(pool, step, rng)


@pytest.mark.parametrize(
    ("take", "setting"),
    [
        (lambda pool, step, rng: (pool.original.take(3, rng),), "needs_take"),
        (lambda pool, step, rng: pool.previous, "needs_take"),
        (lambda pool, step, rng: (pool.everything(),), "accumulates"),
    ],
)
def test_a_regime_that_forgets_to_say_what_it_needs_is_told(take, setting):
    with pytest.raises(Refused) as refused:
        recurse(Waiting(), Forgetful(take), **SMALL)
    assert (refused.value.setting, refused.value.value) == (setting, False)


def test_a_score_that_is_left_out_is_named():
    class Short(Waiting):
        def score(self, model, rng, names):
            return {name: v for name, v in super().score(model, rng, names).items() if name != "kl"}

    with pytest.raises(Refused) as refused:
        recurse(Short(), Replace(), **SMALL)
    assert (refused.value.setting, refused.value.value) == ("scores", "kl")


def test_a_model_that_could_not_be_found_again_is_refused_at_once(tmp_path):
    @dataclass(frozen=True)
    class Hidden:
        mean: np.ndarray

    class Closed(Waiting):
        def fit(self, train, rng):
            fit = super().fit(train, rng)
            return type(fit)(Hidden(fit.model.mean), fit.steps, fit.examples)

    with pytest.raises(Refused) as refused:
        recurse(Closed(), Replace(), **SMALL, checkpoint=tmp_path)
    assert (refused.value.setting, refused.value.value) == ("world", "Closed")


@pytest.mark.parametrize("select", [lambda batch, rng: Rows(batch.values[:1]), lambda batch, rng: None])
def test_a_filter_that_loses_runs_is_refused(select):
    with pytest.raises(Refused) as refused:
        recurse(Waiting(), Replace(), **SMALL, select=select)
    assert refused.value.setting == "select"


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({"generations": 10**9}, "generations"),
        ({"independent": "no"}, "independent"),
        ({"scores": 5}, "scores"),
        ({"keep": None}, "keep"),
        ({"regimes": None}, "regimes"),
        ({"world": Gaussian}, "world"),
    ],
)
def test_settings_of_the_wrong_kind_are_named(change, setting):
    settings = {"world": Gaussian(), "regimes": Replace(), **SMALL} | change
    with pytest.raises(Refused) as refused:
        recurse(settings.pop("world"), settings.pop("regimes"), **settings)
    assert refused.value.setting == setting
