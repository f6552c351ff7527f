"""Two small worlds for tests of the recursion: what they draw and see can be followed by hand."""

from dataclasses import dataclass

import numpy as np

from lib import pool
from lib.streams import child
from lib.world import Fit, Score, World


@dataclass(frozen=True)
class ToyModel:
    mean: np.ndarray


@dataclass(frozen=True)
class Toy(World):
    """Rows of shape (runs, size, 1); the model is their mean. A regression-like variant samples at its inputs."""

    conditional: bool = False

    scores = {"mean": Score("excess risk", "more", "mean of the rows")}
    extras = {"pair": ("side",)}

    def real(self, runs, size, rng, used):
        return pool.Rows(child(rng, used).standard_normal((runs, size, 1)))

    def inputs(self, source, size, rng):
        return source.values.mean(axis=(1, 2)) if self.conditional else None

    def fit(self, train, rng):
        rows = pool.merged(train)
        return Fit(ToyModel(rows.values.mean(axis=(1, 2))), steps=3, examples=3 * rows.size)

    def sample(self, model, size, inputs, rng):
        centre = model.mean if inputs is None else inputs
        return pool.Rows(centre[:, None, None] + rng.standard_normal((len(centre), size, 1)))

    def score(self, model, rng, names):
        out = {"mean": model.mean, "pair": np.stack([model.mean, -model.mean], axis=1)}
        return {name: out[name] for name in names}
