"""Claims of chapter 7: language models whose old data are all thrown away, or all kept.

No exact law is known for these models. Effects are differences of ln perplexity, the mean −ln P of a token: paired over runs.
"""

from __future__ import annotations

import functools

import numpy as np

from lib import intervals
from lib.intervals import number
from lib.ledger import LEVEL, LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED, Claim, Finding, verdict

WORLDS = {"ngram": "n-gram", "transformer": "transformer"}
MARGIN = 0.1  # of what Replace adds to ln perplexity: a rise smaller than that counts as no collapse
NEARLY = 0.25  # of the effect on Replace: less than that leaves Accumulate nearly alone
HALF = 0.5  # of it: a rise smaller than that counts as mitigated


def loss(data, regime, generation=-1, score="test_perplexity"):
    """ln of a perplexity of every run."""
    return np.log(data[score].sel(regime=regime).isel(generation=generation).values)


def change(data, regime, score="test_perplexity"):
    """Paired change of ln perplexity from the first to the last generation."""
    return intervals.difference(loss(data, regime, -1, score), loss(data, regime, 0, score), LEVEL)


def times(interval):
    """A change of ln perplexity in words."""
    return f"times {np.exp(interval.estimate):.2f}"


def _in_each(results, measure, judge, words, change_words):
    """A finding over both worlds: the verdict is that of the worse one, whose interval is shown."""
    found = {name: measure(results[name]) for name in WORLDS}
    verdicts = {name: judge(results[name], interval) for name, interval in found.items()}
    order = [SUPPORTED, LIMITED, NOT_SUPPORTED, NOT_TESTABLE]
    worst = max(WORLDS, key=lambda name: order.index(verdicts[name]))
    said = "; ".join(f"{WORLDS[name]}: {words(results[name], interval)}" for name, interval in found.items())
    return Finding(verdicts[worst], said, found[worst], change_words)


def _replaced(results):
    return _in_each(
        results,
        lambda data: change(data, "Replace"),
        lambda data, interval: verdict(interval, above=0),
        lambda data, interval: f"test perplexity {times(interval)} in {data.sizes['generation']} generations",
        "A change of ln perplexity whose interval contains 0, in either model. Shown is the interval of the change.",
    )


def _kept(results):
    return _in_each(
        results,
        lambda data: intervals.difference(loss(data, "Replace"), loss(data, "Accumulate"), LEVEL),
        lambda data, interval: verdict(interval, above=0),
        lambda data, interval: f"Replace ends at {np.exp(interval.estimate):.2f} times the perplexity of Accumulate",
        "A paired difference of ln perplexity whose interval contains 0, in either model.",
    )


def small_rise(data, interval):
    """The verdict on a rise of ln perplexity that is to be small beside what Replace adds in the same data."""
    whole = change(data, "Replace")
    if whole.low <= 0:
        return NOT_TESTABLE
    share = interval.high / whole.estimate
    return SUPPORTED if share < MARGIN else LIMITED if share < HALF else NOT_SUPPORTED


def shared(data, interval):
    """The rise under Accumulate in words, and as a share of Replace's."""
    whole = change(data, "Replace")
    said = f"test perplexity {times(interval)}, under Replace {times(whole)}"
    return said + (f"; in nats {interval.estimate / whole.estimate:.0%} of it" if whole.low > 0 else "")


SHARES = (
    f"A rise of ln perplexity below {MARGIN:.0%} of Replace's, for a verdict without limits; {HALF:.0%} of it or more, for none. Not testable if "
    "Replace does not rise."
)


def _no_collapse(results):
    """Definition: the test loss hardly rises after generation 1; hardly is told by what Replace adds."""
    return _in_each(results, lambda data: change(data, "Accumulate"), small_rise, shared, SHARES)


def slope(long, first=None, last=None):
    """Slope of ln perplexity against ln generation under Accumulate, one for each run, over generations `first` to `last`; by default the
    later half."""
    values = np.log(long["test_perplexity"].sel(regime="Accumulate"))
    values = values.sel(generation=slice(first or long.sizes["generation"] // 2 + 1, last))
    return np.array(
        [np.polyfit(np.log(values["generation"]), values.isel(run=k), 1)[0] for k in range(values.sizes["run"])]
    )


def _levels_off(results):
    """Under a law of the kind 1 + 1/4 + 1/9 + … the slope in ln t falls to about a quarter from the early generations to the late ones; under
    ln t it stays."""
    long = results["long"]
    found, early = intervals.mean(slope(long), LEVEL), slope(long, 2, 5).mean()
    share = found.high / early
    word = SUPPORTED if share < 0.5 else LIMITED if share < 0.8 else NOT_SUPPORTED
    last = long.sizes["generation"]
    return Finding(
        word,
        f"n-gram: the perplexity under Accumulate grows like $t^{{{early:.2f}}}$ over generations 2 to 5 and like $t^{{{found.estimate:.2f}}}$ over "
        f"{last // 2 + 1} to {last}; chapter 11 finds the same for exact copies of real text, so that the estimator and not the text is the cause",
        found,
        "A late exponent below half of the early one, for a verdict without limits; 80% of it or more, for none.",
    )


def _narrows(results):
    return _in_each(
        results,
        lambda data: change(data, "Replace", "generated_perplexity"),
        lambda data, interval: verdict(interval, below=0),
        lambda data, interval: (
            f"what is written has {times(interval).replace('times ', '')} times the perplexity under the first model"
        ),
        "A change whose interval lies below 0 in both models.",
    )


def _recorded(name, judge):
    """A judge of a recorded experiment; without the record, not testable here."""

    @functools.wraps(judge)
    def judged(results):
        if name not in results:
            return Finding(NOT_TESTABLE, "no recorded run", None, "`make records ONLY=language-replaced`.")
        return judge(results[name])

    return judged


def _colm_epochs(data):
    found, worse = change(data, "Accumulate"), change(data, "Replace")
    word = SUPPORTED if found.high <= 0 < worse.low else LIMITED if found.high < worse.low else NOT_SUPPORTED
    return Finding(
        word,
        f"recorded, passes over everything: test perplexity {times(found)} under Accumulate, {times(worse)} under Replace",
        found,
        "A change of ln perplexity under Accumulate below 0 and a rise under Replace, for a verdict without limits; a change that reaches "
        "Replace's, for none.",
    )


def _colm_grown(data):
    grown, accumulated, replaced = (loss(data, regime) for regime in ("ReplaceGrown", "Accumulate", "Replace"))
    above, below = intervals.difference(grown, accumulated, LEVEL), intervals.difference(replaced, grown, LEVEL)
    return Finding(
        SUPPORTED if above.low > 0 and below.low > 0 else LIMITED if above.low > 0 else NOT_SUPPORTED,
        f"recorded, passes over everything: a grown replaced set ends at {np.exp(above.estimate):.2f} times the perplexity of Accumulate, and "
        f"Replace at {np.exp(below.estimate):.2f} times that of the grown set",
        above,
        "A grown set that does as well as the accumulated one; with limits, one that does no better than Replace.",
    )


def _colm_temperature(results):
    names = ("recorded matched compute", "recorded temperature 0.3")
    if any(name not in results for name in names):
        return Finding(NOT_TESTABLE, "no recorded run", None, "`make records ONLY=language-replaced`.")
    warm, cold = (results[name] for name in names)
    gap = {}
    for regime in ("Replace", "Accumulate"):
        gap[regime] = intervals.difference(loss(cold, regime), loss(warm, regime), LEVEL)
    extra = intervals.difference(
        loss(cold, "Replace") - loss(warm, "Replace"), loss(cold, "Accumulate") - loss(warm, "Accumulate"), LEVEL
    )
    small = gap["Accumulate"].high < NEARLY * gap["Replace"].estimate
    word = NOT_SUPPORTED if gap["Replace"].low <= 0 or extra.low <= 0 else SUPPORTED if small else LIMITED
    return Finding(
        word,
        f"recorded: at temperature 0.3 Replace ends at {np.exp(gap['Replace'].estimate):.2f} times its perplexity at temperature 1, Accumulate at "
        f"{number(np.exp(gap['Accumulate'].estimate), '.2f')} times",
        extra,
        f"An effect on ln perplexity under Accumulate below {NEARLY:.0%} of that under Replace, for a verdict without limits; effects that do not "
        "differ, for none. Shown is the difference of the effects.",
    )


CLAIMS = (
    Claim(
        "nature-language-replaced",
        7,
        "Shumailov et al. 2024, result 2",
        "A language model that is trained on its predecessor's text, with no original data kept, loses performance.",
        "20 to 28 perplexity points lost",
        _replaced,
    ),
    Claim(
        "thread-text",
        7,
        "thread, 11/N",
        "With text too, accumulating mitigates the decay.",
        "TinyStories: test loss 1.74 against 2.39",
        _kept,
    ),
    Claim(
        "thread-no-collapse-text",
        7,
        "thread, 10/N",
        "With accumulating text there is no model collapse.",
        "“no model collapse”",
        _no_collapse,
    ),
    Claim(
        "book-text-levels-off",
        7,
        "a question of this book",
        "For a language model too, the loss under Accumulate levels off, as it does in linear regression.",
        "proved for linear regression only",
        _levels_off,
    ),
    Claim(
        "book-tails-sampled",
        7,
        "a question of this book",
        "If text is sampled, later models too write more of what the first model finds likely.",
        "seen in the Nature paper with a beam search",
        _narrows,
    ),
    Claim(
        "colm-text-epochs",
        7,
        "Gerstgrasser et al. 2024, Table 2",
        "With accumulating text and passes over everything, the test loss falls, while under Replace it rises.",
        "1.82 to 1.74 and to 2.39",
        _recorded("recorded three epochs", _colm_epochs),
    ),
    Claim(
        "colm-text-grown",
        7,
        "Gerstgrasser et al. 2024, Table 2",
        "A replaced set that grows as the accumulated one does lies between the two.",
        "2.18 between 1.74 and 2.39",
        _recorded("recorded three epochs", _colm_grown),
    ),
    Claim(
        "colm-text-temperature",
        7,
        "Gerstgrasser et al. 2024, Table 2",
        "A low sampling temperature makes Replace far worse and leaves Accumulate nearly alone.",
        "Replace 2.39 to 5.82, Accumulate 1.74 to 1.75",
        _colm_temperature,
    ),
)
