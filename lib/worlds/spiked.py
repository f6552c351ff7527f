"""The family of Barzilai and Shamir (2025) whose maximum likelihood is consistent, and collapses on its own output.

Their Theorem 5.1, with the density put together from its proof: for α in [0, 1/4]

    p = ½ U[0, 1] + ½ ((1−α) U[0, 1−2α] + (α/2) U[2, 3] + (α/2) U[μ, μ+f]),

f = 1/39 for α ≤ 1/10 and e^(−rate·n·α) beyond. The truth is α = 0. Real data never fall into [2, 3], and the likelihood
keeps α near 0. One synthetic point there is enough: a spike on it has so high a density that no other data can outweigh
it.
"""

from dataclasses import dataclass

import numpy as np

from lib.errors import number, refuse, whole
from lib.pool import Rows, merged
from lib.streams import child
from lib.world import Fit, Score, World

WIDE = 1 / 39  # width of the spike up to EDGE
EDGE = 0.1  # total variation above which the model has collapsed
MOST = 0.25


@dataclass(frozen=True)
class SpikedModel:
    """α and μ of each run, shape (runs,)."""

    alpha: np.ndarray
    spike: np.ndarray


@dataclass(frozen=True)
class Spiked(World):
    """The family for sets of n = `points`, fitted by exact maximum likelihood, all runs at once.

    Parameters
    ----------
    points : the set size n that the family is made for; the theorem has a family for each n.
    rate : the spike's width is e^(−rate·n·α) for α > 1/10. With 4, as in the theorem, one point outweighs the 2n of
        generation 2; later generations have more points, and need a narrower spike to be outweighed.

    A spike narrower than two floating-point numbers at 2 are apart is an atom: its points are equal.

    Scores: `total_variation` is α, `off_support` α/2, `collapsed` 1 if α > 1/10.
    """

    points: int = 100
    rate: float = 4.0

    random = ()
    scores = {
        "total_variation": Score("excess risk", "more", "total variation from the truth"),
        "off_support": Score("fidelity", "more", "share of samples outside [0, 1]"),
        "collapsed": Score("fidelity", "more", "share of runs that have collapsed"),
    }

    def __post_init__(self):
        self._set(points=whole("points", self.points, 1))
        number("rate", self.rate)
        # Below this the spike has a width that floating point can tell from an atom.
        if not self.rate * self.points * EDGE >= 36:
            least = 36 / (self.points * EDGE)
            refuse("rate", self.rate, f"at least {least:.3g} at points={self.points}, so that the spike is an atom")

    def real(self, runs, size, rng, used):
        return Rows(child(rng, used).random((runs, size)))

    def sample(self, model, size, inputs, rng):
        kind, place = rng.random((2, len(model.alpha), size))
        alpha, spike = model.alpha[:, None], model.spike[:, None]
        width = np.where(alpha <= EDGE, WIDE, 0.0)
        # Halves of the unit interval: plain, truncated, then the two parts in [2, 3].
        edges = np.array([0.5, 0.5]) + 0.5 * np.stack([1 - alpha, 1 - alpha / 2], axis=-1)
        out = np.where(kind < 0.5, place, place * (1 - 2 * alpha))
        out = np.where(kind < edges[..., 0], out, 2 + place)
        return Rows(np.where(kind < edges[..., 1], out, spike + width * place))

    def fit(self, train, rng):
        values = merged(train).values
        inside = values <= 1
        away = [np.sort(row[~ok]) for row, ok in zip(values, inside, strict=True)]
        # Points away from the unit interval are put last, beyond every candidate.
        x = np.sort(np.where(inside, values, np.inf), axis=1)[:, ::-1]
        count = inside.sum(axis=1)[:, None]
        at_most = count - np.maximum(np.arange(x.shape[1]) - (x.shape[1] - count), 0)  # points ≤ x
        candidates = np.where(np.isfinite(x) & (x >= 1 - 2 * MOST), (1 - x) / 2, np.nan)
        grid = np.concatenate([candidates, np.full((len(x), 1), EDGE), np.full((len(x), 1), MOST)], axis=1)
        below = [(values <= 1 - 2 * a).sum(axis=1)[:, None] for a in (EDGE, MOST)]
        at_most = np.concatenate([at_most, *below], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            high = np.log(0.5 + 0.5 * (1 - grid) / (1 - 2 * grid))
            likelihood = at_most * high + (count - at_most) * np.log(0.5)
            likelihood, wide, atom = self._with_points_away(likelihood, grid, away)
        best = np.nanargmax(likelihood, axis=1)
        alpha = grid[np.arange(len(grid)), best]
        return Fit(SpikedModel(alpha, np.where(alpha <= EDGE, wide, atom)), steps=1, examples=values.shape[1])

    def _with_points_away(self, likelihood, grid, away):
        """The likelihood with the points in [2, 3], and where the spike is best put when it is wide and when it is an
        atom."""
        wide, atom = np.full(len(grid), 2.0), np.full(len(grid), 2.0)
        for run, y in enumerate(away):
            if not y.size:
                continue
            # The densest window of the spike's width begins at a point, and an atom gains most at the commonest value.
            held = np.searchsorted(y, y + WIDE, side="right") - np.arange(y.size)
            wide[run] = min(y[held.argmax()], 3 - WIDE)
            values, repeats = np.unique(y, return_counts=True)
            atom[run] = values[repeats.argmax()]
            alpha = grid[run]
            gain = repeats.max() * np.logaddexp(0.0, self.rate * self.points * alpha)
            gain = np.where(alpha <= EDGE, held.max() * np.log1p(1 / WIDE), gain)
            likelihood[run] += y.size * np.log(alpha / 4) + gain
        return likelihood, wide, atom

    def score(self, model, rng, names):
        alpha = model.alpha
        known = {"total_variation": alpha, "off_support": alpha / 2, "collapsed": (alpha > EDGE).astype(float)}
        return {name: known[name] for name in names}
