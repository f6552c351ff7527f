"""Claims of chapter 8: a tenth of the original text kept, under the protocol of Shumailov et al. (2024) in miniature.

Effects are differences of ln perplexity at the last generation, paired over runs.
"""

import numpy as np

from lib.ledger import LEVEL, Finding, claim, ladder
from lib.ledger.claims.language import change, ends, factor, loss, moved, no_collapse, times
from lib.ledger.predicates import difference, falls, recorded, rises, small_beside

TENTH = "Keep(0.1)"
# Shares of what Replace loses. In the paper's figures: at most 8 points on 34 with a tenth kept (the axis of Fig. 1c
# ends at 42), 20 to 28 with nothing kept, so ln(42/34) / ln(62/34) = 0.35 is still called minor.
MINOR, MOST = 0.35, 0.7


def effects(results, level=LEVEL):
    """What each factor does to ln perplexity at the last generation, from the data sets "5 epochs" and "10 epochs"."""
    end = {(e, r): loss(results[f"{e} epochs"], r) for e in (5, 10) for r in results[f"{e} epochs"]["regime"].values}
    pairs = {f"a tenth of the original kept, {e} epochs": ((e, TENTH), (e, "Replace")) for e in (5, 10)}
    for regime, said in (("Replace", "nothing"), (TENTH, "a tenth")):
        pairs[f"ten epochs instead of five, {said} kept"] = (10, regime), (5, regime)
    for e in (5, 10):
        for said, regime, other in (
            ("all synthetic text kept, nothing of the original", "Accumulate(0 kept)", "Replace"),
            ("all synthetic text kept, a tenth of the original", "Accumulate(0.1 kept)", TENTH),
            ("everything kept instead of a tenth", "Accumulate", TENTH),
        ):
            pairs[f"{said}, {e} epochs"] = (e, regime), (e, other)
    return {name: difference(end[a], end[b], level=level) for name, (a, b) in pairs.items() if a in end}


@claim("nature-kept-minor", "Shumailov et al. 2024, result 3", "“only minor degradation of performance”, Fig. 1c")
def _minor(results):
    """With a random tenth of the original data in every set there is only minor degradation.

    What Replace loses in five epochs is the measure, as in the paper's Figures 1b and 1c.
    """
    found, whole = change(results["10 epochs"], TENTH), change(results["5 epochs"], "Replace")
    low, high = (end / whole.estimate for end in (found.estimate, found.high))
    said = f"; in nats {low:.0%} of it, up to {high:.0%} at the upper end of its interval" if whole.low > 0 else ""
    return Finding(
        small_beside(found, whole, MINOR, MOST),
        f"test perplexity {times(found)} with a tenth kept and ten epochs, {times(whole)} with nothing kept and five"
        + said,
        found,
        f"At the upper end, less than {MINOR:.0%} of what Replace loses in ln perplexity, as in the paper's own "
        f"figures, for a verdict without limits; {MOST:.0%} or more, for none.",
    )


def _factors(results):
    """What the tenth does at five and at ten epochs, and what the epochs do with nothing and with a tenth kept."""
    found = list(effects(results).values())
    return found[:2], found[2:4]


@claim("thread-little-real", "thread, 9/N", "Fig. 1b against 1c")
def _helps(results):
    """Adding a little real data already lowers the test perplexity."""
    five, ten = _factors(results)[0]
    return falls(
        max(five, ten, key=lambda interval: interval.high),
        f"at equal epochs a tenth kept ends at {factor(five)} (five) and {factor(ten)} (ten) times the perplexity of "
        "nothing kept",
        "An effect of the kept tenth whose interval contains 0, at either number of epochs.",
    )


@claim(
    "nature-kept-confounded", "Shumailov et al. 2024, result 3, put by this book", "both change between Fig. 1b and 1c"
)
def _not_the_epochs(results):
    """It is the preserved data that makes result 3 better than result 2, and not its ten epochs."""
    tenth, epochs = _factors(results)
    least = -max(interval.high for interval in tenth)  # what the tenth takes off ln perplexity at the least
    most = max(0.0, *(-interval.low for interval in epochs))  # what the epochs may take off
    said = [" and ".join(times(interval) for interval in pair) for pair in (tenth, epochs)]
    return Finding(
        ladder(least > 0 and most < least, least > 0),
        f"the tenth: {said[0]} at five and ten epochs; ten epochs instead of five: {said[1]} with nothing and a tenth "
        "kept",
        tenth[0],
        "Epochs that may lower the perplexity as much as the tenth does; for none, a tenth that does not lower it at "
        "both.",
    )


@claim("nature-language-tails", "Shumailov et al. 2024, result 2", "histograms of Fig. 1b and 1c")
def _tails(results):
    """Over the generations models produce more of what the first model would have produced with high likelihood."""
    found = change(results["5 epochs"], "Replace", "generated_perplexity")
    said = f"under the first model what is written ends at {factor(found)} times the perplexity, by beam search"
    return falls(found, said, "A change whose interval contains 0 or lies above it.")


def spread(data, regime, generation):
    """ln of the 95% quantile over the median of the perplexities of written blocks, for each run: how far the tail of
    errors reaches."""
    values = np.log(data["generated_perplexities"].sel(regime=regime).isel(generation=generation))
    return (values.quantile(0.95, "sample") - values.median("sample")).values


@claim("nature-language-errors", "Shumailov et al. 2024, result 2", "histograms of Fig. 1b and 1c")
def _longer(results):
    """At the same time generated data have much longer tails of what the first model would never produce."""
    found = difference(*(spread(results["5 epochs"], "Replace", place) for place in (-1, 0)))
    said = f"the 95% quantile over the median of these perplexities changes by a factor of {factor(found)}"
    return rises(found, said, "A change of its logarithm whose interval contains 0 or lies below it.")


@claim("thread-no-collapse-protocol", "thread, 10/N", "“no model collapse”")
def _no_collapse(results):
    """Under the paper's protocol too, there is no model collapse if text accumulates."""
    return no_collapse(results["5 epochs"])


@claim("nature-penalty", "Shumailov et al. 2024, ablation", "the perplexity doubles")
@recorded("language-kept", "recorded 5 epochs", "recorded penalty 2.0")
def _penalty(plain, fined):
    """With repetitions discouraged by a penalty of 2.0, models remain as susceptible to collapse, if not more."""
    found, more = change(fined, "Replace"), difference(moved(fined, "Replace"), moved(plain, "Replace"))
    level = difference(loss(fined, "Replace", 1), loss(plain, "Replace", 1))
    return Finding(
        ladder(found.low > 0 and more.high >= 0, found.low > 0),
        f"recorded: with nothing kept the test perplexity rises {times(found)} with the penalty, "
        f"{times(change(plain, 'Replace'))} without; at generation 2 it is {factor(level)} times as high",
        more,
        "A rise with the penalty that is smaller than without it, for limits; no rise, for none. Shown is the "
        "difference of the rises.",
    )


@claim("nature-validation", "Shumailov et al. 2024, result 2", "“can be even more pronounced”")
@recorded("language-kept", "recorded 5 epochs", "recorded best on validation")
def _validation(plain, best):
    """Because the best model on the original validation set writes the next one, collapse is milder than it would be in
    practice."""
    found = difference(loss(plain, "Replace"), loss(best, "Replace"))
    return rises(
        found,
        "recorded: the last model of each fit, in place of the best on real validation text, ends at "
        f"{factor(found)} times its perplexity",
        "A paired difference whose interval contains 0 or lies below it.",
    )


@claim("thread-keep-all", "thread, 9/N", "“most data is still replaced”")
def _everything(results):
    """A tenth kept still means that most data are replaced: keeping everything does better."""
    found = ends(results["5 epochs"], TENTH, "Accumulate")
    said = f"a tenth kept ends at {factor(found)} times the perplexity of everything kept, at the same steps"
    return rises(found, said, "A paired difference whose interval contains 0.")
