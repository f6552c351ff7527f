"""Claims of chapter 10: what counts as collapse, judged on the answers that all chapters have left."""

from lib.ledger import LAW, UNDECIDED, Finding, claim, questions, word
from lib.ledger.predicates import answered, each_world, every, swapped


@claim(
    "schaeffer-eight",
    "Schaeffer et al. 2025",
    "eight definitions, “at times conflicting”",
    reach=LAW,
    says="of {decided} regimes of {worlds} worlds of which two questions are decided, {both} collapse by one of the "
    "four and not by another, {law} of them by exact laws alone",
    control=answered("yes", "Replace", "Accumulate", "Keep(0.1)", "RealOnly", "RealOnly(refit)"),
)
def _conflict(results):
    """The definitions of model collapse in use conflict with one another: there are models that have collapsed by one
    and not by another.

    No model of which one question is answered yes and another no.
    """
    data = results["answers"]
    yes, no = ((data["word"] == answer) for answer in (questions.YES, questions.NO))
    law = data["by"] == "law"
    decided = int(((yes | no).sum("question") >= 2).sum())
    both = (yes.any("question") & no.any("question")).sum()
    by_law = ((yes & law).any("question") & (no & law).any("question")).sum()
    numbers = {"decided": decided, "worlds": data.sizes["world"], "both": int(both), "law": int(by_law)}
    return Finding(word(bool(by_law)) if decided else UNDECIDED, numbers)


@claim(
    "schaeffer-risk",
    "Schaeffer et al. 2025",
    "called unlikely under realistic conditions",
    reach=LAW,
    condition="nothing errs but the finite sample",
    says="without bound where data accumulate: {yes}; undecided: {undecided}; bounded in {no} of the {plain} "
    "worlds in which only the sample errs, in {law} of them by exact laws",
    control=swapped("Accumulate"),
)
def _risk(results):
    """Where data accumulate, population risk does not diverge, whatever the model.

    For plain *holds*, no world in which it does; for *fails*, one in which only the finite sample errs.
    """
    return in_no_world(results, "unbounded")


def in_no_world(results, *ids):
    """The finding on a universal: that no world, or under the claim's condition none in which only the sample errs, has
    a yes to one of these questions where data accumulate. An undecided world counts only where no other says yes."""
    data, found = results["answers"], each_world(results, "Accumulate", *ids)
    errs, by = data["errs"], data["by"].sel(regime="Accumulate", question=list(ids))
    plain = [w for w in found if str(errs.sel(world=w).item()) == questions.SAMPLE]
    bounded = [w for w in plain if found[w] is False]
    named = {answer: "; ".join(w for w, a in found.items() if a is answer) or "none" for answer in (True, None)}
    numbers = {"yes": named[True], "undecided": named[None], "worlds": len(found), "plain": len(plain)}
    numbers |= {"no": len(bounded), "law": sum("runs" not in by.sel(world=w).values for w in bounded)}
    none, none_plain = (every(*(None if found[w] is None else not found[w] for w in of)) for of in (found, plain))
    return Finding(word(none, none_plain), numbers)
