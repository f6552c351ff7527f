"""The four questions that every chapter asks of every regime it runs.

1. Is it worse at all?  2. Does it get worse without bound?  3. Does variety go?  4. Do rare things go?

They are asked of scores by their kind, so that the same words mean the same in every world. An answer is *no*, *yes* or
*undecided*, with the number that decides it. The exact limit for t → ∞ decides where it is known (`theory.limit`);
elsewhere changes between generations do, paired within runs, by their 99% intervals. A question that no score of a
world speaks to is not asked of it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from math import exp, inf, log

import numpy as np
import xarray as xr
from scipy import stats

from lib import records, theory
from lib.errors import among, refuse
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
LEFT = 0.1  # variety has gone when a typical run has less than this share of the first fit's variance left
FADED = 0.1  # rare things, or the diversity of what is produced, go if a score of theirs is worse by more than this
CARRIED = 3.0  # a mean so many times the median is carried by rare runs; that of a squared normal error is 2.2 times

NATS = ("nats", "perplexity", "bits")  # how units of a log probability begin; of perplexities changes are of the log
# By score and regime, in the score's unit: its exact law at t = 1 … T, as `theory.limit` needs it, or its limit alone.
Laws = Mapping[str, Mapping[str, np.ndarray | float]]


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
        return 1.0 if self.kind == "variance" or self.units.startswith(NATS) else abs(self.mean[0])

    @property
    def carried(self) -> bool:
        """Whether the mean is carried by rare runs, so that its interval cannot be trusted."""
        with np.errstate(divide="ignore", invalid="ignore"):
            places = [self.at(0.25), self.at(0.5), -1]
            return self.kind == "excess risk" and bool((self.mean[places] / self.median[places] > CARRIED).any())


@dataclass(frozen=True)
class Answer:
    """`word`: no, yes or undecided; `said`: the number that decides, in words; `by`: "law" or "runs"."""

    word: str
    said: str
    score: str
    by: str
    interval: Interval | None = None


@dataclass(frozen=True)
class Question:
    """Its `id`, its words, the kinds of score that speak to it, and how a course, or an exact limit, answers it."""

    id: str
    words: str
    kinds: tuple[str, ...]
    decide: Callable[[Course], Answer]
    by_law: Callable[[Course, float, float], Answer]

    def ask(self, data: xr.Dataset, regime: str, laws: Laws | None = None) -> Answer | None:
        """The answer for one regime of a data set of `recurse` or of its summary; None if no score speaks to it. Of
        several, one with an exact law is asked first."""
        among("regime", regime, [str(r) for r in data["regime"].values])
        data, laws = records.summary(data), laws or {}
        if "score_name" in data.dims and data["mean_of"].ndim > 4:
            refuse("data", data["mean_of"].dims, "one setting: a sweep is asked one by one, by `data.sel`")
        scores = of_kind(data, *self.kinds)
        for score in sorted(scores, key=lambda score: regime not in laws.get(score, {})):
            course, law = Course(data, regime, score), laws.get(score, {}).get(regime)
            if law is not None:
                first = course.mean[0] if np.ndim(law) == 0 else law[0]
                return self.by_law(course, first, float(law) if np.ndim(law) == 0 else theory.limit(law))
            if course.known:
                return self.decide(course)
        return None


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


def above(over: Interval, tolerance: float = 0.0) -> str:
    """Yes if the whole interval is above 0, no if it is below a tolerance, undecided if neither or without ends."""
    return YES if over.low > 0 else NO if over.high < tolerance else UNDECIDED


def _worse(course):
    rise = course.interval(*(np.array(course.change("whole")) * (course.sign, 1)))
    if course.units.startswith(NATS):
        said = f"{number(rise.estimate, '+.2g')} nats"
    else:
        said = f"{number(course.mean[-1] / course.mean[0])} times the first fit's"
    word = UNDECIDED if course.carried else above(rise, FLAT * course.level)
    return Answer(word, said, course.score, "runs", rise)


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


def _unbounded(course):
    word, said, interval = rise_goes_on(course, course.sign)
    return Answer(word, said, course.score, "runs", interval)


def _by_law(decide):
    """An answer by the law's first value and its limit: `decide` says yes or no, told is what the score tends to."""

    def answer(course: Course, first: float, limit: float) -> Answer:
        if limit == inf:
            said = "has no bound"
        elif limit == 0 or course.kind not in ("excess risk", "variance"):
            said = f"tends to {number(limit)}"
        else:
            said = f"tends to {number(limit / first)} times the first fit's"
        return Answer(YES if decide(course.sign, first, limit) else NO, said, course.score, "law")

    return answer


def _variety(course):
    if course.kind == "diversity":
        return _faded(course)
    change, error = course.change("whole")
    if change == -inf or (course.median[-1] == 0 and course.median[0] > 0):
        return Answer(YES, "nothing is left in a typical run", course.score, "runs")
    left, said = course.interval(change, error), f"{number(exp(change), '.2g')} of the first fit's is left"
    if left.high < log(LEFT):
        return Answer(YES, said, course.score, "runs", left)
    word, more, interval = rise_goes_on(course, sign=-1.0)
    return Answer(word, f"{said}; its logarithm falls by {more}" if interval else said, course.score, "runs", interval)


def _faded(course):
    said = f"from {number(course.mean[0], '.3g')} to {number(course.mean[-1], '.3g')}"
    # Worse by a tenth of itself; of a score that is 0 at the first fit, worse at all.
    return Answer(above(course.beyond(1 + course.sign * FADED)), said, course.score, "runs")


RISKS = ("excess risk", "loss")
COLLAPSE = ("unbounded", "variety", "rare")  # a yes to any of these is what this book calls collapse
SHORT = {"worse": "worse", "unbounded": "without bound", "variety": "variety goes", "rare": "rare things go"}
QUESTIONS = (
    Question("worse", "Is it worse at all?", RISKS, _worse, _by_law(lambda sign, first, end: sign * (end - first) > 0)),
    Question("unbounded", "Does it get worse without bound?", RISKS, _unbounded, _by_law(lambda *law: law[-1] == inf)),
    Question(
        "variety",
        "Does variety go?",
        ("variance", "diversity"),
        _variety,
        _by_law(lambda sign, first, end: end < LEFT * first),
    ),
    Question(
        "rare",
        "Do rare things go?",
        ("tail",),
        _faded,
        _by_law(lambda sign, first, end: sign * (end - (1 + sign * FADED) * first) > 0),
    ),
)
# What the chapters' tables set side by side, and the heading of each column.
COLUMNS = {
    "Replace": "Replace",
    "Accumulate": "Accumulate",
    "Keep(0.1)": "a tenth kept",
    "RealOnly": "real data",
    "RealOnly(refit)": "real data",
}


def asked(world: str, data: xr.Dataset, regimes: Iterable[str] = COLUMNS, laws: Laws | None = None) -> list[dict]:
    """The answers to all questions for each of these regimes that the data set has, as plain values with the name of
    the world and the numbers of fits and runs."""
    data, out = records.summary(data), []
    if "runs" not in data.attrs:
        refuse("data", list(data.data_vars), "a data set of `recurse`, with runs")
    known = [str(r) for r in data["regime"].values]
    for regime in (r for r in regimes if r in known):
        about = {
            "world": world,
            "regime": regime,
            "fits": int(data["generation"].values[-1]),
            "runs": data.attrs["runs"],
        }
        found = {question.id: question.ask(data, regime, laws) for question in QUESTIONS}
        out += [{**about, "question": id, **asdict(answer)} for id, answer in found.items() if answer]
    return out


def as_data(answers: Iterable[Mapping]) -> xr.Dataset:
    """What judges read of answers, with dims (world, question, regime): `word`, `said` and `by`, empty where a question
    was not asked, and the number of `fits`, 0 there."""
    answers = list(answers)
    worlds, regimes = (list(dict.fromkeys(a[key] for a in answers)) for key in ("world", "regime"))
    ids = [question.id for question in QUESTIONS]
    shape = (len(worlds), len(ids), len(regimes))
    found = {name: np.full(shape, "", dtype=object) for name in ("word", "said", "by")} | {"fits": np.zeros(shape, int)}
    for a in answers:
        place = worlds.index(a["world"]), ids.index(a["question"]), regimes.index(a["regime"])
        for name, values in found.items():
            values[place] = a[name]
    dims = ("world", "question", "regime")
    return xr.Dataset(
        {name: (dims, values) for name, values in found.items()},
        {"world": worlds, "question": ids, "regime": regimes},
    )


def collapses(data: xr.Dataset, world: str, regime: str, *ids: str) -> bool | None:
    """Whether a regime collapses, of answers as `as_data` gives them: yes if it gets worse without bound, or variety or
    rare things go; no if all of these that were asked are answered no; None if undecided. `ids`: of these questions."""
    words = data["word"].sel(world=world, regime=regime, question=list(ids or COLLAPSE)).values
    words = words[words != ""]
    if not len(words):
        refuse("world", world, "one of which a question was asked")
    return True if (words == YES).any() else None if (words == UNDECIDED).any() else False


def in_words(data: xr.Dataset, world: str, regime: str) -> str:
    """The answers of one regime in one sentence, questions in their order."""
    found = data.sel(world=world, regime=regime)
    return "; ".join(
        f"{SHORT[id]}: {word}{', by law' if by == 'law' else ''} ({said})"
        for id, word, said, by in zip(
            found["question"].values, *(found[k].values for k in ("word", "said", "by")), strict=True
        )
        if word
    )


def table(answers: Iterable[Mapping]) -> str:
    """The table at a chapter's end, as Markdown: questions by regimes, for each world that was asked."""
    answers = list(answers)
    shown = list(dict.fromkeys(COLUMNS.get(a["regime"], a["regime"]) for a in answers))
    rows = ["| " + " | ".join(["", *shown]) + " |", "|" + "---|" * (1 + len(shown))]
    for world in dict.fromkeys(a["world"] for a in answers):
        found = {(a["question"], COLUMNS.get(a["regime"], a["regime"])): a for a in answers if a["world"] == world}
        fits = next(iter(found.values()))["fits"]
        rows.append("| " + " | ".join([f"*{world}, {fits} fits*", *[""] * len(shown)]) + " |")
        for question in QUESTIONS:
            cells = [found.get((question.id, column)) for column in shown]
            if any(cells):
                rows.append("| " + " | ".join([question.words, *map(_cell, cells)]) + " |")
    return "\n".join(rows)


def _cell(answer: Mapping | None) -> str:
    if answer is None:
        return "–"
    return f"**{answer['word']}**{', by law' if answer['by'] == 'law' else ''}: {answer['said']}"
