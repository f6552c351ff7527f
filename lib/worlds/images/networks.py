"""The networks of the image world: encoder, decoder and evidence bound of many variational autoencoders at once.

Weights are float32 tensors by name with a leading run axis; which network they are, and which likelihood, can be read
off their names. A dense model has four layers, `encoder` and `posterior`, `decoder` and `mean`. A convolutional one has
two convolutions more before the encoder, `down_1` and `down_2`, and two transposed ones after the decoder, `up_1` and
`up_2`, each halving or doubling the side of the image. With `log_variance` the likelihood is Gaussian, without it
Bernoulli.
"""

import math

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, conv2d, conv_transpose2d

from lib.worlds.weights import normal

START_LOG_VARIANCE = -3.0
KERNEL, STRIDE, PADDING = 4, 2, 1  # halves a side exactly, and every input pixel counts equally often
HALVINGS = 2

Weights = dict[str, torch.Tensor]


def initial(
    streams: list[np.random.Generator], *, pixels: int, latent: int, hidden: int, channels: int = 0, noisy: bool = False
) -> dict[str, np.ndarray]:
    """Weights to start from, one run per stream: normal with variance 1 / inputs of a unit, biases 0.

    `channels` is the number of feature maps of the outer convolutions, twice that for the inner ones; 0 makes the model
    dense. `noisy`: with a noise variance for each pixel, else the likelihood is Bernoulli.
    """
    side = math.isqrt(pixels)
    outer = 2 * channels * (side >> HALVINGS) ** 2 if channels else pixels
    layers = {"encoder": (outer, hidden), "posterior": (hidden, 2 * latent)}
    layers |= {"decoder": (latent, hidden), "mean": (hidden, outer)}
    weights = {}
    for name, shape in layers.items():
        weights[name] = normal(streams, shape) / np.float32(math.sqrt(shape[0]))
        weights[f"{name}_bias"] = np.zeros((len(streams), 1, shape[1]), dtype=np.float32)
    if channels:
        for name, (inputs, outputs) in {"down_1": (1, channels), "down_2": (channels, 2 * channels)}.items():
            scale = np.float32(math.sqrt(inputs * KERNEL**2))
            weights[name] = normal(streams, (outputs, inputs, KERNEL, KERNEL)) / scale
            weights[f"{name}_bias"] = np.zeros((len(streams), 1, outputs), dtype=np.float32)
        for name, (inputs, outputs) in {"up_1": (2 * channels, channels), "up_2": (channels, 1)}.items():
            # A transposed convolution spreads its kernel: an output sees one in STRIDE² of the kernel's entries.
            scale = np.float32(math.sqrt(inputs * KERNEL**2 / STRIDE**2))
            weights[name] = normal(streams, (inputs, outputs, KERNEL, KERNEL)) / scale
            weights[f"{name}_bias"] = np.zeros((len(streams), 1, outputs), dtype=np.float32)
    if noisy:
        weights["log_variance"] = np.full((len(streams), 1, pixels), START_LOG_VARIANCE, dtype=np.float32)
    return weights


def negative_elbo(weights: Weights, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """−ELBO in nats by one latent draw (Kingma and Welling 2014, eq. 10).

    `x` has shape (runs, count, pixels), `noise` (runs, count, latent), standard normal; the result (runs, count). Under
    the Bernoulli likelihood grey levels are probabilities: the cross-entropy is the mean of −ln P over random
    binarisations.
    """
    mean, log_variance = posterior(weights, x)
    latent = torch.addcmul(mean, noise, (0.5 * log_variance).exp())
    if "log_variance" not in weights:
        loss = binary_cross_entropy_with_logits(logits(weights, latent), x, reduction="none").sum(dim=2)
        return loss + divergence(mean, log_variance)
    residual = x - decoded(weights, latent)
    spread = weights["log_variance"]
    constant = (spread + math.log(2 * math.pi)).sum(dim=2)
    return 0.5 * ((residual.square() * (-spread).exp()).sum(dim=2) + constant) + divergence(mean, log_variance)


def posterior(weights: Weights, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log-variance of q(z | x), each of shape (runs, count, latent)."""
    if "down_1" in weights:
        x = _convolved(weights, x)
    hidden = torch.baddbmm(weights["encoder_bias"], x, weights["encoder"]).relu()
    return torch.baddbmm(weights["posterior_bias"], hidden, weights["posterior"]).chunk(2, dim=2)


def decoded(weights: Weights, latent: torch.Tensor) -> torch.Tensor:
    """m(z): (runs, count, latent) to (runs, count, pixels), in [0, 1]."""
    return logits(weights, latent).sigmoid()


def logits(weights: Weights, latent: torch.Tensor) -> torch.Tensor:
    """What the decoder's sigmoid is applied to, shape (runs, count, pixels)."""
    hidden = torch.baddbmm(weights["decoder_bias"], latent, weights["decoder"]).relu()
    values = torch.baddbmm(weights["mean_bias"], hidden, weights["mean"])
    return _enlarged(weights, values.relu()) if "up_1" in weights else values


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, exp log_variance) ‖ N(0, I)) in nats, summed over the last axis."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=-1)


def _convolved(weights: Weights, x: torch.Tensor) -> torch.Tensor:
    """(runs, count, pixels) to (runs, count, features). Runs are groups of channels of one convolution: they never
    mix."""
    runs, count, pixels = x.shape
    side = math.isqrt(pixels)
    maps = x.transpose(0, 1).reshape(count, runs, side, side)
    for name in ("down_1", "down_2"):
        kernel, bias = weights[name].flatten(0, 1), weights[f"{name}_bias"].flatten()
        maps = conv2d(maps, kernel, bias, stride=STRIDE, padding=PADDING, groups=runs).relu()
    return maps.reshape(count, runs, -1).transpose(0, 1)


def _enlarged(weights: Weights, features: torch.Tensor) -> torch.Tensor:
    """(runs, count, features) to (runs, count, pixels), the way back."""
    runs, count, _ = features.shape
    inner = weights["up_1"].shape[1]
    side = math.isqrt(features.shape[2] // inner)
    maps = features.transpose(0, 1).reshape(count, runs * inner, side, side)
    for name in ("up_1", "up_2"):
        kernel, bias = weights[name].flatten(0, 1), weights[f"{name}_bias"].flatten()
        maps = conv_transpose2d(maps, kernel, bias, stride=STRIDE, padding=PADDING, groups=runs)
        maps = maps.relu() if name == "up_1" else maps
    return maps.reshape(count, runs, -1).transpose(0, 1)


def optimiser(weights: Weights, noise_factor: float) -> torch.optim.Adam:
    """Adam on stacked weights; it works coordinate by coordinate, so runs stay apart. The noise learns faster by a
    factor."""
    layers = [w for name, w in weights.items() if name != "log_variance"]
    groups = [{"params": layers, "factor": 1}]
    if "log_variance" in weights:
        groups.append({"params": [weights["log_variance"]], "factor": noise_factor})
    return torch.optim.Adam(groups, fused=True)
