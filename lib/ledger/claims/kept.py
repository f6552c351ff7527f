"""Claims of chapter 8: a tenth of the original text kept, under the protocol of Shumailov et al. (2024) in miniature.

Effects are differences of ln perplexity at the last generation, paired over runs.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import xarray as xr

from lib import intervals
from lib.intervals import Interval
from lib.ledger import LEVEL, LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED, Claim, Finding, verdict
from lib.ledger.claims.language import SHARES, change, loss, shared, small_rise, times

TENTH = "Keep(0.1)"
# Shares of what Replace loses. In the paper's figures: at most 8 points on 34 with a tenth kept (the axis of Fig. 1c ends at 42), 20 to 28
# with nothing kept, so ln(42/34) / ln(62/34) = 0.35 is still called minor.
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
    return {name: intervals.difference(a, b, level) for name, (a, b) in out.items()}


def _minor(results):
    """In the paper's own setting, ten epochs; what Replace loses in five is the measure, as in its Figures 1b and 1c."""
    found, whole = change(results["10 epochs"], TENTH), change(results["5 epochs"], "Replace")
    share = found.high / whole.estimate
    word = (
        NOT_TESTABLE if whole.low <= 0 else SUPPORTED if share < MINOR else LIMITED if share < MOST else NOT_SUPPORTED
    )
    return Finding(
        word,
        f"test perplexity {times(found)} with a tenth kept and ten epochs, {times(whole)} with nothing kept and five"
        + (
            f"; in nats {found.estimate / whole.estimate:.0%} of it, up to {share:.0%} at the upper end of its interval"
            if whole.low > 0
            else ""
        ),
        found,
        f"At the upper end, less than {MINOR:.0%} of what Replace loses in ln perplexity, as in the paper's own figures, for a verdict without limits; {MOST:.0%} or "
        "more, for none.",
    )


def _helps(results):
    found = effects(results)
    both = [found[f"a tenth of the original kept, {e} epochs"] for e in (5, 10)]
    least = max(both, key=lambda interval: interval.high)
    return Finding(
        verdict(least, below=0),
        f"at equal epochs a tenth kept ends at {np.exp(both[0].estimate):.2f} (five) and {np.exp(both[1].estimate):.2f} (ten) times the perplexity "
        "of nothing kept",
        least,
        "An effect of the kept tenth whose interval contains 0, at either number of epochs.",
    )


def _not_the_epochs(results):
    found = effects(results)
    tenth = [found[f"a tenth of the original kept, {e} epochs"] for e in (5, 10)]
    epochs = [found[f"ten epochs instead of five, {kept} kept"] for kept in ("nothing", "a tenth")]
    least = -max(interval.high for interval in tenth)  # what the tenth takes off ln perplexity at the least
    most = max(0.0, *(-interval.low for interval in epochs))  # what the epochs may take off
    word = NOT_SUPPORTED if least <= 0 else SUPPORTED if most < least else LIMITED
    said = [" and ".join(times(interval) for interval in pair) for pair in (tenth, epochs)]
    return Finding(
        word,
        f"the tenth: {said[0]} at five and ten epochs; ten epochs instead of five: {said[1]} with nothing and a tenth kept",
        tenth[0],
        "Epochs that may lower the perplexity as much as the tenth does; for none, a tenth that does not lower it at both.",
    )


def _tails(results):
    found = change(results["5 epochs"], "Replace", "generated_perplexity")
    return Finding(
        verdict(found, below=0),
        f"under the first model what is written ends at {np.exp(found.estimate):.2f} times the perplexity, by beam search",
        found,
        "A change whose interval contains 0 or lies above it.",
    )


def spread(data, regime, generation):
    """ln of the 95% quantile over the median of the perplexities of written blocks, for each run: how far the tail of errors reaches."""
    values = np.log(data["generated_perplexities"].sel(regime=regime).isel(generation=generation))
    return (values.quantile(0.95, "sample") - values.median("sample")).values


def _longer(results):
    found = intervals.difference(
        spread(results["5 epochs"], "Replace", -1), spread(results["5 epochs"], "Replace", 0), LEVEL
    )
    return Finding(
        verdict(found, above=0),
        f"the 95% quantile over the median of these perplexities changes by a factor of {np.exp(found.estimate):.2f}",
        found,
        "A change of its logarithm whose interval contains 0 or lies below it.",
    )


def _no_collapse(results):
    data = results["5 epochs"]
    found = change(data, "Accumulate")
    return Finding(small_rise(data, found), shared(data, found), found, SHARES)


def _recorded(names, judge):
    """A judge of recorded experiments; without the records, not testable here."""

    @functools.wraps(judge)
    def judged(results):
        found = [results.get(f"recorded {name}") for name in names]
        if any(data is None for data in found):
            return Finding(NOT_TESTABLE, "no recorded run", None, "`make records ONLY=language-kept`.")
        return judge(*found)

    return judged


def _penalty(plain, fined):
    found = change(fined, "Replace")
    more = intervals.difference(
        loss(fined, "Replace") - loss(fined, "Replace", 0), loss(plain, "Replace") - loss(plain, "Replace", 0), LEVEL
    )
    level = intervals.difference(loss(fined, "Replace", 1), loss(plain, "Replace", 1), LEVEL)
    word = NOT_SUPPORTED if found.low <= 0 else LIMITED if more.high < 0 else SUPPORTED
    return Finding(
        word,
        f"recorded: with nothing kept the test perplexity rises {times(found)} with the penalty, {times(change(plain, 'Replace'))} without; at "
        f"generation 2 it is {np.exp(level.estimate):.2f} times as high",
        more,
        "A rise with the penalty that is smaller than without it, for limits; no rise, for none. Shown is the difference of the rises.",
    )


def _validation(plain, best):
    found = intervals.difference(loss(plain, "Replace"), loss(best, "Replace"), LEVEL)
    return Finding(
        verdict(found, above=0),
        f"recorded: the last model of each fit, in place of the best on real validation text, ends at {np.exp(found.estimate):.2f} times its perplexity",
        found,
        "A paired difference whose interval contains 0 or lies below it.",
    )


def _everything(results):
    found = intervals.difference(loss(results["5 epochs"], TENTH), loss(results["5 epochs"], "Accumulate"), LEVEL)
    return Finding(
        verdict(found, above=0),
        f"a tenth kept ends at {np.exp(found.estimate):.2f} times the perplexity of everything kept, at the same steps",
        found,
        "A paired difference whose interval contains 0.",
    )


CLAIMS = (
    Claim(
        "nature-kept-minor",
        8,
        "Shumailov et al. 2024, result 3",
        "With a random tenth of the original data in every set there is only minor degradation.",
        "“only minor degradation of performance”, Fig. 1c",
        _minor,
    ),
    Claim(
        "thread-little-real",
        8,
        "thread, 9/N",
        "Adding a little real data already lowers the test perplexity.",
        "Fig. 1b against 1c",
        _helps,
    ),
    Claim(
        "nature-kept-confounded",
        8,
        "Shumailov et al. 2024, result 3, put by this book",
        "It is the preserved data that makes result 3 better than result 2, and not its ten epochs.",
        "both change between Fig. 1b and 1c",
        _not_the_epochs,
    ),
    Claim(
        "nature-language-tails",
        8,
        "Shumailov et al. 2024, result 2",
        "Over the generations models produce more of what the first model would have produced with high likelihood.",
        "histograms of Fig. 1b and 1c",
        _tails,
    ),
    Claim(
        "nature-language-errors",
        8,
        "Shumailov et al. 2024, result 2",
        "At the same time generated data have much longer tails of what the first model would never produce.",
        "histograms of Fig. 1b and 1c",
        _longer,
    ),
    Claim(
        "thread-no-collapse-protocol",
        8,
        "thread, 10/N",
        "Under the paper's protocol too, there is no model collapse if text accumulates.",
        "“no model collapse”",
        _no_collapse,
    ),
    Claim(
        "nature-penalty",
        8,
        "Shumailov et al. 2024, ablation",
        "With repetitions discouraged by a penalty of 2.0, models remain as susceptible to collapse, if not more.",
        "the perplexity doubles",
        _recorded(("5 epochs", "penalty 2.0"), _penalty),
    ),
    Claim(
        "nature-validation",
        8,
        "Shumailov et al. 2024, result 2",
        "Because the best model on the original validation set writes the next one, collapse is milder than it would be in practice.",
        "“can be even more pronounced”",
        _recorded(("5 epochs", "best on validation"), _validation),
    ),
    Claim(
        "thread-keep-all",
        8,
        "thread, 9/N",
        "A tenth kept still means that most data are replaced: keeping everything does better.",
        "“most data is still replaced”",
        _everything,
    ),
)
