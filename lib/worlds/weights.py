"""Weights of networks: where they are and in which number format, what they start from, copied out and put back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from lib import distributed as team
from lib.errors import among, refuse


def device_of(name: str) -> torch.device:
    """The device called "auto" (a GPU if there is one), "cpu" or "cuda"; of several processes each has its own.

    On the CPU results repeat bit for bit; stacking more runs, or another device, changes the last digits and, through
    training, more than those.
    """
    among("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        refuse("device", name, '"auto" or "cpu": torch sees no CUDA device on this machine')
    if team.size() > 1:
        found = team.device()
        if name not in ("auto", found.type):
            refuse("device", name, f'"auto" or {found.type!r}, where the processes were launched')
        return found
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def precision(device: torch.device, name: str = "auto") -> torch.dtype:
    """The number format of matrix products: bfloat16 on a GPU, float32 on the CPU, where it is the faster one."""
    among("dtype", name, ("auto", "float32", "bfloat16"))
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return getattr(torch, name)


def normal(streams: list[np.random.Generator], shape: tuple[int, ...]) -> np.ndarray:
    """Standard normals (runs, *shape), float32; a run's numbers come from its own stream."""
    return np.stack([s.standard_normal(shape, dtype=np.float32) for s in streams])


@dataclass(frozen=True)
class Stacked:
    """A model of all runs at once: its weights by name, float32 with a leading run axis."""

    weights: dict[str, np.ndarray]

    @classmethod
    def of(cls, tensors: dict[str, torch.Tensor]) -> Stacked:
        """The model with these weights, on whatever device they are."""
        return cls({name: w.detach().cpu().numpy() for name, w in tensors.items()})

    def on(self, device: torch.device) -> dict[str, torch.Tensor]:
        """The weights as tensors on a device."""
        return {name: torch.from_numpy(w).to(device) for name, w in self.weights.items()}


def untied(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights without those that share memory with an earlier one."""
    seen, out = set(), {}
    for name, weight in weights.items():
        if weight.data_ptr() not in seen or weight.numel() == 0:
            seen.add(weight.data_ptr())
            out[name] = weight.contiguous()
    return out


def copied(network: nn.Module) -> dict[str, torch.Tensor]:
    """The weights by name, copied to the CPU; tied ones once, under the first of their names."""
    return {name: w.detach().cpu().clone() for name, w in untied(network.state_dict()).items()}


def restore(network: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Put copied weights back. ValueError, naming the first that does not fit, for weights of another network."""
    own = network.state_dict()
    needed = untied(own)
    for name in (*needed, *weights):
        if name not in weights or name not in own or weights[name].shape != own[name].shape:
            shapes = [tuple(w[name].shape) if name in w else "nothing" for w in (weights, own)]
            allowed = f"those of the same network; {name} is {shapes[0]} in one, {shapes[1]} in the other"
            refuse("weights", name, allowed)
    network.load_state_dict(weights, strict=False)
