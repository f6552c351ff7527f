"""Claims of chapter 13: what is left of the thread and of the paper when every other chapter has spoken.

A claim about practice is not for simulation: a simulation can say what follows from premises, not whether they hold.
"""

from lib.ledger import LAW, OUTSIDE, SMALLER, THEIRS, Finding, claim, questions, word
from lib.ledger.claims.definitions import word_of_worlds
from lib.ledger.predicates import answered, each_world, every, swapped

GAUSSIAN = "a Gaussian, unbiased fits"  # the world of Theorem 3.1


@claim(
    "thread-induced",
    "thread, 1/N",
    "it “appears when researchers intentionally induce it in ways that don't match what is done in practice”",
    reach=LAW,
    condition="nothing errs but the finite sample; what practice is, no simulation says",
    says="of {worlds} worlds a model collapses although all data are kept in: {yes}; undecided: {undecided}; in none "
    "of the {plain} in which only the sample errs",
    control=swapped("Accumulate"),
)
def _induced(results):
    """Models collapse only where experiments throw old data away.

    For plain *holds*, no world that collapses under Accumulate; for *fails*, one in which only the finite sample errs.
    """
    found = each_world(results, "Accumulate")
    plain = {w: a for w, a in found.items() if str(results["answers"]["errs"].sel(world=w).item()) == questions.SAMPLE}
    return word_of_worlds(found, plain)


@claim(
    "nature-ubiquity",
    "Shumailov et al. 2024, abstract",
    "its “ubiquity among all learned generative models”",
    reach=SMALLER,
    says="where old data are thrown away {yes} of {worlds} worlds get worse, lose variety or lose rare things; "
    "undecided: {undecided}; not: {no}",
    control=swapped("RealOnly"),
)
def _ubiquity(results):
    """Where old data are thrown away, every learned generative model decays: it gets worse, or loses variety or rare
    things.

    One world in which none of the four questions is answered yes under Replace.
    """
    found = each_world(results, "Replace", "worse", *questions.COLLAPSE)
    named = {answer: "; ".join(w for w, a in found.items() if a is answer) or "none" for answer in (None, False)}
    numbers = {"yes": sum(a is True for a in found.values()), "worlds": len(found)}
    return Finding(word(every(*found.values())), numbers | {"undecided": named[None], "no": named[False]})


@claim(
    "nature-inevitable",
    "Shumailov et al. 2024, introduction",
    "“this process is inevitable, even for cases with almost ideal conditions”",
    reach=LAW,
    condition="old data are thrown away",
    says="Replace: {replaced}. Accumulate: {kept}",
    control=answered("yes"),
)
def _inevitable(results):
    """Model collapse is inevitable, even if nothing but the finite sample is at fault: a Gaussian collapses, whatever
    is done with old data.

    A Gaussian that does not collapse under Replace; for plain *holds*, one that does under Accumulate too.
    """
    data = results["answers"]
    replaced, kept = (questions.collapses(data, GAUSSIAN, r) for r in ("Replace", "Accumulate"))
    said = {k: questions.in_words(data, GAUSSIAN, r) for k, r in (("replaced", "Replace"), ("kept", "Accumulate"))}
    return Finding(word(every(replaced, kept), replaced), said)


@claim(
    "thread-no-threat",
    "thread, 5/N and 13/N",
    "“Based on the evidence I’ve seen, it isn’t”",
    reach=THEIRS,
    says="what companies keep, filter and add has not been published; the chapters say what follows from either answer",
    control=None,
)
def _threat(results):
    """Under current best practices, where sets grow and hold much of the original data, model collapse is no real and
    significant threat.

    An audit of what successive models are trained on, and models trained on it.
    """
    return Finding(OUTSIDE, {})


@claim(
    "nature-serious",
    "Shumailov et al. 2024, abstract",
    "“has to be taken seriously if we are to sustain the benefits of training from large-scale data”",
    reach=THEIRS,
    says="the same measurements would decide it; rare content, biased models and unfiltered taste are where this "
    "book would look first",
    control=None,
)
def _serious(results):
    """Model collapse has to be taken seriously if training on data from the web is to keep its benefits.

    The same audit, with what becomes of rare content in it.
    """
    return Finding(OUTSIDE, {})
