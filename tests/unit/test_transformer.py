"""The transformer world: fits that can be interrupted, scores that can be checked by hand, settings that are
refused."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from lib.errors import Refused
from lib.pool import Part, Rows
from lib.recursion import recurse
from lib.regimes import Accumulate, AccumulateSubsample, Keep, RealOnly, Replace, ReplaceGrown
from lib.worlds.language import training
from lib.worlds.language.neural import NeuralModel
from lib.worlds.language.training import Schedule, batches
from lib.worlds.language.transformer import Transformer

SMALL = {
    "vocabulary": 300,
    "block": 16,
    "width": 16,
    "layers": 1,
    "heads": 2,
    "steps": 12,
    "batch": 4,
    "test_blocks": 20,
    "score_samples": 20,
    "shown": 2,
}
CALL = {"n": 30, "generations": 3, "runs": 2, "seed": 5}


def world(**settings):
    return Transformer(**(SMALL | settings))


def refused(setting, value, call):
    """That a call refuses this value of that setting; what is allowed instead."""
    with pytest.raises(Refused) as found:
        call()
    assert (found.value.setting, found.value.value) == (setting, value)
    return found.value.allowed


def test_every_regime_runs_and_records_what_it_took():
    regimes = [Replace(), ReplaceGrown(), Accumulate(), AccumulateSubsample(), Keep(0.1), RealOnly()]
    # Of so many written tokens some occur the five times that Zipf's exponent is fitted to, in every run.
    call = CALL | {"generations": 2, "runs": 1, "keep": ("samples", "generated_perplexities")}
    data = recurse(world(score_samples=80), regimes, **call)
    assert set(world().scores) <= set(data.data_vars)
    assert all(np.isfinite(data[name]).all() for name in world().scores)
    assert (data["steps"] == 12).all() and (data["examples"] == 48).all()
    assert data["samples"].dims == ("regime", "generation", "run", "shown", "token")
    mean = np.exp(np.log(data["generated_perplexities"]).mean("sample"))
    assert_allclose(mean, data["generated_perplexity"], rtol=1e-5)
    # With equal seeds generation 1 is the same under every regime, and later ones are not.
    assert np.ptp(data["test_perplexity"].sel(generation=1).values, axis=0).max() == 0
    assert np.ptp(data["test_perplexity"].sel(generation=2).values, axis=0).min() > 0


def test_epochs_make_steps_grow_with_the_data():
    data = recurse(world(epochs=2), [Replace(), Accumulate()], **(CALL | {"runs": 1}))
    assert data["steps"].sel(regime="Replace").values.tolist() == [15, 15, 15]
    assert data["steps"].sel(regime="Accumulate").values.tolist() == [15, 30, 45]


def test_a_run_does_not_depend_on_how_many_there_are():
    few = recurse(world(), [Accumulate()], **(CALL | {"runs": 1}))
    more = recurse(world(), [Accumulate()], **CALL)
    for name in world().scores:
        assert_allclose(few[name].values, more[name].isel(run=[0]).values, rtol=1e-6)


def test_perplexity_of_a_model_that_knows_nothing_is_the_size_of_the_vocabulary():
    small = world()
    network = small.network(None)
    weights = {name: torch.zeros_like(w) for name, w in network.state_dict().items()}
    scores = small.score(NeuralModel((weights,), np.ones((1, 300), dtype=int)), np.random.default_rng(0), small.scores)
    assert scores["test_perplexity"][0] == pytest.approx(300, rel=1e-5)
    assert scores["next_entropy"][0] == pytest.approx(np.log(300), rel=1e-6)
    test = small.corpus.test[:20]
    bits = test[:, 1:].size * np.log2(300) / small.corpus.lengths[:20, 1:].sum()
    assert scores["bits_per_byte"][0] == pytest.approx(bits, rel=1e-5)


def test_a_model_learns_what_is_in_its_data():
    small = world(steps=150, rate=1e-2)
    blocks = np.tile(np.arange(16, dtype=np.int32), (1, 40, 1))
    model = small.fit((Part(Rows(blocks), 1.0),), np.random.default_rng(0)).model
    written = small.sample(model, 50, None, np.random.default_rng(1)).values
    assert (written[:, :, 0] == 0).all()  # the first token is drawn from those that begin a block
    assert (written == np.arange(16)).mean() > 0.95


def test_generated_text_is_judged_by_the_model_of_generation_one():
    small = world()
    data = recurse(small, [Replace()], keep=("samples", "generated_perplexities"), **(CALL | {"generations": 2}))
    streams = np.random.default_rng(0)
    real = Rows(np.stack([small.corpus.train[:30]] * 2))
    first = small.fit((Part(real, 1.0),), streams).model
    alone, judged = (
        small.score(first, np.random.default_rng(1), ("generated_perplexity",), first=f) for f in (None, first)
    )
    assert_allclose(alone["generated_perplexity"], judged["generated_perplexity"])
    other = NeuralModel(first.networks[::-1], first.starts)
    assert (small.score(first, np.random.default_rng(1), ("generated_perplexity",), first=other)["generated_perplexity"]
            > alone["generated_perplexity"]).any()  # fmt: skip
    assert data["generated_perplexity"].shape == (1, 2, 2)


def test_a_base_is_trained_once_on_blocks_that_no_run_is_given():
    small = world(base_blocks=100, base_steps=20)
    assert len(small.available) == len(small.corpus.train) - 100
    assert small.base() is world(base_blocks=100, base_steps=20, rate=1e-4, steps=3, prompts=True).base()
    assert small.base() is not world(base_blocks=100, base_steps=21).base()
    still = world(base_blocks=100, base_steps=20, steps=1, rate=1e-12)
    model = still.fit((Part(Rows(still.available[None, :30]), 1.0),), np.random.default_rng(0)).model
    for name, weight in still.base().items():
        assert_allclose(model.networks[0][name], weight, atol=1e-9)


def test_prompts_are_the_training_blocks_in_order_and_a_beam_search_continues_each():
    small = world(prompts=True, beams=2, steps=30)
    source = Rows(np.stack([small.corpus.train[:5]] * 2))
    assert (small.inputs(source, 5, None).values == source.values).all()
    assert (small.inputs(source, 7, None).values[:, 5:] == source.values[:, :2]).all()
    data = recurse(small, [Keep(0.1)], **(CALL | {"generations": 2, "runs": 1}))
    assert np.isfinite(data["test_perplexity"]).all()
    model = small.fit((Part(source, 1.0),), np.random.default_rng(0)).model
    first, again = (small.sample(model, 5, source, np.random.default_rng(k)).values for k in (1, 2))
    assert (first == again).all()


def test_the_best_model_on_the_validation_part_can_be_kept():
    # 75 passes over 8 blocks at a high rate: the last model has learned them by heart and is worse on new text.
    setting = {"steps": 150, "batch": 4, "rate": 2e-2}
    train = (Part(Rows(world().corpus.train[None, :8]), 1.0),)
    losses = {}
    for stop in ("last", "best"):
        small = world(stop=stop, **setting)
        (losses[stop],) = small.validation_loss(small.fit(train, np.random.default_rng(0)).model)
    assert losses["best"] < losses["last"] - 0.5


class Killed(Exception):
    pass


def test_a_killed_call_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    regimes = [Replace(), Accumulate()]
    unbroken = recurse(world(), regimes, **CALL)
    fit, fits = Transformer.fit, []

    def stopped(self, *arguments, **named):
        fits.append(1)
        if len(fits) == 4:
            raise Killed
        return fit(self, *arguments, **named)

    monkeypatch.setattr(Transformer, "fit", stopped)
    with pytest.raises(Killed):
        recurse(world(), regimes, checkpoint=tmp_path, **CALL)
    monkeypatch.setattr(Transformer, "fit", fit)
    resumed = recurse(world(), regimes, checkpoint=tmp_path, **CALL)
    assert resumed.identical(unbroken)
    assert {path.suffix for path in tmp_path.rglob("[!.]*") if path.is_file()} == {".json", ".npz"}


@pytest.mark.parametrize("stop", ["last", "best"])
def test_a_fit_killed_half_way_goes_on_from_its_progress(tmp_path, monkeypatch, stop):
    small = world(steps=40, stop=stop)
    train = (Part(Rows(np.stack([small.corpus.train[:30]] * 2)), 1.0),)
    unbroken = small.fit(train, np.random.default_rng(9)).model
    monkeypatch.setattr(training, "SAVE_SECONDS", -1.0)
    factor = Schedule.factor

    def killed(self, step, _seen=[]):  # noqa: B006
        _seen.append(step)
        if len(_seen) == 2 * 40 + 2 * 20 + 1:  # asked twice a step: at step 20 of the second run
            raise Killed
        return factor(self, step)

    monkeypatch.setattr(Schedule, "factor", killed)
    with pytest.raises(Killed):
        small.fit(train, np.random.default_rng(9), scratch=tmp_path / "progress")
    monkeypatch.setattr(Schedule, "factor", factor)
    steps, count = [], training.batches
    monkeypatch.setattr(training, "batches", lambda *a: steps.append(a[-1]) or count(*a))
    resumed = small.fit(train, np.random.default_rng(9), scratch=tmp_path / "progress").model
    assert steps == list(range(20, 40))  # nothing of the first run, and of the second what was missing
    for ours, theirs in zip(resumed.networks, unbroken.networks, strict=True):
        assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_progress_of_another_schedule_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_SECONDS", -1.0)
    small = world(steps=6)
    network = small.network(None)
    network.start(torch.Generator().manual_seed(0))
    training.train(
        network, small.corpus.train[:8], Schedule(3, 2, 1e-3), np.random.default_rng(0), scratch=tmp_path / "o"
    )
    assert list(tmp_path.iterdir()) == []  # a finished fit leaves nothing behind
    monkeypatch.setattr(Schedule, "factor", lambda self, step: 1.0 if step < 2 else (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        training.train(
            network, small.corpus.train[:8], Schedule(3, 2, 1e-3), np.random.default_rng(0), scratch=tmp_path / "p"
        )
    with pytest.raises(ValueError, match="schedule=.*is not allowed"):
        training.train(
            network, small.corpus.train[:8], Schedule(6, 2, 1e-3), np.random.default_rng(0), scratch=tmp_path / "p"
        )


def test_batches_are_passes_over_the_set_whatever_its_size():
    drawn = np.concatenate([batches(np.random.default_rng(1), 7, 3, step) for step in range(14)])
    for number in range(6):
        assert sorted(drawn[7 * number : 7 * number + 7]) == list(range(7))
    assert sorted(np.concatenate([batches(np.random.default_rng(1), 2, 5, 0)])) != list(range(5))


def test_the_learning_rate_rises_and_falls_to_zero():
    schedule = Schedule(100, 4, 1e-3)
    factors = [schedule.factor(step) for step in range(100)]
    assert factors[0] == pytest.approx(0.2) and max(factors) == 1 and factors[-1] == pytest.approx(1 / 95)
    assert Schedule(1, 4, 1e-3).factor(0) == 1


def test_bfloat16_products_give_nearly_the_same_model():
    train = (Part(Rows(world().corpus.train[None, :30]), 1.0),)
    scores = {}
    for dtype in ("float32", "bfloat16"):
        small = world(dtype=dtype, steps=60)
        model = small.fit(train, np.random.default_rng(0)).model
        scores[dtype] = small.score(model, np.random.default_rng(1), ("test_perplexity",))["test_perplexity"][0]
    assert scores["bfloat16"] == pytest.approx(scores["float32"], rel=0.03)
    assert scores["bfloat16"] != scores["float32"]


@pytest.mark.parametrize(
    ("setting", "value", "others"),
    [
        ("family", "rnn", {}),
        ("heads", 3, {}),
        ("steps", 0, {}),
        ("rate", 0, {}),
        ("epochs", 0, {}),
        ("temperature", -1, {}),
        ("top_p", 0, {}),
        ("top_p", 2, {}),
        ("stop", "early", {}),
        ("dtype", "int8", {}),
        ("beams", 5, {"temperature": 0.5, "prompts": True}),
        ("repetition_penalty", 2.0, {}),
        ("block", 1, {}),
        ("base_blocks", 10**6, {}),
        ("prompts", True, {"family": "gpt2"}),
        ("shown", 21, {}),
    ],
)
def test_wrong_settings_are_named(setting, value, others):
    refused(setting, value, lambda: world(**others, **{setting: value}))


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused("device", "cuda", lambda: world(device="cuda"))
    assert "cpu (no GPU was found) in float32" in world().device_line()


def test_a_deterministic_decoder_has_nothing_to_say_to_replace_grown():
    allowed = refused("beams", 2, lambda: recurse(world(prompts=True, beams=2), [ReplaceGrown()], **CALL))
    assert "ReplaceGrown" in allowed and "90 blocks" in allowed
    refused("temperature", 0, lambda: recurse(world(prompts=True, temperature=0), [ReplaceGrown()], **CALL))
    assert "prompts=True" in refused("beams", 2, lambda: recurse(world(beams=2), [Replace()], **CALL))


def test_too_many_blocks_are_refused_before_any_work():
    refused("n", 10**6, lambda: recurse(world(), [Replace()], **(CALL | {"n": 10**6})))


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    call = {"checkpoint": tmp_path} | CALL | {"generations": 1, "runs": 1}
    recurse(world(), [Replace()], **call)
    assert "16, the setting of" in refused("width", 32, lambda: recurse(world(width=32), [Replace()], **call))
    with pytest.raises(Refused) as found:
        recurse(world(vocabulary=301), [Replace()], **call)
    assert found.value.setting == "tokenizer_digest"


def test_the_base_has_scores_of_its_own_and_fresh_weights_have_none():
    small = world(base_blocks=100, base_steps=20)
    assert 1 < small.zero_shot()["test_perplexity"] < 300
    refused("base_blocks", 0, world().zero_shot)
