"""Claims of chapter 3: discrete distributions, their rare states, and the words of a real text.

*Lost*: the model gives the state probability 0. *Missing mass*: the true probability of all lost states.
"""

from lib.ledger import ANALOGUE, LAW, THEIRS, Finding, claim, word
from lib.ledger.predicates import (
    BOUNDED,
    above,
    altered,
    at,
    below,
    difference,
    every,
    gap,
    on_law,
    proportion,
    stands,
    swapped,
)
from lib.theory import discrete

EARLY = 10  # fits; "early" is long before the set size, at which the variance starts to go
LATE = 30  # in set sizes: by then the chain is within 10⁻¹² of its limit


@claim(
    "nature-absorbed",
    "Shumailov et al. 2024, discrete distributions",
    "“guaranteed to end up in a constant state”, lost with probability “equal to 1 − q”",
    reach=LAW,
    says="{found:.1%} of the runs are in a constant state at generation {t} of {n} samples (exact: {law:.1%}, and in "
    "the limit all); the most frequent state, of q = {q:.2f}, is lost in {lost:.1%} (exact: {lost_law:.1%}, "
    "{end:.1%} in the limit); under Accumulate {kept:.0%} and {kept_lost:.0%}",
    control=swapped("Accumulate"),
)
def _absorbed(results):
    """Replaced at a fixed size, a discrete distribution ends in a constant state, and a state of probability q is lost
    with probability 1 − q.

    A share off the exact law of the chain, or a law with another limit.
    """
    data = results["chain"]
    n, t = data.attrs["n"], data.sizes["generation"]
    q, state = float(data["truth"].values.max()), int(data["truth"].values.argmax())
    constant = {r: at(data, "support", r) == 1 for r in ("Replace", "Accumulate")}
    gone = {r: ~at(data, "present", r)[:, state].astype(bool) for r in constant}
    found, lost = (proportion(x["Replace"].sum(), x["Replace"].size) for x in (constant, gone))
    law = discrete.fixation(data["truth"].values, n, max(t, LATE * n)).sum(axis=1)
    lost_law = discrete.lost(q, n, max(t, LATE * n))
    numbers = {"found": found.estimate, "t": t, "n": n, "law": law[t - 1], "q": q, "lost": lost.estimate}
    numbers |= {"lost_law": lost_law[t - 1], "end": lost_law[-1], "kept": constant["Accumulate"].mean()}
    ends = bool(law[-1] > 0.999 and abs(lost_law[-1] - (1 - q)) < 1e-3)
    holds = every(on_law(found, law[t - 1]), on_law(lost, lost_law[t - 1]), ends)
    return Finding(word(holds), numbers | {"kept_lost": gone["Accumulate"].mean()})


@claim(
    "nature-tails-first",
    "Shumailov et al. 2024, discrete distributions",
    "early collapse: the tails go first",
    reach=THEIRS,
    says="by generation {early}, {rare:.0%} of the states with q ≤ 1/M are lost and {others:.0%} of the others; of "
    "those that the first sample held, {later_rare:.0%} and {later_others:.0%}",
    control=swapped("Accumulate"),
)
def _tails_first(results):
    """Under Replace rare states, with q ≤ 1/M for M samples, are lost before the others, also when only those are
    counted that the first sample held.

    A paired difference at or below 0 for what later fits lose.
    """
    data = results["tail"]
    early = min(EARLY, data.sizes["generation"])
    start, then = (at(data, "present", "Replace", g).astype(bool) for g in (0, early - 1))
    rare = data["truth"].values <= 1 / data.attrs["n"]
    lost = [1 - then[:, states].mean(axis=1) for states in (rare, ~rare)]
    later = [(start & ~then)[:, s].sum(axis=1) / start[:, s].sum(axis=1).clip(1) for s in (rare, ~rare)]
    found = difference(*later)
    numbers = {"early": early, "rare": lost[0].mean(), "others": lost[1].mean()}
    numbers |= {"later_rare": later[0].mean(), "later_others": later[1].mean()}
    return Finding(word(above(found)), numbers, found, 0.0)


@claim(
    "thread-no-collapse-tails",
    "this book, going on from thread, 10/N",
    "“no model collapse”",
    reach=ANALOGUE,
    condition=BOUNDED,
    says="{found}; what the first sample missed stays missing",
    control=swapped("Accumulate"),
)
def _no_collapse(results):
    """If the words of a text accumulate, their distribution does not collapse.

    A word that is lost after the first sample, or a distance from the truth that goes on rising; for plain *holds*,
    none that rises.
    """
    return stands(results, "words of a text")


def _young(far):
    """The part of the pool as it was a tenth of the way before, when it still lost words."""
    t = far["generation"].values
    return far.isel(generation=(t // 100 - 1).clip(0)).assign_coords(generation=t)


@claim(
    "thread-cause-tails",
    "thread, 7/N and 8/N",
    "“all prior data is thrown away”, “fixed dataset size”",
    reach=LAW,
    says="at generation {t} a part of constant size of everything misses {part:.3f} of the true probability, a grown "
    "set of newest words {grown:.3f}, Replace {replaced:.3f} and the first sample {first:.3f}. From generation "
    "{late} to {far} the part loses {part_late:.4f} more, and the grown set, by its law, {grown_late:.3f}",
    control=altered("the part of the pool replaced by its first hundred fits", "far", _young),
)
def _cause(results):
    """What loses words in the long run is that earlier data are thrown away: a growing set of newest words only slows
    the loss, and goes on losing more than a set of constant size that is a part of everything.

    A part of the pool that loses as much late as the grown set does.
    """
    words, far, law = results["words"], results["far"], results["later"]["expected_missing_mass"]
    late, last = (int(t) for t in law["horizon"].values)
    grown = float(law.sel(regime="ReplaceGrown").diff("horizon").item())
    part = at(far.sel(generation=[late, last]), "missing_mass", "AccumulateSubsample", slice(None))
    found = difference(*part.reshape(2, -1)[::-1])
    ends = {"part": "AccumulateSubsample", "grown": "ReplaceGrown", "replaced": "Replace", "first": "Accumulate"}
    numbers = {name: at(words, "missing_mass", regime).mean() for name, regime in ends.items()}
    numbers |= {"t": words.sizes["generation"], "late": late, "far": last}
    numbers |= {"part_late": found.estimate, "grown_late": grown}
    helped = above(gap(words, "missing_mass", "Replace", "ReplaceGrown"))
    return Finding(word(every(helped, below(found, grown))), numbers, found, grown)
