"""Claims of chapter 1: what happens to data in practice, and what the paper's own framework says."""

from __future__ import annotations

from lib import claims, intervals
from lib.claims import NOT_TESTABLE, Claim, Finding

# Tokens of the three Llama generations as the thread gives them (tweet 2).
LLAMA_TOKENS = {"Llama 1": 1.4e12, "Llama 2": 2e12, "Llama 3": 15e12}


def _growth(results):
    first, *_, last = LLAMA_TOKENS.values()
    return Finding(
        NOT_TESTABLE,
        f"the reported counts grow {last / first:.3g}-fold over three models; a simulation cannot check a report",
        None,
        "A pre-training corpus that shrinks from one model to the next would count against it.",
    )


def _quality(results):
    return Finding(
        NOT_TESTABLE,
        "no measurement of the quality of shared text over the years enters this book",
        None,
        "A dated sample of the web, scored for quality, would decide it either way.",
    )


def _accumulates(results):
    return Finding(
        NOT_TESTABLE,
        "a premise about practice: the book computes what follows if it holds and if it does not",
        None,
        "An audit of the data that successive models were trained on would decide it.",
    )


def _thrown_away(results):
    """Share of all samples drawn so far that the next model never sees, at the last generation."""
    data = results["composition"]
    last = data.isel(generation=-1)
    drawn = data["train_size"].sel(regime="Accumulate").isel(generation=-1).item()
    lost = {r: 1 - last["train_size"].sel(regime=r).item() / drawn for r in ("Replace", "Keep(0.1)")}
    most = min(lost.values()) > 0.5
    return Finding(
        claims.SUPPORTED if most else claims.NOT_SUPPORTED,
        f"at generation {last['generation'].item()} the fit sees {1 - lost['Replace']:.0%} of all data so far, "
        f"and {last['real_share'].sel(regime='Keep(0.1)').item():.0%} of that is real when a tenth is kept",
        None,
        "A protocol in the paper that trains on more than half of what it has generated.",
    )


def _condition(results):
    """Change of the variance between the first and the last fit under the condition as it was first printed."""
    data = results["condition"]["trace_ratio"].sel(regime="Mixture(0, 1, 0)")
    change = intervals.difference(data.isel(generation=-1), data.isel(generation=0), claims.LEVEL)
    return Finding(
        claims.NOT_SUPPORTED if change.low <= 0 <= change.high else claims.SUPPORTED,
        f"with α = γ = 0 the model never changes (change of the variance {change.estimate:.2g}); the collapse belongs to β = γ = 0, "
        "as the authors' correction says",
        change,
        "A change of the variance when every training set is the one before.",
    )


CLAIMS = (
    Claim(
        "thread-growth",
        1,
        "thread, tweet 2",
        "The data that models are trained on grow.",
        "1.4T, 2T, 15T tokens",
        _growth,
    ),
    Claim(
        "thread-quality",
        1,
        "thread, tweet 3",
        "Shared outputs and filters get better.",
        "stated without a number",
        _quality,
    ),
    Claim(
        "thread-accumulates",
        1,
        "thread, tweet 3",
        "Synthetic data are added to what exists.",
        "stated without a number",
        _accumulates,
    ),
    Claim(
        "thread-thrown-away",
        1,
        "thread, tweets 6–8",
        "The paper's experiments throw all or most data away.",
        "all, or all but a tenth",
        _thrown_away,
    ),
    Claim(
        "nature-condition",
        1,
        "Shumailov et al. 2024, as first printed",
        "The theory of collapse is the case α = γ = 0.",
        "α = γ = 0",
        _condition,
    ),
)
