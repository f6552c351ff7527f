"""What worlds of networks share: they are fitted run by run, scored, stored, and go on where they were killed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lib import distributed as team
from lib.checkpoint import folders
from lib.errors import among, number, refuse, share, whole
from lib.pool import Rows, merged
from lib.world import Fit
from lib.worlds import weights
from lib.worlds.language.base import Language
from lib.worlds.language.decoder import Decoder
from lib.worlds.language.training import Schedule, train
from lib.worlds.weights import device_of, precision

CHUNK = 2**19  # logits held at once when text is scored or written on the CPU: some megabytes, which fit its cache


@dataclass(frozen=True)
class NeuralModel:
    """The weights of every run by name, on the CPU, and how often each token begins a block of its training set, (runs,
    vocabulary)."""

    networks: tuple[dict[str, torch.Tensor], ...]
    starts: np.ndarray

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self.networks)


@dataclass(frozen=True)
class Neural(Language):
    """What worlds of networks share: fitting run by run, scoring, and storing weights.

    Parameters
    ----------
    steps : optimiser steps of a fit, the same for every training set whatever its size: matched compute.
    epochs : if given, passes over the training set instead, so that steps grow with the data; a fit takes epochs ×
        blocks / batch steps, rounded, at least 1.
    batch : blocks in a step.
    rate : highest learning rate of AdamW.
    stop : "last" keeps the weights of the last step, "best" those with the lowest loss on the validation part of the
        *real* text, looked at after each pass, as Shumailov et al. (2024) choose the model that writes the next set.
    temperature, top_p : of sampling, see `lib.worlds.language.decoder.sample`.
    beams : 1 samples; more is a beam search of that width, which is deterministic and needs prompts.
    repetition_penalty : divides the positive logits of tokens that occurred before and multiplies the negative ones
        (Keskar et al. 2019); 1 is none. With a beam search only.
    device : "auto" (a GPU if there is one), "cpu" or "cuda".
    dtype : of matrix products: "auto" (bfloat16 on a GPU, else float32), "float32" or "bfloat16".
    """

    steps: int = 450
    epochs: float | None = None
    batch: int = 4
    rate: float = 4e-3
    stop: str = "last"
    temperature: float = 1.0
    top_p: float = 1.0
    beams: int = 1
    repetition_penalty: float = 1.0
    device: str = "auto"
    dtype: str = "auto"

    random = ("fit", "score")
    long_fits = True
    trained = True

    def __post_init__(self):
        for name in ("steps", "batch", "beams"):
            self._set(**{name: whole(name, getattr(self, name), 1)})
        for name in ("rate", "top_p", "repetition_penalty", *(() if self.epochs is None else ("epochs",))):
            self._set(**{name: number(name, getattr(self, name), above=0)})
        self._set(temperature=number("temperature", self.temperature))
        share("top_p", self.top_p)
        among("stop", self.stop, ("last", "best"))
        if self.beams > 1 and (self.temperature != 1 or self.top_p < 1):
            allowed = "1 with a temperature or top_p: a beam search follows the model's own probabilities"
            refuse("beams", self.beams, allowed)
        if self.beams == 1 and self.repetition_penalty != 1:
            allowed = "1 with beams=1: the penalty belongs to a beam search"
            refuse("repetition_penalty", self.repetition_penalty, allowed)
        self.place()  # refuses a device that is not there
        super().__post_init__()

    @property
    def deterministic(self):
        return "beams" if self.beams > 1 else "temperature" if self.temperature == 0 else ""

    def place(self) -> tuple[torch.device, torch.dtype]:
        """Where networks run and the number format of their products."""
        device = device_of(self.device)
        return device, precision(device, self.dtype)

    def before(self) -> dict[str, torch.Tensor]:
        """The weights that every fit starts from, where they are the same for all."""
        raise NotImplementedError

    def zero_shot(self) -> dict[str, float]:
        """The scores on the real test part that need no sampling, before any fine-tuning."""
        untouched = NeuralModel((self.before(),), np.zeros((1, self.corpus.tokenizer.size), dtype=int))
        found = self.score(untouched, None, ("test_perplexity", "bits_per_byte", "next_entropy"))
        return {name: float(values[0]) for name, values in found.items()}

    def device_line(self) -> str:
        """Device and number format in words, and why."""
        device, dtype = self.place()
        asked = reason = "as asked for"
        if self.device == "auto":
            asked = f"{'a' if device.type == 'cuda' else 'no'} GPU was found"
        if self.dtype == "auto":
            reason = "which is fastest there"
        return f"Networks run on {device.type} ({asked}) in {str(dtype).removeprefix('torch.')} ({reason})."

    def network(self, found: dict[str, torch.Tensor] | None) -> torch.nn.Module:
        """A network on its device, with the weights `found`; None: those that a fit starts from, if all fits start from
        the same ones."""
        raise NotImplementedError

    def logits(self, network: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, length) to (batch, length, vocabulary)."""
        return network(tokens)

    def begin(self, network: torch.nn.Module, rng: np.random.Generator) -> None:
        """Set the weights that a fit starts from, where they are drawn."""

    def fit(self, train_set, rng, scratch=None):
        values = merged(train_set).values
        runs, size = values.shape[:2]
        steps = self.steps if self.epochs is None else max(1, round(self.epochs * size / self.batch))
        schedule = Schedule(steps, self.batch, self.rate)
        networks = []
        for run, stream in enumerate(rng.spawn(runs)):
            done = None if scratch is None else Path(scratch) / f"run-{run:04d}"
            if done is not None and team.agreed(done.exists()):
                networks.append(folders.kept(done))
                continue
            starts, order = stream.spawn(2)
            network = self.network(None)
            self.begin(network, starts)
            self._train(
                network, values[run], schedule, order, None if done is None else done.with_name(f"fit-{run:04d}")
            )
            networks.append(weights.copied(network))
            if done is not None and run + 1 < runs and team.first():
                with folders.written(f"progress {str(done)!r}", "the runs before it are kept"):
                    folders.keep(done, networks[-1])
        starts = np.stack([np.bincount(v[:, 0], minlength=self.corpus.tokenizer.size) for v in values])
        return Fit(NeuralModel(tuple(networks), starts), steps, steps * self.batch)

    def _train(self, network, blocks, schedule, rng, scratch):
        device, dtype = self.place()
        watch = self._loss_on_validation if self.stop == "best" else None
        compiled = device.type == "cuda" and isinstance(network, Decoder)
        how = {"logits": self.logits, "dtype": dtype, "compiled": compiled, "watch": watch}
        train(network, blocks, schedule, rng, scratch=scratch, **how)

    def _loss_on_validation(self, network) -> float:
        return -float(self._log_p(network, self.corpus.validation[: self.test_blocks])[0].mean(dtype=float))

    def validation_loss(self, model: NeuralModel) -> np.ndarray:
        """Mean negative log-likelihood in nats per token on the first `test_blocks` blocks of the real validation part:
        (runs,). What `stop="best"` watches, and what a size is chosen by; the test part takes no part in a choice."""
        return np.array([self._loss_on_validation(network) for network in self.networks(model)])

    def networks(self, model: NeuralModel) -> Iterator[torch.nn.Module]:
        """The network of each run, one after the other."""
        for found in model.networks:
            yield self.network(found).eval()

    def log_probabilities(self, model, tokens):
        return np.stack([self._log_p(n, t)[0] for n, t in zip(self.networks(model), tokens, strict=True)])

    def next_entropy(self, model, tokens):
        pairs = zip(self.networks(model), tokens, strict=True)
        return np.array([self._log_p(n, t, entropy=True)[1].mean(dtype=float) for n, t in pairs])

    @torch.no_grad()
    def _log_p(self, network, blocks, entropy=False):
        """ln P of the predicted tokens and, if asked for, the entropies at their places: each (count, block − 1)."""
        device, dtype = self.place()
        held = CHUNK if device.type == "cpu" else 2**27
        rows = max(4, held // (blocks.shape[1] * self.corpus.tokenizer.size))
        found, spread = [], []
        for part in torch.from_numpy(np.array(blocks)).split(rows):
            part = part.to(device).long()
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                logits = self.logits(network, part[:, :-1])
            log_p = logits.float().log_softmax(dim=2)
            found.append(log_p.gather(2, part[:, 1:, None])[:, :, 0].cpu())
            if entropy:
                spread.append(-(log_p.exp() * log_p).sum(dim=2).cpu())
        return torch.cat(found).numpy(), torch.cat(spread).numpy() if entropy else None

    def sample(self, model, size, inputs, rng):
        out = []
        for run, (network, stream) in enumerate(zip(self.networks(model), rng.spawn(model.runs), strict=True)):
            given = None if inputs is None else inputs.values[run]
            out.append(self._written(network, given, model.starts[run], size, stream))
        # On a GPU two processes may round differently, and a token differs then.
        return Rows(team.agreed(np.stack(out)))

    def _written(self, network, given, starts, size, rng):
        raise NotImplementedError
