"""Intervals: every number the book states comes with one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from lib.errors import refuse


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval at `level`."""

    estimate: float
    low: float
    high: float
    level: float

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0

    def scaled(self, factor: float) -> Interval:
        """The interval of the estimate in another, positive, unit."""
        return Interval(factor * self.estimate, factor * self.low, factor * self.high, self.level)

    def __format__(self, spec: str) -> str:
        spec = spec or ".3g"
        return f"{number(self.estimate, spec)} {self.ends(spec)}"

    def ends(self, spec: str = ".3g") -> str:
        """The two ends as text: [low, high]."""
        return f"[{number(self.low, spec)}, {number(self.high, spec)}]"


def mean(values, level: float = 0.95) -> Interval:
    """t-interval of the mean of independent values; NaN bounds for fewer than two."""
    values = _values(values)
    estimate = float(values.mean())
    if values.size < 2:
        return Interval(estimate, np.nan, np.nan, level)
    half = float(stats.t.ppf(0.5 + level / 2, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    return Interval(estimate, estimate - half, estimate + half, level)


def difference(a, b, level: float = 0.95) -> Interval:
    """t-interval of the mean paired difference a − b: runs of two regimes that share their real data and streams."""
    a, b = _values(a), _values(b)
    if a.shape != b.shape:
        refuse("b", b.shape, f"values paired with a, of shape {a.shape}")
    return mean(a - b, level)


def separated(a, b, level: float = 0.95) -> bool:
    """The house rule: regimes differ if the t-interval of the paired difference excludes 0, from at least 4 runs."""
    return _values(a).size >= 4 and difference(a, b, level).excludes_zero


def median(values, level: float = 0.95) -> Interval:
    """Distribution-free interval of the median."""
    return quantile(values, 0.5, level)


def quantile(values, probability: float, level: float = 0.95) -> Interval:
    """Distribution-free interval between two order statistics; NaN ends where values are too few for the level."""
    ordered = np.sort(_values(values))
    count, tail = ordered.size, (1 - level) / 2
    low = int(stats.binom.ppf(tail, count, probability))
    high = int(stats.binom.isf(tail, count, probability)) + 1
    estimate = float(np.quantile(ordered, probability))
    if low < 1 or high > count:
        return Interval(estimate, np.nan, np.nan, level)
    return Interval(estimate, float(ordered[low - 1]), float(ordered[high - 1]), level)


def proportion(hits: int, trials: int, level: float = 0.95) -> Interval:
    """Clopper–Pearson interval of a probability: exact, so conservative."""
    result = stats.binomtest(int(hits), int(trials)).proportion_ci(level, method="exact")
    return Interval(hits / trials, float(result.low), float(result.high), level)


def _values(values) -> np.ndarray:
    values = np.asarray(values, dtype=float).ravel()
    if not values.size or not np.isfinite(values).all():
        refuse("values", values, "finite numbers, at least one")
    return values


def number(value: float, spec: str = ".3g") -> str:
    """A number as it is printed in a sentence: a true minus sign, and powers of ten written out."""
    text = format(value, spec).replace("-", "\N{MINUS SIGN}")
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    power = str(int(exponent.replace("−", "-"))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}·10{power}"
