"""Claims of chapter 7: language models whose old data are all thrown away, or all kept.

No exact law is known for these models. Effects are differences of ln perplexity, the mean −ln P of a token: paired over
runs.
"""

from dataclasses import replace
from functools import wraps

import numpy as np

from lib.ledger import VERDICTS, Finding, claim, ladder
from lib.ledger.predicates import at, difference, falls, mean, recorded, rises, small_beside

WORLDS = {"ngram": "n-gram", "transformer": "transformer"}
MARGIN = 0.1  # of what Replace adds to ln perplexity: a rise smaller than that counts as no collapse
NEARLY = 0.25  # of the effect on Replace: less than that leaves Accumulate nearly alone
HALF = 0.5  # of it: a rise smaller than that counts as mitigated


def loss(data, regime, generation=-1, score="test_perplexity"):
    """ln of a perplexity of every run."""
    return np.log(at(data, score, regime, generation))


def moved(data, regime, score="test_perplexity"):
    """Change of ln perplexity of every run from the first to the last generation."""
    return loss(data, regime, -1, score) - loss(data, regime, 0, score)


def change(data, regime, score="test_perplexity"):
    """Paired change of ln perplexity from the first to the last generation."""
    return mean(moved(data, regime, score))


def ends(data, regime, other):
    """Paired difference of ln perplexity of two regimes at the last generation."""
    return difference(loss(data, regime), loss(data, other))


def factor(interval):
    """What a difference of ln perplexity means for the perplexity."""
    return f"{np.exp(interval.estimate):.2f}"


def times(interval):
    """A change of ln perplexity in words."""
    return f"times {factor(interval)}"


def _in_each(judge):
    """For a judge of one world: what it finds in both, with the verdict and the interval of the worse one."""

    @wraps(judge)
    def judged(results):
        found = {said: judge(results[name]) for name, said in WORLDS.items()}
        worst = max(found.values(), key=lambda one: VERDICTS.index(one.verdict))
        return replace(worst, measured="; ".join(f"{said}: {one.measured}" for said, one in found.items()))

    return judged


SHARES = (
    f"A rise of ln perplexity below {MARGIN:.0%} of Replace's, for a verdict without limits; {HALF:.0%} of it or more, "
    "for none. Not testable if Replace does not rise."
)


def no_collapse(data):
    """A finding on the rise of ln perplexity under Accumulate, which is to be small beside what Replace adds."""
    found, whole = (change(data, regime) for regime in ("Accumulate", "Replace"))
    said = f"test perplexity {times(found)}, under Replace {times(whole)}"
    said += f"; in nats {found.estimate / whole.estimate:.0%} of it" if whole.low > 0 else ""
    return Finding(small_beside(found, whole, MARGIN, HALF), said, found, SHARES)


@claim("nature-language-replaced", "Shumailov et al. 2024, result 2", "20 to 28 perplexity points lost")
@_in_each
def _replaced(data):
    """A language model that is trained on its predecessor's text, with no original data kept, loses performance."""
    found = change(data, "Replace")
    return rises(
        found,
        f"test perplexity {times(found)} in {data.sizes['generation']} generations",
        "A change of ln perplexity whose interval contains 0, in either model. Shown is the interval of the change.",
    )


@claim("thread-text", "thread, 11/N", "TinyStories: test loss 1.74 against 2.39")
@_in_each
def _kept(data):
    """With text too, accumulating mitigates the decay."""
    found = ends(data, "Replace", "Accumulate")
    said = f"Replace ends at {factor(found)} times the perplexity of Accumulate"
    return rises(found, said, "A paired difference of ln perplexity whose interval contains 0, in either model.")


@claim("thread-no-collapse-text", "thread, 10/N", "“no model collapse”")
@_in_each
def _no_collapse(data):
    """With accumulating text there is no model collapse."""
    return no_collapse(data)


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

    Under 1 + 1/4 + 1/9 + … the slope in ln t falls to about a quarter; under ln t it stays.
    """
    long, last = results["long"], results["long"].sizes["generation"]
    found, early = mean(slope(long)), slope(long, 2, 5).mean()
    share = found.high / early
    return Finding(
        ladder(share < 0.5, share < 0.8),
        f"n-gram: the perplexity under Accumulate grows like $t^{{{early:.2f}}}$ over generations 2 to 5 and like "
        f"$t^{{{found.estimate:.2f}}}$ over {last // 2 + 1} to {last}; chapter 11 finds the same for exact copies of "
        "real text, so that the estimator and not the text is the cause",
        found,
        "A late exponent below half of the early one, for a verdict without limits; 80% of it or more, for none.",
    )


@claim("book-tails-sampled", "a question of this book", "seen in the Nature paper with a beam search")
@_in_each
def _narrows(data):
    """If text is sampled, later models too write more of what the first model finds likely."""
    found = change(data, "Replace", "generated_perplexity")
    said = f"what is written has {factor(found)} times the perplexity under the first model"
    return falls(found, said, "A change whose interval lies below 0 in both models.")


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
    above, below = ends(data, "ReplaceGrown", "Accumulate"), ends(data, "Replace", "ReplaceGrown")
    return Finding(
        ladder(above.low > 0 and below.low > 0, above.low > 0),
        f"recorded, passes over everything: a grown replaced set ends at {factor(above)} times the perplexity of "
        f"Accumulate, and Replace at {factor(below)} times that of the grown set",
        above,
        "A grown set that does as well as the accumulated one; with limits, one that does no better than Replace.",
    )


@claim("colm-text-temperature", "Gerstgrasser et al. 2024, Table 2", "Replace 2.39 to 5.82, Accumulate 1.74 to 1.75")
@recorded("language-replaced", "recorded matched compute", "recorded temperature 0.3")
def _colm_temperature(warm, cold):
    """A low sampling temperature makes Replace far worse and leaves Accumulate nearly alone."""
    colder = [loss(cold, regime) - loss(warm, regime) for regime in ("Replace", "Accumulate")]
    (replaced, kept), extra = map(mean, colder), difference(*colder)
    holds = replaced.low > 0 and extra.low > 0
    return Finding(
        ladder(holds and kept.high < NEARLY * replaced.estimate, holds),
        f"recorded: at temperature 0.3 Replace ends at {factor(replaced)} times its perplexity at temperature 1, "
        f"Accumulate at {factor(kept)} times",
        extra,
        f"An effect on ln perplexity under Accumulate below {NEARLY:.0%} of that under Replace, for a verdict without "
        "limits; effects that do not differ, for none. Shown is the difference of the effects.",
    )
