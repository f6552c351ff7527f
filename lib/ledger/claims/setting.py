"""Claims of chapter 1: what happens to data in practice, and what the papers ask."""

import itertools

from lib.ledger import OUTSIDE, THEIRS, Control, Finding, claim, word

# Tokens and GPUs of the three Llama generations as the thread gives them (3/N) and their papers report the tokens.
LLAMA_TOKENS = {"Llama 1": 1.4e12, "Llama 2": 2e12, "Llama 3": 15e12}
LLAMA_CHIPS = {"Llama 1": 2_000, "Llama 2": 4_000, "Llama 3": 16_000}


def _published(results):
    """The published series: the tokens, or what a control has put in their place, and the GPUs."""
    return results.get("tokens", list(LLAMA_TOKENS.values())), list(LLAMA_CHIPS.values())


@claim(
    "thread-question",
    "thread, 2/N",
    "“what happens when synthetic data from previous generative models enters the pretraining data supply”",
    reach=THEIRS,
    says="the paper's own abstract asks it so, and the experiments of both sides are answers under different premises",
    control=None,
)
def _question(results):
    """The question of model collapse is what happens to new models when the output of older ones enters the data that
    they are trained on.

    Nothing that a simulation could find: it says what is asked, and both sides ask it.
    """
    return Finding(OUTSIDE, {})


@claim(
    "thread-growth",
    "thread, 3/N",
    "1.4T to 2T to 15T tokens, 2k to 4k to 16k GPUs",
    reach=THEIRS,
    says="from each of three Llama models to the next, tokens grow by {tokens:.2g} times at the least and GPUs by "
    "{chips:.2g}",
    control=Control(
        "the series of tokens in reverse order", lambda r: {**r, "tokens": list(LLAMA_TOKENS.values())[::-1]}
    ),
)
def _growth(results):
    """From one published Llama model to the next, both the data and the chips that it is trained with have grown.

    A model of the series with fewer tokens, or fewer GPUs, than the one before.
    """
    tokens, chips = (min(b / a for a, b in itertools.pairwise(series)) for series in _published(results))
    return Finding(word(min(tokens, chips) > 1), {"tokens": tokens, "chips": chips})


@claim(
    "thread-quality",
    "thread, 4/N",
    "“users mainly share higher quality outputs, pretraining data teams make better filters”",
    reach=THEIRS,
    says="nobody has published a measurement of the quality of shared text over the years",
    control=None,
)
def _quality(results):
    """The quality of what models are trained on rises, because models, users and filters get better.

    A dated sample of the web, scored for quality by one rule, would decide it either way.
    """
    return Finding(OUTSIDE, {})


@claim(
    "thread-accumulates",
    "thread, 4/N",
    "“synthetic data from GPT4, Claude, Gemini, etc. is added to existing data”",
    reach=THEIRS,
    says="the book computes what follows if it is so and what follows if not; what companies keep is not public",
    control=None,
)
def _accumulates(results):
    """In practice synthetic data are added to the data that exist, which are kept.

    An audit of what successive models were trained on: how much of the older data each set still holds.
    """
    return Finding(OUTSIDE, {})
