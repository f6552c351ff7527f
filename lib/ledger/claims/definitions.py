"""Claims of chapter 10: what counts as collapse.

Judged on answers of `lib.ledger.definitions` on the trajectories that the other chapters have left: 1 for collapse, 0
for none, −1 where undecided. Trajectories of one chapter share data, so an interval of a share says how much it would
move with another choice of experiments of this kind, and no more than that.
"""

import numpy as np

from lib.ledger import Finding, claim, ladder
from lib.ledger.predicates import proportion, untestable

AT_TIMES = 0.1  # "at times": a share of trajectories above which a conflict is no rarity
RISK = ["catastrophic", "divergence"]  # the definitions that the position paper calls unlikely in practice


def _answers(results, regime):
    data = results["answers"]
    return data["answer"].isel(case=np.flatnonzero(data["regime_of"].values == regime))


@claim("schaeffer-eight", "Schaeffer et al. 2025", "eight definitions, “at times conflicting”")
def _conflict(results):
    """The definitions of model collapse in use conflict with one another."""
    answers = results["answers"]["answer"].values
    decided = ((answers >= 0).sum(axis=1) >= 2).sum()
    both = ((answers == 1).any(axis=1) & (answers == 0).any(axis=1)).sum()
    if not decided:
        return untestable("no trajectory is decided by two definitions", "More scores, or longer runs.")
    found = proportion(both, decided)
    return Finding(
        ladder(found.low > AT_TIMES, found.low > 0),
        f"of {decided} trajectories that at least two definitions decide, {both} collapse under one and not under "
        "another",
        found,
        f"No such trajectory; fewer than {AT_TIMES:.0%} of them would be a limit.",
    )


@claim("schaeffer-risk", "Schaeffer et al. 2025", "called unlikely under realistic conditions")
def _risk(results):
    """Where data accumulate, population risk neither rises catastrophically nor diverges."""
    highest = [_answers(results, r).sel(definition=RISK).max("definition") for r in ("Replace", "Accumulate")]
    (lost, all_replaced), (hit, kept) = ((int((a == 1).sum()), int((a >= 0).sum())) for a in highest)
    if not kept or not all_replaced:
        return untestable("no trajectory on which the risk can be judged", "A score of risk.")
    found = proportion(hit, kept)
    hits = [str(case).removesuffix(", Accumulate") for case in highest[1]["case"].values[highest[1].values == 1]]
    named = f" ({'; '.join(hits)})" if hits else ""
    return Finding(
        ladder(hit == 0, hit / kept < lost / all_replaced),
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
    decided, hit, lost = (scaling >= 0).sum(), (scaling == 1).sum(), (tails == 1).sum()
    if not decided:
        return untestable("no accumulated trajectory has real data of the same size beside it", "RealOnly beside it.")
    found = proportion(hit, decided)
    return Finding(
        ladder(hit and lost and found.low > 0.5, hit),
        f"where it can be decided, the scaling law is worse than with real data in {hit} of {decided} accumulated "
        f"trajectories; tails fade in {lost} of {(tails >= 0).sum()}",
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
    answers = _answers(results, "Accumulate").transpose("case", "definition")
    counts = zip(answers["definition"].values, (answers.values == 1).sum(0), (answers.values >= 0).sum(0), strict=True)
    judged = [(name, yes, decided) for name, yes, decided in counts if decided]
    if not judged:
        return untestable("no definition decides any accumulated trajectory", "More scores.")
    _, hits, trials = zip(*judged, strict=True)
    return Finding(
        ladder(not any(hits), 2 * hits.count(0) > len(hits)),
        f"the definitions that can be decided say yes {sum(hits)} times of {sum(trials)}: "
        + ", ".join(f"{name} {yes} of {decided}" for name, yes, decided in judged),
        proportion(sum(hits), sum(trials)),
        "For a verdict without limits, no yes under any definition; for none, a yes under half of the definitions or "
        "more.",
    )
