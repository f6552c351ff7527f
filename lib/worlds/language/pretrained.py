"""The pre-trained world: fine-tuning through transformers, as Shumailov et al. (2024) do for their second and third
result."""

import copy
from dataclasses import dataclass

import numpy as np

from lib.errors import among, refuse
from lib.worlds import weights
from lib.worlds.language import generate
from lib.worlds.language.corpus import Corpus, corpus_with, text
from lib.worlds.language.hub import Model, model
from lib.worlds.language.neural import Neural


@dataclass(frozen=True)
class Pretrained(Neural):
    """A pre-trained causal model that every fit starts from again, with its own tokenizer.

    The defaults are the protocol of the paper: blocks of 64 tokens, 5 epochs, the weights with the lowest validation
    loss, and a beam search of width 5 that writes the next 64 tokens after each block of the training set, which keeps
    its size. Two memories of real data are part of it: the weights from which every generation starts, and the real
    blocks that it is prompted with (`inputs_from="previous"` of `recurse` takes the newest synthetic ones).

    With `beams=1` blocks are drawn by the library's sampling at a temperature, with `prompts=False` from nothing: the
    first token is drawn from those that begin the blocks of the training set. Dropout is what the model's configuration
    says.

    The weights of every run are kept in the memory of the CPU, in float32: half a gigabyte a run for the paper's.

    Parameters
    ----------
    model : "facebook/opt-125m", the paper's, or another of the hub, where the network allows; "smollm2-135m" with no
        network; a folder. See `lib.worlds.language.hub.model`, also for errors.
    tokenizer, vocabulary : "own" and None; nothing else is allowed.
    rate : the default is that of transformers' trainer.

    The other parameters, scores and extras are those of `Neural` and `Language`. ValueError for blocks longer than the
    model's context; with prompts a prompt and what follows it have to fit.
    """

    model: str = "facebook/opt-125m"
    tokenizer: str = "own"
    vocabulary: int | None = None
    prompts: bool = True
    epochs: float | None = 5
    rate: float = 5e-5
    stop: str = "best"
    beams: int = 5

    def __post_init__(self):
        among("tokenizer", self.tokenizer, ("own",))
        among("vocabulary", self.vocabulary, (None,))
        super().__post_init__()
        length = self.block * (2 if self.prompts else 1)
        if self.base.context is not None and length > self.base.context:
            what = "a prompt and as many tokens after it" if self.prompts else "a block"
            most = f"at most {self.base.context * self.block // length}"
            refuse("block", self.block, f"{most}: {what} have to fit into the model's {self.base.context} positions")

    @property
    def base(self) -> Model:
        """What every fit starts from."""
        return model(self.model)

    @property
    def corpus(self) -> Corpus:
        """The text in blocks of the model's own tokens."""
        return corpus_with(text(self.data), self.base.tokenizer, self.block)

    def settings(self):
        """Every setting, and what tells apart models of the same name."""
        base = self.base
        found = {"parameters": base.parameters, "weights_digest": base.digest, "revision": base.revision}
        return super().settings() | found

    def sources(self):
        return *super().sources(), self.base.digest

    def network(self, found):
        network = copy.deepcopy(self.base.network)
        if found is not None:
            weights.restore(network, found)
        return network.to(self.place()[0])

    def logits(self, network, tokens):
        return network(input_ids=tokens, use_cache=False).logits

    def before(self):
        return weights.copied(self.base.network)

    def _written(self, network, given, starts, size, rng):
        dtype = self.place()[1]
        if self.beams > 1:
            return generate.beam_search(network, given, self.block, self.beams, self.repetition_penalty, dtype=dtype)
        first = given
        if given is None:
            first = rng.choice(starts.size, size=(size, 1), p=starts / starts.sum()).astype(np.int32)
        new = self.block if given is not None else self.block - 1
        seed = int(rng.integers(2**62))
        found = generate.sampled(network, first, new, seed, self.temperature, self.top_p, dtype=dtype)
        return found if given is not None else np.concatenate([first, found], axis=1)
