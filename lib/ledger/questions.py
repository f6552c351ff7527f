"""The four questions that every chapter asks of every regime it runs.

1. Is it worse at all?  2. Does it get worse without bound?  3. Does variety go?  4. Do rare things go?

They are asked of scores by their kind, so that the same words mean the same in every world. An answer is *no*, *yes* or
*undecided*, with the number that decides it. The exact limit for t → ∞ decides where it is known (`theory.limit`);
elsewhere changes between generations do, paired within runs, by their 99% intervals. A question that no score of a
world speaks to is not asked of it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from math import exp, inf, isnan, log, nan

import numpy as np
import xarray as xr

from lib import records, theory
from lib.errors import among, refuse
from lib.intervals import Interval, number
from lib.ledger.course import (
    FLAT,
    NO,
    UNDECIDED,
    YES,
    Course,
    of_kind,
    rise_goes_on,
)

LEFT = 0.1  # variety has gone when a typical run has less than this share of the first fit's variance left
FADED = 0.1  # rare things, or the diversity of what is produced, go if a score of theirs is worse by more than this


# By score and regime, in the score's unit: its exact law at t = 1 … T, as `theory.limit` needs it, or its limit alone,
# or with that what is to be said of it, such as how soon it is reached. NaN: the score is bounded by its
# nature, so that the second question is not asked of it.
Laws = Mapping[str, Mapping[str, np.ndarray | float | tuple[float, str]]]


@dataclass(frozen=True)
class Answer:
    """`word`: no, yes or undecided; `said`: the number that decides, in words; `by`: "law" or "runs"; `times`: the end,
    or what it tends to, in units of the first fit, NaN of losses."""

    word: str
    said: str
    score: str
    by: str
    interval: Interval | None = None
    times: float = nan


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
            limit, *said = law if isinstance(law, tuple) else (law,)
            if law is not None and np.ndim(limit) == 0 and isnan(limit):
                if self.id == "unbounded":
                    continue
            elif law is not None:
                first = course.mean[0] if np.ndim(limit) == 0 else limit[0]
                answer = self.by_law(course, first, float(limit) if np.ndim(limit) == 0 else theory.limit(limit))
                return replace(answer, said=said[0]) if said else answer
            if course.known:
                return self.decide(course)
        return None


def above(over: Interval, tolerance: float = 0.0) -> str:
    """Yes if the whole interval is above 0, no if it is below a tolerance, undecided if neither or without ends."""
    return YES if over.low > 0 else NO if over.high < tolerance else UNDECIDED


def _worse(course):
    rise = course.interval(*(np.array(course.change("whole")) * (course.sign, 1)))
    if course.in_nats:
        said = f"{number(rise.estimate, '+.2g')} nats"
    else:
        times = course.mean[-1] / course.mean[0]
        said = f"{number(times, '.4g' if abs(times - 1) < FLAT else '.3g')} times the first fit's"
    word = UNDECIDED if course.carried else above(rise, FLAT * course.level)
    times = course.mean[-1] / course.mean[0] if course.kind == "excess risk" and not course.carried else nan
    return Answer(word, said, course.score, "runs", rise, float(times))


def _unbounded(course):
    word, said, interval = rise_goes_on(course, course.sign)
    if word == YES and _worse(course).word != YES:
        word = UNDECIDED  # a rise that has not yet come back to where it began
    return Answer(word, said, course.score, "runs", interval)


def _by_law(decide):
    """An answer by the law's first value and its limit: `decide` says yes or no, told is what the score tends to."""

    def answer(course: Course, first: float, limit: float) -> Answer:
        if limit == inf:
            said = "has no bound"
        elif abs(limit) < 1e-6 * abs(first):
            said = "tends to 0"
        elif course.kind not in ("excess risk", "variance"):
            said = f"tends to {number(limit)}"
        else:
            said = f"tends to {number(limit / first)} times the first fit's"
        word = YES if decide(course.sign, first, limit) else NO
        return Answer(word, said, course.score, "law", times=float(limit / first))

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
    if interval and word != NO:
        said = f"{said}; its logarithm falls by {more}"
    return Answer(word, said, course.score, "runs", interval)


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
# What errs in a world: the finite sample alone, the model as well (smoothed, truncated, trained for a while), or a part
# that was built or biased for the purpose.
SAMPLE, MODEL, DESIGN = ERRS = "the sample alone", "the model as well", "by design"
# What the chapters' tables set side by side, and the heading of each column.
COLUMNS = {
    "Replace": "Replace",
    "Accumulate": "Accumulate",
    "Keep(0.1)": "a tenth kept",
    "RealOnly": "real data",
    "RealOnly(refit)": "real data",
}


def asked(
    world: str, data: xr.Dataset, regimes: Iterable[str] = COLUMNS, laws: Laws | None = None, errs: str = MODEL
) -> list[dict]:
    """The answers to all questions for each of these regimes that the data set has, as plain values with the name of
    the world, what errs in it, and the numbers of fits and runs."""
    among("errs", errs, ERRS)
    data, out = records.summary(data), []
    if "runs" not in data.attrs:
        refuse("data", list(data.data_vars), "a data set of `recurse`, with runs")
    known = [str(r) for r in data["regime"].values]
    for regime in (r for r in regimes if r in known):
        about = {
            "world": world,
            "errs": errs,
            "regime": regime,
            "fits": int(data["generation"].values[-1]),
            "runs": int(data.attrs["runs"]),
        }
        found = {question.id: question.ask(data, regime, laws) for question in QUESTIONS}
        out += [{**about, "question": id, **asdict(answer)} for id, answer in found.items() if answer]
    return out


def as_data(answers: Iterable[Mapping]) -> xr.Dataset:
    """What judges read of answers, with dims (world, question, regime): `word`, `said` and `by`, empty where a question
    was not asked, and the number of `fits`, 0 there; of each world, what `errs`."""
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
    errs = {a["world"]: a["errs"] for a in answers}
    return xr.Dataset(
        {name: (dims, values) for name, values in found.items()} | {"errs": ("world", list(errs.values()))},
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
