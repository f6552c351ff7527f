"""Judges of chapter 11, its later sections: filters, weights, what was never sampled, fits that smooth. See
`lib.ledger.claims.limits`."""

import numpy as np

from lib.intervals import number
from lib.ledger import NOT_SUPPORTED, NOT_TESTABLE, Finding, claim, ladder
from lib.ledger.definitions import LEFT, LEVELLING
from lib.ledger.predicates import all_hold, at, difference, mean, median, near, together
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
    wrong = {p: at(data.sel(error=p).isel(state=1), "probabilities", "Replace", 1) for p in errors}
    kept = {p: mean(wrong[p], level=together(len(errors))) for p in errors}
    below = max(p for p in errors if p < point)
    sides = all(kept[p].high < 0.5 if p < point else kept[p].low > 0.5 for p in errors)
    return Finding(
        NOT_TESTABLE if sides else NOT_SUPPORTED,
        "for labels alone it is Bayes' rule, and the simulation checks no more than the code: of what is kept most is "
        f"right up to a share of wrong labels of {below:.2f}, and most is wrong from "
        f"{min(p for p in errors if p > point):.2f} on; p* is {point:.2f}. Their claim is about classifiers and "
        "language models trained on it, of which there are none here",
        mean(wrong[below]),
        "Classifiers trained on verified labels on either side of p*.",
    )


def _share(data, regime, verifier, state):
    """Interval of the share of a kind of answer at the end."""
    return mean(at(data.sel(verifier=verifier).isel(state=state), "probabilities", regime))


@claim("yi-belief", "Yi et al. 2025", "the verifier's “knowledge center”")
def belief(results):
    """Training on verified output tends to what the verifier believes."""
    data = results["verified"]
    truth, kept = data.attrs["truth"], float(data.attrs["kept"])
    accept = np.reshape(data.attrs["accept"], (3, 3))[1]
    t, best, both = data.sizes["generation"], int(np.argmax(accept)), (Replace(), Accumulate())
    replaced, found = (_share(data, r, "with a taste", best) for r in both)
    law, own_law = (limits.mean_field(r, truth, t, limits.tilted(accept), kept)[-1, best] for r in both)
    on_law = near(replaced, law) and near(found, own_law)
    holds = on_law and replaced.low > ARRIVED and found.low > truth[best]
    return Finding(
        ladder(holds and found.low > ARRIVED, holds),
        "three kinds of answer and one verifier, whose belief is the kind that it passes most: its share goes from "
        f"{truth[best]:.0%} to {replaced.estimate:.0%} after {t} fits under Replace and to {found.estimate:.0%} "
        f"under Accumulate (laws {law:.0%} and {own_law:.0%}), on the way there. Their model is a linear regression, "
        "not this one",
        found,
        "A share that stays, or does not follow the verifier's preferences; for a verdict without limits, "
        f"{ARRIVED:.0%} or more under Accumulate too.",
    )


@claim("thread-quality-filters", "thread, 4/N", "implied: quality rises")
def quality(results):
    """Users who share better outputs, and better filters, make synthetic data better for the next model."""
    data = results["verified"]
    _, good, wrong = data.attrs["truth"]
    honest, taste = (_share(data, "Accumulate", verifier, 2) for verifier in ("honest", "with a taste"))
    liked_less = _share(data, "Accumulate", "with a taste", 1)
    holds = honest.high < wrong and taste.high < wrong
    return Finding(
        ladder(holds and liked_less.high >= good, holds),
        f"where data accumulate, an honest filter takes wrong answers from {wrong:.0%} to {honest.estimate:.1%} "
        f"and one with a taste to {taste.estimate:.1%}, better than the real data; the taste also takes good "
        f"answers that it likes less from {good:.0%} to {liked_less.estimate:.0%}. Under Replace an honest filter "
        f"leaves {_share(data, 'Replace', 'honest', 2).estimate:.1%} wrong: here discarding old data is better",
        honest,
        "Wrong answers that do not become fewer; for a verdict without limits, no loss of good ones under a filter "
        "with a taste. Which filters are in use is a question about practice.",
    )


@claim("he-golden", "He et al. 2025", "0.618, for equal numbers of real and synthetic samples")
def golden(results):
    """In a loop of fresh real and newest synthetic data, real data are best weighted by the reciprocal of the golden
    ratio."""
    data = results["weighted"]
    error, known = int(data.attrs["n"]) // 2 * data["squared_mean_error"], data["weight"].notnull().values
    weights, values = data["weight"].values[known], error.transpose("regime", "run").values[known]
    found = [mean(v, level=together(len(weights))) for v in values]
    on_law = all_hold(found, limits.weighted_error(weights).tolist())
    best, equal = (int(np.abs(weights - weight).argmin()) for weight in (limits.GOLDEN, 0.5))
    pooled, real = (error.sel(regime=r).values.mean() for r in ("Accumulate(0.5 fresh)", "RealOnly"))
    return Finding(
        ladder(on_law and difference(values[equal], values[best]).low > 0),
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
    replaced, left = (
        median(at(data, "trace_ratio", r) / at(data, "trace_ratio", r, 0)) for r in ("Replace", "Accumulate")
    )
    rank, first = (at(data, "rank", r) for r in ("Accumulate", "RealOnly(refit)"))
    kept = left.low > MOST
    return Finding(
        NOT_TESTABLE if replaced.high >= LEFT else ladder(kept and (rank == first).all(), kept),
        f"unbiased estimates of {d} dimensions from n = {n}: after {int(data['generation'][-1])} fits "
        f"{left.estimate:.2f} of the first fit's total variance is left under Accumulate and "
        f"{number(replaced.estimate, '.1g')} under Replace (medians). The rank is {int(rank.min())} of {d}, as for the "
        f"first sample refitted ({int(first.min())}): what is missing is lost to the first sample, not to the "
        "recursion",
        left,
        f"A median below {MOST:g} under Accumulate; with limits, a rank below that of the first sample. Not testable "
        f"if Replace keeps {LEFT:.0%} of the variance.",
    )


@claim("book-unseen-words", "a question of this book", "a state of probability q is missed with probability $(1-q)^n$")
def words(results):
    """Words that the first real sample missed stay missing under Accumulate; a fifth of new real data brings most of
    them back within 20 fits."""
    data = results["unseen"]
    t = min(SOON, int(data["generation"][-1]))
    regimes = ("RealOnly(refit)", "Accumulate", "Accumulate(0.2 fresh)", "Replace")
    first, own, fresh, replaced = (at(data.sel(generation=[t]), "missing_mass", r) for r in regimes)
    back = mean(1 - fresh / first)
    holds = np.allclose(own, first) and back.low > 0
    return Finding(
        ladder(holds and back.low > MOST, holds),
        f"{first.mean():.1%} of a text's running words are not among the first "
        f"{int(data.attrs['words'])}, and after {t} fits {own.mean():.1%} under Accumulate "
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
    book's."""
    loss = np.log(results["ngram"]["test_perplexity"])
    doublings = [2**k for k in range(int(np.log2(loss.sizes["generation"])) + 1)]
    half = (len(doublings) - 1) // 2
    own, copies, part = (
        np.diff(loss.sel(regime=label, generation=doublings).transpose("generation", "run").values, axis=0)
        for label in ("Accumulate", "Accumulate, copied", "AccumulateSubsample")
    )

    def levels(steps):
        """Whether the later half of them adds less than rises that shrink by LEVELLING with each doubling would."""
        return mean(steps[half:].sum(axis=0) - LEVELLING**half * steps[:half].sum(axis=0)).high < 0

    def said(steps):
        return ", ".join(number(step.mean(), ".3f") for step in steps)

    total, copied = mean(own.sum(axis=0)), mean(copies.sum(axis=0))
    attrs = results["ngram"].attrs
    return Finding(
        ladder(total.low <= 0 or levels(own), copied.low > 0 and levels(part)),
        f"{int(attrs['blocks'])} blocks of {int(attrs['words'])} words: under Accumulate the loss rises by "
        f"{said(own)} nats a word from one doubling of the fits to the next, to {doublings[-1]}, and does not "
        f"level off. Copies of the real text, without any model's error, raise it by {said(copies)}: the fit takes "
        "repeats for evidence. Fits to as many blocks of the same pool as there were real ones level off: "
        f"{said(part)}",
        total,
        f"No rise under Accumulate, or rises that shrink to less than {LEVELLING:g} of themselves with each doubling, "
        "for a verdict without limits; for none, copies that do no harm, or parts of the pool that do not level off "
        "either.",
    )
