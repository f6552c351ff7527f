"""Weights of networks: copied out and put back, with errors that say what does not fit."""

from __future__ import annotations

import torch
from torch import nn

from lib.errors import refuse


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
    """Put copied weights back. ValueError, naming the first that does not fit, for weights of another network: another
    vocabulary shows as an embedding of another shape."""
    own = network.state_dict()
    needed = untied(own)
    for name in (*needed, *weights):
        if name not in weights or name not in own or weights[name].shape != own[name].shape:
            shapes = [tuple(w[name].shape) if name in w else "nothing" for w in (weights, own)]
            refuse(
                "weights", name, f"those of the same network; {name} is {shapes[0]} in one, {shapes[1]} in the other"
            )
    network.load_state_dict(weights, strict=False)
