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
from lib.world import Fit, World

CHUNK = 256  # optimiser steps whose random numbers are drawn at once


@dataclass(frozen=True)
class VAEModel:
    """The weights of every run by name, each with a leading run axis; shapes in `initial`."""

    weights: dict[str, np.ndarray]


@dataclass(frozen=True)
class VAE(World):
    data: str = "digits"
    latent: int = 8
    hidden: int = 256
    steps: int = 1500
    epochs: int | None = None
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.0
    likelihood: str = "scalar"
    score_samples: int = 1000
    score_draws: int = 16
    shown: int = 20
    device: str = "auto"

    scores = ("test_nelbo", "variance_ratio", "frechet_distance", "class_entropy", "class_minimum")
    extras = {"samples": ("sample", "row", "column"), "class_shares": ("class",)}
    batches = (Rows,)
    model_type = VAEModel

    @property
    def _images(self) -> Images:
        return images(self.data)

    @property
    def _device(self) -> torch.device:
        return torch.device("cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu")

    def real(self, runs, size, rng, used):
        train = self._images.train
        chosen = [r.permutation(len(train))[used : used + size] for r in child(rng, 0).spawn(runs)]
        return Rows(train[np.stack(chosen)])

    def fit(self, train, rng):
        values = merged(train).values
        runs, size = values.shape[:2]
        steps = self.steps if self.epochs is None else max(1, round(self.epochs * size / self.batch))
        device = self._device
        flat = torch.from_numpy(values.reshape(runs * size, -1)).to(device)
        streams = [r.spawn(3) for r in rng.spawn(runs)]
        weights = {k: torch.from_numpy(v).to(device).requires_grad_() for k, v in self.initial([s[0] for s in streams], flat.shape[1]).items()}
        optimiser = torch.optim.AdamW(weights.values(), lr=self.rate, weight_decay=self.decay, fused=True)
        offset = size * torch.arange(runs)[:, None, None]
        for start in range(0, steps, CHUNK):
            count = min(CHUNK, steps - start)
            index = np.stack([s[1].integers(size, size=(count, self.batch)) for s in streams])
            noise = np.stack([s[2].standard_normal((count, self.batch, self.latent), dtype=np.float32) for s in streams])
            index = (torch.from_numpy(index) + offset).transpose(0, 1).contiguous().to(device)
            noise = torch.from_numpy(noise).transpose(0, 1).contiguous().to(device)
            for step in range(count):
                optimiser.param_groups[0]["lr"] = self.rate * (1 - (start + step) / steps)
                x = flat.index_select(0, index[step].reshape(-1)).view(runs, self.batch, -1)
                loss = nelbo(weights, x, noise[step]).sum() / self.batch
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return Fit(VAEModel({k: v.detach().cpu().numpy() for k, v in weights.items()}), steps, steps * self.batch)

    def initial(self, streams, pixels):
        L, H = self.latent, self.hidden
        shapes = {"encoder": (pixels, H), "encoder_bias": (1, H), "posterior": (H, 2 * L), "posterior_bias": (1, 2 * L),
                  "decoder": (L, H), "decoder_bias": (1, H), "mean": (H, pixels), "mean_bias": (1, pixels),
                  "log_variance": (1, pixels if self.likelihood == "pixel" else 1)}
        out = {}
        for name, shape in shapes.items():
            if name.endswith("bias") or name == "log_variance":
                out[name] = np.zeros((len(streams), *shape), np.float32) - (3 if name == "log_variance" else 0)
            else:
                out[name] = np.stack([s.standard_normal(shape, dtype=np.float32) for s in streams]) / np.float32(math.sqrt(shape[0]))
        return out

    def sample(self, model, size, inputs, rng):
        w = {k: torch.from_numpy(v) for k, v in model.weights.items()}
        pixels = w["mean"].shape[2]
        z, e = [], []
        for r in rng.spawn(len(w["mean"])):
            a, b = r.spawn(2)
            z.append(a.standard_normal((size, self.latent), dtype=np.float32))
            e.append(b.standard_normal((size, pixels), dtype=np.float32))
        x = decode(w, torch.from_numpy(np.stack(z))) + torch.from_numpy(np.stack(e)) * (0.5 * w["log_variance"]).exp()
        return Rows(x.numpy().reshape(*x.shape[:2], *self._images.shape))

    def score(self, model, rng, names):
        rng_elbo, rng_samples = rng.spawn(2)
        out = {}
        w = {k: torch.from_numpy(v) for k, v in model.weights.items()}
        x = torch.from_numpy(np.ascontiguousarray(self._images.test.reshape(len(self._images.test), -1)))
        runs = len(w["mean"])
        total = 0
        streams = rng_elbo.spawn(runs)
        with torch.no_grad():
            for _ in range(self.score_draws):
                noise = torch.from_numpy(np.stack([s.standard_normal((len(x), self.latent), dtype=np.float32) for s in streams]))
                total = total + nelbo(w, x.expand(runs, -1, -1), noise).mean(1)
        out["test_nelbo"] = (total / self.score_draws).numpy().astype(float)
        rows = self.sample(model, self.score_samples, None, rng_samples).values
        out["variance_ratio"] = rows.var(axis=1).sum(axis=(1, 2)) / self._images.train.var(axis=0).sum()
        e = judge(self.data).embed(rows)
        out["frechet_distance"] = judge(self.data).distance(e)
        s = judge(self.data).shares(e)
        out["class_entropy"] = entropy(s); out["class_minimum"] = s.min(axis=1); out["class_shares"] = s
        out["samples"] = rows[:, :self.shown]
        return {k: out[k] for k in names}


def decode(w, z):
    h = torch.baddbmm(w["decoder_bias"], z, w["decoder"]).relu()
    return torch.baddbmm(w["mean_bias"], h, w["mean"])

def nelbo(w, x, noise):
    h = torch.baddbmm(w["encoder_bias"], x, w["encoder"]).relu()
    mu, lv = torch.baddbmm(w["posterior_bias"], h, w["posterior"]).chunk(2, dim=2)
    z = mu + noise * (0.5 * lv).exp()
    mean = decode(w, z)
    lvx = w["log_variance"]
    kl = 0.5 * (mu**2 + lv.exp() - 1 - lv).sum(2)
    rec = 0.5 * (((x - mean) ** 2 * (-lvx).exp()).sum(2) + (lvx + math.log(2 * math.pi)).expand(-1, -1, x.shape[2]).sum(2))
    return rec + kl
