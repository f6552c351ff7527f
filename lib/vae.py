"""The image world: variational autoencoders with a Gaussian likelihood (Kingma and Welling 2014), all runs at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from lib.checks import among, refuse, whole
from lib.data import Images, images
from lib.image_scores import entropy, judge
from lib.pool import Rows, merged
from lib.streams import child
from lib.world import Fit, World, check_real_rows

CHUNK = 256  # optimiser steps whose random numbers are drawn at once: a few megabytes
NOISE_RATE = 10  # the log-variance has a long way to go and only one coordinate: it learns faster by this factor
START_LOG_VARIANCE = -3.0

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class VAEModel:
    """The weights of every run by name, float32 with a leading run axis; see `VAE.initial` for names and shapes."""

    weights: dict[str, np.ndarray]


@dataclass(frozen=True)
class VAE(World):
    """Variational autoencoders, one per run, trained together as one stacked tensor program.

    x | z ~ N(m(z), s²) with z ~ N(0, I): a decoder with one hidden layer whose sigmoid output m lies in [0, 1], and a
    noise s² that is learned. Samples are draws from the model, *including* the noise; m(z) alone would be another model
    with too little variance, which loses diversity at every generation for a reason that is not in the data. Samples
    are not clipped to [0, 1]: clipped ones would no longer have the law that was fitted.

    Grey levels are dequantised: a real image comes with uniform noise of one level's width. Without it some pixels are
    constant (the corners of the digits) and a likelihood with a variance per pixel has no upper bound; with it the
    variance needs no floor, and a density bounds the probability of a discrete image, which `test_nelbo` reports.

    Parameters
    ----------
    data : name of the images, see `lib.data.images`.
    latent, hidden : dimension of z, width of the hidden layer of encoder and decoder.
    steps : optimiser steps of a fit, the same for every training set whatever its size: matched compute.
    epochs : if given, passes over the training set instead, so that steps grow with the data, as they do in the setting
        of Gerstgrasser et al. (2024); a fit takes epochs × size / batch steps, rounded, at least 1.
    batch : examples per step and run, drawn uniformly with replacement, so that any set size will do.
    rate : initial learning rate of Adam; it falls linearly to 0.
    likelihood : "pixel", one s² for each pixel, or "scalar", one for the image.
    score_samples : samples per run that are scored.
    score_draws : draws of dequantisation and latent noise per test image in `test_nelbo`.
    shown : how many of the scored samples the extra `samples` returns.
    device : "auto" (a GPU if there is one), "cpu" or "cuda". On the CPU results repeat bit for bit; stacking more runs,
        or another device, changes the last digits and, through training, more than those.

    Defaults were chosen on 200 images held out of the training part, with four runs fitted to the other 1000, by the bound
    of `test_nelbo` there, in nats: 125.4 as they are; 127.9, 125.8 for 500, 2000 steps; 127.5, 125.3 for 64, 256 hidden
    units; 129.4, 124.5 for 4, 16 latents; 150.3 for the scalar likelihood. A decoder without the sigmoid lost 3 nats and
    doubled the Fréchet distance; weight decay gained nothing. Smaller sets overfit sooner: for 120 images 200 steps
    reached 147 nats and 400 steps 180.

    Scores
    ------
    - `test_nelbo`: negative evidence lower bound of the real test images, nats per image; an upper bound on
      −ln P(discrete image)
    - `variance_ratio`: total variance of samples over that of the real training part
    - `frechet_distance`: from the real test part in the embedding of a classifier, see `lib.image_scores.Judge`; its
      unit is the total variance of real images there
    - `class_entropy`, `class_minimum`: entropy (nats) and smallest of the class shares among samples, by the classifier

    Extras: `samples`, the first `shown` of the scored ones, and `class_shares`.
    """

    data: str = "digits"
    latent: int = 8
    hidden: int = 128
    steps: int = 1000
    epochs: int | None = None
    batch: int = 64
    rate: float = 8e-3
    likelihood: str = "pixel"
    score_samples: int = 1000
    score_draws: int = 16
    shown: int = 20
    device: str = "auto"

    scores = ("test_nelbo", "variance_ratio", "frechet_distance", "class_entropy", "class_minimum")
    extras = {"samples": ("sample", "row", "column"), "class_shares": ("class",)}
    batches = (Rows,)
    model_type = VAEModel

    def __post_init__(self):
        _ = self._images
        for name in ("latent", "hidden", "steps", "batch", "score_draws", "shown"):
            whole(name, getattr(self, name), 1)
        whole("score_samples", self.score_samples, max(2, self.shown))
        if self.epochs is not None:
            whole("epochs", self.epochs, 1)
        if not (isinstance(self.rate, float | int) and 0 < self.rate < math.inf):
            refuse("rate", self.rate, "a positive number")
        among("likelihood", self.likelihood, ("scalar", "pixel"))
        among("device", self.device, ("auto", "cpu", "cuda"))
        if self.device == "cuda" and not torch.cuda.is_available():
            refuse("device", self.device, '"auto" or "cpu": torch sees no CUDA device on this machine')

    @property
    def _images(self) -> Images:
        return images(self.data)

    @property
    def _device(self) -> torch.device:
        return torch.device("cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu")

    def check(self, regimes, sizes, scores, named):
        for n in sizes:
            if n < 2:
                refuse("n", n, "at least 2 images")
        check_real_rows(regimes, sizes, len(self._images.train), f"training images of {self.data}")

    def real(self, runs, size, rng, used):
        """Each run gets the training part in an order of its own and takes the next `size` images from it, dequantised.

        Runs share the images and differ in which they hold: with n near the size of the training part their real data
        are nearly the same, and the spread over runs is that of training and sampling.
        """
        train = self._images.train
        if used + size > len(train):
            refuse("n", size, f"needs {used + size} real rows, has {len(train)} training images of {self.data}")
        chosen = np.stack([r.permutation(len(train))[used : used + size] for r in child(rng, 0).spawn(runs)])
        return Rows(self._dequantised(train[chosen], child(rng, 1 + used).spawn(runs)))

    def _dequantised(self, values: np.ndarray, streams: list[np.random.Generator]) -> np.ndarray:
        """Images with leading run axis, each grey level spread over an interval as wide as the step between levels."""
        uniform = np.stack([s.random(values.shape[1:], dtype=np.float32) for s in streams])
        return values + (uniform - np.float32(0.5)) / np.float32(self._images.levels - 1)

    def fit(self, train, rng):
        values = merged(train).values
        runs, size = values.shape[:2]
        flat = torch.from_numpy(values.reshape(runs * size, -1)).to(self._device)
        steps = self.steps if self.epochs is None else max(1, round(self.epochs * size / self.batch))
        # Initial weights, minibatches and latent noise have streams of their own in every run.
        starts, picks, noises = zip(*(r.spawn(3) for r in rng.spawn(runs)), strict=True)
        weights = {name: w.requires_grad_() for name, w in self._tensors(self.initial(starts, flat.shape[1])).items()}
        optimiser = _optimiser(weights)
        offsets = size * np.arange(runs)[:, None, None]
        for first in range(0, steps, CHUNK):
            count = min(CHUNK, steps - first)
            index = np.stack([s.integers(size, size=(count, self.batch)) for s in picks]) + offsets
            noise = _normal(noises, (count, self.batch, self.latent))
            index, noise = (torch.from_numpy(a.swapaxes(0, 1).copy()).to(flat.device) for a in (index, noise))
            for step in range(count):
                for group in optimiser.param_groups:
                    group["lr"] = group["factor"] * self.rate * (1 - (first + step) / steps)
                x = flat.index_select(0, index[step].reshape(-1)).view(runs, self.batch, -1)
                # A sum over runs: no weight of one run enters the loss of another, so each gets its own gradient.
                loss = negative_elbo(weights, x, noise[step]).sum() / self.batch
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return Fit(VAEModel({name: w.detach().cpu().numpy() for name, w in weights.items()}), steps, steps * self.batch)

    def initial(self, streams: list[np.random.Generator], pixels: int) -> dict[str, np.ndarray]:
        """Weights to start from, one run per stream: normal with variance 1 / inputs, biases 0."""
        layers = {
            "encoder": (pixels, self.hidden),
            "posterior": (self.hidden, 2 * self.latent),
            "decoder": (self.latent, self.hidden),
            "mean": (self.hidden, pixels),
        }
        weights = {}
        for name, shape in layers.items():
            weights[name] = _normal(streams, shape) / np.float32(math.sqrt(shape[0]))
            weights[f"{name}_bias"] = np.zeros((len(streams), 1, shape[1]), dtype=np.float32)
        noises = pixels if self.likelihood == "pixel" else 1
        weights["log_variance"] = np.full((len(streams), 1, noises), START_LOG_VARIANCE, dtype=np.float32)
        return weights

    def _tensors(self, weights: dict[str, np.ndarray]) -> Weights:
        return {name: torch.from_numpy(w).to(self._device) for name, w in weights.items()}

    @torch.no_grad()
    def sample(self, model, size, inputs, rng):
        weights = self._tensors(model.weights)
        latents, noises = zip(*(r.spawn(2) for r in rng.spawn(len(weights["mean"]))), strict=True)
        latent, noise = (
            torch.from_numpy(_normal(streams, (size, width))).to(self._device)
            for streams, width in ((latents, self.latent), (noises, weights["mean"].shape[2]))
        )
        values = decoded(weights, latent) + noise * (0.5 * weights["log_variance"]).exp()
        return Rows(values.cpu().numpy().reshape(*values.shape[:2], *self._images.shape))

    def score(self, model, rng, names):
        rng_nelbo, rng_samples = rng.spawn(2)
        out = {"test_nelbo": self._test_nelbo(model, rng_nelbo)} if "test_nelbo" in names else {}
        if set(names) != set(out):
            out |= self._sample_scores(self.sample(model, self.score_samples, None, rng_samples).values)
        return {name: out[name] for name in names}

    @torch.no_grad()
    def _test_nelbo(self, model: VAEModel, rng: np.random.Generator) -> np.ndarray:
        """Shape (runs,). Every draw has its own dequantisation and its own latent noise; they are averaged over."""
        weights = self._tensors(model.weights)
        test = self._images.test
        streams = rng.spawn(len(weights["mean"]))
        values = np.broadcast_to(test, (len(streams), *test.shape))
        total = np.zeros(len(streams))
        for _ in range(self.score_draws):
            x = self._dequantised(values, streams).reshape(len(streams), len(test), -1)
            noise = _normal(streams, (len(test), self.latent))
            x, noise = (torch.from_numpy(a).to(self._device) for a in (x, noise))
            total += negative_elbo(weights, x, noise).double().mean(dim=1).cpu().numpy()
        # Mean log-density over a cell of side 1 / (levels − 1) plus its log-volume bounds the cell's log-probability.
        return total / self.score_draws + x.shape[2] * math.log(self._images.levels - 1)

    def _sample_scores(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        critic = judge(self.data)
        embedded = critic.embed(rows)
        shares = critic.shares(embedded)
        variance, real = (v.var(axis=-3, dtype=float).sum(axis=(-2, -1)) for v in (rows, self._images.train))
        return {
            "variance_ratio": variance / real,
            "frechet_distance": critic.distance(embedded),
            "class_entropy": entropy(shares),
            "class_minimum": shares.min(axis=1),
            "class_shares": shares,
            "samples": rows[:, : self.shown],
        }


def negative_elbo(weights: Weights, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """−ELBO in nats by one latent draw (Kingma and Welling 2014, eq. 10 with a Gaussian likelihood).

    `x` has shape (runs, count, pixels), `noise` (runs, count, latent), standard normal; the result (runs, count).
    """
    mean, log_variance = posterior(weights, x)
    residual = x - decoded(weights, torch.addcmul(mean, noise, (0.5 * log_variance).exp()))
    spread = weights["log_variance"]
    constant = (spread + math.log(2 * math.pi)).expand(-1, -1, x.shape[2]).sum(dim=2)
    return 0.5 * ((residual.square() * (-spread).exp()).sum(dim=2) + constant) + divergence(mean, log_variance)


def posterior(weights: Weights, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log-variance of q(z | x), each of shape (runs, count, latent)."""
    hidden = torch.baddbmm(weights["encoder_bias"], x, weights["encoder"]).relu()
    return torch.baddbmm(weights["posterior_bias"], hidden, weights["posterior"]).chunk(2, dim=2)


def decoded(weights: Weights, latent: torch.Tensor) -> torch.Tensor:
    """m(z): (runs, count, latent) to (runs, count, pixels), in [0, 1]."""
    hidden = torch.baddbmm(weights["decoder_bias"], latent, weights["decoder"]).relu()
    return torch.baddbmm(weights["mean_bias"], hidden, weights["mean"]).sigmoid()


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, exp log_variance) ‖ N(0, I)) in nats, summed over the last axis."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=-1)


def _optimiser(weights: Weights) -> torch.optim.Adam:
    """Adam on stacked weights; it works coordinate by coordinate, so runs stay apart."""
    layers = [w for name, w in weights.items() if name != "log_variance"]
    groups = [{"params": layers, "factor": 1}, {"params": [weights["log_variance"]], "factor": NOISE_RATE}]
    return torch.optim.Adam(groups, fused=True)


def _normal(streams: list[np.random.Generator], shape: tuple[int, ...]) -> np.ndarray:
    """Standard normals (runs, *shape), float32; a run's numbers come from its own stream."""
    return np.stack([s.standard_normal(shape, dtype=np.float32) for s in streams])
