"""The regimes: what becomes of old data. The only place where a training set is composed; no regime knows a world.

A regime is asked twice at each generation t ≥ 2: how many samples it wants drawn (`draws`), then what the next model is
trained on (`compose`). Generation 1 is fitted to the real data in every regime.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from lib.errors import flag, refuse, share
from lib.pool import Draws, Part, Pool, Step, TrainingSet, merged, portion, real_share, size


class Regime:
    """What all regimes share. `accumulates`: the pool keeps the union of every batch. `needs_take`: subsets, or the
    previous training set, are drawn on, so a world may not reduce rows to statistics at once. `weighs`: parts of the
    training set count by other weights than their sizes."""

    accumulates = False
    needs_take = False
    weighs = False

    @property
    def family(self) -> str:
        """What it looks like in figures: regimes of one family share a colour, a marker and a line."""
        return type(self).__name__

    def draws(self, step: Step) -> Draws:
        """How many synthetic and how many new real samples are drawn; by default n from the newest model."""
        return Draws(synthetic=step.n)

    def compose(self, pool: Pool, step: Step, rng: np.random.Generator) -> TrainingSet:
        """The training set of this generation; `rng` is for regimes that draw subsets (`needs_take`)."""
        return (pool.everything() if self.accumulates else pool.newest(),)

    def check(self, sizes: list[int]) -> None:
        """Refuse set sizes n_1, n_2, … that the regime cannot serve, before any work."""

    def starts_with(self, n: int) -> int:
        """How many of the n original samples the pool keeps, where it accumulates; the same ones throughout."""
        return n

    def drawn_from(self, sizes: list[int]) -> int:
        """Size of the largest batch that a subset is drawn of, were it only once; 0 if none is."""
        return sum(sizes) if self.needs_take and len(sizes) > 1 else 0

    def __str__(self) -> str:
        return type(self).__name__


@dataclass(frozen=True)
class Replace(Regime):
    """All old data are thrown away: n samples of the newest model (Shumailov et al. 2024, theory and result 2)."""


@dataclass(frozen=True)
class ReplaceGrown(Regime):
    """All old data are thrown away, but the set grows as an accumulated one would: n·t samples of the newest model
    (the control of Gerstgrasser et al. 2024)."""

    def draws(self, step):
        return Draws(synthetic=step.total)


@dataclass(frozen=True)
class Accumulate(Regime):
    """Nothing is thrown away: the real data and every batch so far (Gerstgrasser et al. 2024).

    `fresh` is the share of each new batch that is new real data, as on a web to which people go on writing, and `kept`
    the share of the original set that is kept, the same samples throughout; in the paper 0 and 1.
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
        for n in sizes[1:]:
            _check_share("fresh", self.fresh, portion(self.fresh, n), n)
        _check_share("kept", self.kept, self.starts_with(sizes[0]), sizes[0])

    def drawn_from(self, sizes):
        return sizes[0] if 0 < self.kept < 1 and len(sizes) > 1 else 0

    def __str__(self):
        said = [f"{self.fresh:g} fresh"] * (self.fresh > 0) + [f"{self.kept:g} kept"] * (self.kept < 1)
        return f"Accumulate({', '.join(said)})" if said else "Accumulate"


@dataclass(frozen=True)
class AccumulateSubsample(Regime):
    """The pool keeps everything, a fit sees n samples drawn from it without replacement (Kazdan et al. 2025)."""

    accumulates = True
    needs_take = True

    def compose(self, pool, step, rng):
        everything = pool.everything()
        return (Part(everything.batch.take(step.n, rng), everything.real),)


@dataclass(frozen=True)
class RealOnly(Regime):
    """No synthetic data: n new real samples join at each generation; `grow=False`: the first set is fitted again."""

    grow: bool = True
    accumulates = True

    def __post_init__(self):
        flag("grow", self.grow)

    @property
    def family(self):
        return "RealOnly" if self.grow else "RealOnly, refit"

    def draws(self, step):
        return Draws(real=step.n if self.grow else 0)

    def __str__(self):
        return "RealOnly" if self.grow else "RealOnly(refit)"


class _Mixed(Regime):
    """At constant size: samples of the newest model, of the previous set, and real ones: of the original set, redrawn
    or always the same, or new ones (`fresh`). `named`: the settings that are shares of these, or of the last."""

    fresh = False
    redraw = True
    named = ("share",)

    def __post_init__(self):
        for name in self.named:
            share(name, getattr(self, name))
        flag("fresh", self.fresh)
        flag("redraw", self.redraw)

    def _shares(self) -> list[float]:
        """Of the previous set and of real samples."""
        return [0.0, *(getattr(self, name) for name in self.named)][-2:]

    @property
    def needs_take(self):
        copied, kept = self._shares()
        return copied > 0 or (kept > 0 and self.redraw and not self.fresh)

    def counts(self, n: int) -> tuple[int, int, int]:
        """Samples from the newest model, which gets what rounding leaves, from the previous set and the real data."""
        copied, kept = self._shares()
        kept = portion(kept, n)
        copied = min(portion(copied, n), n - kept)
        return n - copied - kept, copied, kept

    def draws(self, step):
        newest, _, kept = self.counts(step.n)
        return Draws(synthetic=newest, real=kept if self.fresh else 0)

    def compose(self, pool, step, rng):
        newest, copied, kept = self.counts(step.n)
        parts = []
        if kept and self.fresh:
            parts.append(Part(pool.real, real=1.0))
        elif kept:
            parts.append(Part(pool.original.take(kept, rng) if self.redraw else pool.subset(kept), real=1.0))
        if copied:
            # A stream of its own, so that the kept samples are those of Keep whatever beta is.
            batch = merged(pool.previous).take(copied, rng.spawn(1)[0])
            parts.append(Part(batch, real=real_share(pool.previous)))
        if newest:
            parts.append(pool.newest())
        return tuple(parts)

    def check(self, sizes):
        for before, n in itertools.pairwise(sizes):
            counts = self.counts(n)
            for name, count in zip(self.named, counts[-len(self.named) :], strict=True):
                _check_share(name, getattr(self, name), count, n)
            if counts[2] > sizes[0] and not self.fresh:
                allowed = f"a share of n={n} within the {sizes[0]} samples of the original set"
                refuse(self.named[-1], self._shares()[1], allowed)
            if counts[1] > before:
                refuse("beta", self.beta, f"at most the {before} samples of the previous set; {counts[1]} asked for")

    def drawn_from(self, sizes):
        copied, kept = self._shares()
        original = sizes[0] if kept and not self.fresh and len(sizes) > 1 else 0
        return max([original, *(sizes[:-1] if copied else [])])


@dataclass(frozen=True)
class Keep(_Mixed):
    """A share of the original real set, the rest from the newest model, at constant size.

    The kept share is drawn anew at each generation (Shumailov et al. 2024, result 3), or with `redraw=False` the same
    throughout. The two follow different laws.
    """

    share: float
    redraw: bool = True

    @property
    def family(self):
        return "Keep" if self.redraw else "Keep, fixed"

    def __str__(self):
        return f"Keep({self.share:g})" if self.redraw else f"Keep({self.share:g}, fixed)"


@dataclass(frozen=True)
class FreshReal(_Mixed):
    """New real data in the given share, the rest from the newest model (Alemohammad et al. 2024, fresh-data loop).

    `weight` is what the real part counts for in the fit, between 0 and 1; by default it is the share (He et al. 2025
    ask which weight is best).
    """

    share: float
    weight: float | None = None
    fresh = True

    def __post_init__(self):
        super().__post_init__()
        if self.weight is not None:
            share("weight", self.weight)
            if not 0 < self.share < 1:
                refuse("weight", self.weight, f"None with share={self.share}: there is only one part to be weighed")

    @property
    def weighs(self):
        return self.weight is not None

    def compose(self, pool, step, rng):
        parts = super().compose(pool, step, rng)
        if self.weight is None:
            return parts
        # Of single samples, 1 on average over the training set, of which a filter may have left fewer than n.
        weights, total = (self.weight, 1 - self.weight), size(parts)
        return tuple(replace(p, weight=w * total / p.batch.size) for p, w in zip(parts, weights, strict=True))

    def __str__(self):
        weighed = "" if self.weight is None else f", weight {self.weight:.3g}"
        return f"FreshReal({self.share:g}{weighed})"


@dataclass(frozen=True)
class Mixture(_Mixed):
    """The general recursion of Shumailov et al. 2024: at constant size a share `alpha` from the newest model, `beta`
    drawn without replacement from the previous training set, and `gamma` from the original set, redrawn each time
    (`fresh=True`: from new real data, the literal reading of "samples from the original distribution").

    `Mixture(1, 0, 0)` is `Replace`, `Mixture(1-p, 0, p)` is `Keep(p)` and, with `fresh=True`, `FreshReal(p)`.
    """

    alpha: float
    beta: float
    gamma: float
    fresh: bool = False
    named = ("alpha", "beta", "gamma")

    def __post_init__(self):
        super().__post_init__()
        if abs((total := self.alpha + self.beta + self.gamma) - 1) > 1e-9:
            refuse("alpha + beta + gamma", total, "weights that sum to 1")

    @property
    def family(self):
        return "Mixture, fresh" if self.fresh else "Mixture"

    def __str__(self):
        return f"Mixture({self.alpha:g}, {self.beta:g}, {self.gamma:g}{', fresh' if self.fresh else ''})"


def _check_share(name: str, fraction: float, count: int, n: int) -> None:
    """A share that rounds to nothing, or to everything, is another regime than the one asked for."""
    if 0 < fraction < 1 and count in (0, n):
        refuse(name, fraction, f"a share that is at least one sample and leaves at least one out of n={n}")
