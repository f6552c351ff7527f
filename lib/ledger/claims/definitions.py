"""Claims of chapter 10: what counts as collapse.

Judged on answers that the eight definitions of `lib.ledger.definitions` give on the trajectories that the other chapters have left: 1 for
collapse, 0 for none, −1 where a definition cannot be decided. Intervals are of shares of trajectories. Trajectories of one chapter share
data, so an interval says how much the share would move with another choice of experiments of this kind, and no more than that.
"""

from __future__ import annotations

import numpy as np

from lib import intervals
from lib.ledger import LEVEL, LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED, Claim, Finding

AT_TIMES = 0.1  # "at times": a share of trajectories above which a conflict is no rarity
RISK = ("catastrophic", "divergence")  # the definitions that the position paper calls unlikely in practice


def _answers(results, regime=None):
    data = results["answers"]
    if regime is not None:
        data = data.isel(case=np.flatnonzero(data["regime_of"].values == regime))
    return data["answer"]


def _share(hits, trials):
    return intervals.proportion(int(hits), int(trials), LEVEL)


def _conflict(results):
    answers = _answers(results).values
    decided = (answers >= 0).sum(axis=1) >= 2
    both = (answers == 1).any(axis=1) & (answers == 0).any(axis=1)
    if not decided.any():
        return Finding(
            NOT_TESTABLE, "no trajectory is decided by two definitions", None, "More scores, or longer runs."
        )
    found = _share((both & decided).sum(), decided.sum())
    word = SUPPORTED if found.low > AT_TIMES else LIMITED if found.low > 0 else NOT_SUPPORTED
    return Finding(
        word,
        f"of {decided.sum()} trajectories that at least two definitions decide, {(both & decided).sum()} collapse under one and not under another",
        found,
        f"No such trajectory; fewer than {AT_TIMES:.0%} of them would be a limit.",
    )


def _risk(results):
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
    word = SUPPORTED if hit == 0 else LIMITED if fewer else NOT_SUPPORTED
    return Finding(
        word,
        f"a risk that rises catastrophically or goes on rising is seen in {hit} of {kept} accumulated trajectories{named}, and in {lost} of {all_replaced} replaced ones",
        found,
        "For a verdict without limits, no such trajectory; for none, as many as under Replace.",
    )


def _no_collapse(results):
    answers = _answers(results, "Accumulate")
    yes = {str(d): int((answers.sel(definition=d) == 1).sum()) for d in answers["definition"].values}
    decided = {str(d): int((answers.sel(definition=d) >= 0).sum()) for d in answers["definition"].values}
    judged = [d for d in decided if decided[d]]
    if not judged:
        return Finding(NOT_TESTABLE, "no definition decides any accumulated trajectory", None, "More scores.")
    free = [d for d in judged if not yes[d]]
    found = _share(sum(yes.values()), sum(decided.values()))
    word = SUPPORTED if len(free) == len(judged) else LIMITED if 2 * len(free) > len(judged) else NOT_SUPPORTED
    return Finding(
        word,
        f"the definitions that can be decided say yes {sum(yes.values())} times of {sum(decided.values())}: "
        + ", ".join(f"{d} {yes[d]} of {decided[d]}" for d in judged),
        found,
        "For a verdict without limits, no yes under any definition; for none, a yes under half of the definitions or more.",
    )


def _deserve(results):
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
    word = NOT_SUPPORTED if not hit else SUPPORTED if lost and found.low > 0.5 else LIMITED
    return Finding(
        word,
        f"where it can be decided, the scaling law is worse than with real data in {hit} of {decided} accumulated trajectories; tails fade in {lost} of {int((tails >= 0).sum())}",
        found,
        "Scaling laws as with real data; for a verdict without limits, most of them changed and tails that fade.",
    )


CLAIMS = (
    Claim(
        "schaeffer-eight",
        10,
        "Schaeffer et al. 2025",
        "The definitions of model collapse in use conflict with one another.",
        "eight definitions, “at times conflicting”",
        _conflict,
    ),
    Claim(
        "schaeffer-risk",
        10,
        "Schaeffer et al. 2025",
        "Where data accumulate, population risk neither rises catastrophically nor diverges.",
        "called unlikely under realistic conditions",
        _risk,
    ),
    Claim(
        "schaeffer-tails-scaling",
        10,
        "Schaeffer et al. 2025",
        "Where data accumulate, changed scaling laws and lost tails remain.",
        "said to deserve study",
        _deserve,
    ),
    Claim(
        "thread-no-collapse-definitions",
        10,
        "this book's extension of thread, 10/N",
        "Where data accumulate there is no model collapse, whichever definition is used.",
        "“no model collapse”, no definition given",
        _no_collapse,
    ),
)
