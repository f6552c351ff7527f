"""The regimes: what becomes of old data. The only place where a training set is composed; no regime knows a world.

A regime is asked twice at each generation t ≥ 2: how many samples it wants drawn (`draws`), then what the next model is
trained on (`compose`). Generation 1 is fitted to the real data in every regime.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from lib.errors import refuse, share
from lib.pool import Part, Pool, TrainingSet, merged, real_share


@dataclass(frozen=True)
class Step:
    """Where the recursion stands: the generation, its set size n and the sum of all set sizes so far (n·t if equal)."""

    generation: int
    n: int
    total: int


@dataclass(frozen=True)
class Draws:
    """Samples a regime asks for before it composes: from the newest model, and new real ones."""

    synthetic: int = 0
    real: int = 0


def portion(fraction: float, n: int) -> int:
    """`fraction` of n as a count, halves rounded up."""
    return min(n, math.floor(fraction * n + 0.5))


class Regime:
    """What all regimes share. `accumulates`: the pool keeps the union of every batch. `needs_take`: rows must be kept as rows,
    because subsets of them are drawn again and again; otherwise a world may reduce them to statistics at once. `weighs`: parts of
    the training set count by other weights than their sizes, which not every world can fit."""

    accumulates = False
    needs_take = False
    weighs = False

    @property
    def family(self) -> str:
        """What it looks like in figures: regimes of one family share a colour, a marker and a line."""
        return type(self).__name__

    def draws(self, step: Step) -> Draws:
        """How many synthetic and how many new real samples the regime asks for; one batch of n from the newest model."""
        return Draws(synthetic=step.n)

    def compose(self, pool: Pool, step: Step, rng: np.random.Generator) -> TrainingSet:
        """The training set of this generation. `rng` is a stream for regimes that draw subsets (`needs_take`), else None."""
        raise NotImplementedError(f"{type(self).__name__} must say how it composes a training set")

    def check(self, sizes: list[int]) -> None:
        """Refuse set sizes n_1, n_2, … that the regime cannot serve, before any work."""

    def starts_with(self, n: int) -> int:
        """How many of the n original samples the pool keeps, where it accumulates; the same ones throughout."""
        return n

    def drawn_from(self, sizes: list[int]) -> int:
        """Size of the largest batch that a subset is drawn of, were it only once; 0 if none is. Some batches cannot be split."""
        return 0

    def __str__(self) -> str:
        return type(self).__name__

    def _newest(self, pool: Pool, step: Step) -> Part:
        return Part(pool.synthetic, origin=step.generation - 1, real=0.0)


@dataclass(frozen=True)
class Replace(Regime):
    """All old data are thrown away: n samples of the newest model (Shumailov et al. 2024, theory and result 2)."""

    def compose(self, pool, step, rng):
        return (self._newest(pool, step),)


@dataclass(frozen=True)
class ReplaceGrown(Regime):
    """All old data are thrown away, but the set grows as an accumulated one would: n·t samples of the newest model
    (the control of Gerstgrasser et al. 2024 that separates the size of a set from what is in it)."""

    def draws(self, step):
        return Draws(synthetic=step.total)

    def compose(self, pool, step, rng):
        return (self._newest(pool, step),)


@dataclass(frozen=True)
class Accumulate(Regime):
    """Nothing is thrown away: the real data and every batch so far (Gerstgrasser et al. 2024).

    `fresh` is the share of each new batch that is new real data, as on a web to which people go on writing; 0 is the regime
    of the paper. `kept` is the share of the original set that is kept, the same samples throughout; 1 is the regime of the
    paper, and 0 keeps every synthetic batch and no real data at all.
    """

    fresh: float = 0.0
    kept: float = 1.0
    accumulates = True

    def __post_init__(self):
        share("fresh", self.fresh)
        share("kept", self.kept)

    @property
    def family(self):
        return "Accumulate, fresh" if self.fresh else "Accumulate, part kept" if self.kept < 1 else "Accumulate"

    def starts_with(self, n):
        return portion(self.kept, n)

    def draws(self, step):
        real = portion(self.fresh, step.n)
        return Draws(synthetic=step.n - real, real=real)

    def check(self, sizes):
        _check_portion("fresh", self.fresh, sizes)
        _check_portion("kept", self.kept, [0, sizes[0]])

    def drawn_from(self, sizes):
        return sizes[0] if 0 < self.kept < 1 and len(sizes) > 1 else 0

    def __str__(self):
        said = [f"{self.fresh:g} fresh"] * (self.fresh > 0) + [f"{self.kept:g} kept"] * (self.kept < 1)
        return f"Accumulate({', '.join(said)})" if said else "Accumulate"

    def compose(self, pool, step, rng):
        return (pool.everything(step.generation - 1),)


@dataclass(frozen=True)
class AccumulateSubsample(Regime):
    """The pool keeps everything, a fit sees n samples drawn from it without replacement (Kazdan et al. 2025)."""

    accumulates = True
    needs_take = True

    def compose(self, pool, step, rng):
        everything = pool.everything(step.generation - 1)
        return (Part(everything.batch.take(step.n, rng), everything.origin, everything.real),)

    def drawn_from(self, sizes):
        return sum(sizes) if len(sizes) > 1 else 0


@dataclass(frozen=True)
class Keep(Regime):
    """A share of the original real set, the rest from the newest model, at constant size.

    `redraw=True` draws the kept share anew at each generation, as Shumailov et al. 2024 describe for result 3;
    `redraw=False` keeps the same samples throughout. The two follow different laws.
    """

    share: float
    redraw: bool = True

    def __post_init__(self):
        share("share", self.share)

    @property
    def family(self):
        return "Keep" if self.redraw else "Keep, fixed"

    @property
    def needs_take(self):
        return self.redraw

    def draws(self, step):
        return Draws(synthetic=step.n - portion(self.share, step.n))

    def compose(self, pool, step, rng):
        kept = portion(self.share, step.n)
        parts = []
        if kept:
            batch = pool.original.take(kept, rng) if self.redraw else pool.subset(kept)
            parts.append(Part(batch, origin=0, real=1.0))
        if kept < step.n:
            parts.append(self._newest(pool, step))
        return tuple(parts)

    def check(self, sizes):
        _check_portion("share", self.share, sizes)
        _check_original("share", self.share, sizes)

    def drawn_from(self, sizes):
        return sizes[0] if self.share and len(sizes) > 1 else 0

    def __str__(self):
        return f"Keep({self.share:g})" if self.redraw else f"Keep({self.share:g}, fixed)"


@dataclass(frozen=True)
class FreshReal(Regime):
    """New real data in the given share at each generation, the rest from the newest model (the fresh-data loop of
    Alemohammad et al. 2024).

    `weight` is what the real part counts for in the fit, between 0 and 1; None lets every sample count alike, that is, the
    weight is the share (He et al. 2025 ask which weight is best).
    """

    share: float
    weight: float | None = None

    def __post_init__(self):
        share("share", self.share)
        if self.weight is not None:
            share("weight", self.weight)
            if not 0 < self.share < 1:
                refuse("weight", self.weight, f"None with share={self.share}: there is only one part to be weighed")

    @property
    def weighs(self):
        return self.weight is not None

    def draws(self, step):
        fresh = portion(self.share, step.n)
        return Draws(synthetic=step.n - fresh, real=fresh)

    def compose(self, pool, step, rng):
        fresh = portion(self.share, step.n)
        parts = []
        if fresh:
            parts.append(Part(pool.real, origin=0, real=1.0))
        if fresh < step.n:
            parts.append(self._newest(pool, step))
        if self.weight is not None:
            # Weights of single samples, 1 on average over the training set.
            real, newest = parts
            real = replace(real, weight=self.weight * step.n / fresh)
            parts = [real, replace(newest, weight=(1 - self.weight) * step.n / (step.n - fresh))]
        return tuple(parts)

    def check(self, sizes):
        _check_portion("share", self.share, sizes)

    def __str__(self):
        return (
            f"FreshReal({self.share:g})"
            if self.weight is None
            else f"FreshReal({self.share:g}, weight {self.weight:.3g})"
        )


@dataclass(frozen=True)
class RealOnly(Regime):
    """No synthetic data. `grow=True`: n new real samples join at each generation, the 1/t line that any regime is
    measured against. `grow=False`: the first real set is fitted again each time."""

    grow: bool = True
    accumulates = True

    @property
    def family(self):
        return "RealOnly" if self.grow else "RealOnly, refit"

    def draws(self, step):
        return Draws(real=step.n if self.grow else 0)

    def compose(self, pool, step, rng):
        return (pool.everything(newest=0),)

    def __str__(self):
        return "RealOnly" if self.grow else "RealOnly(refit)"


@dataclass(frozen=True)
class Mixture(Regime):
    """The general recursion of Shumailov et al. 2024: at constant size a share `alpha` from the newest model, `beta`
    drawn without replacement from the previous training set, and `gamma` from the original set, redrawn each time
    (`fresh=True`: from new real data, the literal reading of "samples from the original distribution").

    `Mixture(1, 0, 0)` is `Replace`, `Mixture(1-p, 0, p)` is `Keep(p)` and, with `fresh=True`, `FreshReal(p)`.
    """

    alpha: float
    beta: float
    gamma: float
    fresh: bool = False

    def __post_init__(self):
        for name in ("alpha", "beta", "gamma"):
            share(name, getattr(self, name))
        total = self.alpha + self.beta + self.gamma
        if abs(total - 1) > 1e-9:
            refuse("alpha + beta + gamma", total, "weights that sum to 1")

    @property
    def family(self):
        return "Mixture, fresh" if self.fresh else "Mixture"

    @property
    def needs_take(self):
        return self.beta > 0 or (self.gamma > 0 and not self.fresh)

    def counts(self, n: int) -> tuple[int, int, int]:
        """Samples from the newest model, the previous set and the original data; what rounding leaves goes to the newest."""
        kept = portion(self.gamma, n)
        copied = min(portion(self.beta, n), n - kept)
        return n - copied - kept, copied, kept

    def draws(self, step):
        newest, _, kept = self.counts(step.n)
        return Draws(synthetic=newest, real=kept if self.fresh else 0)

    def compose(self, pool, step, rng):
        newest, copied, kept = self.counts(step.n)
        parts = []
        if kept:
            parts.append(Part(pool.real if self.fresh else pool.original.take(kept, rng), origin=0, real=1.0))
        if copied:
            # A stream of its own, so that the kept samples are those of Keep whatever beta is.
            batch = merged(pool.previous).take(copied, rng.spawn(1)[0])
            parts.append(Part(batch, origin=pool.previous[-1].origin, real=real_share(pool.previous)))
        if newest:
            parts.append(self._newest(pool, step))
        return tuple(parts)

    def check(self, sizes):
        for name in ("alpha", "beta", "gamma"):
            _check_portion(name, getattr(self, name), sizes)
        if not self.fresh:
            _check_original("gamma", self.gamma, sizes)
        for before, now in itertools.pairwise(sizes):
            if self.counts(now)[1] > before:
                refuse(
                    "beta",
                    self.beta,
                    f"at most the {before} samples of the previous set; {self.counts(now)[1]} asked for",
                )

    def drawn_from(self, sizes):
        original = sizes[0] if self.gamma and not self.fresh and len(sizes) > 1 else 0
        return max([original, *(sizes[:-1] if self.beta else [])])

    def __str__(self):
        return f"Mixture({self.alpha:g}, {self.beta:g}, {self.gamma:g}{', fresh' if self.fresh else ''})"


def _check_portion(name: str, fraction: float, sizes: list[int]) -> None:
    """A share that rounds to nothing, or to everything, is another regime than the one asked for."""
    for n in sizes[1:]:
        if 0 < fraction < 1 and portion(fraction, n) in (0, n):
            refuse(name, fraction, f"a share that is at least one sample and leaves at least one out of n={n}")


def _check_original(name: str, fraction: float, sizes: list[int]) -> None:
    for n in sizes[1:]:
        if portion(fraction, n) > sizes[0]:
            refuse(name, fraction, f"a share of n={n} within the {sizes[0]} samples of the original set")
