"""Claims of chapter 7: language models whose old data are all thrown away, or all kept.

No exact law is known for these models. Effects are differences of ln perplexity, the mean −ln P of a token: paired over
runs.
"""

from __future__ import annotations

import numpy as np

from lib.intervals import number
from lib.ledger import LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED, Finding, claim, ladder
from lib.ledger.predicates import difference, mean, recorded

WORLDS = {"ngram": "n-gram", "transformer": "transformer"}
MARGIN = 0.1  # of what Replace adds to ln perplexity: a rise smaller than that counts as no collapse
NEARLY = 0.25  # of the effect on Replace: less than that leaves Accumulate nearly alone
HALF = 0.5  # of it: a rise smaller than that counts as mitigated


def loss(data, regime, generation=-1, score="test_perplexity"):
    """ln of a perplexity of every run."""
    return np.log(data[score].sel(regime=regime).isel(generation=generation).values)


def change(data, regime, score="test_perplexity"):
    """Paired change of ln perplexity from the first to the last generation."""
    return difference(loss(data, regime, -1, score), loss(data, regime, 0, score))


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


@claim("nature-language-replaced", "Shumailov et al. 2024, result 2", "20 to 28 perplexity points lost")
def _replaced(results):
    """A language model that is trained on its predecessor's text, with no original data kept, loses performance."""
    return _in_each(
        results,
        lambda data: change(data, "Replace"),
        lambda data, interval: ladder(interval.low > 0),
        lambda data, interval: f"test perplexity {times(interval)} in {data.sizes['generation']} generations",
        "A change of ln perplexity whose interval contains 0, in either model. Shown is the interval of the change.",
    )


@claim("thread-text", "thread, 11/N", "TinyStories: test loss 1.74 against 2.39")
def _kept(results):
    """With text too, accumulating mitigates the decay."""
    return _in_each(
        results,
        lambda data: difference(loss(data, "Replace"), loss(data, "Accumulate")),
        lambda data, interval: ladder(interval.low > 0),
        lambda data, interval: f"Replace ends at {np.exp(interval.estimate):.2f} times the perplexity of Accumulate",
        "A paired difference of ln perplexity whose interval contains 0, in either model.",
    )


def small_rise(data, interval):
    """The verdict on a rise of ln perplexity that is to be small beside what Replace adds in the same data."""
    whole = change(data, "Replace")
    if whole.low <= 0:
        return NOT_TESTABLE
    share = interval.high / whole.estimate
    return ladder(share < MARGIN, share < HALF)


def shared(data, interval):
    """The rise under Accumulate in words, and as a share of Replace's."""
    whole = change(data, "Replace")
    said = f"test perplexity {times(interval)}, under Replace {times(whole)}"
    return said + (f"; in nats {interval.estimate / whole.estimate:.0%} of it" if whole.low > 0 else "")


SHARES = (
    f"A rise of ln perplexity below {MARGIN:.0%} of Replace's, for a verdict without limits; {HALF:.0%} of it or more, "
    "for none. Not testable if Replace does not rise."
)


@claim("thread-no-collapse-text", "thread, 10/N", "“no model collapse”")
def _no_collapse(results):
    """With accumulating text there is no model collapse.

    Definition: the test loss hardly rises after generation 1; hardly is told by what Replace adds.
    """
    return _in_each(results, lambda data: change(data, "Accumulate"), small_rise, shared, SHARES)


def slope(long, first=None, last=None):
    """Slope of ln perplexity against ln generation under Accumulate, one for each run, over generations `first` to
    `last`; by default the later half."""
    values = np.log(long["test_perplexity"].sel(regime="Accumulate"))
    values = values.sel(generation=slice(first or long.sizes["generation"] // 2 + 1, last))
    return np.array(
        [np.polyfit(np.log(values["generation"]), values.isel(run=k), 1)[0] for k in range(values.sizes["run"])]
    )


@claim("book-text-levels-off", "a question of this book", "proved for linear regression only")
def _levels_off(results):
    """For a language model too, the loss under Accumulate levels off, as it does in linear regression.

    Under a law of the kind 1 + 1/4 + 1/9 + … the slope in ln t falls to about a quarter from the early generations to
    the late ones; under ln t it stays.
    """
    long = results["long"]
    found, early = mean(slope(long)), slope(long, 2, 5).mean()
    share = found.high / early
    word = ladder(share < 0.5, share < 0.8)
    last = long.sizes["generation"]
    return Finding(
        word,
        f"n-gram: the perplexity under Accumulate grows like $t^{{{early:.2f}}}$ over generations 2 to 5 and like "
        f"$t^{{{found.estimate:.2f}}}$ over {last // 2 + 1} to {last}; chapter 11 finds the same for exact copies of "
        "real text, so that the estimator and not the text is the cause",
        found,
        "A late exponent below half of the early one, for a verdict without limits; 80% of it or more, for none.",
    )


@claim("book-tails-sampled", "a question of this book", "seen in the Nature paper with a beam search")
def _narrows(results):
    """If text is sampled, later models too write more of what the first model finds likely."""
    return _in_each(
        results,
        lambda data: change(data, "Replace", "generated_perplexity"),
        lambda data, interval: ladder(interval.high < 0),
        lambda data, interval: (
            f"what is written has {times(interval).replace('times ', '')} times the perplexity under the first model"
        ),
        "A change whose interval lies below 0 in both models.",
    )


@claim("colm-text-epochs", "Gerstgrasser et al. 2024, Table 2", "1.82 to 1.74 and to 2.39")
@recorded("language-replaced", "recorded three epochs")
def _colm_epochs(data):
    """With accumulating text and passes over everything, the test loss falls, while under Replace it rises."""
    found, worse = change(data, "Accumulate"), change(data, "Replace")
    return Finding(
        ladder(found.high <= 0 < worse.low, found.high < worse.low),
        f"recorded, passes over everything: test perplexity {times(found)} under Accumulate, {times(worse)} under "
        "Replace",
        found,
        "A change of ln perplexity under Accumulate below 0 and a rise under Replace, for a verdict without limits; a "
        "change that reaches Replace's, for none.",
    )


@claim("colm-text-grown", "Gerstgrasser et al. 2024, Table 2", "2.18 between 1.74 and 2.39")
@recorded("language-replaced", "recorded three epochs")
def _colm_grown(data):
    """A replaced set that grows as the accumulated one does lies between the two."""
    grown, accumulated, replaced = (loss(data, regime) for regime in ("ReplaceGrown", "Accumulate", "Replace"))
    above, below = difference(grown, accumulated), difference(replaced, grown)
    return Finding(
        ladder(above.low > 0 and below.low > 0, above.low > 0),
        f"recorded, passes over everything: a grown replaced set ends at {np.exp(above.estimate):.2f} times the "
        f"perplexity of Accumulate, and Replace at {np.exp(below.estimate):.2f} times that of the grown set",
        above,
        "A grown set that does as well as the accumulated one; with limits, one that does no better than Replace.",
    )


@claim("colm-text-temperature", "Gerstgrasser et al. 2024, Table 2", "Replace 2.39 to 5.82, Accumulate 1.74 to 1.75")
def _colm_temperature(results):
    """A low sampling temperature makes Replace far worse and leaves Accumulate nearly alone."""
    names = ("recorded matched compute", "recorded temperature 0.3")
    if any(name not in results for name in names):
        return Finding(NOT_TESTABLE, "no recorded run", None, "`make records ONLY=language-replaced`.")
    warm, cold = (results[name] for name in names)
    gap = {}
    for regime in ("Replace", "Accumulate"):
        gap[regime] = difference(loss(cold, regime), loss(warm, regime))
    extra = difference(
        loss(cold, "Replace") - loss(warm, "Replace"), loss(cold, "Accumulate") - loss(warm, "Accumulate")
    )
    small = gap["Accumulate"].high < NEARLY * gap["Replace"].estimate
    return Finding(
        ladder(gap["Replace"].low > 0 and extra.low > 0 and small, gap["Replace"].low > 0 and extra.low > 0),
        f"recorded: at temperature 0.3 Replace ends at {np.exp(gap['Replace'].estimate):.2f} times its perplexity at "
        f"temperature 1, Accumulate at {number(np.exp(gap['Accumulate'].estimate), '.2f')} times",
        extra,
        f"An effect on ln perplexity under Accumulate below {NEARLY:.0%} of that under Replace, for a verdict without "
        "limits; effects that do not differ, for none. Shown is the difference of the effects.",
    )
