"""One training loop for every language model: AdamW on next-token prediction, with progress kept within a long fit.

Several GPUs train one model through `accelerate launch`, see `lib.distributed`: each process then takes its part of
every batch and gradients are averaged.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from lib import distributed as team
from lib.checkpoint import folders
from lib.errors import refuse
from lib.streams import child
from lib.worlds import weights

SAVE_SECONDS = 300.0  # how much of a fit a machine that goes away may take with it
WARMUP = 0.05  # share of the steps in which the learning rate rises
CLIP = 1.0  # largest norm of a gradient
NOISE = 2**40  # the stream of dropout: no pass over the data has that number


@dataclass(frozen=True)
class Schedule:
    """How a fit proceeds: its optimiser steps, blocks per step, the highest learning rate and the weight decay of
    AdamW.

    The rate rises linearly over the first twentieth of the steps and falls linearly to zero.
    """

    steps: int
    batch: int
    rate: float
    decay: float = 0.1

    def factor(self, step: int) -> float:
        """The learning rate of a step, as a share of the highest one."""
        warm = max(1, round(WARMUP * self.steps))
        return (step + 1) / warm if step < warm else (self.steps - step) / max(1, self.steps - warm)


def batches(rng: np.random.Generator, size: int, batch: int, step: int) -> np.ndarray:
    """Indices of the blocks of a step: passes over the set in an order of their own, so that a set of any size will do.

    They depend on the stream and the step alone: a fit that goes on half-way draws what it would have drawn.
    """
    out, first = [], step * batch
    while batch > 0:
        number, offset = divmod(first, size)
        order = child(rng, number).permutation(size)[offset : offset + batch]
        out.append(order)
        first += len(order)
        batch -= len(order)
    return np.concatenate(out)


def train(
    network: nn.Module,
    blocks: np.ndarray,
    schedule: Schedule,
    rng: np.random.Generator,
    *,
    logits: Callable[[nn.Module, torch.Tensor], torch.Tensor] = lambda network, tokens: network(tokens),
    dtype: torch.dtype = torch.float32,
    compiled: bool = False,
    watch: Callable[[nn.Module], float] | None = None,
    scratch: Path | None = None,
) -> None:
    """Train `network` in place, on the device where it is, to predict each token of `blocks` (count, length) from those
    before.

    `watch`, if given, is a loss that is computed after every pass over the blocks, and the weights of its lowest value
    are what remains (early stopping). `scratch` is a folder for weights, optimiser and step, renewed every five
    minutes; a call that finds it goes on from there and ends as an unbroken one would.

    Dropout, in a network that has some, draws from a stream of its own at every step. Torch's own random state stays as
    it was.
    """
    device = next(network.parameters()).device
    accelerator = _team(device, schedule.batch)
    optimiser = torch.optim.AdamW(_groups(network, schedule.decay), lr=schedule.rate, betas=(0.9, 0.95), fused=True)
    keeper = _Best(watch) if watch is not None else None
    start = 0 if scratch is None else _resume(scratch, network, optimiser, keeper, schedule)
    forward = torch.compile(network) if compiled else network
    share = slice(None)
    if accelerator is not None:
        forward, optimiser = accelerator.prepare(forward, optimiser)
        share = slice(accelerator.process_index, None, accelerator.num_processes)
    every = max(1, len(blocks) // schedule.batch)
    tokens = torch.from_numpy(np.array(blocks)).to(device)
    saved = time.monotonic()
    noise = int(child(rng, NOISE).integers(2**62)) + (0 if accelerator is None else accelerator.process_index)
    network.train()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for step in range(start, schedule.steps):
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate * schedule.factor(step)
            torch.manual_seed(noise + step * team.size())
            index = torch.from_numpy(batches(rng, len(blocks), schedule.batch, step)[share]).to(device)
            rows = tokens[index].long()
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                predicted = logits(forward, rows[:, :-1])
            loss = F.cross_entropy(predicted.flatten(0, 1).float(), rows[:, 1:].flatten())
            loss.backward() if accelerator is None else accelerator.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimiser.step()
            optimiser.zero_grad()
            if keeper is not None and ((step + 1) % every == 0 or step + 1 == schedule.steps):
                network.eval()
                keeper.look(network)
                network.train()
            if scratch is not None and time.monotonic() - saved > SAVE_SECONDS and team.first():
                _save(scratch, network, optimiser, keeper, schedule, step + 1)
                saved = time.monotonic()
    if keeper is not None:
        weights.restore(network, keeper.weights)
    if accelerator is not None:
        for weight in network.state_dict().values():
            torch.distributed.broadcast(weight, 0)
    network.eval()
    if scratch is not None and team.first():
        folders.discard(scratch)


class _Best:
    """The weights with the lowest watched loss so far."""

    def __init__(self, watch):
        self.watch, self.loss, self.weights = watch, math.inf, {}

    def look(self, network):
        loss = self.watch(network)
        if loss < self.loss or not self.weights:
            self.loss = loss
            self.weights = weights.copied(network)


def _groups(network, decay):
    """Weight decay for matrices, none for biases and norms."""
    found = list(network.parameters())
    matrices, rest = [w for w in found if w.ndim > 1], [w for w in found if w.ndim < 2]
    return [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]


def _team(device, batch):
    """The processes that train together, if `accelerate launch` has started several."""
    if team.size() == 1:
        return None
    if batch % team.size():
        refuse("batch", batch, f"a multiple of the {team.size()} processes that train together")
    from accelerate import Accelerator

    return Accelerator(cpu=device.type == "cpu")


def _save(scratch, network, optimiser, keeper, schedule, step):
    """Weights, optimiser and step, in a folder of their own; the older one goes only then."""
    progress = {
        "step": step,
        "schedule": vars(schedule),
        "weights": weights.copied(network),
        "optimiser": {index: dict(values) for index, values in optimiser.state_dict()["state"].items()},
        "best": (keeper.loss, keeper.weights) if keeper is not None and keeper.weights else None,
    }
    older = list(scratch.glob("step-*"))
    with folders.written(f"progress {str(scratch)!r}", "what was kept before stays"):
        folders.keep(scratch / f"step-{step:09d}", progress)
    for folder in older:
        folders.discard(folder)


def _resume(scratch, network, optimiser, keeper, schedule) -> int:
    newest = team.agreed(max((path.name for path in scratch.glob("step-*")), default=None))
    if newest is None:
        return 0
    found = folders.kept(scratch / newest)
    if found["schedule"] != vars(schedule):
        refuse("schedule", vars(schedule), f"{found['schedule']}, that of the fit begun in {str(scratch)!r}")
    weights.restore(network, found["weights"])
    optimiser.load_state_dict(optimiser.state_dict() | {"state": found["optimiser"]})
    if keeper is not None and found["best"] is not None:
        keeper.loss, keeper.weights = found["best"]
    return found["step"]
