"""Claims of chapter 8: a tenth of the original text kept, under the protocol of Shumailov et al. (2024) in miniature.

Effects are differences of ln perplexity at the last generation, paired over runs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from lib.intervals import Interval
from lib.ledger import LEVEL, NOT_TESTABLE, Finding, claim, ladder
from lib.ledger.claims.language import SHARES, change, loss, shared, small_rise, times
from lib.ledger.predicates import difference, recorded

TENTH = "Keep(0.1)"
# Shares of what Replace loses. In the paper's figures: at most 8 points on 34 with a tenth kept (the axis of Fig. 1c
# ends at 42), 20 to 28 with nothing kept, so ln(42/34) / ln(62/34) = 0.35 is still called minor.
MINOR, MOST = 0.35, 0.7


def effects(results: Mapping[str, xr.Dataset], level: float = LEVEL) -> dict[str, Interval]:
    """What each factor does to ln perplexity at the last generation, from the data sets "5 epochs" and "10 epochs"."""
    end = {(e, r): loss(results[f"{e} epochs"], r) for e in (5, 10) for r in results[f"{e} epochs"]["regime"].values}
    out = {}
    for e in (5, 10):
        out[f"a tenth of the original kept, {e} epochs"] = (end[e, TENTH], end[e, "Replace"])
    for regime, said in (("Replace", "nothing"), (TENTH, "a tenth")):
        out[f"ten epochs instead of five, {said} kept"] = (end[10, regime], end[5, regime])
    for e in (5, 10):
        if (e, "Accumulate(0 kept)") in end:
            out[f"all synthetic text kept, nothing of the original, {e} epochs"] = (
                end[e, "Accumulate(0 kept)"],
                end[e, "Replace"],
            )
            out[f"all synthetic text kept, a tenth of the original, {e} epochs"] = (
                end[e, "Accumulate(0.1 kept)"],
                end[e, TENTH],
            )
        if (e, "Accumulate") in end:
            out[f"everything kept instead of a tenth, {e} epochs"] = (end[e, "Accumulate"], end[e, TENTH])
    return {name: difference(a, b, level=level) for name, (a, b) in out.items()}


@claim("nature-kept-minor", "Shumailov et al. 2024, result 3", "“only minor degradation of performance”, Fig. 1c")
def _minor(results):
    """With a random tenth of the original data in every set there is only minor degradation.

    In the paper's own setting, ten epochs; what Replace loses in five is the measure, as in its Figures 1b and 1c.
    """
    found, whole = change(results["10 epochs"], TENTH), change(results["5 epochs"], "Replace")
    share = found.high / whole.estimate
    return Finding(
        NOT_TESTABLE if whole.low <= 0 else ladder(share < MINOR, share < MOST),
        f"test perplexity {times(found)} with a tenth kept and ten epochs, {times(whole)} with nothing kept and five"
        + (
            f"; in nats {found.estimate / whole.estimate:.0%} of it, up to {share:.0%} at the upper end of its interval"
            if whole.low > 0
            else ""
        ),
        found,
        f"At the upper end, less than {MINOR:.0%} of what Replace loses in ln perplexity, as in the paper's own "
        f"figures, for a verdict without limits; {MOST:.0%} or more, for none.",
    )


@claim("thread-little-real", "thread, 9/N", "Fig. 1b against 1c")
def _helps(results):
    """Adding a little real data already lowers the test perplexity."""
    found = effects(results)
    both = [found[f"a tenth of the original kept, {e} epochs"] for e in (5, 10)]
    least = max(both, key=lambda interval: interval.high)
    return Finding(
        ladder(least.high < 0),
        f"at equal epochs a tenth kept ends at {np.exp(both[0].estimate):.2f} (five) and "
        f"{np.exp(both[1].estimate):.2f} (ten) times the perplexity of nothing kept",
        least,
        "An effect of the kept tenth whose interval contains 0, at either number of epochs.",
    )


@claim(
    "nature-kept-confounded", "Shumailov et al. 2024, result 3, put by this book", "both change between Fig. 1b and 1c"
)
def _not_the_epochs(results):
    """It is the preserved data that makes result 3 better than result 2, and not its ten epochs."""
    found = effects(results)
    tenth = [found[f"a tenth of the original kept, {e} epochs"] for e in (5, 10)]
    epochs = [found[f"ten epochs instead of five, {kept} kept"] for kept in ("nothing", "a tenth")]
    least = -max(interval.high for interval in tenth)  # what the tenth takes off ln perplexity at the least
    most = max(0.0, *(-interval.low for interval in epochs))  # what the epochs may take off
    word = ladder(least > 0 and most < least, least > 0)
    said = [" and ".join(times(interval) for interval in pair) for pair in (tenth, epochs)]
    return Finding(
        word,
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
    return Finding(
        ladder(found.high < 0),
        f"under the first model what is written ends at {np.exp(found.estimate):.2f} times the perplexity, by beam "
        "search",
        found,
        "A change whose interval contains 0 or lies above it.",
    )


def spread(data, regime, generation):
    """ln of the 95% quantile over the median of the perplexities of written blocks, for each run: how far the tail of
    errors reaches."""
    values = np.log(data["generated_perplexities"].sel(regime=regime).isel(generation=generation))
    return (values.quantile(0.95, "sample") - values.median("sample")).values


@claim("nature-language-errors", "Shumailov et al. 2024, result 2", "histograms of Fig. 1b and 1c")
def _longer(results):
    """At the same time generated data have much longer tails of what the first model would never produce."""
    found = difference(spread(results["5 epochs"], "Replace", -1), spread(results["5 epochs"], "Replace", 0))
    return Finding(
        ladder(found.low > 0),
        f"the 95% quantile over the median of these perplexities changes by a factor of {np.exp(found.estimate):.2f}",
        found,
        "A change of its logarithm whose interval contains 0 or lies below it.",
    )


@claim("thread-no-collapse-protocol", "thread, 10/N", "“no model collapse”")
def _no_collapse(results):
    """Under the paper's protocol too, there is no model collapse if text accumulates."""
    data = results["5 epochs"]
    found = change(data, "Accumulate")
    return Finding(small_rise(data, found), shared(data, found), found, SHARES)


@claim("nature-penalty", "Shumailov et al. 2024, ablation", "the perplexity doubles")
@recorded("language-kept", "recorded 5 epochs", "recorded penalty 2.0")
def _penalty(plain, fined):
    """With repetitions discouraged by a penalty of 2.0, models remain as susceptible to collapse, if not more."""
    found = change(fined, "Replace")
    more = difference(
        loss(fined, "Replace") - loss(fined, "Replace", 0), loss(plain, "Replace") - loss(plain, "Replace", 0)
    )
    level = difference(loss(fined, "Replace", 1), loss(plain, "Replace", 1))
    return Finding(
        ladder(found.low > 0 and more.high >= 0, found.low > 0),
        f"recorded: with nothing kept the test perplexity rises {times(found)} with the penalty, "
        f"{times(change(plain, 'Replace'))} without; at generation 2 it is {np.exp(level.estimate):.2f} times as high",
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
    return Finding(
        ladder(found.low > 0),
        "recorded: the last model of each fit, in place of the best on real validation text, ends at "
        f"{np.exp(found.estimate):.2f} times its perplexity",
        found,
        "A paired difference whose interval contains 0 or lies below it.",
    )


@claim("thread-keep-all", "thread, 9/N", "“most data is still replaced”")
def _everything(results):
    """A tenth kept still means that most data are replaced: keeping everything does better."""
    found = difference(loss(results["5 epochs"], TENTH), loss(results["5 epochs"], "Accumulate"))
    return Finding(
        ladder(found.low > 0),
        f"a tenth kept ends at {np.exp(found.estimate):.2f} times the perplexity of everything kept, at the same steps",
        found,
        "A paired difference whose interval contains 0.",
    )
