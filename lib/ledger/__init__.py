"""The ledger: every claim of the thread and of the papers that a chapter puts to the test.

A claim has an exact statement with its source, a reach, and a judge: a function from the chapter's results to a
finding, that is, one of five words with the numbers that it follows from. No word is typed where a number can decide.
Each judge has a control, results that must turn its word. Judges use 99% intervals.
"""

import importlib
import inspect
import json
import math
import string
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from lib.errors import among, refuse
from lib.intervals import Interval, number

LEVEL = 0.99
HOLDS, IF, FAILS, UNDECIDED, OUTSIDE = "holds", "holds if", "fails", "undecided", "not for simulation"
WORDS = (HOLDS, IF, FAILS, UNDECIDED, OUTSIDE)
LAW, THEIRS, SMALLER, ANALOGUE = "by law", "their setting", "same kind, smaller", "an analogue"
REACHES = (LAW, THEIRS, SMALLER, ANALOGUE)
NOT_REPRODUCED = "not reproduced at this size"

Results = Mapping[str, xr.Dataset]


@dataclass(frozen=True)
class Finding:
    """What a judge found: a word, and the named `numbers` it follows from (numbers or texts, which the claim's template
    prints). Where an interval decides, it is given with its `threshold`: *fails* is refused while the interval contains
    it, and an interval without ends, from too few runs, makes every word *undecided*."""

    word: str
    numbers: Mapping[str, Any]
    interval: Interval | None = None
    threshold: float | None = None

    def __post_init__(self):
        among("word", self.word, WORDS)
        if self.interval is None:
            return
        if math.isnan(self.interval.low + self.interval.high):
            object.__setattr__(self, "word", UNDECIDED)
        elif self.word == FAILS and (self.threshold is None or self.interval.low < self.threshold < self.interval.high):
            refuse("word", FAILS, f"another word while {self.interval} contains the threshold, {self.threshold}")


@dataclass(frozen=True)
class Control:
    """A change of a chapter's results that must turn the word of a judge, and what it does, in words."""

    said: str
    apply: Callable[[Results], Results]


Judge = Callable[[Results], Finding]


@dataclass(frozen=True)
class Claim:
    """A statement that somebody made: the `source`, and the `quote` or number that it stands on. `says` is the template
    of the finding's numbers, `condition` completes *holds if*, `turns` says what would change the word."""

    id: str
    chapter: int
    source: str
    quote: str
    statement: str
    reach: str
    says: str
    condition: str
    turns: str
    control: Control | None
    judge: Judge


@dataclass(frozen=True)
class About:
    """Of a chapter: the modules of its claims, how many times the laptop's work the paper's scale is (None where that
    depends on the GPU), and whether it reads what the others have left."""

    modules: tuple[str, ...]
    paper_times: int | None
    reads: bool = False


CHAPTERS = {
    1: About(("setting",), 1),
    2: About(("gaussian",), 10),
    3: About(("tails",), 10),
    4: About(("mixture",), 40),
    5: About(("regression",), 10),
    6: About(("images",), None),
    7: About(("language",), None),
    8: About(("kept",), None),
    9: About(("molecules",), None),
    10: About(("definitions",), 1, reads=True),
    11: About(("limits", "filters"), 4),
    12: About(("web",), 4),
    13: About(("journalists",), 1, reads=True),
}


def claim(
    id: str, source: str, quote: str, *, reach: str, says: str, control: Control | None, condition: str = ""
) -> Callable[[Judge], Judge]:
    """Make a function the judge of a claim. The first paragraph of its docstring is the claim's statement, the second
    says what would change the word. Only a claim that is never for simulation has no control."""
    among("reach", reach, REACHES)

    def register(judge: Judge) -> Judge:
        module = judge.__module__.rpartition(".")[2]
        (chapter,) = (k for k, about in CHAPTERS.items() if module in about.modules)
        statement, turns = (" ".join(part.split()) for part in inspect.getdoc(judge).split("\n\n"))
        judge.claim = Claim(id, chapter, source, quote, statement, reach, says, condition, turns, control, judge)
        return judge

    return register


def of_chapter(chapter: int) -> tuple[Claim, ...]:
    """The claims that a chapter owns, in the order in which they are judged."""
    among("chapter", chapter, tuple(CHAPTERS))
    modules = [importlib.import_module(f"lib.ledger.claims.{name}") for name in CHAPTERS[chapter].modules]
    return tuple(
        value.claim
        for module in modules
        for value in vars(module).values()
        if hasattr(value, "claim") and value.__module__ == module.__name__
    )


def every() -> tuple[Claim, ...]:
    """All claims, by chapter."""
    return tuple(claim for chapter in CHAPTERS for claim in of_chapter(chapter))


def word(holds: bool | None, under: bool | None = False) -> str:
    """The word of an answer: yes, no, or undecided (None); `under`: the answer if the claim's condition is granted."""
    if holds:
        return HOLDS
    if under:
        return IF
    return UNDECIDED if holds is None or under is None else FAILS


def judge(chapter: int, results: Results) -> list[dict]:
    """The finding on each claim of a chapter, from the data sets that the chapter has computed, as plain values."""
    return [judged(claim, results) for claim in of_chapter(chapter)]


def judged(claim: Claim, results: Results) -> dict:
    """The finding on one claim, and under `turned` the verdict that its control gives, as it is printed."""
    found = settled(claim, claim.judge(results))
    turned = verdict(settled(claim, claim.judge(claim.control.apply(results)))) if claim.control else ""
    return found | {"turned": turned}


def settled(claim: Claim, finding: Finding) -> dict:
    """A finding as plain values. Only a law or their own setting can make a claim fail."""
    short = finding.word == FAILS and claim.reach not in (LAW, THEIRS)
    if finding.word == IF and not claim.condition:
        refuse("condition", "", f"what completes {IF!r} for {claim.id}")
    return {
        "id": claim.id,
        "word": UNDECIDED if short else finding.word,
        "note": claim.condition if finding.word == IF else NOT_REPRODUCED if short else "",
        "said": _Words().vformat(claim.says, (), finding.numbers),
        "numbers": {name: n if isinstance(n, str) else float(n) for name, n in finding.numbers.items()},
        "interval": asdict(finding.interval) if finding.interval else None,
        "threshold": finding.threshold,
    }


class _Words(string.Formatter):
    """Formats numbers as sentences print them."""

    def format_field(self, value, spec):
        if isinstance(value, str):
            return value
        return f"{value:,}" if isinstance(value, int) and not spec else number(value, spec or ".3g")


def verdict(found: Mapping) -> str:
    """A word with its condition, as it is printed."""
    if found["word"] == IF:
        return f"**{IF}** {found['note']}"
    return f"**{found['word']}**" + (f" ({found['note']})" if found["note"] else "")


def table(found: list[Mapping]) -> str:
    """The claims at a chapter's end, as Markdown: what was said, the word, its reach, and the numbers."""
    claims = {claim.id: claim for claim in every()}
    rows = ["| what was said | word | reach | what was found |", "|---|---|---|---|"]
    for finding in found:
        claim = claims[finding["id"]]
        ends = f" (99% interval {Interval(**finding['interval']):.3g})" if finding["interval"] else ""
        said = f"{claim.statement} ({claim.source}: {claim.quote})"
        rows.append(f"| {said} | {verdict(finding)} | {claim.reach} | {finding['said']}{ends} |")
    return "\n".join(rows)


def ledger(folder: str | Path, chapters: tuple[int, ...] | None = None) -> list[tuple[Claim, dict]]:
    """Every claim, or those of some chapters, with the finding stored in `folder`. FileNotFoundError for a chapter
    without results, ValueError for findings that are not those of its claims."""
    rows = []
    for chapter in CHAPTERS if chapters is None else chapters:
        path = Path(folder) / f"{chapter:02d}.json"
        if not path.exists():
            raise FileNotFoundError(f"{path}: chapter {chapter} has left no results; `make notebooks` writes them")
        stored = {finding["id"]: finding for finding in json.loads(path.read_text())["findings"]}
        claims = of_chapter(chapter)
        known = sorted(claim.id for claim in claims)
        if sorted(stored) != known:
            refuse("findings", sorted(stored), f"one for each claim of chapter {chapter}: {known}")
        rows += [(claim, stored[claim.id]) for claim in claims]
    return rows


def chance_of_change(interval: Mapping, threshold: float | None) -> float:
    """The probability that another seed turns the word that an interval decides at a threshold: the new estimate is
    normal about the old one, with the errors of both. Of a law that a simulation agrees with, 1 in 10,000."""
    half = (interval["high"] - interval["low"]) / 2
    if threshold is None or not half > 0:
        return 1e-4
    spread = math.sqrt(2) * half / stats.norm.ppf(0.5 + interval["level"] / 2)
    ends = [-math.inf, threshold - half, threshold + half, math.inf]
    below = stats.norm.cdf(ends, interval["estimate"], spread)
    place = int(np.searchsorted(ends[1:3], interval["estimate"], side="right"))
    return float(1 - (below[place + 1] - below[place]))
