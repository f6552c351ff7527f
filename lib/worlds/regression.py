"""The regression world: least squares on labels of the model before (Gerstgrasser et al. 2024; Mobahi et al. 2020)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lib.errors import among, number, refuse, whole
from lib.pool import Rows, merged
from lib.streams import child
from lib.world import Fit, Score, World
from lib.worlds.gram import Gram, Labels
from lib.worlds.moments import bartlett

MOST_ROWS = 10**8  # explicit rows per run; a float64 array of them is 0.8 GB for each dimension


@dataclass(frozen=True)
class RegressionModel:
    """Fitted coefficients of each run, shape (runs, d)."""

    weights: np.ndarray


@dataclass(frozen=True, eq=False)
class Regression(World):
    """y = x·w* + noise with x ~ N(0, I), fitted by least squares or ridge, all runs at once.

    Parameters
    ----------
    dimension : d ≥ 1.
    noise : σ ≥ 0, the standard deviation of every label about its mean, real or synthetic.
    design : "fixed": each run draws its X with the real data, and every later model labels that X again (Gerstgrasser
        et al. 2024); "fresh": each synthetic batch has new x; or a matrix X of shape (T, d) and full rank, the same in
        all runs, on which real data are drawn and labels given. New real data have new x, except on a given matrix.
    ridge : λ ≥ 0, added to the diagonal of XᵀX.
    penalty : "fixed", λ = ridge for every training set; "per_row", λ = ridge times the rows of the training set.
    shift : c ≥ 0, a bias of every model's own: its labels are those of ŵ + δ, with one δ of length c along w* (along
        the diagonal if w* = 0).
    weights : w*, shape (d,); by default of length 1 along the diagonal.
    sampler : "statistic" draws what least squares sees of a batch, exact in law and as cheap for 10**13 rows as for a
        hundred; "explicit" draws the rows, which regimes need that draw subsets, and a fixed design of which a part is
        labelled.

    Scores: `excess_risk` |ŵ − w*|², the expected squared test error for x ~ N(0, I) less σ²; `shrinkage` ŵ·w* / |w*|²,
    1 on average for an unbiased fit (only if w* ≠ 0). Extra: `weights`, ŵ itself.
    """

    dimension: int = 10
    noise: float = 1.0
    design: Any = "fixed"
    ridge: float = 0.0
    penalty: str = "fixed"
    weights: Any = None
    sampler: str = "statistic"
    shift: float = 0.0

    random = ()
    extras = {"weights": ("coordinate",)}

    def __post_init__(self):
        self._set(dimension=whole("dimension", self.dimension, 1))
        for name in ("noise", "ridge", "shift"):
            number(name, getattr(self, name))
        among("penalty", self.penalty, ("fixed", "per_row"))
        among("sampler", self.sampler, ("statistic", "explicit"))
        _ = self._given, self._truth  # refuse what is no design and no coefficient vector

    @property
    def scores(self) -> dict[str, Score]:
        scores = {"excess_risk": Score("excess risk", "more", "excess risk")}
        if self._truth.any():
            # A generator's own bias adds to the signal, every other one takes from it.
            worse = "more" if self.shift else "less"
            scores["shrinkage"] = Score("fidelity", worse, "fitted signal, truth = 1")
        return scores

    @cached_property
    def _truth(self) -> np.ndarray:
        d = self.dimension
        truth = np.full(d, d**-0.5) if self.weights is None else np.asarray(self.weights, dtype=float)
        if truth.shape != (d,) or not np.isfinite(truth).all():
            refuse("weights", self.weights, f"{d} finite numbers, one for each dimension")
        return truth

    @cached_property
    def _given(self) -> np.ndarray | None:
        """The design if it is a given matrix."""
        if isinstance(self.design, str):
            among("design", self.design, ("fixed", "fresh"))
            return None
        given = np.asarray(self.design, dtype=float)
        if given.ndim != 2 or given.shape[1] != self.dimension or not np.isfinite(given).all():
            refuse("design", given.shape, f'"fixed", "fresh" or a matrix of numbers with {self.dimension} columns')
        if not self.ridge and (rank := np.linalg.matrix_rank(given)) < self.dimension:
            refuse("design", given.shape, f"a matrix of rank {self.dimension}, or ridge > 0; this one has rank {rank}")
        return given

    @property
    def _fresh(self) -> bool:
        return isinstance(self.design, str) and self.design == "fresh"

    @property
    def keeps_rows(self) -> bool:
        # Whoever labels the rows of a fixed design next needs their x.
        return not self._fresh

    def check(self, demands, sizes, scores, named):
        rows = sizes[0] if self._given is None else len(self._given)
        if self._given is None and not self.ridge and min(sizes) <= self.dimension + 1:
            allowed = f"more than d+1={self.dimension + 1} rows, or ridge > 0; else the risk is infinite"
            refuse("n", min(sizes), allowed)
        if self._given is not None and sizes[0] % rows:
            refuse("n", sizes[0], f"whole copies of the given design of {rows} rows")
        for demand in demands:
            most, label = demand.most, demand.label
            if self.sampler == "explicit" and most > MOST_ROWS:
                refuse("n", sizes[0], f'at most {MOST_ROWS} explicit rows, or sampler="statistic"; {label}: {most}')
            if self.sampler == "statistic" and demand.drawn_from:
                refuse("sampler", "statistic", f'"explicit" for {label}: sums over rows give no subsets')
            self._check_copies(demand, rows)

    def _check_copies(self, demand, rows):
        """A part of a given design is another design; of a random one, explicit rows are as good as any."""
        if self._fresh or (self._given is None and self.sampler == "explicit"):
            return
        # Real rows are new ones, of any number, unless the design is given.
        for asked in dict.fromkeys([*demand.synthetic, *(demand.real if self._given is not None else ())]):
            if asked % rows:
                part = f"for {demand.label}: {asked} rows are no whole copies of the design of {rows}"
                if self._given is None:
                    refuse("design", "fixed", f'"fresh", or sampler="explicit", {part}')
                refuse("design", self._given.shape, f'"fixed" or "fresh" {part}')

    def real(self, runs, size, rng, used):
        truth = RegressionModel(np.broadcast_to(self._truth, (runs, self.dimension)))
        rng_design, rng_labels = child(rng, used).spawn(2)
        if self.sampler == "explicit":
            fresh = self._given is None
            x = rng_design.standard_normal((runs, size, self.dimension)) if fresh else self._tiled(runs, size)
            return self._labelled(truth, x, rng_labels)
        if self._given is not None:
            root, rows = np.tile(np.linalg.qr(self._given, mode="r").T, (runs, 1, 1)), len(self._given)
        elif used or self._fresh:
            return self._sums(truth, size, rng_design, rng_labels)
        else:
            root, rows = bartlett(rng_design, runs, self.dimension, size), size
        # In the order in which a checkpoint gives it back: a product of transposed matrices may be rounded differently.
        inverse = None if self.ridge else np.ascontiguousarray(np.linalg.inv(root).swapaxes(1, 2))
        return self._relabelled(truth, size, Labels(size, rows, root, np.empty(0), inverse), rng_labels)

    def inputs(self, source, size, rng):
        """The design to be labelled: None if it is to be new, the batch that knows it, or explicit x (runs, size, d),
        those of the source in their order and from the first again."""
        if self._fresh:
            return None
        if self.sampler == "statistic":
            return source
        if self._given is not None:
            return self._tiled(source.values.shape[0], size)
        return source.values[:, np.arange(size) % source.size, :-1]

    def _tiled(self, runs, size):
        return np.tile(self._given, (runs, size // len(self._given), 1))

    def reduce(self, batch):
        return Gram.of(batch) if isinstance(batch, Rows) else batch

    def fit(self, train, rng):
        total = merged(train)
        if isinstance(total, Labels) and not self.ridge:
            weights = total.inverse @ total.mean[:, :, None]
        else:
            sums = total.sums()
            penalty = self.ridge * (total.size if self.penalty == "per_row" else 1)
            weights = np.linalg.solve(sums.gram + penalty * np.eye(self.dimension), sums.cross[:, :, None])
        return Fit(RegressionModel(weights[:, :, 0]), steps=1, examples=total.size)

    def sample(self, model, size, inputs, rng):
        if self.shift:
            along = self._truth if self._truth.any() else np.ones(self.dimension)
            model = RegressionModel(model.weights + self.shift * along / np.linalg.norm(along))
        if self.sampler == "statistic" and inputs is not None:
            return self._relabelled(model, size, inputs, rng)
        rng_design, rng_labels = rng.spawn(2)
        if self.sampler == "statistic":
            return self._sums(model, size, rng_design, rng_labels)
        if inputs is None:
            inputs = rng_design.standard_normal((len(model.weights), size, self.dimension))
        return self._labelled(model, inputs, rng_labels)

    def _relabelled(self, model, size, design, rng):
        """Mean labels of size / rows labellings of a design."""
        root = design.root
        noise = self.noise / np.sqrt(size // design.rows) * rng.standard_normal((len(root), root.shape[2]))
        mean = (model.weights[:, None, :] @ root)[:, 0] + noise
        return Labels(size, design.rows, root, mean, design.inverse)

    def _sums(self, model, size, rng_design, rng_labels):
        """Sums over rows with new x: XᵀX = A Aᵀ ~ Wishart(I, size), and Xᵀy given it N(A Aᵀ w, σ² A Aᵀ)."""
        root = bartlett(rng_design, len(model.weights), self.dimension, size)
        noise = self.noise * rng_labels.standard_normal((len(root), root.shape[2]))
        labels = (model.weights[:, None, :] @ root)[:, 0] + noise
        return Gram(size, root @ root.swapaxes(1, 2), (root @ labels[:, :, None])[:, :, 0])

    def _labelled(self, model, x, rng):
        y = (x @ model.weights[:, :, None])[:, :, 0] + self.noise * rng.standard_normal(x.shape[:2])
        return Rows(np.concatenate([x, y[:, :, None]], axis=2))

    def score(self, model, rng, names):
        truth = self._truth
        out = {"excess_risk": ((model.weights - truth) ** 2).sum(axis=1), "weights": model.weights}
        if "shrinkage" in names:
            out["shrinkage"] = model.weights @ (truth / (truth @ truth))
        return {name: out[name] for name in names}
