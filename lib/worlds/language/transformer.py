"""The transformer world: decoders trained from scratch, or from one base that a disjoint part of the text has
trained."""

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from lib.checkpoint import remembered
from lib.errors import number, refuse, whole
from lib.streams import child
from lib.worlds import weights
from lib.worlds.language import decoder, generate
from lib.worlds.language.decoder import Architecture, Decoder
from lib.worlds.language.neural import CHUNK, Neural
from lib.worlds.language.training import Schedule, train

BASE_SEED = 0


@dataclass(frozen=True)
class Transformer(Neural):
    """A decoder of its own for each run; see `lib.worlds.language.decoder` for the two families and `SIZES` for named
    sizes.

    Each fit starts from fresh weights, or from a base that was trained once on the last `base_blocks` of the training
    part, which `real` then never hands out: a pre-trained model in miniature. All runs share the base, as all seeds of
    Shumailov et al. (2024) share theirs.

    A block that is sampled without a prompt begins with a token drawn from those that begin the blocks of the training
    set. A llama-like decoder attends to the last `block` tokens: after a prompt of a whole block no token is farther
    away than in training.

    Parameters
    ----------
    family, width, layers, heads, hidden : see `lib.worlds.language.decoder.Architecture`; hidden=None is 4·width for
        gpt2 and 8/3·width, rounded up to a multiple of 32, for llama.
    base_blocks : blocks that the base is trained on; 0 for fresh weights in every fit.
    base_steps, base_rate : steps and learning rate of the base.
    """

    family: str = "llama"
    width: int = 96
    layers: int = 2
    heads: int = 4
    hidden: int | None = None
    base_blocks: int = 0
    base_steps: int = 2000
    base_rate: float = 3e-3

    def __post_init__(self):
        least = {"width": 1, "layers": 1, "heads": 1, "base_blocks": 0, "base_steps": 1}
        for name, smallest in (least if self.hidden is None else {"hidden": 1} | least).items():
            self._set(**{name: whole(name, getattr(self, name), smallest)})
        self._set(base_rate=number("base_rate", self.base_rate, above=0))
        super().__post_init__()
        _ = self.shape
        if self.base_blocks >= len(self.corpus.train):
            allowed = f"fewer than the {len(self.corpus.train)} training blocks of {self.data}"
            refuse("base_blocks", self.base_blocks, allowed)
        if self.prompts and self.family == "gpt2":
            refuse("prompts", True, 'family="llama": learned positions end with the block')

    @property
    def shape(self) -> Architecture:
        """The decoder's shape."""
        hidden = self.hidden or (4 * self.width if self.family == "gpt2" else -(-8 * self.width // 96) * 32)
        vocabulary = self.corpus.tokenizer.size
        return Architecture(self.family, vocabulary, self.width, self.layers, self.heads, hidden, self.block)

    @property
    def available(self):
        return self.corpus.train[: len(self.corpus.train) - self.base_blocks]

    def network(self, found):
        network = Decoder(self.shape)
        if found is not None:
            weights.restore(network, found)
        return network.to(self.place()[0])

    def begin(self, network, rng):
        if self.base_blocks:
            weights.restore(network, self.base())
        else:
            network.start(_generator(rng))

    def base(self) -> dict[str, torch.Tensor]:
        """The weights of the base, trained when they are first asked for and then kept in memory."""
        # What does not touch the base does not train it again.
        return _base(
            dataclasses.replace(self, **{f.name: f.default for f in dataclasses.fields(self) if f.name in OF_A_FIT})
        )

    def before(self):
        if not self.base_blocks:
            allowed = "a number of blocks that a base is trained on: fresh weights have no perplexity worth a name"
            refuse("base_blocks", 0, allowed)
        return self.base()

    def _written(self, network, given, starts, size, rng):
        device, dtype = self.place()
        if self.beams > 1:
            exported = generate.exported(network)
            return generate.beam_search(exported, given, self.block, self.beams, self.repetition_penalty, dtype=dtype)
        if given is None:
            first = rng.choice(starts.size, size=(size, 1), p=starts / starts.sum())
            uniforms = rng.random((size, self.block - 1), dtype=np.float32)
        else:
            first, uniforms = given, rng.random((size, self.block), dtype=np.float32)
        rows = max(1, CHUNK // (2 * self.corpus.tokenizer.size)) if device.type == "cpu" else 4096
        out = []
        for k in range(0, size, rows):
            begin, numbers = (torch.from_numpy(np.array(a[k : k + rows])).to(device) for a in (first, uniforms))
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                out.append(
                    decoder.sample(network, begin.long(), numbers.shape[1], numbers, self.temperature, self.top_p).cpu()
                )
        tokens = torch.cat(out).numpy()
        return (tokens if given is not None else np.concatenate([first, tokens], axis=1)).astype(np.int32)


# Settings that do not enter the base: what is drawn from it, how fits go on from it, what is scored.
OF_A_FIT = (
    *("steps", "epochs", "rate", "stop", "temperature", "top_p", "beams", "repetition_penalty"),
    *("prompts", "test_blocks", "score_samples", "shown"),
)


@cache
def _base(world: Transformer) -> dict[str, torch.Tensor]:
    return remembered((_trained_base, world, world.sources()), lambda: _trained_base(world))


def _trained_base(world: Transformer) -> dict[str, torch.Tensor]:
    network = world.network(None)
    starts, order = child(np.random.default_rng(BASE_SEED), 0).spawn(2)
    network.start(_generator(starts))
    blocks = world.corpus.train[len(world.corpus.train) - world.base_blocks :]
    train(network, blocks, Schedule(world.base_steps, world.batch, world.base_rate), order, dtype=world.place()[1])
    return weights.copied(network)


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**62)))


# Named sizes: settings of a Transformer. `laptop` is the default. Those from gpt2-9M on have the families and the
# numbers of parameters of Gerstgrasser et al. (2024), who do not print widths and depths; these are ours. The sizes
# between are for the embedded text; the sweep book/sweeps/language-size.yaml compares them by their loss on its
# validation part.
SIZES: dict[str, dict[str, Any]] = {
    "laptop": {},
    "llama-1M": {"width": 160, "layers": 3},
    "llama-3M": {"width": 224, "layers": 4},
    "llama-5M": {"width": 320, "layers": 4, "heads": 5},
    # llama-5M: the lowest of the losses in lib/stored/sweeps/language-size.nc
    "corpus": {"width": 320, "layers": 4, "heads": 5},
    "gpt2-9M": {"family": "gpt2", "vocabulary": 4096, "width": 320, "layers": 6, "heads": 5},
    "llama-12M": {"family": "llama", "vocabulary": 6144, "width": 320, "layers": 8, "heads": 5},
    "llama-42M": {"family": "llama", "vocabulary": 8192, "width": 512, "layers": 12, "heads": 8},
    "llama-126M": {"family": "llama", "vocabulary": 8192, "width": 768, "layers": 17, "heads": 12},
}
