"""Claims of chapter 7: language models whose old data are all thrown away, or all kept.

No exact law is known for these models. Effects are differences of ln perplexity, the mean −ln P of a token: paired over runs.
"""

from __future__ import annotations

import numpy as np

from lib import intervals
from lib.claims import LEVEL, LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED, Claim, Finding, verdict
from lib.intervals import number

WORLDS = {"ngram": "n-gram", "transformer": "transformer"}
MARGIN = 0.1  # of what Replace adds: a rise smaller than that counts as no collapse


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
    order = [SUPPORTED, LIMITED, NOT_SUPPORTED]
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


def _no_collapse(results):
    """Definition: the test loss does not rise from generation 1 on; small rises are told from large ones by what Replace adds."""

    def judge(data, interval):
        whole = change(data, "Replace").estimate
        if interval.high < MARGIN * whole:
            return SUPPORTED
        return LIMITED if interval.high < whole else NOT_SUPPORTED

    return _in_each(
        results,
        lambda data: change(data, "Accumulate"),
        judge,
        lambda data, interval: f"test perplexity {times(interval)}, under Replace {times(change(data, 'Replace'))}",
        f"A rise of ln perplexity below {MARGIN:.0%} of Replace's, for a verdict without limits; one that reaches Replace's, for none.",
    )


def slope(long):
    """Slope of ln perplexity against ln generation under Accumulate over the later half of the generations, one for each run."""
    values = np.log(long["test_perplexity"].sel(regime="Accumulate"))
    values = values.isel(generation=slice(long.sizes["generation"] // 2, None))
    return np.array(
        [np.polyfit(np.log(values["generation"]), values.isel(run=k), 1)[0] for k in range(values.sizes["run"])]
    )


def _levels_off(results):
    """A loss that converges has a slope that falls like 1/t; a power law keeps its slope."""
    found = intervals.mean(slope(results["long"]), LEVEL)
    early = np.log(results["long"]["test_perplexity"].sel(regime="Accumulate")).isel(generation=slice(1, 5))
    first = np.mean(
        [np.polyfit(np.log(early["generation"]), early.isel(run=k), 1)[0] for k in range(early.sizes["run"])]
    )
    if found.low <= 0:
        word = SUPPORTED
    else:
        word = LIMITED if found.high < first / 2 else NOT_SUPPORTED
    return Finding(
        word,
        f"between generations {results['long'].sizes['generation'] // 2 + 1} and {results['long'].sizes['generation']} the perplexity of the "
        f"accumulating n-gram model still grows like $t^{{{found.estimate:.2f}}}$",
        found,
        f"A slope of ln perplexity in ln t whose interval contains 0; with limits, one below half of the early slope, {first:.2f}.",
    )


def _recorded(name, judge):
    """A judge of a recorded experiment; without the record, not testable here."""

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
        "A change of ln perplexity under Accumulate below 0, for a verdict without limits; one that reaches Replace's, for none.",
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
    return Finding(
        verdict(extra, above=0) if gap["Replace"].low > 0 else NOT_SUPPORTED,
        f"recorded: at temperature 0.3 Replace ends at {np.exp(gap['Replace'].estimate):.2f} times its perplexity at temperature 1, Accumulate at "
        f"{number(np.exp(gap['Accumulate'].estimate), '.2f')} times",
        extra,
        "A temperature that changes both regimes alike: a difference of the two effects whose interval contains 0.",
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
        "colm-text-levels-off",
        7,
        "Gerstgrasser et al. 2024, the bound of the linear model carried over",
        "The loss of a language model under Accumulate stays below a bound.",
        "proved for linear regression: π²/6 of the first fit's",
        _levels_off,
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
