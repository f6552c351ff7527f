"""Claims of chapter 1: what happens to data in practice, and what the paper's own framework says."""

import itertools

from lib.ledger import Finding, claim, ladder
from lib.ledger.predicates import at, untestable

# Tokens of the three Llama generations as the thread gives them (the post that ends 3/N) and their papers report them.
LLAMA_TOKENS = {"Llama 1": 1.4e12, "Llama 2": 2e12, "Llama 3": 15e12}
MOST = 0.5  # a set that carries over less than half of what was there throws most of it away


@claim("thread-growth", "thread, 3/N", "1.4T, 2T, 15T tokens")
def _growth(results):
    """The data that models are trained on grow."""
    tokens = list(LLAMA_TOKENS.values())
    return Finding(
        ladder(all(before < after for before, after in itertools.pairwise(tokens))),
        f"published token counts grow {tokens[-1] / tokens[0]:.3g}-fold over three models",
        None,
        "A model in the series that was trained on fewer tokens than the one before.",
    )


@claim("thread-quality", "thread, 4/N", "stated without a number")
def _quality(results):
    """Shared outputs and filters get better."""
    return untestable(
        "no measurement of the quality of shared text over the years enters this book",
        "A dated sample of the web, scored for quality, would decide it either way.",
    )


@claim("thread-accumulates", "thread, 4/N", "stated without a number")
def _accumulates(results):
    """Synthetic data are added to what exists."""
    return untestable(
        "a premise about practice: the book computes what follows if it holds and if it does not",
        "An audit of the data that successive models were trained on would decide it.",
    )


@claim("thread-thrown-away", "thread, 7/N to 9/N", "all, or all but a tenth")
def _thrown_away(results):
    """The paper's experiments throw all or most old data away."""
    none, tenth = (float(at(results["composition"], "real_share", regime)) for regime in ("Replace", "Keep(0.1)"))
    return Finding(
        ladder(max(none, tenth) < MOST),
        f"of each training set {none:.0%} is older than the newest model in the theory and result 2, {tenth:.0%} in "
        "result 3",
        None,
        "A protocol of the paper in which at least half of a training set is older than the newest model.",
    )
