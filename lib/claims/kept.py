"""Claims of chapter 8: a tenth of the original text kept, under the protocol of Shumailov et al. (2024) in miniature.

Effects are differences of ln perplexity at the last generation, paired over runs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from lib import intervals
from lib.claims import LEVEL, LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED, Claim, Finding, verdict
from lib.claims.language import change, loss, times
from lib.intervals import Interval

TENTH = "Keep(0.1)"
MINOR = 0.1  # of what Replace loses: a loss smaller than that counts as minor


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
    share = found.estimate / whole.estimate
    word = (
        SUPPORTED
        if found.high < MINOR * whole.estimate
        else LIMITED
        if found.high < whole.estimate / 2
        else NOT_SUPPORTED
    )
    return Finding(
        word,
        f"test perplexity {times(found)} with a tenth kept and ten epochs, {times(whole)} with nothing kept and five: {share:.0%} of the loss",
        found,
        f"Less than {MINOR:.0%} of what Replace loses in ln perplexity, for a verdict without limits; half of it or more, for none.",
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
    tenth = found["a tenth of the original kept, 5 epochs"]
    epochs = found["ten epochs instead of five, a tenth kept"]
    least = min(abs(tenth.low), abs(tenth.high))
    most = max(abs(epochs.low), abs(epochs.high))
    if tenth.high >= 0:
        word = NOT_SUPPORTED
    else:
        word = SUPPORTED if most < least else LIMITED
    return Finding(
        word,
        f"the tenth: {times(tenth)}; ten epochs instead of five, with a tenth kept: {times(epochs)}",
        tenth,
        "An effect of the epochs that may be as large as that of the tenth; for none, a tenth that has no effect.",
    )


def _tails(results):
    found = change(results["5 epochs"], "Replace", "generated_perplexity")
    sampled = results.get("recorded sampling")
    word = verdict(found, below=0)
    said = f"under the first model, what is written has {times(found)} the perplexity after {results['5 epochs'].sizes['generation']} generations of beam search"
    if sampled is not None:
        other = change(sampled, "Replace", "generated_perplexity")
        said += f"; if blocks are sampled (recorded), {times(other)}"
        word = LIMITED if word == SUPPORTED and other.high >= 0 else word
    return Finding(
        word,
        said,
        found,
        "A change whose interval contains 0; for a verdict without limits, the same when blocks are sampled.",
    )


def _recorded(names, judge):
    """A judge of recorded experiments; without the records, not testable here."""

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
    word = NOT_SUPPORTED if found.low <= 0 else SUPPORTED if more.low > 0 else LIMITED
    return Finding(
        word,
        f"recorded: with nothing kept the test perplexity rises {times(found)} with the penalty, {times(change(plain, 'Replace'))} without",
        more,
        "A rise with the penalty that is no larger than without it, for limits; no rise, for none. Shown is the difference of the rises.",
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
        f"a tenth kept ends at {np.exp(found.estimate):.2f} times the perplexity of everything kept, at five epochs each",
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
        "Shumailov et al. 2024, result 3",
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
