"""The image world: variational autoencoders (Kingma and Welling 2014), all runs at once."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from lib.errors import among, number, refuse, whole
from lib.pool import Rows, merged
from lib.streams import child
from lib.world import Fit, Score, World, dealt
from lib.worlds.images.data import Images, images
from lib.worlds.images.networks import HALVINGS, decoded, initial, negative_elbo, optimiser
from lib.worlds.images.scores import entropy, judge
from lib.worlds.weights import Stacked, device_of, normal

CHUNK = 256  # optimiser steps whose random numbers are drawn at once: a few megabytes
NOISE_RATE = 10  # the log-variance has a long way to go: it learns faster by this factor
AT_ONCE = 2**23  # pixels of all runs that a network reads or makes in one go: a few hundred megabytes of feature maps


@dataclass(frozen=True)
class VAE(World):
    """Variational autoencoders, one per run, trained together as one stacked tensor program.

    A decoder with sigmoid output m(z) in [0, 1], z ~ N(0, I), and a likelihood: Gaussian, x | z ~ N(m(z), s²) with a
    noise s² that is learned, or Bernoulli, x | z ∈ {0, 1} with probabilities m(z). Samples are draws from the model,
    *including* the noise, and are not clipped to [0, 1].

    Grey levels are dequantised for the Gaussian likelihood: a real image comes with uniform noise of one level's width.
    Without it some pixels are constant and the likelihood has no upper bound; with it a density bounds the probability
    of a discrete image, which `test_nelbo` reports. For the Bernoulli likelihood real grey levels are probabilities of
    white, and the loss is the mean over random binarisations. Its samples are binary.

    Parameters
    ----------
    data : name of the images, see `lib.worlds.images.data.images`.
    rare : (class, share): thins that class out in the data, see `lib.worlds.images.data.thinned`.
    network : "dense", one hidden layer in encoder and decoder, or "convolutional", two strided convolutions more on
        either side, for square images whose side is a multiple of 4.
    latent, hidden : dimension of z, width of the hidden layer of encoder and decoder.
    channels : feature maps of the outer convolutions, half as many as of the inner ones; for the convolutional network
        only.
    steps : optimiser steps of a fit, the same for every training set whatever its size: matched compute.
    epochs : if given, passes over the training set instead, as Gerstgrasser et al. (2024) have it; a fit takes epochs ×
        size / batch steps, rounded, at least 1.
    batch : examples per step and run, drawn uniformly with replacement, so that any set size will do.
    rate : initial learning rate of Adam; it falls linearly to 0.
    likelihood : "pixel", Gaussian with one s² for each pixel, or "bernoulli".
    sampling : "model", or "mean", m(z) alone, which has too little variance. Under the Gaussian likelihood such images
        are dequantised as real ones are, or the fitted noise would have no lower bound.
    score_samples : samples per run that are scored.
    score_draws : draws of dequantisation and latent noise per test image in `test_nelbo`.
    shown : how many of the scored samples the extra `samples` returns.
    device : see `lib.worlds.weights.device_of`.

    Defaults were chosen by the bound of `test_nelbo` on 200 images held out of the training part.

    Scores, beside their labels: `test_nelbo` is an upper bound on −ln P(discrete image), under the Bernoulli likelihood
    on that of its random binarisation; distance and classes are by a classifier, see `lib.worlds.images.scores.Judge`.
    Where samples are binary, so are the real images that they are compared with, and those the classifier has seen.
    Extras: `samples`, the first `shown` of the scored ones, and `class_shares`.
    """

    data: str = "digits"
    rare: tuple[int, float] | None = None
    network: str = "dense"
    latent: int = 8
    hidden: int = 128
    channels: int = 16
    steps: int = 1000
    epochs: int | None = None
    batch: int = 64
    rate: float = 8e-3
    likelihood: str = "pixel"
    sampling: str = "model"
    score_samples: int = 1000
    score_draws: int = 16
    shown: int = 20
    device: str = "auto"

    scores = {
        "test_nelbo": Score("loss", "more", "negative test ELBO", "nats per image"),
        "variance_ratio": Score("variance", "less", "total variance of samples, real images = 1"),
        "frechet_distance": Score("fidelity", "more", "Fréchet distance from the real test part"),
        "class_entropy": Score("diversity", "less", "entropy of the class shares", "nats"),
        "class_minimum": Score("tail", "less", "smallest class share of samples"),
    }
    extras = {"samples": ("sample", "row", "column"), "class_shares": ("class",)}
    trained = True

    def __post_init__(self):
        if not isinstance(self.data, str):
            refuse("data", self.data, "the name of an image set")
        if self.rare is not None and not (isinstance(self.rare, tuple) and len(self.rare) == 2):
            refuse("rare", self.rare, "None, or a class and its share, such as (6, 0.02)")
        rows, columns = self._images.shape
        among("network", self.network, ("dense", "convolutional"))
        if self.network == "convolutional" and (rows != columns or rows % 2**HALVINGS):
            squares = f"a convolutional one takes squares with a side that {2**HALVINGS} divides"
            refuse("network", self.network, f'"dense" for images of {rows}×{columns} pixels; {squares}')
        names = ("latent", "hidden", "channels", "steps", "batch", "score_draws", "shown")
        for name in names if self.epochs is None else (*names, "epochs"):
            self._set(**{name: whole(name, getattr(self, name), 1)})
        self._set(score_samples=whole("score_samples", self.score_samples, max(2, self.shown)))
        self._set(rate=number("rate", self.rate, above=0))
        among("likelihood", self.likelihood, ("pixel", "bernoulli"))
        among("sampling", self.sampling, ("model", "mean"))
        _ = self._device  # refuses one that is not there

    def sources(self):
        return self._images

    @property
    def _images(self) -> Images:
        return images(self.data, self.rare)

    @property
    def _binary(self) -> bool:
        """Whether samples are black and white."""
        return self.likelihood == "bernoulli" and self.sampling == "model"

    @property
    def _device(self) -> torch.device:
        return device_of(self.device)

    def check(self, demands, sizes, scores, named):
        if min(sizes) < 2:
            refuse("n", min(sizes), "at least 2 images")
        for demand in demands:
            demand.check_real(len(self._images.train), f"training images of {self.data}")

    def real(self, runs, size, rng, used):
        """Images of the training part, dequantised.

        With n near the size of the training part runs have nearly the same real data, and the spread over runs is that
        of training and sampling.
        """
        rows = dealt(self._images.train, f"training images of {self.data}", runs, size, rng, used)
        return Rows(self._dequantised(rows, child(rng, 1 + used).spawn(runs)))

    def _dequantised(self, values: np.ndarray, streams: list[np.random.Generator]) -> np.ndarray:
        """Images with leading run axis, each grey level spread over an interval as wide as the step between levels;
        under the Bernoulli likelihood as they are."""
        if self.likelihood == "bernoulli":
            return values.copy()
        uniform = np.stack([s.random(values.shape[1:], dtype=np.float32) for s in streams])
        return values + (uniform - np.float32(0.5)) / np.float32(self._images.levels - 1)

    def fit(self, train, rng):
        values = merged(train).values
        runs, size = values.shape[:2]
        flat = torch.from_numpy(values.reshape(runs * size, -1)).to(self._device)
        steps = self.steps if self.epochs is None else max(1, round(self.epochs * size / self.batch))
        # Initial weights, minibatches and latent noise have streams of their own in every run.
        starts, picks, noises = zip(*(r.spawn(3) for r in rng.spawn(runs)), strict=True)
        begun = Stacked(self.initial(starts, flat.shape[1])).on(flat.device)
        weights = {name: w.requires_grad_() for name, w in begun.items()}
        adam = optimiser(weights, NOISE_RATE)
        offsets = size * np.arange(runs)[:, None, None]
        for first in range(0, steps, CHUNK):
            count = min(CHUNK, steps - first)
            index = np.stack([s.integers(size, size=(count, self.batch)) for s in picks]) + offsets
            noise = normal(noises, (count, self.batch, self.latent))
            index, noise = (torch.from_numpy(a.swapaxes(0, 1).copy()).to(flat.device) for a in (index, noise))
            for step in range(count):
                for group in adam.param_groups:
                    group["lr"] = group["factor"] * self.rate * (1 - (first + step) / steps)
                x = flat.index_select(0, index[step].reshape(-1)).view(runs, self.batch, -1)
                # A sum over runs: no weight of one run enters the loss of another, so each gets its own gradient.
                loss = negative_elbo(weights, x, noise[step]).sum() / self.batch
                adam.zero_grad()
                loss.backward()
                adam.step()
        return Fit(Stacked.of(weights), steps, steps * self.batch)

    def initial(self, streams: list[np.random.Generator], pixels: int) -> dict[str, np.ndarray]:
        channels = self.channels if self.network == "convolutional" else 0
        sizes = {"pixels": pixels, "latent": self.latent, "hidden": self.hidden, "channels": channels}
        return initial(streams, **sizes, noisy=self.likelihood == "pixel")

    @torch.no_grad()
    def sample(self, model, size, inputs, rng):
        weights = model.on(self._device)
        latents, noises = zip(*(r.spawn(2) for r in rng.spawn(len(weights["mean"]))), strict=True)
        shape = (len(latents), size, *self._images.shape)
        latent = torch.from_numpy(normal(latents, (size, self.latent))).to(self._device)
        values = torch.cat([decoded(weights, part) for part in self._pieces(latent)], dim=1)
        if self.sampling == "mean":
            return Rows(self._dequantised(values.cpu().numpy().reshape(shape), noises))
        if self._binary:
            uniform = np.stack([s.random(shape[1:], dtype=np.float32) for s in noises])
            return Rows((uniform < values.cpu().numpy().reshape(shape)).astype(np.float32))
        noise = torch.from_numpy(normal(noises, (size, values.shape[2]))).to(self._device)
        values = values + noise * (0.5 * weights["log_variance"]).exp()
        return Rows(values.cpu().numpy().reshape(shape))

    def _pieces(self, tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """A tensor (runs, count, …) along `count` in pieces of so many images that their feature maps fit into
        memory."""
        rows, columns = self._images.shape
        return tensor.split(max(1, AT_ONCE // (len(tensor) * rows * columns)), dim=1)

    def score(self, model, rng, names):
        rng_nelbo, rng_samples = rng.spawn(2)
        out = {"test_nelbo": self._test_nelbo(model, rng_nelbo)} if "test_nelbo" in names else {}
        if set(names) != set(out):
            out |= self._sample_scores(self.sample(model, self.score_samples, None, rng_samples).values, names)
        return {name: out[name] for name in names}

    @torch.no_grad()
    def _test_nelbo(self, model: Stacked, rng: np.random.Generator) -> np.ndarray:
        """Shape (runs,). Every draw has its own dequantisation and its own latent noise; they are averaged over."""
        weights = model.on(self._device)
        test = self._images.test
        streams = rng.spawn(len(weights["mean"]))
        values = np.broadcast_to(test, (len(streams), *test.shape))
        total = np.zeros(len(streams))
        for _ in range(self.score_draws):
            x = self._dequantised(values, streams).reshape(len(streams), len(test), -1)
            noise = normal(streams, (len(test), self.latent))
            x, noise = (self._pieces(torch.from_numpy(a).to(self._device)) for a in (x, noise))
            bounds = torch.cat([negative_elbo(weights, *pair) for pair in zip(x, noise, strict=True)], dim=1)
            total += bounds.double().mean(dim=1).cpu().numpy()
        if self.likelihood == "bernoulli":
            return total / self.score_draws
        # Mean log-density over a cell of side 1 / (levels − 1) plus its log-volume bounds the cell's log-probability.
        return total / self.score_draws + test[0].size * math.log(self._images.levels - 1)

    def _sample_scores(self, rows: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        critic = judge(self.data, self.rare, self._binary)
        embedded = critic.embed(rows)
        shares = critic.shares(embedded)
        out = {"class_entropy": entropy(shares), "class_minimum": shares.min(axis=1)}
        out |= {"class_shares": shares, "samples": rows[:, : self.shown]}
        if "variance_ratio" in names:
            out["variance_ratio"] = rows.var(axis=-3, dtype=float).sum(axis=(-2, -1)) / critic.variance
        if "frechet_distance" in names:
            out["frechet_distance"] = critic.distance(embedded)
        return out


def paper_vae(**changes) -> VAE:
    """The VAE of the supplement of Shumailov et al. (2024): MNIST, latent dimension 20, 30 passes over the data in
    batches of 256, learning rate 10⁻³, Bernoulli likelihood with grey levels as probabilities. Their recursion has
    `PAPER_GENERATIONS` generations.

    The width of the network, the way samples are drawn and the falling learning rate are ours. `changes` are settings
    to have otherwise.
    """
    settings = {"data": "mnist", "likelihood": "bernoulli", "latent": 20, "hidden": 400, "score_draws": 1}
    return VAE(**(settings | {"epochs": 30, "batch": 256, "rate": 1e-3} | changes))


PAPER_GENERATIONS = 5
