"""What judges of several chapters take from a data set of `recurse`, and how a measurement is held against a law."""

from __future__ import annotations

import numpy as np

from lib import intervals
from lib.ledger import LEVEL

CLOSE = 0.03  # of itself, or 0.003: how far a large set may lie from a law for infinitely large ones


def at(data, score, regime, generation=-1) -> np.ndarray:
    """A score of every run of a regime at a place of the generation axis, the last unless told."""
    return data[score].sel(regime=regime).isel(generation=generation).values


def change(data, score, regime) -> intervals.Interval:
    """Paired change of a score from the first to the last generation."""
    return intervals.difference(at(data, score, regime), at(data, score, regime, 0), LEVEL)


def listed(data, name) -> list:
    """An attribute that holds one value or several, as a list."""
    return np.atleast_1d(data.attrs[name]).tolist()


def together(count: int) -> float:
    """The level at which `count` intervals all hold together with 99%."""
    return 1 - (1 - LEVEL) / count


def agrees(interval, law) -> bool:
    """Whether an interval holds the value of a law."""
    return interval.low <= law <= interval.high


def near(interval, law) -> bool:
    """Whether an interval, widened by what a law for n → ∞ may be off, holds it."""
    slack = max(CLOSE * abs(law), 0.003)
    return interval.low - slack <= law <= interval.high + slack


def all_hold(found: list, law: list) -> bool:
    """Whether each interval holds its law."""
    return all(agrees(interval, value) for interval, value in zip(found, law, strict=True))
