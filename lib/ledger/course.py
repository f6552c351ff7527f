"""A score's way over the generations, from what `records.summary` keeps: its level, and whether its rise goes on."""

from math import log

import numpy as np
import xarray as xr
from scipy import stats

from lib import records
from lib.errors import among
from lib.intervals import Interval, number
from lib.ledger import LEVEL
from lib.world import KINDS

NO, YES, UNDECIDED = "no", "yes", "undecided"
# Within one kind. Distinct pairs of words before the entropy of the next: a sharper model is no poorer one.
PREFERRED = ("squared_mean_error", "kl", "excess_risk", "w2_squared", "tail_ratio", "missing_mass", "distinct_2")

# A rise below this share of the first fit's risk, or of a nat, is none that matters; and what is worse by less over a
# whole doubling of the generations has stopped.
FLAT = 0.05
# A rise per doubling that is less than this share of the one before levels off: errors that tend to π²/6 rise half as
# much with every doubling, those that grow like ln t as much again.
LEVELLING = 0.75
CARRIED = 3.0  # a mean so many times the median is carried by rare runs; that of a squared normal error is 2.2 times

NATS = ("nats", "perplexity", "bits")  # how units of a log probability begin; of perplexities changes are of the log


class Course:
    """A score of one regime: its mean over runs and its standard error at every generation, and its paired changes."""

    def __init__(self, data: xr.Dataset, regime: str, score: str):
        found = data.sel(regime=regime, score_name=score)
        self.score, self.runs = score, int(data.attrs["runs"])
        self.kind, self.worse, self.units = (str(found[key].item()) for key in records.ABOUT)
        self.sign = 1.0 if self.worse == "more" else -1.0
        self.generation = data["generation"].values
        self.mean, self.error = found["mean_of"].transpose("part", ...).values.astype(float)
        self.median = found["quantile_of"].sel(quantile=0.5).values.astype(float)
        self._changes = found["change_of"].transpose("part", ...).astype(float)

    @property
    def known(self) -> bool:
        """Whether it is finite at every generation; of a variance, which may die, whether it is a number."""
        if self.kind == "variance":
            return bool(np.isfinite(self.median[0]) and not np.isnan(self.median).any())
        return bool(np.isfinite(self.mean).all())

    def change(self, name: str) -> tuple[float, float]:
        """A change and its standard error."""
        estimate, error = self._changes.sel(change=name).values
        return float(estimate), float(error)

    def interval(self, estimate: float, error: float) -> Interval:
        """The t-interval of an estimate, without ends where its error is not known."""
        half = float(stats.t.ppf(0.5 + LEVEL / 2, max(self.runs - 1, 1))) * error
        return Interval(estimate, estimate - half, estimate + half, LEVEL)

    def beyond(self, factor: float) -> Interval:
        """By how much the last mean is worse than `factor` times the first."""
        first, last, whole = self.error[0] ** 2, self.error[-1] ** 2, self.change("whole")[1] ** 2
        variance = last + factor**2 * first - factor * (first + last - whole)
        return self.interval(self.sign * (self.mean[-1] - factor * self.mean[0]), max(variance, 0.0) ** 0.5)

    def at(self, share: float) -> int:
        """Index of the generation that is nearest to a share of the last."""
        return int(np.abs(self.generation - share * self.generation[-1]).argmin())

    @property
    def level(self) -> float:
        """What a change is small beside: one nat, for losses in nats and for logarithms; else the first fit's score."""
        return 1.0 if self.kind == "variance" or self.in_nats else abs(self.mean[0])

    @property
    def in_nats(self) -> bool:
        """Whether it is a loss whose changes are those of a log probability."""
        return self.kind == "loss" and self.units.startswith(NATS)

    @property
    def carried(self) -> bool:
        """Whether the mean is carried by rare runs, so that its interval cannot be trusted."""
        with np.errstate(divide="ignore", invalid="ignore"):
            places = [self.at(0.25), self.at(0.5), -1]
            return self.kind == "excess risk" and bool((self.mean[places] / self.median[places] > CARRIED).any())


def of_kind(data: xr.Dataset, *kinds: str) -> list[str]:
    """The scores of a summary that are of the first of these kinds, then of the next."""
    known = {score: kind for score, kind, *_ in declared(data)}
    for score, kind in known.items():
        among(f"kind of {score}", kind, KINDS)
    order = sorted(known, key=lambda score: PREFERRED.index(score) if score in PREFERRED else len(PREFERRED))
    return [score for kind in kinds for score in order if known[score] == kind]


def declared(data: xr.Dataset) -> list[tuple[str, ...]]:
    """Of each score of a summary: its name, kind, which direction is worse, and unit."""
    if "score_name" not in data.dims:
        return []
    return list(zip(*(map(str, data[key].values) for key in ("score_name", *records.ABOUT)), strict=True))


def rise_goes_on(course: Course, sign: float = 1.0) -> tuple[str, str, Interval | None]:
    """Whether a rise goes on: per unit of ln t the last doubling is compared with the one before."""
    t, places = course.generation, [course.at(0.25), course.at(0.5), -1]
    quarter, half, end = (int(t[place]) for place in places)
    if end < 8 or not quarter < half < end:
        return UNDECIDED, f"{end} generations are too few", None
    (rise, error), (earlier, error_before), (_, error_both) = (course.change(c) for c in ("last", "before", "both"))
    late, before = 1 / log(end / half), LEVELLING / log(half / quarter)
    covariance = (error_both**2 - error**2 - error_before**2) / 2
    variance = (late * error) ** 2 + (before * error_before) ** 2 - 2 * late * before * covariance
    # No covariance makes the error of a difference smaller than the difference of the errors.
    spread = max(variance, (late * error - before * error_before) ** 2) ** 0.5
    kept = course.interval(sign * (late * rise - before * earlier), spread)
    rise = course.interval(sign * rise, error)
    said = f"{number(rise.estimate, '+.2g')} over the last doubling after {number(sign * earlier, '+.2g')}"
    if course.carried:
        return UNDECIDED, f"{said}; the mean is carried by rare runs", rise
    if rise.high < FLAT * course.level:
        return NO, said, rise
    word = YES if rise.low > 0 and kept.low > 0 else NO if kept.high < 0 else UNDECIDED
    return word, said, kept
