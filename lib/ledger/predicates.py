"""What judges take from a data set of `recurse`, what they ask of a measurement, and their controls.

Intervals are at 99% unless told. An answer is True, False, or None where the interval decides nothing.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import xarray as xr
from scipy import stats

from lib import intervals
from lib.intervals import Interval
from lib.ledger import FAILS, HOLDS, IF, LEVEL, UNDECIDED, Control, Finding, Results, questions, word

CLOSE = 0.03  # of itself, or 0.003: how far a large set may lie from a law for infinitely large ones
# An exact law decides a claim by itself; what the simulation adds is that law and code agree. It is said not to where
# they differ by so many half-widths of the 99% interval, which chance does once in 10,000 intervals.
ALARM = 1.51

mean, difference, median, quantile, proportion = (
    functools.partial(function, level=LEVEL)
    for function in (intervals.mean, intervals.difference, intervals.median, intervals.quantile, intervals.proportion)
)


def at(data: xr.Dataset, score: str, regime: str, generation: int = -1) -> np.ndarray:
    """A score of every run of a regime at a place of the generation axis, the last unless told."""
    return data[score].sel(regime=str(regime)).isel(generation=generation).values


def change(data: xr.Dataset, score: str, regime: str, since: int = 0) -> Interval:
    """Paired change of a score from a place of the generation axis, the first unless told, to the last."""
    return difference(at(data, score, regime), at(data, score, regime, since))


def gap(data: xr.Dataset, score: str, regime: str, other: str) -> Interval:
    """Paired difference of two regimes at the last generation."""
    return difference(at(data, score, regime), at(data, score, other))


def ratio(a, b) -> Interval:
    """Fieller's interval of the ratio of the means of paired values; NaN ends if the mean of `b` may be 0."""
    x, y = (np.asarray(values, dtype=float) for values in (a, b))
    if x.size < 2:
        return Interval(float(x.mean() / y.mean()), math.nan, math.nan, LEVEL)
    (xx, xy), (_, yy) = np.cov(x, y) / x.size
    q = float(stats.t.ppf(0.5 + LEVEL / 2, x.size - 1)) ** 2
    p, r, s = y.mean() ** 2 - q * yy, x.mean() * y.mean() - q * xy, x.mean() ** 2 - q * xx
    if p <= 0:
        return Interval(float(x.mean() / y.mean()), math.nan, math.nan, LEVEL)
    root = math.sqrt(max(r * r - p * s, 0.0))
    return Interval(float(x.mean() / y.mean()), (r - root) / p, (r + root) / p, LEVEL)


def share_of_replace(data: xr.Dataset, score: str, regime: str, take: Callable = np.asarray) -> Interval:
    """What a regime does to a score from the first to the last generation, as a share of what Replace does to it.
    `take`: the logarithm, for a perplexity."""
    own, replaced = (take(at(data, score, r)) - take(at(data, score, r, 0)) for r in (regime, "Replace"))
    return ratio(own, replaced)


def share_closed(data: xr.Dataset, score: str, regime: str) -> Interval:
    """Share of the gap between Replace and Accumulate at the end that a regime closes."""
    replaced, accumulated, own = (at(data, score, r) for r in ("Replace", "Accumulate", regime))
    return ratio(replaced - own, replaced - accumulated)


def above(interval: Interval, threshold: float = 0.0) -> bool | None:
    """Whether an interval lies above a threshold; None if it contains it, or has no ends."""
    return True if interval.low > threshold else False if interval.high < threshold else None


def below(interval: Interval, threshold: float = 0.0) -> bool | None:
    """Whether an interval lies below a threshold; None if it contains it, or has no ends."""
    return None if (answer := above(interval, threshold)) is None else not answer


def every(*answers: bool | None) -> bool | None:
    """Whether all answers are yes: no if one is no, None if none is and one is undecided."""
    return False if False in answers else None if None in answers else True


def on_law(interval: Interval, law: float) -> bool | None:
    """True if a simulation agrees with its exact law, else None: then neither can be believed."""
    miss = abs(interval.estimate - law)
    half = max(interval.high - interval.estimate, interval.estimate - interval.low)
    return True if miss <= ALARM * half or miss < 1e-12 else None


def near(interval: Interval, law: float) -> bool | None:
    """True if an interval, widened by what a law for n → ∞ may be off, holds it, else None."""
    slack = max(CLOSE * abs(law), 0.003)
    return True if interval.low - slack <= law <= interval.high + slack else None


def together(count: int) -> float:
    """The level at which `count` intervals all hold together with 99%."""
    return 1 - (1 - LEVEL) / count


BOUNDED = "collapse means an error without bound, or the loss of variety or of rare things, and not any rise"


def stands(results: Results, world: str, regime: str = "Accumulate") -> Finding:
    """The finding on "no model collapse" for a regime of a world, the same rule everywhere: it *holds* if all four
    questions are answered no, *holds if* collapse means more than any rise (`BOUNDED`) if the first alone is answered
    yes, *fails* if another one is. Prints as {found} and {fits}."""
    answers = results["answers"]
    others = questions.collapses(answers, world, regime)
    risen = str(answers["word"].sel(world=world, regime=regime, question="worse").item())
    first = None if risen == questions.UNDECIDED else risen == questions.YES
    said = {"found": questions.in_words(answers, world, regime), "fits": int(answers["fits"].sel(world=world).max())}
    if others is None or (others is False and first is None):
        return Finding(UNDECIDED, said)
    return Finding(FAILS if others else IF if first else HOLDS, said)


def collapses(results: Results, world: str, regime: str = "Replace", *ids: str) -> Finding:
    """The finding on the claim that a regime collapses in a world, or that some questions are answered yes."""
    answers = results["answers"]
    said = {"found": questions.in_words(answers, world, regime), "fits": int(answers["fits"].sel(world=world).max())}
    return Finding(word(questions.collapses(answers, world, regime, *ids)), said)


def swapped(a: str, b: str = "Replace") -> Control:
    """The results of two regimes exchanged, in every data set that has both."""

    def exchange(data):
        if "regime" not in data.dims:
            return data
        known = [str(r) for r in data["regime"].values]
        if not {a, b} <= set(known):
            return data
        labels = [{a: b, b: a}.get(r, r) for r in known]
        return data.assign_coords(regime=labels).sel(regime=known)

    return Control(f"the results of {a} and {b} exchanged", _each(exchange))


def each_world(results: Results, regime: str, *ids: str) -> dict[str, bool | None]:
    """For every world in which a regime was asked some of these questions: whether one of them is answered yes."""
    data = results["answers"]
    known = (data["word"].sel(regime=regime, question=list(ids or questions.COLLAPSE)) != "").any("question")
    return {str(w): questions.collapses(data, w, regime, *ids) for w in data["world"].values[known.values]}


def answered(said: str, *regimes: str) -> Control:
    """All questions about some regimes, Accumulate unless told, answered yes, or no."""
    regimes = regimes or ("Accumulate",)

    def answer(data):
        return data.assign(word=data["word"].where(~data["regime"].isin(regimes) | (data["word"] == ""), said))

    named = "all regimes" if len(regimes) > 1 else regimes[0]
    return altered(f"every question about {named} answered {said}", "answers", answer)


def still(*regimes: str) -> Control:
    """Some regimes, or all, stay where their first generation was."""

    def stop(data):
        if not {"regime", "generation"} <= set(data.dims):
            return data
        moves = data["regime"].isin(regimes or data["regime"].values)
        return data.map(
            lambda v: v.where(~moves, v.isel(generation=0)) if {"regime", "generation"} <= set(v.dims) else v,
            keep_attrs=True,
        )

    return Control(f"{' and '.join(regimes) or 'all regimes'} as at the first fit", _each(stop))


def altered(said: str, name: str, change: Callable[[xr.Dataset], xr.Dataset]) -> Control:
    """One data set changed as `said`."""
    return Control(said, lambda results: {**results, name: change(results[name])})


def _each(change):
    def apply(results: Results) -> Results:
        return {name: change(data) for name, data in results.items()}

    return apply
