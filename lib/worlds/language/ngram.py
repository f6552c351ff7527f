"""The cheapest honest language model: interpolated word n-grams, with a real perplexity and a real tail."""

from dataclasses import dataclass

import numpy as np

from lib.errors import among, refuse, whole
from lib.pool import Rows, merged
from lib.world import Fit
from lib.worlds.language.base import Language
from lib.worlds.language.ngram_counts import GramModel, counted, drawn, entropies, extended, probabilities, suffixes

CHUNK = 2**20  # tokens whose probabilities are computed at once: some 100 megabytes


@dataclass(frozen=True)
class NGram(Language):
    """Interpolated n-gram models over words, one per run, fitted by counting.

    The next token depends on the order − 1 tokens before it *in its block*; nothing is counted across the border of a
    block. At the start of a block the history is shorter, and the model of that lower order is used as it is: the
    second token comes from the 2-grams, the first, without a prompt, from the 1-grams of the whole text. Below the
    1-grams lies the uniform distribution over the vocabulary, so every token has a positive probability after every
    history.

    Parameters
    ----------
    tokenizer, vocabulary : as in `Language`, but words by default, about as many as occur at least twice in the
        training part of the embedded text; all others are `<unk>`, to the model a word like any other. It takes byte
        pairs as well.
    order : tokens in the longest n-gram, from 1 to `block`.
    smoothing : "witten-bell" or "kneser-ney", both interpolated; see `lib.worlds.language.ngram_counts.Level`. Under
        Kneser–Ney the longest history that a token has counts occurrences, the shorter ones count the different tokens
        before an n-gram.

    The other parameters, scores and extras are those of `Language`. Prompts are seen as far back as order − 1 tokens.

    Defaults were chosen by perplexity on the validation part of the embedded text; a fourth token gains nothing there.
    Fitting holds about 120 bytes for each training token of the runs held at once.
    """

    tokenizer: str = "words"
    order: int = 3
    smoothing: str = "kneser-ney"

    random = ("score",)

    def __post_init__(self):
        super().__post_init__()
        self._set(order=whole("order", self.order, 1))
        if self.order > self.block:
            refuse("order", self.order, f"at most the {self.block} tokens of a block")
        among("smoothing", self.smoothing, ("witten-bell", "kneser-ney"))

    def fit(self, train, rng):
        values = merged(train).values
        model = counted(values, self.order, self.corpus.tokenizer.size, self.smoothing)
        return Fit(model, 1, values[0].size)

    def log_probabilities(self, model: GramModel, tokens):
        rows = max(1, CHUNK // (tokens.shape[0] * tokens.shape[2]))
        parts = [tokens[:, k : k + rows] for k in range(0, tokens.shape[1], rows)]
        return np.concatenate([np.log(probabilities(model, part)[:, :, 1:]) for part in parts], axis=1)

    def next_entropy(self, model, tokens):
        runs, count, block = tokens.shape
        numbers = suffixes(model, tokens)
        total = np.zeros(runs)
        for length in range(min(1, self.order - 1), self.order):
            # A history of that length ends at one place in a block, except for the longest, which goes on to the end.
            ends = slice(max(length - 1, 0), length if length < self.order - 1 else block - 1)
            flat = [n[:, :, ends].ravel() for n in numbers[: length + 1]]
            total += entropies(model, length + 1, flat).reshape(runs, -1).sum(axis=1)
        return total / (count * (block - 1))

    def sample(self, model: GramModel, size, inputs, rng):
        streams = rng.spawn(model.runs)
        histories = [np.repeat(np.arange(model.runs), size)]
        if inputs is not None and self.order > 1:
            for place in range(-min(self.order - 1, inputs.values.shape[2]), 0):
                histories = extended(model, histories, inputs.values[:, :, place].ravel())
        out = np.empty((model.runs, size, self.block), dtype=np.int32)
        for place in range(self.block):
            uniform = np.concatenate([s.random(size) for s in streams])
            token = drawn(model, histories, uniform)
            out[:, :, place] = token.reshape(model.runs, size)
            histories = extended(model, histories, token)
        return Rows(out)
