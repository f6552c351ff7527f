"""The eight definitions of model collapse in use (Schaeffer et al. 2025), as predicates on a trajectory.

A predicate answers yes, no, or *not decidable here*: because no score of the data set says anything about it, or because the runs are
too few or too short. Papers state their definitions in words. The thresholds below are this book's, and are part of every answer.

A trajectory is one regime of a data set of `lib.recursion.recurse`, or of what `lib.records.read` gives of one. From whole runs,
changes between generations are paired within runs. From a summary, their spread is reckoned from the quantiles, as if generations were independent.
Scores mostly depend positively on their past, so intervals from a summary are too wide rather than too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log

import numpy as np
import xarray as xr
from scipy import stats

from lib.errors import among
from lib.intervals import Interval, number

LEVEL = 0.99
# Scores of risk on real data in order of preference: excess ones, which are 0 at best, and losses in nats, whose floor is unknown.
EXCESS = ("kl", "excess_risk", "w2_squared", "squared_mean_error", "total_variation")
LOSSES = ("test_nll", "test_nelbo", "test_perplexity")
PER_SAMPLE = (
    "test_nll",
    "test_nelbo",
)  # of text the unit is a choice, a token or a passage: ten times less probable means nothing
RISKS = ("denoising_error",)  # losses in other units than nats: whether they rise can be seen, how much means nothing
VARIANCES = ("trace_ratio", "variance_ratio", "heterozygosity_ratio", "log_det_ratio")
TAILS = (
    "tail_ratio",
    "missing_mass",
    "support",
    "rare_mode",
    "smallest_mode",
    "vocabulary_coverage",
)  # of these only the missing mass rises in collapse
MODES = ("between_modes",)  # share of what a model produces that lies between the modes of the truth
# Share of what a model produces that the truth never does; of these only the share of valid samples falls in collapse.
HALLUCINATIONS = ("off_support", "valid_share")

CATASTROPHE = (
    10.0  # times the first fit's excess risk; for losses, a typical real sample is that many times less probable
)
LEVELLING = (
    0.75  # rises per doubling that shrink more slowly than this do not level off: π²/6 shrinks by 1/2, ln t by nothing
)
FLAT = 0.05  # a last doubling that changes less than this, relative to the level or in nats, is flat
CARRIED = 3.0  # a mean so many times the median is carried by rare runs; that of a squared normal error is 2.2 times
NEGLIGIBLE = 0.01  # a share of samples; a rise that stays below it is none
LEFT = 0.1  # a variance has collapsed when a typical run has less than this of the first fit's left
FADED = 0.1  # a tail disappears if a score of it has worsened by more than this share


@dataclass(frozen=True)
class Series:
    """A score at some generations: its centre over runs, the standard error of the centre, and the runs themselves if known,
    shape (generations, runs)."""

    score: str
    generation: np.ndarray
    centre: np.ndarray
    error: np.ndarray
    runs: int
    values: np.ndarray | None = None
    skew: np.ndarray | None = None  # mean over median, at each generation

    def at(self, t: float) -> int:
        """Index of the generation that is nearest to t."""
        return int(np.abs(self.generation - t).argmin())

    def contrast(self, weights: Mapping[int, float]) -> Interval:
        """The interval of Σ weight · centre over generations given by index: paired within runs if they are known."""
        index, w = np.array(list(weights)), np.array(list(weights.values()))
        estimate = float(w @ self.centre[index])
        if self.values is None:
            error = float(np.sqrt((w**2) @ self.error[index] ** 2))
        else:
            error = float((w @ self.values[index]).std(ddof=1) / np.sqrt(self.runs)) if self.runs > 1 else np.nan
        half = float(stats.t.ppf(0.5 + LEVEL / 2, max(self.runs - 1, 1)) * error)
        return Interval(estimate, estimate - half, estimate + half, LEVEL)


@dataclass(frozen=True)
class Answer:
    """`collapses` is None where the definition cannot be decided; `measured` says on what the answer stands, or why there is none."""

    collapses: bool | None
    score: str | None
    measured: str
    interval: Interval | None = None


@dataclass(frozen=True)
class Definition:
    """A definition of collapse: its name, what it says, the threshold that this book gives it, its source, and the predicate."""

    id: str
    name: str
    threshold: str
    source: str
    decide: Callable[[xr.Dataset, str], Answer]


def judge(data: xr.Dataset, regime: str) -> dict[str, Answer]:
    """What each definition says of one regime of a data set, by the definition's id."""
    among("regime", regime, [str(r) for r in data["regime"].values])
    return {definition.id: definition.decide(data, regime) for definition in DEFINITIONS}


def series(data: xr.Dataset, regime: str, scores: tuple[str, ...], typical: bool = False) -> Series | None:
    """The first of `scores` that the data set has at every generation for this regime, finite; None if there is none.

    The centre is the mean over runs; with `typical` the logarithm of the median, for a score whose mean rare runs carry. Perplexity becomes
    its logarithm.
    """
    for score in scores:
        found = _series(data, regime, score, typical) if score in data else None
        if found is not None:
            return found
    return None


def _series(data, regime, score, typical):
    values = data[score].sel(regime=regime)
    if values.dims == ("generation", "run"):
        rows = values.values.astype(float)
        if score == "test_perplexity":
            rows = np.log(rows)
        runs = rows.shape[1]
        mean = rows.mean(axis=1)
        if not (typical or np.isfinite(mean).all()):
            return None
        low, first, middle, third, high = np.quantile(rows, (0.05, 0.25, 0.5, 0.75, 0.95), axis=1)
    elif values.dims == ("generation", "summary"):
        rows = None
        # A data set that was put together from several calls does not say how many runs it had: at least the whole ones that it keeps.
        kept = sum(str(label).startswith("run ") for label in values["summary"].values)
        runs = int(data.attrs.get("runs", kept))
        mean, low, first, middle, third, high = (
            values.sel(summary=label).values.astype(float) for label in ("mean", "q05", "q25", "q50", "q75", "q95")
        )
        if score == "test_perplexity":
            mean, low, first, middle, third, high = (np.log(v) for v in (mean, low, first, middle, third, high))
    else:
        return None
    t = data["generation"].values
    if typical:
        if score != "log_det_ratio":
            with np.errstate(divide="ignore"):
                first, middle, third = (np.log(v) for v in (first, middle, third))
        if np.isnan(middle).any() or not np.isfinite(middle[0]):
            return None
        with np.errstate(invalid="ignore"):
            spread = np.nan_to_num((third - first) / 1.349, nan=np.inf, posinf=np.inf)
        return Series(score, t, middle, 1.2533 * spread / np.sqrt(runs), runs)
    if not np.isfinite(mean).all():
        return None
    # Squared errors have a long upper tail: the widest of three normal readings of the quantiles is safe for them.
    spread = np.max([(third - first) / 1.349, (high - mean) / 1.645, (mean - low) / 1.645], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        skew = mean / middle
    return Series(score, t, mean, spread / np.sqrt(runs), runs, rows, skew)


def _nothing(scores):
    return Answer(None, None, "no score of " + ", ".join(scores) + " in this data set")


def _catastrophic(data, regime):
    found = series(data, regime, EXCESS)
    if found is not None:
        over = found.contrast({-1: 1.0, 0: -CATASTROPHE}) if len(found.centre) > 1 else None
        said = f"{number(found.centre[-1] / found.centre[0])} times the first fit's {found.score}"
    else:
        found = series(data, regime, PER_SAMPLE)
        if found is None:
            return _nothing(EXCESS + PER_SAMPLE)
        rise = found.contrast({-1: 1.0, 0: -1.0})
        over = Interval(*(v - log(CATASTROPHE) for v in (rise.estimate, rise.low, rise.high)), LEVEL)
        said = f"a rise of the loss ({found.score}) by {number(rise.estimate)} nats"
    return _above(over, found, said)


def _above(over, found, said):
    """Yes if the whole interval is above 0, no if below, undecided if it holds 0 or has no ends."""
    if over is None or not np.isfinite(over.low):
        return Answer(None, found.score, said + ", from too few runs or generations")
    answer = True if over.low > 0 else False if over.high < 0 else None
    return Answer(answer, found.score, said if answer is not None else said + ", too noisy to tell", over)


def _any_increase(data, regime):
    found = series(data, regime, EXCESS + LOSSES + RISKS)
    if found is None:
        return _nothing(EXCESS + LOSSES + RISKS)
    rise = found.contrast({-1: 1.0, 0: -1.0})
    if not np.isfinite(rise.low):
        return Answer(None, found.score, "a rise needs more than one run to be seen")
    return Answer(bool(rise.low > 0), found.score, f"{found.score} changes by {rise:.3g}", rise)


def _unbounded(found, tolerance) -> tuple[bool | None, str, Interval | None]:
    """Whether a rise goes on: per unit of ln t the last doubling is compared with the one before."""
    t = found.generation
    early, middle = found.at(t[-1] / 4), found.at(t[-1] / 2)
    if t[-1] < 8 or not t[early] < t[middle] < t[-1]:
        return None, f"{t[-1]} generations are too few to see a rise go on", None
    if found.skew is not None and found.score in EXCESS and (found.skew[[early, middle, -1]] > CARRIED).any():
        return None, "the mean is carried by rare runs, so its interval cannot be trusted", None
    late, before = log(t[-1] / t[middle]), log(t[middle] / t[early])
    rise = found.contrast({-1: 1.0, middle: -1.0})
    kept = found.contrast(
        {-1: 1 / late, middle: -1 / late - LEVELLING / before, early: LEVELLING / before},
    )
    said = f"{number(rise.estimate)} over the last doubling after {number(found.centre[middle] - found.centre[early])} over the one before"
    if rise.high < tolerance:
        return False, said, rise
    if rise.low > 0 and kept.low > 0:
        return True, said, kept
    return (False if kept.high < 0 else None), said + (", too noisy to tell" if kept.high >= 0 else ""), kept


def _divergence(data, regime):
    found = series(data, regime, EXCESS + LOSSES)
    if found is None:
        return _nothing(EXCESS + LOSSES)
    level = abs(found.centre[found.at(found.generation[-1] / 2)]) if found.score in EXCESS else 1.0
    answer, said, interval = _unbounded(found, FLAT * level)
    return Answer(answer, found.score, f"{found.score}: {said}", interval)


def _scaling(data, regime):
    reference = "RealOnly" + "".join(regime.partition(",")[1:])
    known = [str(r) for r in data["regime"].values]
    if "train_size" not in data or reference not in known:
        return Answer(None, None, "no real data of the same growing size beside it")
    rows, real = (data["train_size"].sel(regime=r).values.astype(float) for r in (regime, reference))
    found, ideal = series(data, regime, EXCESS), series(data, reference, EXCESS)
    if found is None or ideal is None:
        return _nothing(EXCESS)
    if rows[-1] <= rows[0] or real[-1] <= real[0]:
        return Answer(None, found.score, "sets of one size: a scaling law needs several")
    slopes = [log(s.centre[-1] / s.centre[0]) / log(n[-1] / n[0]) for s, n in ((found, rows), (ideal, real))]
    # Errors of logarithms by the delta method; the first fit is the same in both and its part is counted twice, on the safe side.
    errors = [
        np.hypot(*(s.error[[0, -1]] / s.centre[[0, -1]])) / log(n[-1] / n[0]) for s, n in ((found, rows), (ideal, real))
    ]
    half = float(stats.norm.ppf(0.5 + LEVEL / 2) * np.hypot(*errors))
    gap = slopes[0] - slopes[1]
    if not np.isfinite(half):
        return Answer(None, found.score, "an exponent needs more than one run")
    said = (
        f"{found.score} falls like rows^{number(slopes[0], '.2f')}, with real data like rows^{number(slopes[1], '.2f')}"
    )
    return Answer(bool(gap > half), found.score, said, Interval(gap, gap - half, gap + half, LEVEL))


def _variance(data, regime):
    found = series(data, regime, VARIANCES, typical=True)
    if found is None:
        return _nothing(VARIANCES)
    if found.centre[-1] == -np.inf:
        return Answer(True, found.score, "a typical run has nothing of its variance left")
    left = found.contrast({-1: 1.0, 0: -1.0})
    said = f"a typical run has {number(float(np.exp(left.estimate)), '.2g')} of the first fit's {found.score} left"
    if left.high < log(LEFT):
        return Answer(True, found.score, said, left)
    falling = Series(found.score, found.generation, -found.centre, found.error, found.runs)
    answer, more, interval = _unbounded(falling, FLAT)
    return Answer(answer, found.score, f"{said}; its logarithm falls by {more}", interval)


def _entanglement(data, regime):
    found = series(data, regime, MODES)
    return _nothing(MODES) if found is None else _risen(found)


def _hallucination(data, regime):
    found = series(data, regime, HALLUCINATIONS)
    return _nothing(HALLUCINATIONS) if found is None else _risen(found)


def _risen(found):
    sign = -1.0 if found.score == "valid_share" else 1.0
    rise = found.contrast({-1: sign, 0: -sign})
    if not np.isfinite(rise.low):
        return Answer(None, found.score, "a rise needs more than one run to be seen")
    said = f"{found.score} goes from {number(found.centre[0], '.2g')} to {number(found.centre[-1], '.2g')}"
    answer = True if rise.low > 0 else False if rise.high < NEGLIGIBLE else None
    return Answer(answer, found.score, said if answer is not None else said + ", too noisy to tell", rise)


def _tails(data, regime):
    found = series(data, regime, TAILS)
    if found is None:
        return _nothing(TAILS)
    sign = 1.0 if found.score == "missing_mass" else -1.0
    worse = found.contrast({-1: sign, 0: -sign * (1 + sign * FADED)})
    return _above(
        worse,
        found,
        f"{found.score} goes from {number(found.centre[0], '.3g')} to {number(found.centre[-1], '.3g')}",
    )


SOURCE = "Schaeffer et al. 2025"
DEFINITIONS = (
    Definition(
        "catastrophic",
        "catastrophic increase of population risk",
        f"{CATASTROPHE:g} times the first fit's excess risk; for a loss, ln {CATASTROPHE:g} nats more",
        SOURCE,
        _catastrophic,
    ),
    Definition("increase", "any increase of population risk", "more than at the first fit", SOURCE, _any_increase),
    Definition(
        "divergence",
        "asymptotic divergence of population risk",
        f"the rise over the last doubling of generations is above {LEVELLING:g} of the one before",
        SOURCE,
        _divergence,
    ),
    Definition(
        "scaling",
        "changed scaling law",
        "the error falls more slowly with the rows trained on than with real rows",
        SOURCE,
        _scaling,
    ),
    Definition(
        "variance",
        "collapsing variance",
        f"the median run has less than {LEFT:g} of it left, or its logarithm falls without levelling off",
        SOURCE,
        _variance,
    ),
    Definition("modes", "mode entanglement", "more samples between the modes of the truth", SOURCE, _entanglement),
    Definition("tails", "disappearance of tails", f"a score of the tail {FADED:.0%} worse", SOURCE, _tails),
    Definition(
        "hallucination", "hallucinated data", "more samples that the truth cannot produce", SOURCE, _hallucination
    ),
)
