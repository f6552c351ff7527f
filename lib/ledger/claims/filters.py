"""Judges of chapter 11, its later sections: filters, weights, what was never sampled, fits that smooth. See
`lib.ledger.claims.limits`."""

from __future__ import annotations

import itertools

import numpy as np

from lib.intervals import number
from lib.ledger import NOT_SUPPORTED, NOT_TESTABLE, Finding, claim, ladder
from lib.ledger.definitions import LEFT, LEVELLING
from lib.ledger.predicates import all_hold, at, difference, listed, mean, median, near, together
from lib.regimes import Accumulate, Replace
from lib.theory import limits

MOST = 0.5
SOON = 20  # fits after which it is asked what new real data have brought back
ARRIVED = 0.9  # share of what a verifier likes best from which on a model holds its belief


@claim("feng-breakdown", "Feng et al. 2024", "p* = 1/(1 + ψ/φ)")
def breakdown(results):
    """Training on verified labels works up to a breakdown point that the verifier's keep rates give."""
    data = results["breakdown"]
    point = limits.breakdown(float(data.attrs["right"]), float(data.attrs["wrong"]))
    errors = data["error"].values.tolist()
    level = together(len(errors))
    kept = [
        mean(data["probabilities"].sel(error=p, regime="Replace").isel(generation=1, state=1), level=level)
        for p in errors
    ]
    sides = [found.high < 0.5 if p < point else found.low > 0.5 for p, found in zip(errors, kept, strict=True)]
    below = max(p for p in errors if p < point)
    return Finding(
        NOT_TESTABLE if all(sides) else NOT_SUPPORTED,
        "for labels alone it is Bayes' rule, and the simulation checks no more than the code: of what is kept most is "
        f"right up to a share of wrong labels of {below:.2f}, and most is wrong from "
        f"{min(p for p in errors if p > point):.2f} on; p* is {point:.2f}. Their claim is about classifiers and "
        "language models trained on it, of which there are none here",
        mean(data["probabilities"].sel(error=below, regime="Replace").isel(generation=1, state=1)),
        "Classifiers trained on verified labels on either side of p*.",
    )


@claim("yi-belief", "Yi et al. 2025", "the verifier's “knowledge center”")
def belief(results):
    """Training on verified output tends to what the verifier believes."""
    data = results["verified"]
    truth, kept = listed(data, "truth"), float(data.attrs["kept"])
    accept = np.reshape(listed(data, "accept"), (3, 3))[1]
    t, best = data.sizes["generation"], int(np.argmax(accept))
    ends = data["probabilities"].sel(verifier="with a taste").isel(generation=-1, state=best)
    found = {r: mean(ends.sel(regime=r)) for r in ("Replace", "Accumulate")}
    law = {
        str(r): limits.mean_field(r, truth, t, limits.tilted(accept), kept)[-1, best] for r in (Replace(), Accumulate())
    }
    on_law = all(near(found[r], law[r]) for r in found)
    there = {r: found[r].low > ARRIVED for r in found}
    holds = on_law and there["Replace"] and found["Accumulate"].low > truth[best]
    return Finding(
        ladder(holds and there["Accumulate"], holds),
        "three kinds of answer and one verifier, whose belief is the kind that it passes most: its share goes from "
        f"{truth[best]:.0%} to {found['Replace'].estimate:.0%} after {t} fits under Replace and to "
        f"{found['Accumulate'].estimate:.0%} under Accumulate (laws {law['Replace']:.0%} and {law['Accumulate']:.0%}), "
        "on the way there. Their model is a linear regression, not this one",
        found["Accumulate"],
        "A share that stays, or does not follow the verifier's preferences; for a verdict without limits, "
        f"{ARRIVED:.0%} or more under Accumulate too.",
    )


@claim("thread-quality-filters", "thread, 4/N", "implied: quality rises")
def quality(results):
    """Users who share better outputs, and better filters, make synthetic data better for the next model.

    The premise is a verifier that is better than chance; what one with a bad eye does is no part of the claim.
    """
    data = results["verified"]
    truth = listed(data, "truth")
    end = {
        (r, v): [mean(data["probabilities"].sel(regime=r, verifier=v).isel(generation=-1, state=s)) for s in (1, 2)]
        for r in ("Replace", "Accumulate")
        for v in ("honest", "with a taste")
    }
    honest, taste = (end["Accumulate", v] for v in ("honest", "with a taste"))
    holds = honest[1].high < truth[2] and taste[1].high < truth[2]
    return Finding(
        ladder(holds and taste[0].high >= truth[1], holds),
        f"where data accumulate, an honest filter takes wrong answers from {truth[2]:.0%} to {honest[1].estimate:.1%} "
        f"and one with a taste to {taste[1].estimate:.1%}, better than the real data; the taste also takes good "
        f"answers that it likes less from {truth[1]:.0%} to {taste[0].estimate:.0%}. Under Replace an honest filter "
        f"leaves {end['Replace', 'honest'][1].estimate:.1%} wrong: here discarding old data is better",
        honest[1],
        "Wrong answers that do not become fewer; for a verdict without limits, no loss of good ones under a filter "
        "with a taste. Which filters are in use is a question about practice.",
    )


@claim("he-golden", "He et al. 2025", "0.618, for equal numbers of real and synthetic samples")
def golden(results):
    """In a loop of fresh real and newest synthetic data, real data are best weighted by the reciprocal of the golden
    ratio."""
    data = results["weighted"]
    n, known = int(data.attrs["n"]) // 2, data["weight"].notnull().values
    weights = data["weight"].values[known].tolist()
    values = n * data["squared_mean_error"].transpose("regime", "run").values[known]
    level = together(len(weights))
    found = [mean(v, level=level) for v in values]
    on_law = all_hold(found, limits.weighted_error(np.array(weights)).tolist())
    best = int(np.abs(np.array(weights) - limits.GOLDEN).argmin())
    equal = int(np.abs(np.array(weights) - 0.5).argmin())
    gain = difference(values[equal], values[best])
    pooled, real = (
        n * data["squared_mean_error"].sel(regime=r).values.mean() for r in ("Accumulate(0.5 fresh)", "RealOnly")
    )
    return Finding(
        ladder(on_law and gain.low > 0),
        f"in their loop, which forgets, the error is {values[best].mean():.3f}/n at a weight of {weights[best]:.3f} "
        f"and {values[equal].mean():.3f}/n at equal weights (laws {limits.weighted_error(weights[best]):.3f} and "
        f"{limits.weighted_error(0.5):.3f}). (Where all is kept, {pooled:.3f}/n; with a weight of 0 on what is "
        f"synthetic, {real:.4f}/n)",
        mean(values[best]),
        "An error off its law, or none gained over equal weights.",
    )


@claim("thread-avoided-small", "Kazdan et al. 2025, cells with n − 1 < d", "five of the 25 cells of their grid")
def small_sample(results):
    """In the setting of Theorem 3.1 accumulated data avoid the collapse of the covariance, also with fewer samples than
    dimensions."""
    data = results["unseen"]
    d, n = int(data.attrs["dimension"]), int(data.attrs["n"])
    left = {
        r: median(at(data, "trace_ratio", r) / at(data, "trace_ratio", r, 0))
        for r in ("Replace", "Accumulate", "RealOnly(refit)")
    }
    ranks = {r: at(data, "rank", r) for r in ("Accumulate", "RealOnly(refit)")}
    kept, all_there = left["Accumulate"].low > MOST, (ranks["Accumulate"] == ranks["RealOnly(refit)"]).all()
    word = NOT_TESTABLE if left["Replace"].high >= LEFT else ladder(kept and all_there, kept)
    return Finding(
        word,
        f"unbiased estimates of {d} dimensions from n = {n}: after {int(data['generation'][-1])} fits "
        f"{left['Accumulate'].estimate:.2f} of the first fit's total variance is left under Accumulate and "
        f"{number(left['Replace'].estimate, '.1g')} under Replace (medians). The rank is "
        f"{int(ranks['Accumulate'].min())} of {d}, as for the first sample refitted "
        f"({int(ranks['RealOnly(refit)'].min())}): what is missing is lost to the first sample, not to the recursion",
        left["Accumulate"],
        f"A median below {MOST:g} under Accumulate; with limits, a rank below that of the first sample. Not testable "
        f"if Replace keeps {LEFT:.0%} of the variance.",
    )


@claim("book-unseen-words", "a question of this book", "a state of probability q is missed with probability $(1-q)^n$")
def words(results):
    """Words that the first real sample missed stay missing under Accumulate; a fifth of new real data brings most of
    them back within 20 fits."""
    missing = results["unseen"]["missing_mass"]
    t = min(SOON, int(missing["generation"][-1]))
    missing = missing.sel(generation=t)
    first, own, fresh, replaced = (
        missing.sel(regime=r).values for r in ("RealOnly(refit)", "Accumulate", "Accumulate(0.2 fresh)", "Replace")
    )
    back = mean(1 - fresh / first)
    holds = np.allclose(own, first) and back.low > 0
    return Finding(
        ladder(holds and back.low > MOST, holds),
        f"{first.mean():.1%} of a text's running words are not among the first "
        f"{int(results['unseen'].attrs['words'])}, and after {t} fits {own.mean():.1%} under Accumulate "
        f"({replaced.mean():.1%} under Replace), all of it lost to the first sample; with a fifth of new data real "
        f"{fresh.mean():.1%}: {back.estimate:.0%} of it is back",
        back,
        f"A word lost later under Accumulate, or none brought back; for a verdict without limits, {MOST:.0%} or more "
        "brought back.",
    )


@claim(
    "thread-no-collapse-smoothing",
    "this book's extension of thread, 10/N",
    "“no model collapse”, of the reply's experiments",
)
def text(results):
    """With accumulating text the loss of a smoothed word 3-gram levels off. The extension to smoothed models is this
    book's.

    Whether the loss levels off, and if not, whether the cause is what the models write: copies of the real text have no
    error.
    """
    loss = np.log(results["ngram"]["test_perplexity"])
    doublings = [2**k for k in range(int(np.log2(loss.sizes["generation"])) + 1)]

    def rises(label):
        values = [loss.sel(regime=label, generation=t).values for t in doublings]
        return [after - before for before, after in itertools.pairwise(values)]

    def levels(label):
        """Whether the later half of the doublings adds less than a rise that shrinks by LEVELLING with each of them
        would."""
        steps = rises(label)
        half = len(steps) // 2
        return mean(sum(steps[half:]) - LEVELLING**half * sum(steps[:half])).high < 0

    own, part, copies = "Accumulate", "AccumulateSubsample", "Accumulate, copied"
    total, copied = (mean(sum(rises(label))) for label in (own, copies))
    word = ladder(total.low <= 0 or levels(own), copied.low > 0 and levels(part))

    def steps_of(label):
        return ", ".join(number(r.mean(), ".3f") for r in rises(label))

    attrs = results["ngram"].attrs
    return Finding(
        word,
        f"{int(attrs['blocks'])} blocks of {int(attrs['words'])} words: under Accumulate the loss rises by "
        f"{steps_of(own)} nats a word from one doubling of the fits to the next, to {doublings[-1]}, and does not "
        f"level off. Copies of the real text, without any model's error, raise it by {steps_of(copies)}: the fit takes "
        "repeats for evidence. Fits to as many blocks of the same pool as there were real ones level off: "
        f"{steps_of(part)}",
        total,
        f"No rise under Accumulate, or rises that shrink to less than {LEVELLING:g} of themselves with each doubling, "
        "for a verdict without limits; for none, copies that do no harm, or parts of the pool that do not level off "
        "either.",
    )
