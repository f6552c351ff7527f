"""Denoising diffusion for points in space (Karras et al. 2022): the network, its error, and the sampler, all runs at
once.

Coordinates here have shape (runs, count, 3, atoms) and are in units of the size of the molecule, so that the data
have a standard deviation of 1 per coordinate (σ_data = 1 in the paper).
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch

from lib.worlds.weights import normal

# ln σ of a training example is normal; a sample goes from the highest level to the lowest. The lowest is about a fifth
# of what a bond's length varies by.
MEAN_LEVEL, SD_LEVEL = -0.6, 1.2
HIGHEST, LOWEST = 6.0, 0.006
CURVE = 7.0  # how unevenly a sample's levels lie (ρ of the paper, eq. 5)
FEATURES = 8  # bumps that tell the network its noise level

Weights = dict[str, torch.Tensor]
FIXED = ("scale", "start", "distance_mean", "distance_sd")  # measured on the training set, not trained


def initial(streams: list[np.random.Generator], rows: np.ndarray, hidden: int, blocks: int) -> dict[str, np.ndarray]:
    """Weights to start from, float32, one run per stream: normal with variance 1 / inputs, and 0 where they reach the
    output.

    With them what is measured on the training set `rows` (runs, size, atoms, 3), Å: `scale`, the size of the molecule
    in Å; in units of it, mean and standard deviation of every distance, and `start`, which turns normal numbers into
    what a sample starts as.
    """
    atoms = rows.shape[2]
    centred = rows.astype(float) - rows.mean(axis=2, keepdims=True)
    scale = np.sqrt((centred**2).sum(axis=(2, 3)).mean(axis=1) / (3 * (atoms - 1)))
    first, second = np.triu_indices(atoms, 1)
    distances = np.linalg.norm(rows[:, :, first] - rows[:, :, second], axis=-1) / scale[:, None, None]
    pairs = first.size
    weights = {
        "scale": scale[:, None, None, None],
        "start": start_root(
            np.einsum("rsax,rsbx->rab", centred, centred) / (3 * rows.shape[1] * scale[:, None, None] ** 2)
        ),
        "distance_mean": distances.mean(axis=1, keepdims=True),
        "distance_sd": distances.std(axis=1, keepdims=True),
    }
    layers = {"into": (pairs, hidden)} | {f"block{block}": (hidden, hidden) for block in range(blocks)}
    layers |= {"out": (hidden, pairs), "line": (pairs, pairs)}
    layers["level"] = (FEATURES, (1 + blocks) * hidden + pairs)  # what the noise level adds or multiplies by
    for name, shape in layers.items():
        weights[name] = normal(streams, shape) / math.sqrt(shape[0]) * (name not in ("out", "line"))
        weights[f"{name}_bias"] = np.zeros((len(streams), 1, shape[1]))
    weights["level_bias"][:, :, hidden:] = 1  # factors start near 1
    return {name: w.astype(np.float32) for name, w in weights.items()}


def start_root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric root of HIGHEST² + C on centred coordinates, for covariances C (..., atoms, atoms) of one
    coordinate.

    A sample starts as noisy data: noise alone would lose a few percent of the longest direction in every generation.
    """
    atoms = covariance.shape[-1]
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(HIGHEST**2 + np.clip(values, 0, None))[..., None, :]) @ vectors.swapaxes(-1, -2)
    return root - HIGHEST / atoms  # the centre does not vary


def denoising_errors(weights: Weights, clean: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Squared error of the network per coordinate, shape (runs, count): E‖(x̂ − x) √(1 + σ²)/σ‖² / 3(atoms − 1).

    `clean` and `noise` have shape (runs, count, 3, atoms), `sigma` (runs, count); the noise is centred here. Weighted
    as in Table 1 of the paper.
    """
    sigma = sigma[..., None, None]
    noise = noise - noise.mean(dim=3, keepdim=True)
    root = (1 + sigma.square()).sqrt()
    target = (clean * sigma - noise) / root  # (x − y / (1 + σ²)) √(1 + σ²) / σ
    forces = displacement(weights, clean + sigma * noise, sigma[..., 0])
    return (forces - target).square().sum(dim=(2, 3)) / (3 * (clean.shape[3] - 1))


def denoised(weights: Weights, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The best guess x̂ of clean conformers, shaped like `noisy`, with the same centre; `sigma` has shape (runs,
    count)."""
    sigma = sigma[..., None, None]
    root = (1 + sigma.square()).sqrt()
    centre = noisy.mean(dim=3, keepdim=True)
    return centre + (noisy - centre) / root.square() + sigma / root * displacement(weights, noisy, sigma[..., 0])


def displacement(weights: Weights, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The network: forces along the lines between atoms, summed at each atom. `sigma` has shape (runs, count, 1)."""
    ends = _ends(noisy.shape[3], noisy.device, noisy.dtype)
    lines = noisy @ ends  # (runs, count, 3, pairs)
    distances = (lines.square().sum(dim=2) + 1e-8).sqrt()
    # What is usual for distances between noisy atoms: noise makes them longer and lets them vary more. For three normal
    # coordinates of variance 2σ² the squared mean is 5.1 σ², and along a long line the variance grows by 2σ².
    usual = (weights["distance_mean"].square() + 5 * sigma.square()).sqrt()
    x = (distances - usual) / (weights["distance_sd"].square() + 2 * sigma.square()).sqrt()
    centres = torch.linspace(math.log(LOWEST / 2), math.log(HIGHEST), FEATURES, device=noisy.device)
    level = torch.exp(-0.5 * ((sigma.log() - centres) / (centres[1] - centres[0])).square())
    # What the noise level decides: an offset, a factor for each block, one for the straight line.
    hidden, pairs = weights["out"].shape[1:]
    widths = [hidden] * ((weights["level"].shape[2] - pairs) // hidden) + [pairs]
    first, *factors, gate = _layer(weights, "level", level).split(widths, dim=2)
    h = torch.nn.functional.silu(_layer(weights, "into", x) + first)
    for block, factor in enumerate(factors):
        h = torch.addcmul(h, torch.nn.functional.silu(_layer(weights, f"block{block}", h)), factor)
    forces = torch.addcmul(_layer(weights, "out", h), _layer(weights, "line", x), gate)
    return (lines * (forces / distances)[:, :, None]) @ ends.T / math.sqrt(noisy.shape[3])


def followed(
    denoise: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], start: torch.Tensor, steps: int
) -> torch.Tensor:
    """The probability-flow equation dy/dσ = (y − x̂(y, σ)) / σ, from noise of the highest level to none, by Heun's
    method (Algorithm 1 and eq. 5 of the paper).

    `start` has shape (runs, count, …) and the covariance of the data plus HIGHEST²; `denoise` takes points and levels
    (runs, count).
    """
    ramp = np.linspace(0, 1, steps)
    levels = (HIGHEST ** (1 / CURVE) + ramp * (LOWEST ** (1 / CURVE) - HIGHEST ** (1 / CURVE))) ** CURVE
    ones, y = torch.ones(start.shape[:2], device=start.device), start
    for now, later in zip(levels, [*levels[1:], 0.0], strict=True):
        slope = (y - denoise(y, float(now) * ones)) / float(now)
        tried = y + float(later - now) * slope
        if later > 0:
            second = (tried - denoise(tried, float(later) * ones)) / float(later)
            tried = y + float(later - now) * 0.5 * (slope + second)
        y = tried
    return y


@cache
def _ends(atoms: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Matrix (atoms, pairs) with 1 at the first and −1 at the second atom of each pair: its product with coordinates
    gives the lines between atoms, and that with its transpose sums forces at atoms."""
    first, second = np.triu_indices(atoms, 1)
    matrix = np.zeros((atoms, first.size))
    matrix[first, np.arange(first.size)], matrix[second, np.arange(first.size)] = 1, -1
    return torch.from_numpy(matrix).to(device=device, dtype=dtype)


def _layer(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return torch.baddbmm(weights[f"{name}_bias"], x, weights[name])
