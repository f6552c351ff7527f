"""Judges of chapter 11, its later sections: filters, weights, what was never sampled, fits that smooth. See `lib.ledger.claims.limits`."""

from __future__ import annotations

import itertools

import numpy as np

from lib import intervals
from lib.intervals import number
from lib.ledger import LEVEL, LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED, Finding
from lib.ledger.definitions import LEFT, LEVELLING
from lib.ledger.measured import all_hold, at, listed, near, together
from lib.regimes import Accumulate, Replace
from lib.theory import limits

MOST = 0.5
SOON = 20  # fits after which it is asked what new real data have brought back
ARRIVED = 0.9  # share of what a verifier likes best from which on a model holds its belief


def breakdown(results):
    data = results["breakdown"]
    point = limits.breakdown(float(data.attrs["right"]), float(data.attrs["wrong"]))
    errors = listed(data, "errors")
    level = together(len(errors))
    kept = [
        intervals.mean(data["probabilities"].sel(regime=f"Replace, wrong = {p:.3g}").isel(generation=1, state=1), level)
        for p in errors
    ]
    sides = [found.high < 0.5 if p < point else found.low > 0.5 for p, found in zip(errors, kept, strict=True)]
    below = max(p for p in errors if p < point)
    return Finding(
        NOT_TESTABLE if all(sides) else NOT_SUPPORTED,
        f"for labels alone it is Bayes' rule, and the simulation checks no more than the code: of what is kept most is right up to a share of wrong labels of {below:.2f}, and most is wrong from "
        f"{min(p for p in errors if p > point):.2f} on; p* is {point:.2f}. Their claim is about classifiers and language models trained on it, of which there are none here",
        intervals.mean(
            data["probabilities"].sel(regime=f"Replace, wrong = {below:.3g}").isel(generation=1, state=1), LEVEL
        ),
        "Classifiers trained on verified labels on either side of p*.",
    )


def belief(results):
    data = results["verified"]
    truth, kept = listed(data, "truth"), float(data.attrs["kept"])
    accept = np.reshape(listed(data, "accept"), (3, 3))[1]
    t, best = data.sizes["generation"], int(np.argmax(accept))
    found = {
        r: intervals.mean(data["probabilities"].sel(regime=f"{r}, with a taste").isel(generation=-1, state=best), LEVEL)
        for r in ("Replace", "Accumulate")
    }
    law = {
        str(r): limits.mean_field(r, truth, t, limits.tilted(accept), kept)[-1, best] for r in (Replace(), Accumulate())
    }
    on_law = all(near(found[r], law[r]) for r in found)
    there = {r: found[r].low > ARRIVED for r in found}
    if not (on_law and there["Replace"] and found["Accumulate"].low > truth[best]):
        word = NOT_SUPPORTED
    else:
        word = SUPPORTED if there["Accumulate"] else LIMITED
    return Finding(
        word,
        f"three kinds of answer and one verifier, whose belief is the kind that it passes most: its share goes from {truth[best]:.0%} to {found['Replace'].estimate:.0%} after {t} fits under Replace and to "
        f"{found['Accumulate'].estimate:.0%} under Accumulate (laws {law['Replace']:.0%} and {law['Accumulate']:.0%}), on the way there. Their model is a linear regression, not this one",
        found["Accumulate"],
        f"A share that stays, or does not follow the verifier's preferences; for a verdict without limits, {ARRIVED:.0%} or more under Accumulate too.",
    )


def quality(results):
    """The premise is a verifier that is better than chance; what one with a bad eye does is no part of the claim."""
    data = results["verified"]
    truth = listed(data, "truth")
    end = {
        (r, v): [
            intervals.mean(data["probabilities"].sel(regime=f"{r}, {v}").isel(generation=-1, state=s), LEVEL)
            for s in (1, 2)
        ]
        for r in ("Replace", "Accumulate")
        for v in ("honest", "with a taste")
    }
    honest, taste = (end["Accumulate", v] for v in ("honest", "with a taste"))
    if honest[1].high >= truth[2] or taste[1].high >= truth[2]:
        word = NOT_SUPPORTED
    else:
        word = LIMITED if taste[0].high < truth[1] else SUPPORTED
    return Finding(
        word,
        f"where data accumulate, an honest filter takes wrong answers from {truth[2]:.0%} to {honest[1].estimate:.1%} and one with a taste to {taste[1].estimate:.1%}, better than the real data; the taste also takes good "
        f"answers that it likes less from {truth[1]:.0%} to {taste[0].estimate:.0%}. Under Replace an honest filter leaves {end['Replace', 'honest'][1].estimate:.1%} wrong: here discarding old data is better",
        honest[1],
        "Wrong answers that do not become fewer; for a verdict without limits, no loss of good ones under a filter with a taste. Which filters are in use is a question about practice.",
    )


def golden(results):
    data = results["weighted"]
    weights, n = listed(data, "weights"), int(data.attrs["n"]) // 2
    labels = [str(r) for r in data["regime"].values if "weight" in str(r)]
    values = [n * data["squared_mean_error"].sel(regime=label).values for label in labels]
    level = together(len(weights))
    found = [intervals.mean(v, level) for v in values]
    on_law = all_hold(found, limits.weighted_error(np.array(weights)).tolist())
    best = int(np.abs(np.array(weights) - limits.GOLDEN).argmin())
    equal = int(np.abs(np.array(weights) - 0.5).argmin())
    gain = intervals.difference(values[equal], values[best], LEVEL)
    pooled, real = (
        n * data["squared_mean_error"].sel(regime=r).values.mean() for r in ("Accumulate(0.5 fresh)", "RealOnly")
    )
    return Finding(
        SUPPORTED if on_law and gain.low > 0 else NOT_SUPPORTED,
        f"in their loop, which forgets, the error is {values[best].mean():.3f}/n at a weight of {weights[best]:.3f} and {values[equal].mean():.3f}/n at equal weights (laws {limits.weighted_error(weights[best]):.3f} and "
        f"{limits.weighted_error(0.5):.3f}). (Where all is kept, {pooled:.3f}/n; with a weight of 0 on what is synthetic, {real:.4f}/n)",
        intervals.mean(values[best], LEVEL),
        "An error off its law, or none gained over equal weights.",
    )


def small_sample(results):
    data = results["unseen"]
    d, n = int(data.attrs["dimension"]), int(data.attrs["n"])
    left = {
        r: intervals.median(at(data, "trace_ratio", r) / at(data, "trace_ratio", r, 0), LEVEL)
        for r in ("Replace", "Accumulate", "RealOnly(refit)")
    }
    ranks = {r: at(data, "rank", r) for r in ("Accumulate", "RealOnly(refit)")}
    if left["Replace"].high >= LEFT:
        word = NOT_TESTABLE
    elif left["Accumulate"].low > MOST:
        word = SUPPORTED if (ranks["Accumulate"] == ranks["RealOnly(refit)"]).all() else LIMITED
    else:
        word = NOT_SUPPORTED
    return Finding(
        word,
        f"unbiased estimates of {d} dimensions from n = {n}: after {int(data['generation'][-1])} fits {left['Accumulate'].estimate:.2f} of the first fit's total variance is left under Accumulate and {number(left['Replace'].estimate, '.1g')} "
        f"under Replace (medians). The rank is {int(ranks['Accumulate'].min())} of {d}, as for the first sample refitted ({int(ranks['RealOnly(refit)'].min())}): what is missing is lost to the first sample, not to the recursion",
        left["Accumulate"],
        f"A median below {MOST:g} under Accumulate; with limits, a rank below that of the first sample. Not testable if Replace keeps {LEFT:.0%} of the variance.",
    )


def words(results):
    missing = results["unseen"]["missing_mass"]
    t = min(SOON, int(missing["generation"][-1]))
    missing = missing.sel(generation=t)
    first, own, fresh, replaced = (
        missing.sel(regime=r).values for r in ("RealOnly(refit)", "Accumulate", "Accumulate(0.2 fresh)", "Replace")
    )
    back = intervals.mean(1 - fresh / first, LEVEL)
    if not np.allclose(own, first) or back.low <= 0:
        word = NOT_SUPPORTED
    else:
        word = SUPPORTED if back.low > MOST else LIMITED
    return Finding(
        word,
        f"{first.mean():.1%} of a text's running words are not among the first {int(results['unseen'].attrs['words'])}, and after {t} fits {own.mean():.1%} under Accumulate ({replaced.mean():.1%} under Replace), all of it lost "
        f"to the first sample; with a fifth of new data real {fresh.mean():.1%}: {back.estimate:.0%} of it is back",
        back,
        f"A word lost later under Accumulate, or none brought back; for a verdict without limits, {MOST:.0%} or more brought back.",
    )


def text(results):
    """Whether the loss levels off, and if not, whether the cause is what the models write: copies of the real text have no error."""
    loss = np.log(results["ngram"]["test_perplexity"])
    doublings = [2**k for k in range(int(np.log2(loss.sizes["generation"])) + 1)]

    def rises(label):
        values = [loss.sel(regime=label, generation=t).values for t in doublings]
        return [after - before for before, after in itertools.pairwise(values)]

    def levels(label):
        """Whether the later half of the doublings adds less than a rise that shrinks by LEVELLING with each of them would."""
        steps = rises(label)
        half = len(steps) // 2
        return intervals.mean(sum(steps[half:]) - LEVELLING**half * sum(steps[:half]), LEVEL).high < 0

    own, part, copies = "Accumulate", "AccumulateSubsample", "Accumulate, copied"
    total, copied = (intervals.mean(sum(rises(label)), LEVEL) for label in (own, copies))
    if total.low <= 0 or levels(own):
        word = SUPPORTED
    else:
        word = LIMITED if copied.low > 0 and levels(part) else NOT_SUPPORTED

    def steps_of(label):
        return ", ".join(number(r.mean(), ".3f") for r in rises(label))

    attrs = results["ngram"].attrs
    return Finding(
        word,
        f"{int(attrs['blocks'])} blocks of {int(attrs['words'])} words: under Accumulate the loss rises by {steps_of(own)} nats a word from one doubling of the fits to the next, to {doublings[-1]}, and does not level off. Copies of the real "
        f"text, without any model's error, raise it by {steps_of(copies)}: the fit takes repeats for evidence. Fits to as many blocks of the same pool as there were real ones level off: {steps_of(part)}",
        total,
        f"No rise under Accumulate, or rises that shrink to less than {LEVELLING:g} of themselves with each doubling, for a verdict without limits; for none, copies that do no harm, or parts of the pool that do not level off either.",
    )
