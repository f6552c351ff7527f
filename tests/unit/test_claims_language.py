"""The judges of chapters 7 and 8, each with numbers that turn its verdict."""

import numpy as np
import pytest
import xarray as xr

from lib import ledger as claims
from lib.ledger import LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED
from lib.ledger.claims.kept import effects

NOISE = np.array([-0.01, 0.004, 0.011, -0.005])  # runs differ by about a hundredth in ln perplexity


def data(**ends):
    """Four runs, generations in a row: ln perplexities by regime, from the list of means."""
    values = np.stack(
        [
            [np.exp(m + (1 + k / 10) * np.roll(NOISE, t + k)) for t, m in enumerate(means)]
            for k, means in enumerate(ends.values())
        ]
    )
    dims = ("regime", "generation", "run")
    coords = {"regime": [LABELS.get(name, name) for name in ends], "generation": 1 + np.arange(values.shape[1])}
    return xr.Dataset(dict.fromkeys(("test_perplexity", "generated_perplexity"), (dims, values)), coords)


LABELS = {"Keep": "Keep(0.1)", "AccumulateNone": "Accumulate(0 kept)", "AccumulateTenth": "Accumulate(0.1 kept)"}


def found(chapter, name, results):
    judge = next(claim.judge for claim in claims.of_chapter(chapter) if claim.id == name)
    return judge(results)


def both(**ends):
    return {"ngram": data(**ends), "transformer": data(**ends)}


@pytest.mark.parametrize(("end", "word"), [(5.0, SUPPORTED), (4.005, NOT_SUPPORTED), (3.8, NOT_SUPPORTED)])
def test_replaced_text_decays_or_does_not(end, word):
    assert found(7, "nature-language-replaced", both(Replace=[4.0, end])).verdict == word


def test_the_worse_of_two_worlds_decides():
    mixed = {"ngram": data(Replace=[4.0, 5.0]), "transformer": data(Replace=[4.0, 4.0])}
    assert found(7, "nature-language-replaced", mixed).verdict == NOT_SUPPORTED


@pytest.mark.parametrize(("kept", "word"), [(4.2, SUPPORTED), (5.0, NOT_SUPPORTED), (5.3, NOT_SUPPORTED)])
def test_kept_text_helps_or_does_not(kept, word):
    assert found(7, "thread-text", both(Replace=[4.0, 5.0], Accumulate=[4.0, kept])).verdict == word


RISES = [
    (5.0, 4.02, SUPPORTED),
    (5.0, 3.7, SUPPORTED),
    (5.0, 4.3, LIMITED),
    (5.0, 4.7, NOT_SUPPORTED),
    (4.0, 4.0, NOT_TESTABLE),
]


@pytest.mark.parametrize(("replaced", "kept", "word"), RISES)
def test_no_collapse_means_hardly_any_rise(replaced, kept, word):
    ends = data(Replace=[4.0, replaced], Accumulate=[4.0, kept])
    assert found(7, "thread-no-collapse-text", {"ngram": ends, "transformer": ends}).verdict == word
    assert found(8, "thread-no-collapse-protocol", {"5 epochs": ends}).verdict == word


def test_a_loss_that_levels_off_is_told_from_a_power_of_the_generation():
    t = np.arange(1, 25)
    for means, word in (
        (4 + 0.3 * np.log(t), NOT_SUPPORTED),
        (4 + np.cumsum(1 / t**2), SUPPORTED),  # the law of linear regression
        (4 + 0.6 * np.log(t) ** 0.6, LIMITED),
    ):
        assert found(7, "book-text-levels-off", {"long": data(Accumulate=list(means))}).verdict == word


@pytest.mark.parametrize(("end", "word"), [(3.0, SUPPORTED), (4.0, NOT_SUPPORTED), (5.0, NOT_SUPPORTED)])
def test_sampled_text_may_or_may_not_narrow(end, word):
    assert found(7, "book-tails-sampled", both(Replace=[4.0, end])).verdict == word


@pytest.mark.parametrize(
    ("accumulated", "replaced", "word"),
    [(3.9, 4.5, SUPPORTED), (4.2, 4.5, LIMITED), (4.6, 4.5, NOT_SUPPORTED), (3.9, 3.9, NOT_SUPPORTED)],
)
def test_passes_over_everything(accumulated, replaced, word):
    results = {"recorded three epochs": data(Replace=[4.0, replaced], Accumulate=[4.0, accumulated])}
    assert found(7, "colm-text-epochs", results).verdict == word
    assert found(7, "colm-text-epochs", {}).verdict == NOT_TESTABLE


@pytest.mark.parametrize(("grown", "word"), [(4.3, SUPPORTED), (4.5, LIMITED), (4.9, LIMITED), (4.1, NOT_SUPPORTED)])
def test_a_grown_set_lies_between_or_not(grown, word):
    results = {"recorded three epochs": data(Replace=[4.0, 4.5], Accumulate=[4.0, 4.1], ReplaceGrown=[4.0, grown])}
    assert found(7, "colm-text-grown", results).verdict == word
    assert found(7, "colm-text-grown", {}).verdict == NOT_TESTABLE


@pytest.mark.parametrize(
    ("replaced", "accumulated", "word"),
    [(6.0, 4.25, SUPPORTED), (6.0, 5.0, LIMITED), (6.0, 5.7, NOT_SUPPORTED), (4.2, 3.0, NOT_SUPPORTED)],
)
def test_a_low_temperature_hurts_replace_more_or_not(replaced, accumulated, word):
    results = {
        "recorded matched compute": data(Replace=[4.0, 4.5], Accumulate=[4.0, 4.2]),
        "recorded temperature 0.3": data(Replace=[4.0, replaced], Accumulate=[4.0, accumulated]),
    }
    assert found(7, "colm-text-temperature", results).verdict == word
    assert found(7, "colm-text-temperature", {}).verdict == NOT_TESTABLE


def kept(replace5=6.0, keep5=4.6, accumulate5=4.2, replace10=6.1, keep10=4.5, start=4.0):
    return {
        "5 epochs": data(Replace=[start, replace5], Keep=[start, keep5], Accumulate=[start, accumulate5]),
        "10 epochs": data(Replace=[start, replace10], Keep=[start, keep10]),
    }


@pytest.mark.parametrize(("keep10", "word"), [(4.5, SUPPORTED), (5.2, LIMITED), (5.6, NOT_SUPPORTED)])
def test_minor_degradation_is_measured_by_what_replace_loses(keep10, word):
    assert found(8, "nature-kept-minor", kept(keep10=keep10)).verdict == word


def test_a_tenth_must_help_at_both_numbers_of_epochs():
    assert found(8, "thread-little-real", kept()).verdict == SUPPORTED
    assert found(8, "thread-little-real", kept(keep10=6.1)).verdict == NOT_SUPPORTED


@pytest.mark.parametrize(
    ("keep5", "keep10", "word"),
    [(4.6, 4.5, SUPPORTED), (5.5, 4.2, LIMITED), (4.5, 5.9, SUPPORTED), (6.0, 4.5, NOT_SUPPORTED)],
)
def test_the_epochs_may_turn_out_to_have_done_it(keep5, keep10, word):
    assert found(8, "nature-kept-confounded", kept(keep5=keep5, keep10=keep10)).verdict == word


@pytest.mark.parametrize(("end", "word"), [(1.0, SUPPORTED), (2.0, NOT_SUPPORTED), (3.0, NOT_SUPPORTED)])
def test_what_is_written_may_become_likelier_to_the_first_model(end, word):
    assert found(8, "nature-language-tails", {"5 epochs": data(Replace=[2.0, end])}).verdict == word


@pytest.mark.parametrize(("reach", "word"), [(2.0, SUPPORTED), (1.0, NOT_SUPPORTED), (0.5, NOT_SUPPORTED)])
def test_the_tail_of_errors_may_grow_longer(reach, word):
    rng = np.random.default_rng(7)
    blocks = np.exp(rng.normal(2, 1, (1, 2, 4, 400)) * np.array([1.0, reach])[None, :, None, None])
    stored = xr.Dataset(
        {"generated_perplexities": (("regime", "generation", "run", "sample"), blocks)},
        {"regime": ["Replace"], "generation": [1, 2]},
    )
    assert found(8, "nature-language-errors", {"5 epochs": stored}).verdict == word


@pytest.mark.parametrize(("end", "word"), [(7.0, SUPPORTED), (6.0, SUPPORTED), (5.0, LIMITED), (3.9, NOT_SUPPORTED)])
def test_a_penalty_may_help(end, word):
    results = {"recorded 5 epochs": data(Replace=[4.0, 6.0]), "recorded penalty 2.0": data(Replace=[4.0, end])}
    assert found(8, "nature-penalty", results).verdict == word
    assert found(8, "nature-penalty", {}).verdict == NOT_TESTABLE


@pytest.mark.parametrize(("best", "word"), [(5.0, SUPPORTED), (6.0, NOT_SUPPORTED), (7.0, NOT_SUPPORTED)])
def test_the_best_model_on_validation_may_be_milder(best, word):
    results = {"recorded 5 epochs": data(Replace=[4.0, 6.0]), "recorded best on validation": data(Replace=[4.0, best])}
    assert found(8, "nature-validation", results).verdict == word
    assert found(8, "nature-validation", {}).verdict == NOT_TESTABLE


@pytest.mark.parametrize(("accumulate5", "word"), [(4.2, SUPPORTED), (4.6, NOT_SUPPORTED), (5.0, NOT_SUPPORTED)])
def test_everything_may_do_no_better_than_a_tenth(accumulate5, word):
    assert found(8, "thread-keep-all", kept(accumulate5=accumulate5)).verdict == word


def test_the_effects_of_the_factorial_are_paired_differences():
    factorial = kept()
    factorial["5 epochs"] = data(
        Replace=[4, 6], Keep=[4, 4.6], AccumulateNone=[4, 5.8], AccumulateTenth=[4, 4.7], Accumulate=[4, 4.2]
    )
    values = {name: interval.estimate for name, interval in effects(factorial).items()}
    assert values["a tenth of the original kept, 5 epochs"] == pytest.approx(-1.4, abs=0.01)
    assert values["ten epochs instead of five, a tenth kept"] == pytest.approx(-0.1, abs=0.01)
    assert values["all synthetic text kept, nothing of the original, 5 epochs"] == pytest.approx(-0.2, abs=0.01)
    assert values["everything kept instead of a tenth, 5 epochs"] == pytest.approx(-0.4, abs=0.01)
    assert len(values) == 7
