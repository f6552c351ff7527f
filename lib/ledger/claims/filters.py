"""Claims of chapter 11, its later sections: filters, weights, and fits that smooth."""

import numpy as np

from lib.ledger import LAW, SMALLER, Finding, claim, word
from lib.ledger.predicates import (
    above,
    altered,
    at,
    change,
    difference,
    every,
    mean,
    near,
    on_law,
    swapped,
    together,
)
from lib.regimes import Accumulate, Replace
from lib.theory import limits

ARRIVED = 0.9  # share of what a verifier likes best from which on a model holds its belief


@claim(
    "yi-belief",
    "Yi et al. 2025",
    "the verifier's “knowledge center”",
    reach=LAW,
    condition="old data are discarded, or the loop is long enough",
    says="the share of the kind of answer that the verifier passes most goes from {first:.0%} to {replaced:.0%} "
    "after {t} fits under Replace and to {found:.0%} under Accumulate (laws {law:.0%} and {own_law:.0%}, and 100% in "
    "the limit)",
    control=swapped("Accumulate"),
)
def _belief(results):
    """A model that is trained on verified output holds what the verifier believes: nine tenths of its answers or more
    are of the kind that the verifier passes most.

    A share off its law, or one that stays below; for plain *holds*, nine tenths under Accumulate too.
    """
    data = results["verified"].sel(verifier="with a taste")
    truth, kept = results["verified"].attrs["truth"], float(results["verified"].attrs["kept"])
    accept = np.reshape(results["verified"].attrs["accept"], (3, 3))[1]
    t, best = data.sizes["generation"], int(np.argmax(accept))
    replaced, found = (mean(at(data.isel(state=best), "probabilities", r)) for r in ("Replace", "Accumulate"))
    step = limits.tilted(accept)
    law, own_law = (limits.mean_field(r, truth, t, step, kept)[-1, best] for r in (Replace(), Accumulate()))
    numbers = {"first": float(truth[best]), "replaced": replaced.estimate, "t": t, "found": found.estimate}
    agree = every(near(replaced, law), near(found, own_law))
    return Finding(
        word(every(agree, above(found, ARRIVED)), every(agree, above(replaced, ARRIVED))),
        numbers | {"law": law, "own_law": own_law},
        found,
        ARRIVED,
    )


@claim(
    "he-golden",
    "He et al. 2025",
    "0.618, for equal numbers of real and synthetic samples",
    reach=LAW,
    says="in the loop of He et al., which forgets, the error is {best:.3f}/n at a weight of {weight:.3f} and "
    "{equal:.3f}/n at equal weights (laws {law:.3f} and {law_equal:.3f}); where all is kept {pooled:.3f}/n",
    control=altered(
        "the weights in reverse order",
        "weighted",
        lambda d: d.assign_coords(weight=("regime", _turned(d["weight"].values))),
    ),
)
def _golden(results):
    """In a loop of new real and newest synthetic data, real data are best weighted by the reciprocal of the golden
    ratio.

    An error off its law at one of the weights, or none gained over equal weights.
    """
    data = results["weighted"]
    error, known = int(data.attrs["n"]) // 2 * data["squared_mean_error"], data["weight"].notnull().values
    weights, values = data["weight"].values[known], error.transpose("regime", "run").values[known]
    laws, level = limits.weighted_error(weights), together(len(weights))
    agree = every(*(on_law(mean(v, level=level), law) for v, law in zip(values, laws, strict=True)))
    best, equal = (int(np.abs(weights - weight).argmin()) for weight in (limits.GOLDEN, 0.5))
    gained = difference(values[equal], values[best])
    numbers = {"best": values[best].mean(), "weight": weights[best], "equal": values[equal].mean(), "law": laws[best]}
    numbers |= {"law_equal": laws[equal], "pooled": error.sel(regime="Accumulate(0.5 fresh)").values.mean()}
    return Finding(word(every(above(gained), agree, bool(laws.argmin() == best))), numbers, gained, 0.0)


def _turned(weights):
    known = ~np.isnan(weights)
    return np.concatenate([weights[known][::-1], weights[~known]])


@claim(
    "book-copies",
    "this book",
    "asked because a smoothed 3-gram gets worse without levelling off although its data accumulate",
    reach=SMALLER,
    says="in {t} fits exact copies of the real text raise the loss by {copied:.2f} nats a word, the model's own text "
    "by {own:.2f}; fits to as many blocks of the same pool as there were real ones raise it by {part:.2f}",
    control=swapped("Accumulate", "Accumulate, copied"),
)
def _copies(results):
    """What a smoothed word 3-gram loses under Accumulate it loses to repetition and not to the model's text: exact
    copies of the real text do it more harm.

    Copies that raise the loss by less than the model's text does.
    """
    loss = results["ngram"].assign(loss=np.log(results["ngram"]["test_perplexity"]))
    rises = {r: at(loss, "loss", r) - at(loss, "loss", r, 0) for r in ("Accumulate, copied", "Accumulate")}
    found = difference(*rises.values())
    numbers = {"t": loss.sizes["generation"], "copied": rises["Accumulate, copied"].mean()}
    numbers |= {"own": rises["Accumulate"].mean(), "part": change(loss, "loss", "AccumulateSubsample").estimate}
    return Finding(word(above(found)), numbers, found, 0.0)
