"""A world of one's own, whole: waiting times, fitted by their mean and drawn from an exponential law."""

from dataclasses import dataclass

import numpy as np

from lib.errors import number
from lib.pool import Rows, merged
from lib.streams import child
from lib.world import Fit, Score, World


@dataclass(frozen=True)
class Rate:
    """Fitted mean waiting time of each run, shape (runs,)."""

    mean: np.ndarray


@dataclass(frozen=True)
class Waiting(World):
    """Exponential waiting times with the given mean; samples are rows of shape (runs, size)."""

    mean: float = 1.0

    random = ()
    scores = {
        "mean_ratio": Score("variance", "less", "mean waiting time, truth = 1"),
        "kl": Score("excess risk", "more", "KL(truth ‖ fit)", "nats"),
        "late": Score("tail", "less", "share above ten true means, truth = 1"),
    }

    def __post_init__(self):
        number("mean", self.mean, above=0)

    def real(self, runs, size, rng, used):
        return Rows(child(rng, used).exponential(self.mean, (runs, size)))

    def fit(self, train, rng):
        rows = merged(train)
        return Fit(Rate(rows.values.mean(axis=1)), steps=1, examples=rows.size)

    def sample(self, model, size, inputs, rng):
        return Rows(model.mean[:, None] * rng.standard_exponential((len(model.mean), size)))

    def score(self, model, rng, names):
        ratio = model.mean / self.mean
        found = {
            "mean_ratio": ratio,
            "kl": 1 / ratio - 1 + np.log(ratio),
            "late": np.exp(10 - 10 / ratio),
        }
        return {name: found[name] for name in names}
