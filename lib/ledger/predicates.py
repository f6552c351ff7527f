"""What judges take from a data set of `recurse`, and what they ask of a measurement. All intervals are at 99% unless
told."""

import functools
from collections.abc import Callable

import numpy as np

from lib import intervals
from lib.intervals import Interval
from lib.ledger import LEVEL, NOT_TESTABLE, Finding, ladder

CLOSE = 0.03  # of itself, or 0.003: how far a large set may lie from a law for infinitely large ones

mean, difference, median, quantile, proportion = (
    functools.partial(function, level=LEVEL)
    for function in (intervals.mean, intervals.difference, intervals.median, intervals.quantile, intervals.proportion)
)


def at(data, score, regime, generation=-1) -> np.ndarray:
    """A score of every run of a regime at a place of the generation axis, the last unless told."""
    return data[score].sel(regime=str(regime)).isel(generation=generation).values


def change(data, score, regime, since=0) -> Interval:
    """Paired change of a score from a place of the generation axis, the first unless told, to the last."""
    return difference(at(data, score, regime), at(data, score, regime, since))


def gap(data, score, regime, other) -> Interval:
    """Paired difference of two regimes at the last generation."""
    return difference(at(data, score, regime), at(data, score, other))


def share_closed(data, score, regime) -> float:
    """Share of the gap between Replace and Accumulate at the end that a regime closes, by the means over runs."""
    replaced, accumulated, own = (at(data, score, r).mean() for r in ("Replace", "Accumulate", regime))
    return (replaced - own) / (replaced - accumulated)


def together(count: int) -> float:
    """The level at which `count` intervals all hold together with 99%."""
    return 1 - (1 - LEVEL) / count


def agrees(interval, law) -> bool:
    """Whether an interval holds the value of a law."""
    return bool(interval.low <= law <= interval.high)


def near(interval, law) -> bool:
    """Whether an interval, widened by what a law for n → ∞ may be off, holds it."""
    slack = max(CLOSE * abs(law), 0.003)
    return interval.low - slack <= law <= interval.high + slack


def all_hold(found: list, law: list) -> bool:
    """Whether each interval holds its law."""
    return all(agrees(interval, value) for interval, value in zip(found, law, strict=True))


def small_beside(own, whole, least, most) -> str:
    """The verdict on an effect that is to be small beside what Replace adds: supported if its upper end stays below the
    share `least` of it, with limits below `most`, not testable if Replace adds nothing."""
    if not whole.low > 0:
        return NOT_TESTABLE
    share = own.high / whole.estimate
    return ladder(share < least, share < most)


def untestable(measured, change, interval=None) -> Finding:
    """The finding where nothing can be judged."""
    return Finding(NOT_TESTABLE, measured, interval, change)


def recorded(sweep: str, *names: str) -> Callable:
    """For a judge of recorded data sets, which it gets one by one: without one of them nothing can be judged."""

    def wrap(judge):
        @functools.wraps(judge)
        def judged(results):
            if any(name not in results for name in names):
                return untestable("no recorded run", f"`make records ONLY={sweep}`.")
            return judge(*(results[name] for name in names))

        return judged

    return wrap


def rises(found, said, change) -> Finding:
    """A finding that is supported if the whole interval lies above 0."""
    return Finding(ladder(found.low > 0), said, found, change)


def falls(found, said, change) -> Finding:
    """A finding that is supported if the whole interval lies below 0."""
    return Finding(ladder(found.high < 0), said, found, change)
