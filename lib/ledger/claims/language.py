"""Claims of chapter 7: language models whose old data are all thrown away, or all kept.

No exact law is known for these models. Effects are differences of ln perplexity, the mean −ln P of a token, paired over
runs.
"""

from dataclasses import replace

import numpy as np

from lib.ledger import SMALLER, Control, Finding, claim, questions, word
from lib.ledger.course import FLAT
from lib.ledger.predicates import (
    BOUNDED,
    above,
    answered,
    at,
    below,
    difference,
    every,
    mean,
    ratio,
    share_of_replace,
    stands,
    swapped,
)

WORLDS = ("ngram", "transformer")


def loss(data, regime, generation=-1, score="test_perplexity"):
    """ln of a perplexity of every run."""
    return np.log(at(data, score, regime, generation))


def moved(data, regime, score="test_perplexity"):
    """Change of ln perplexity of every run from the first to the last generation."""
    return loss(data, regime, -1, score) - loss(data, regime, 0, score)


def ends(data, regime, other, generation=-1):
    """Paired difference of ln perplexity of two regimes, at the last generation unless told."""
    return difference(loss(data, regime, generation), loss(data, other, generation))


def complete(results, name):
    """The runs of a data set as far as all of them have come."""
    data = results[name]
    data = data[[score for score, v in data.data_vars.items() if "run" in v.dims and "generation" in v.dims]]
    return data.isel(generation=data["test_perplexity"].notnull().all(["regime", "run"]).values)


def later(results, name, regime):
    """ln perplexity of each run, averaged over the generations after the first, as far as all runs have come."""
    values = np.log(complete(results, name)["test_perplexity"].sel(regime=regime))
    return values.isel(generation=slice(1, None)).mean("generation").values


def worst(data, regime):
    """The paired change of ln perplexity since the first generation, where its mean is largest."""
    changes = [difference(loss(data, regime, t), loss(data, regime, 0)) for t in range(1, data.sizes["generation"])]
    return max(changes, key=lambda interval: interval.estimate)


def factor(interval):
    """What a difference of ln perplexity means for the perplexity."""
    return float(np.exp(interval.estimate))


def in_each(found, line=0.0):
    """A finding on a claim about several worlds: all intervals have to lie above a line. Prints by their names."""
    nearest = min(found.values(), key=lambda interval: interval.low)
    numbers = {name.replace(" ", "_"): factor(interval) for name, interval in found.items()}
    return Finding(word(every(*(above(interval, line) for interval in found.values()))), numbers, nearest, line)


@claim(
    "nature-language-replaced",
    "Shumailov et al. 2024, result 2",
    "20 to 28 perplexity points lost",
    reach=SMALLER,
    says="test perplexity ends at {ngram:.2f} times that of the first fit with a word 3-gram, and at "
    "{transformer:.2f} times with a small transformer",
    control=swapped("RealOnly"),
)
def _replaced(results):
    """A language model that is trained on its predecessor's text, with no original data kept, loses performance: both
    models here do.

    One model whose ln perplexity does not rise.
    """
    return in_each({name: mean(moved(results[name], "Replace")) for name in WORLDS})


@claim(
    "thread-text",
    "thread, 11/N",
    "“We show this holds across domains (text, …)”; TinyStories: test loss 1.74 against 2.39",
    reach=SMALLER,
    says="Replace ends at {ngram:.2f} times the perplexity of Accumulate with a word 3-gram, and at "
    "{transformer:.2f} times with a small transformer; in nats {left_ngram:.0%} and {left_transformer:.0%} of what "
    "Replace loses is lost under Accumulate too",
    control=swapped("Accumulate"),
)
def _kept(results):
    """For text the decay is mitigated if generated text is added to the real one: the test perplexity ends lower than
    under Replace, with both models here.

    A paired difference of ln perplexity at or below 0 with one of them.
    """
    found = in_each({name: ends(results[name], "Replace", "Accumulate") for name in WORLDS})
    left = {f"left_{w}": share_of_replace(results[w], "test_perplexity", "Accumulate", np.log).estimate for w in WORLDS}
    return replace(found, numbers={**found.numbers, **left})


@claim(
    "thread-no-collapse-text",
    "thread, 10/N",
    "“no model collapse”",
    reach=SMALLER,
    condition=BOUNDED,
    says="{found}; {fits} fits of a transformer. A word 3-gram is a world of its own, which chapter 11 tries on "
    "exact copies of real text: {ngram}",
    control=answered("no"),
)
def _no_collapse(results):
    """If generated text accumulates, a transformer does not collapse.

    An answer *yes* to the second, third or fourth question; for plain *holds*, none to the first either.
    """
    found = stands(results, "a small transformer")
    ngram = questions.in_words(results["answers"], "a word 3-gram", "Accumulate")
    return Finding(found.word, {**found.numbers, "ngram": ngram})


@claim(
    "colm-text-epochs",
    "Gerstgrasser et al. 2024, Table 2",
    "1.82 to 1.74 and to 2.39",
    reach=SMALLER,
    says="recorded, with passes over everything: test perplexity changes by a factor of {kept:.3f} under Accumulate "
    "and of {replaced:.2f} under Replace",
    control=swapped("Accumulate"),
)
def _epochs(results):
    """With accumulating text and passes over all of it, the test loss falls below the first fit's, while under Replace
    it rises.

    A rise under Accumulate, or none under Replace.
    """
    data = results["recorded three epochs"]
    kept, replaced = (mean(moved(data, r)) for r in ("Accumulate", "Replace"))
    numbers = {"kept": factor(kept), "replaced": factor(replaced)}
    return Finding(word(every(below(kept), above(replaced))), numbers, kept, 0.0)


@claim(
    "colm-text-grown",
    "Gerstgrasser et al. 2024, Table 2",
    "2.18 between 1.74 and 2.39",
    reach=SMALLER,
    says="recorded, with passes over everything: a grown replaced set ends at {above:.2f} times the perplexity of "
    "Accumulate, and Replace at {below:.2f} times that of the grown set",
    control=swapped("Accumulate", "ReplaceGrown"),
)
def _grown(results):
    """If a transformer passes over everything, a replaced set that grows as the accumulated one does ends between the
    two.

    A grown set that does as well as the accumulated one, or no better than Replace.
    """
    data = results["recorded three epochs"]
    return in_each({"above": ends(data, "ReplaceGrown", "Accumulate"), "below": ends(data, "Replace", "ReplaceGrown")})


def _unmoved(results):
    warm, cold = (results[f"recorded {arm}"]["test_perplexity"] for arm in ("matched compute", "temperature 0.3"))
    kept = cold.where(cold["regime"] != "Accumulate", warm.sel(regime=cold["regime"]))
    return {**results, "recorded temperature 0.3": results["recorded temperature 0.3"].assign(test_perplexity=kept)}


@claim(
    "colm-text-temperature",
    "Gerstgrasser et al. 2024, Table 2",
    "Replace 2.39 to 5.82, Accumulate 1.74 to 1.75",
    reach=SMALLER,
    says="recorded: at temperature 0.3 Replace ends at {replaced:.3g} times its perplexity at temperature 1 and "
    "Accumulate at {kept:.2f} times, in nats {share:.0%} of it. Accumulate's own rise grows from {warm:.2f} to "
    "{cold:.2f} nats, where theirs moved by 0.01",
    control=Control("Accumulate at temperature 0.3 as at temperature 1", _unmoved),
)
def _temperature(results):
    """A low sampling temperature makes Replace far worse and leaves Accumulate nearly alone: by less than 0.05 nats,
    which this book calls flat.

    No harm to Replace, or an effect on Accumulate on one side of 0.05 nats.
    """
    warm, cold = (results[f"recorded {arm}"] for arm in ("matched compute", "temperature 0.3"))
    colder = [loss(cold, regime) - loss(warm, regime) for regime in ("Replace", "Accumulate")]
    replaced, kept = map(mean, colder)
    numbers = {"replaced": factor(replaced), "kept": factor(kept), "share": ratio(*colder[::-1]).estimate}
    numbers |= {name: moved(data, "Accumulate").mean() for name, data in (("warm", warm), ("cold", cold))}
    return Finding(word(every(above(replaced), below(kept, FLAT))), numbers, kept, FLAT)
