"""Claims of chapter 10: what counts as collapse.

Judged on answers that the eight definitions of `lib.ledger.definitions` give on the trajectories that the other
chapters have left: 1 for collapse, 0 for none, −1 where a definition cannot be decided. Intervals are of shares of
trajectories. Trajectories of one chapter share data, so an interval says how much the share would move with another
choice of experiments of this kind, and no more than that.
"""

from __future__ import annotations

import numpy as np

from lib.ledger import NOT_TESTABLE, Finding, claim, ladder
from lib.ledger.predicates import proportion

AT_TIMES = 0.1  # "at times": a share of trajectories above which a conflict is no rarity
RISK = ("catastrophic", "divergence")  # the definitions that the position paper calls unlikely in practice


def _answers(results, regime=None):
    data = results["answers"]
    if regime is not None:
        data = data.isel(case=np.flatnonzero(data["regime_of"].values == regime))
    return data["answer"]


def _share(hits, trials):
    return proportion(int(hits), int(trials))


@claim("schaeffer-eight", "Schaeffer et al. 2025", "eight definitions, “at times conflicting”")
def _conflict(results):
    """The definitions of model collapse in use conflict with one another."""
    answers = _answers(results).values
    decided = (answers >= 0).sum(axis=1) >= 2
    both = (answers == 1).any(axis=1) & (answers == 0).any(axis=1)
    if not decided.any():
        return Finding(
            NOT_TESTABLE, "no trajectory is decided by two definitions", None, "More scores, or longer runs."
        )
    found = _share((both & decided).sum(), decided.sum())
    return Finding(
        ladder(found.low > AT_TIMES, found.low > 0),
        f"of {decided.sum()} trajectories that at least two definitions decide, {(both & decided).sum()} collapse "
        "under one and not under another",
        found,
        f"No such trajectory; fewer than {AT_TIMES:.0%} of them would be a limit.",
    )


@claim("schaeffer-risk", "Schaeffer et al. 2025", "called unlikely under realistic conditions")
def _risk(results):
    """Where data accumulate, population risk neither rises catastrophically nor diverges."""
    counts = {}
    for regime in ("Replace", "Accumulate"):
        answers = _answers(results, regime).sel(definition=list(RISK)).values
        counts[regime] = (answers == 1).any(axis=1).sum(), (answers >= 0).any(axis=1).sum()
    (lost, all_replaced), (hit, kept) = counts["Replace"], counts["Accumulate"]
    if not kept or not all_replaced:
        return Finding(NOT_TESTABLE, "no trajectory on which the risk can be judged", None, "A score of risk.")
    found = _share(hit, kept)
    hits = [
        str(case).removesuffix(", Accumulate")
        for case, row in zip(_answers(results, "Accumulate")["case"].values, answers, strict=True)
        if (row == 1).any()
    ]
    named = f" ({'; '.join(hits)})" if hits else ""
    fewer = hit / kept < lost / all_replaced
    return Finding(
        ladder(hit == 0, fewer),
        f"a risk that rises catastrophically or goes on rising is seen in {hit} of {kept} accumulated "
        f"trajectories{named}, and in {lost} of {all_replaced} replaced ones",
        found,
        "For a verdict without limits, no such trajectory; for none, as many as under Replace.",
    )


@claim("schaeffer-tails-scaling", "Schaeffer et al. 2025", "said to deserve study")
def _deserve(results):
    """Where data accumulate, changed scaling laws and lost tails remain."""
    answers = _answers(results, "Accumulate")
    tails, scaling = (answers.sel(definition=d).values for d in ("tails", "scaling"))
    decided, hit = int((scaling >= 0).sum()), int((scaling == 1).sum())
    lost = int((tails == 1).sum())
    if not decided:
        return Finding(
            NOT_TESTABLE,
            "no accumulated trajectory has real data of the same size beside it",
            None,
            "RealOnly beside it.",
        )
    found = _share(hit, decided)
    return Finding(
        ladder(hit and lost and found.low > 0.5, hit),
        f"where it can be decided, the scaling law is worse than with real data in {hit} of {decided} accumulated "
        f"trajectories; tails fade in {lost} of {int((tails >= 0).sum())}",
        found,
        "Scaling laws as with real data; for a verdict without limits, most of them changed and tails that fade.",
    )


@claim(
    "thread-no-collapse-definitions",
    "this book's extension of thread, 10/N",
    "“no model collapse”, no definition given",
)
def _no_collapse(results):
    """Where data accumulate there is no model collapse, whichever definition is used."""
    answers = _answers(results, "Accumulate")
    yes = {str(d): int((answers.sel(definition=d) == 1).sum()) for d in answers["definition"].values}
    decided = {str(d): int((answers.sel(definition=d) >= 0).sum()) for d in answers["definition"].values}
    judged = [d for d in decided if decided[d]]
    if not judged:
        return Finding(NOT_TESTABLE, "no definition decides any accumulated trajectory", None, "More scores.")
    free = [d for d in judged if not yes[d]]
    found = _share(sum(yes.values()), sum(decided.values()))
    return Finding(
        ladder(len(free) == len(judged), 2 * len(free) > len(judged)),
        f"the definitions that can be decided say yes {sum(yes.values())} times of {sum(decided.values())}: "
        + ", ".join(f"{d} {yes[d]} of {decided[d]}" for d in judged),
        found,
        "For a verdict without limits, no yes under any definition; for none, a yes under half of the definitions or "
        "more.",
    )
