"""Claims of chapter 13: what is left of the thread and of the paper when every other chapter has spoken.

A claim about practice is not for simulation: a simulation can say what follows from premises, not whether they hold.
"""

from lib.ledger import LAW, OUTSIDE, SMALLER, THEIRS, Finding, claim, questions, word
from lib.ledger.claims.definitions import in_no_world
from lib.ledger.predicates import answered, each_world, every, swapped

GAUSSIAN = "a Gaussian, unbiased fits"  # the world of Theorem 3.1


@claim(
    "thread-induced",
    "thread, 1/N",
    "it “appears when researchers intentionally induce it in ways that don't match what is done in practice”",
    reach=LAW,
    condition="nothing errs but the finite sample; what practice is, no simulation says",
    says="of {worlds} worlds a model collapses although all data are kept in: {yes}; undecided: {undecided}; it does "
    "not in {no} of the {plain} in which only the sample errs, in {law} of them by exact laws",
    control=swapped("Accumulate"),
)
def _induced(results):
    """Models collapse only where experiments throw old data away.

    For plain *holds*, no world that collapses under Accumulate; for *fails*, one in which only the finite sample errs.
    """
    return in_no_world(results, *questions.COLLAPSE)


@claim(
    "nature-ubiquity",
    "Shumailov et al. 2024, abstract",
    "its “ubiquity among all learned generative models”",
    reach=SMALLER,
    condition="old data are thrown away and any rise of the error counts",
    says="where old data are thrown away {decayed} of {worlds} worlds get worse, lose variety or lose rare things, and "
    "{collapsed} by more than a rise; where all are kept {kept} do",
    control=swapped("RealOnly"),
)
def _ubiquity(results):
    """Every learned generative model that is trained on what models have generated collapses.

    One world in which none of the four questions is answered yes under Replace; for plain *holds*, a yes to more than
    the first of them in every world, under Replace and under Accumulate.
    """
    decayed = each_world(results, "Replace", "worse", *questions.COLLAPSE)
    replaced, kept = (each_world(results, r) for r in ("Replace", "Accumulate"))
    found = {"decayed": decayed, "collapsed": replaced, "kept": kept}
    numbers = {name: sum(a is True for a in of.values()) for name, of in found.items()} | {"worlds": len(decayed)}
    return Finding(word(every(*replaced.values(), *kept.values()), every(*decayed.values())), numbers)


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
