"""Claims of chapter 13: what is left of the thread and of the paper when every other chapter has spoken.

A claim about practice is not for simulation: a simulation can say what follows from premises, not whether they hold.
"""

from lib.ledger import LAW, OUTSIDE, SMALLER, THEIRS, Finding, claim, questions, word
from lib.ledger.predicates import answered, each_world, every, swapped

GAUSSIAN = "a Gaussian, unbiased fits"  # the world of Theorem 3.1


@claim(
    "thread-induced",
    "this book, on thread, 1/N",
    "collapse “appears when researchers intentionally induce it”; where it cannot appear the thread does not say",
    reach=LAW,
    says="{no} of the {plain} worlds in which only the sample errs do not collapse if all data are kept, {law} of "
    "them by exact laws. Of the other {others}, where models are biased or built to fail as well, these do: {yes}; "
    "undecided: {undecided}",
    control=swapped("Accumulate"),
)
def _induced(results):
    """Where nothing errs but the finite sample, models collapse only where old data are thrown away.

    One such world that collapses although all data are kept.
    """
    data, found = results["answers"], each_world(results, "Accumulate")
    plain = [w for w in found if str(data["errs"].sel(world=w).item()) == questions.SAMPLE]
    named = {a: "; ".join(w for w in found if found[w] is a and w not in plain) or "none" for a in (True, None)}
    by = data["by"].sel(regime="Accumulate", question=list(questions.COLLAPSE))
    kept = [w for w in plain if found[w] is False]
    numbers = {"no": len(kept), "plain": len(plain), "others": len(found) - len(plain), "yes": named[True]}
    numbers |= {"undecided": named[None], "law": sum("runs" not in by.sel(world=w).values for w in kept)}
    return Finding(word(every(*(None if found[w] is None else not found[w] for w in plain))), numbers)


@claim(
    "nature-ubiquity",
    "Shumailov et al. 2024, abstract",
    "its “ubiquity among all learned generative models”",
    reach=SMALLER,
    says="where old data are thrown away {decayed} of {worlds} worlds get worse, lose variety or lose rare things. "
    "By more than a rise {collapsed} do; undecided: {undecided}; not: {no}. Where all are kept {kept} do",
    control=answered("yes", "Replace"),
)
def _ubiquity(results):
    """Where old data are thrown away, every learned generative model collapses: it gets worse without bound, or loses
    variety or rare things.

    A yes to one of these questions in every world; for *fails*, a model of the paper's kind and size without one.
    """
    decayed = each_world(results, "Replace", "worse", *questions.COLLAPSE)
    replaced, kept = (each_world(results, r) for r in ("Replace", "Accumulate"))
    found = {"decayed": decayed, "collapsed": replaced, "kept": kept}
    numbers = {name: sum(a is True for a in of.values()) for name, of in found.items()} | {"worlds": len(decayed)}
    named = {a: "; ".join(w for w in replaced if replaced[w] is a) or "none" for a in (None, False)}
    return Finding(word(every(*replaced.values())), numbers | {"undecided": named[None], "no": named[False]})


@claim(
    "nature-inevitable",
    "Shumailov et al. 2024, introduction",
    "“this process is inevitable, even for cases with almost ideal conditions”",
    reach=LAW,
    condition="old data are thrown away, which is the paper's own premise",
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
