"""The eight definitions of model collapse in use (Schaeffer et al. 2025), as predicates on a trajectory.

A predicate answers yes, no, or *not decidable here*: because no score of the data set says anything about it, or
because the runs are too few or too short. The thresholds are this book's. A trajectory is one regime of a data set of
`lib.recursion.recurse`, or of its summary (`lib.records.summary`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import numpy as np
import xarray as xr
from scipy import stats

from lib import records
from lib.errors import among, refuse
from lib.intervals import Interval, number
from lib.world import KINDS

LEVEL = 0.99
PREFERRED = ("kl", "excess_risk", "w2_squared", "tail_ratio", "missing_mass")  # among scores of one kind
# Units of losses of a whole sample; of text the unit is a choice, so that ten times less probable means nothing.
PER_SAMPLE = ("nats per point", "nats per image")
IN_NATS = (*PER_SAMPLE, "perplexity")  # their changes are those of a log probability, for which a level can be given

# Times the first fit's excess risk; for losses, a typical real sample is that many times less probable.
CATASTROPHE = 10.0
# Rises per doubling that shrink more slowly than this do not level off: π²/6 shrinks by 1/2, ln t by nothing.
LEVELLING = 0.75
FLAT = 0.05  # a last doubling that changes less than this, relative to the level or in nats, is flat
CARRIED = 3.0  # a mean so many times the median is carried by rare runs; that of a squared normal error is 2.2 times
NEGLIGIBLE = 0.01  # a share of samples; a rise that stays below it is none
LEFT = 0.1  # a variance has collapsed when a typical run has less than this of the first fit's left
FADED = 0.1  # a tail disappears if a score of it has worsened by more than this share


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


@dataclass(frozen=True)
class Answer:
    """`collapses` is None if undecided; `measured` says on what the answer stands, or why there is none."""

    collapses: bool | None
    score: str | None
    measured: str
    interval: Interval | None = None


@dataclass(frozen=True)
class Definition:
    """Its name, the threshold that this book gives it, which scores of a data set say something about it, in order of
    preference, and the predicate."""

    id: str
    name: str
    threshold: str
    scores: Callable[[xr.Dataset], list[str]]
    decide: Callable[[Course, xr.Dataset, str], Answer]

    def judge(self, data: xr.Dataset, regime: str) -> Answer:
        """What it says of one regime of a data set, by the first of its scores that is finite at every generation."""
        among("regime", regime, [str(r) for r in data["regime"].values])
        data = records.summary(data)
        for score in self.scores(data):
            course = Course(data, regime, score)
            if course.known:
                return self.decide(course, data, regime)
        return Answer(None, None, "no score in this data set says anything about it")


def judge(data: xr.Dataset, regime: str) -> dict[str, Answer]:
    """What each definition says of one regime of a data set, by the definition's id."""
    data = records.summary(data)
    return {definition.id: definition.judge(data, regime) for definition in DEFINITIONS}


def of_kind(*kinds: str, units: tuple[str, ...] | None = None) -> Callable[[xr.Dataset], list[str]]:
    """The scores of a data set of the first of these kinds, then of the next; losses only in `units`, if given."""

    def scores(data: xr.Dataset) -> list[str]:
        known = {score: (kind, unit) for score, kind, _, unit in declared(data)}
        for score, (kind, _) in known.items():
            if kind not in KINDS:
                refuse(f"kind of {score}", kind, ", ".join(KINDS))
        order = sorted(known, key=lambda score: PREFERRED.index(score) if score in PREFERRED else len(PREFERRED))
        other = {s for s, (kind, unit) in known.items() if kind == "loss" and units is not None and unit not in units}
        return [score for kind in kinds for score in order if known[score][0] == kind and score not in other]

    return scores


def named(*names: str) -> Callable[[xr.Dataset], list[str]]:
    """The scores of a data set with these names."""
    return lambda data: [score for score, *_ in declared(data) if score in names]


def declared(data: xr.Dataset) -> list[tuple[str, ...]]:
    """Of each score of a summary: its name, kind, which direction is worse, and unit."""
    if "score_name" not in data.dims:
        return []
    return list(zip(*(map(str, data[key].values) for key in ("score_name", *records.ABOUT)), strict=True))


def _above(over: Interval, course: Course, said: str, tolerance: float = 0.0) -> Answer:
    """Yes if the whole interval is above 0, no if it is below a tolerance, undecided if neither or without ends."""
    if not np.isfinite(over.low):
        return Answer(None, course.score, said + ", from too few runs or generations")
    answer = True if over.low > 0 else False if over.high < tolerance else None
    return Answer(answer, course.score, said if answer is not None else said + ", too noisy to tell", over)


def _catastrophic(course, data, regime):
    if course.kind == "excess risk":
        said = f"{number(course.mean[-1] / course.mean[0])} times the first fit's {course.score}"
        return _above(course.beyond(CATASTROPHE), course, said)
    rise, error = course.change("whole")
    said = f"a rise of the loss ({course.score}) by {number(rise)} nats"
    return _above(course.interval(rise - log(CATASTROPHE), error), course, said)


def _rises(course, data, regime):
    rise = course.interval(*course.change("whole"))
    return _above(rise, course, f"{course.score} changes by {rise:.3g}", np.inf)


def _risen(course, data, regime):
    change, error = course.change("whole")
    said = f"{course.score} goes from {number(course.mean[0], '.2g')} to {number(course.mean[-1], '.2g')}"
    return _above(course.interval(course.sign * change, error), course, said, NEGLIGIBLE)


def _unbounded(course, begin, tolerance, sign=1.0) -> Answer:
    """Whether a rise goes on: per unit of ln t the last doubling is compared with the one before."""
    t, places = course.generation, [course.at(0.25), course.at(0.5), -1]
    quarter, half, end = (int(t[place]) for place in places)
    if end < 8 or not quarter < half < end:
        return Answer(None, course.score, f"{begin}{end} generations are too few to see a rise go on")
    with np.errstate(divide="ignore", invalid="ignore"):
        carried = (course.mean[places] / course.median[places] > CARRIED).any()
    if course.kind == "excess risk" and carried:
        said = "the mean is carried by rare runs, so its interval cannot be trusted"
        return Answer(None, course.score, begin + said)
    (rise, error), (earlier, error_before), (_, error_both) = (course.change(c) for c in ("last", "before", "both"))
    late, before = 1 / log(end / half), LEVELLING / log(half / quarter)
    covariance = (error_both**2 - error**2 - error_before**2) / 2
    variance = (late * error) ** 2 + (before * error_before) ** 2 - 2 * late * before * covariance
    # No covariance makes the error of a difference smaller than the difference of the errors.
    spread = max(variance, (late * error - before * error_before) ** 2) ** 0.5
    kept = course.interval(sign * (late * rise - before * earlier), spread)
    rise = course.interval(sign * rise, error)
    said = f"{begin}{number(rise.estimate)} over the last doubling after {number(sign * earlier)} over the one before"
    if rise.high < tolerance:
        return Answer(False, course.score, said, rise)
    answer = True if rise.low > 0 and kept.low > 0 else False if kept.high < 0 else None
    return Answer(answer, course.score, said if answer is not None else said + ", too noisy to tell", kept)


def _divergence(course, data, regime):
    level = abs(course.mean[course.at(0.5)]) if course.kind == "excess risk" else 1.0
    return _unbounded(course, f"{course.score}: ", FLAT * level)


def _scaling(course, data, regime):
    real = data["regime"].values[data["family"].values == "RealOnly"] if "family" in data else []
    if "train_size" not in data or not len(real):
        return Answer(None, None, "no real data of the same growing size beside it")
    pair = (course, Course(data, real[0], course.score))
    sizes = [data["train_size"].sel(regime=r).values.astype(float) for r in (regime, real[0])]
    growth = [size[-1] / size[0] for size in sizes]
    if min(growth) <= 1:
        return Answer(None, course.score, "sets of one size: a scaling law needs several")
    slopes = [log(c.mean[-1] / c.mean[0]) / log(g) for c, g in zip(pair, growth, strict=True)]
    # Errors of logarithms by the delta method; the shared first fit is counted twice, on the safe side.
    errors = [np.hypot(*(c.error[[0, -1]] / c.mean[[0, -1]])) / log(g) for c, g in zip(pair, growth, strict=True)]
    half = float(stats.norm.ppf(0.5 + LEVEL / 2) * np.hypot(*errors))
    if not np.isfinite(half):
        return Answer(None, course.score, "an exponent needs more than one run")
    (own, ideal), gap = (number(slope, ".2f") for slope in slopes), slopes[0] - slopes[1]
    said = f"{course.score} falls like rows^{own}, with real data like rows^{ideal}"
    return Answer(gap > half, course.score, said, Interval(gap, gap - half, gap + half, LEVEL))


def _variance(course, data, regime):
    change, error = course.change("whole")
    if change == -np.inf or (course.median[-1] == 0 and course.median[0] > 0):
        return Answer(True, course.score, "a typical run has nothing of its variance left")
    left = course.interval(change, error)
    said = f"a typical run has {number(float(np.exp(change)), '.2g')} of the first fit's {course.score} left"
    if left.high < log(LEFT):
        return Answer(True, course.score, said, left)
    return _unbounded(course, f"{said}; its logarithm falls by ", FLAT, sign=-1.0)


def _tails(course, data, regime):
    said = f"{course.score} goes from {number(course.mean[0], '.3g')} to {number(course.mean[-1], '.3g')}"
    return _above(course.beyond(1 + course.sign * FADED), course, said)


RISKS = of_kind("excess risk", "loss")
OUTSIDE = named("off_support", "valid_share")  # share of what is produced that the truth never does, or does
DEFINITIONS = (
    Definition(
        "catastrophic",
        "catastrophic increase of population risk",
        f"{CATASTROPHE:g} times the first fit's excess risk; for a loss, ln {CATASTROPHE:g} nats more",
        of_kind("excess risk", "loss", units=PER_SAMPLE),
        _catastrophic,
    ),
    Definition("increase", "any increase of population risk", "more than at the first fit", RISKS, _rises),
    Definition(
        "divergence",
        "asymptotic divergence of population risk",
        f"the rise over the last doubling of generations is above {LEVELLING:g} of the one before",
        of_kind("excess risk", "loss", units=IN_NATS),
        _divergence,
    ),
    Definition(
        "scaling",
        "changed scaling law",
        "the error falls more slowly with the rows trained on than with real rows",
        of_kind("excess risk"),
        _scaling,
    ),
    Definition(
        "variance",
        "collapsing variance",
        f"the median run has less than {LEFT:g} of it left, or its logarithm falls without levelling off",
        of_kind("variance"),
        _variance,
    ),
    Definition(
        "modes", "mode entanglement", "more samples between the modes of the truth", named("between_modes"), _risen
    ),
    Definition("tails", "disappearance of tails", f"a score of the tail {FADED:.0%} worse", of_kind("tail"), _tails),
    Definition("hallucination", "hallucinated data", "more samples that the truth cannot produce", OUTSIDE, _risen),
)
