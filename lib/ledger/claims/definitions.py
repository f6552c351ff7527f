"""Claims of chapter 10: what counts as collapse, judged on the answers that all chapters have left."""

from lib.ledger import LAW, UNDECIDED, Finding, claim, questions, word
from lib.ledger.predicates import answered


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
