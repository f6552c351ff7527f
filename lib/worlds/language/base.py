"""What all language worlds share: blocks of text as samples, and the scores of what a model predicts and writes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.errors import flag, refuse, whole
from lib.pool import Rows
from lib.world import Score, World, dealt
from lib.worlds.language import scores as judged
from lib.worlds.language.corpus import Corpus, corpus
from lib.worlds.language.tokenizer import AUTO

RARE = 5  # Zipf's exponent is fitted to tokens that occur at least so often


@dataclass(frozen=True)
class Language(World):
    """A sample is a block of `block` tokens; a training set is `Rows` of shape (runs, blocks, block), int32.

    A model predicts each token of a block from those before it in the block; the first token is conditioned on and not
    predicted, as the loss of transformers has it. A subclass says how: `log_probabilities`, `next_entropy`, `fit`,
    `sample`.

    Parameters
    ----------
    data : name of the text, see `lib.worlds.language.corpus.text`.
    tokenizer, vocabulary : see `lib.worlds.language.tokenizer.learned`; "auto" becomes the number that it
        comes to.
    block : tokens in a block.
    prompts : False: blocks are sampled from nothing. True: a block is what the model writes after a given block, as in
        Shumailov et al. (2024), where the given ones are those of the training set; `recurse` says whether these are
        real ones or the newest synthetic ones (`inputs_from`).
    test_blocks : blocks of the test part, from its beginning, that a model is scored on; all if there are no more.
    score_samples : blocks per run that are written to be scored; with prompts they follow blocks of the validation
        part.
    shown : how many of them the extra `samples` returns.

    Scores, beside their labels: a perplexity is exp of the mean −ln P of predicted tokens; `bits_per_byte` is the same
    for each byte of text, by which tokenizers compare; `generated_perplexity` is that of the written blocks *under the
    model of generation 1* of the same run, what the histograms of Shumailov et al. (2024, Fig. 1b and c) show;
    `distinct_2`, `repetition_rate`, `vocabulary_coverage` and `zipf_exponent` are of the written blocks, see
    `lib.worlds.language.scores`. Extras: `generated_perplexities` of each written block, and `samples`, the tokens of
    the first `shown`.
    """

    data: str = "wikipedia-sample"
    tokenizer: str = "bpe"
    vocabulary: int | str | None = "auto"
    block: int = 64
    prompts: bool = False
    test_blocks: int = 200
    score_samples: int = 200
    shown: int = 4

    scores = {
        "test_perplexity": Score("loss", "more", "perplexity of the real test part", "perplexity"),
        "bits_per_byte": Score("loss", "more", "loss on the real test part", "bits per byte"),
        "next_entropy": Score("diversity", "less", "entropy of the next token", "nats"),
        "generated_perplexity": Score(
            "diversity", "less", "perplexity of what is written under the first model", "perplexity"
        ),
        "distinct_2": Score("diversity", "less", "distinct pairs of tokens among all that are written"),
        "repetition_rate": Score("diversity", "more", "share of written 4-grams that repeat one in the block"),
        "vocabulary_coverage": Score("tail", "less", "share of the real text's tokens that are written"),
        "zipf_exponent": Score("tail", "more", "exponent of Zipf's law of what is written"),
    }
    extras = {"generated_perplexities": ("sample",), "samples": ("shown", "token")}
    compares = True

    def __post_init__(self):
        for name, least in (("block", 2), ("test_blocks", 1), ("score_samples", 1), ("shown", 1)):
            self._set(**{name: whole(name, getattr(self, name), least)})
        flag("prompts", self.prompts)
        if self.shown > self.score_samples:
            refuse("shown", self.shown, f"at most score_samples={self.score_samples}")
        if self.corpus and self.vocabulary == AUTO:
            self._set(vocabulary=self.corpus.tokenizer.size)

    @property
    def corpus(self) -> Corpus:
        """The text in blocks, with its tokenizer."""
        return corpus(self.data, self.tokenizer, self.vocabulary, self.block)

    @property
    def available(self) -> np.ndarray:
        """The blocks of the training part that `real` hands out."""
        return self.corpus.train

    @property
    def deterministic(self) -> str:
        """The setting that makes the model continue a prompt in one way only; empty if there is none."""
        return ""

    def check(self, demands, sizes, scores, named):
        for demand in demands:
            demand.check_real(len(self.available), f"training blocks of {self.data}")
        if not self.deterministic:
            return
        if not self.prompts:
            allowed = "prompts=True: without prompts a deterministic decoder writes one block again and again"
            refuse(*self._decoding(), allowed)
        for demand in demands:
            most = max(demand.synthetic)
            if most > sizes[0]:
                reason = f"a deterministic decoder continues each of the {sizes[0]} prompts in one way only"
                allowed = f"sampling at a temperature with {demand.label}, which asks for {most} blocks: {reason}"
                refuse(*self._decoding(), allowed)

    def _decoding(self) -> tuple[str, Any]:
        return self.deterministic, getattr(self, self.deterministic)

    def real(self, runs, size, rng, used):
        return Rows(dealt(self.available, f"training blocks of {self.data}", runs, size, rng, used))

    def inputs(self, source, size, rng):
        """Blocks to continue: those of `source` in their order, from the beginning again if more are asked for."""
        return Rows(source.values[:, np.arange(size) % source.size]) if self.prompts else None

    def log_probabilities(self, model: Any, tokens: np.ndarray) -> np.ndarray:
        """ln P of each token given those before it in its block: (runs, count, block) to (runs, count, block − 1)."""
        raise NotImplementedError

    def next_entropy(self, model: Any, tokens: np.ndarray) -> np.ndarray:
        """Mean entropy in nats of the distribution of the next token over all predicted places: (runs,)."""
        raise NotImplementedError

    def score(self, model, rng, names, first=None):
        """See the class. `first` is the model of generation 1, of the same runs; None where it is `model` itself."""
        out = {}
        test = self.corpus.test[: self.test_blocks]
        test = np.broadcast_to(test, (model.runs, *test.shape))
        if {"test_perplexity", "bits_per_byte"} & set(names):
            nats = -self.log_probabilities(model, test)
            out["test_perplexity"] = np.exp(nats.mean(axis=(1, 2), dtype=float))
            out["bits_per_byte"] = self.corpus.bits_per_byte(nats.astype(float))
        if "next_entropy" in names:
            out["next_entropy"] = self.next_entropy(model, test)
        if set(names) - set(out):
            validation = self.corpus.validation
            given = np.broadcast_to(validation, (model.runs, *validation.shape))
            tokens = self.sample(
                model, self.score_samples, self.inputs(Rows(given), self.score_samples, rng), rng
            ).values
            nats = -self.log_probabilities(model if first is None else first, tokens)
            frequencies = judged.counts(tokens, self.corpus.tokenizer.size)
            real = judged.counts(self.corpus.train[None], self.corpus.tokenizer.size)[0]
            out |= {
                "generated_perplexity": np.exp(nats.mean(axis=(1, 2), dtype=float)),
                "generated_perplexities": np.exp(nats.mean(axis=2, dtype=float)),
                "distinct_2": judged.distinct(tokens, 2),
                "repetition_rate": judged.repetition_rate(tokens),
                "vocabulary_coverage": judged.vocabulary_coverage(tokens, real),
                "zipf_exponent": judged.zipf_exponent(frequencies, RARE),
                "samples": tokens[:, : self.shown],
            }
        return {name: out[name] for name in names}

    def settings(self):
        """Every setting, and what tells apart texts and tokenizers of the same name. `block` is called `block_tokens`:
        what `recurse` calls a block is a number of runs."""
        digests = {"text_digest": self.corpus.text.digest, "tokenizer_digest": self.corpus.tokenizer.digest}
        found = super().settings() | digests
        return {"block_tokens" if name == "block" else name: value for name, value in found.items()}

    def sources(self):
        return self.corpus.text.digest, self.corpus.tokenizer.digest
