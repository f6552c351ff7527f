"""The ledger: every claim of the thread and of the papers that a chapter puts to the test.

A claim has an id, a source, a statement, and a judge: a function from the chapter's results to a finding, that is, a
measured effect with its interval and a verdict that follows from it. No verdict is typed. Judges use 99% intervals.
"""

import importlib
import inspect
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import xarray as xr

from lib.errors import among, refuse
from lib.intervals import Interval

LEVEL = 0.99
SUPPORTED = "supported"
LIMITED = "supported with limits"
NOT_SUPPORTED = "not supported"
NOT_TESTABLE = "not testable here"
VERDICTS = (SUPPORTED, LIMITED, NOT_SUPPORTED, NOT_TESTABLE)


@dataclass(frozen=True)
class Finding:
    """What a judge found: a verdict, the effect in words (`measured`), its interval if there is one, and what would
    `change` the verdict. With an interval without ends, from too few runs, it is always *not testable here*."""

    verdict: str
    measured: str
    interval: Interval | None
    change: str

    def __post_init__(self):
        among("verdict", self.verdict, VERDICTS)
        if self.interval is not None and math.isnan(self.interval.low + self.interval.high):
            object.__setattr__(self, "verdict", NOT_TESTABLE)


Judge = Callable[[Mapping[str, xr.Dataset]], Finding]


@dataclass(frozen=True)
class Claim:
    """A statement that somebody made: the `source`, and the number or the words it stands on in that `paper`."""

    id: str
    chapter: int
    source: str
    statement: str
    paper: str
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


def claim(id: str, source: str, paper: str) -> Callable[[Judge], Judge]:
    """Make a function the judge of a claim. The first paragraph of its docstring is the claim's statement."""

    def register(judge: Judge) -> Judge:
        module = judge.__module__.rpartition(".")[2]
        (chapter,) = (k for k, about in CHAPTERS.items() if module in about.modules)
        statement = " ".join(inspect.getdoc(judge).split("\n\n")[0].split())
        judge.claim = Claim(id, chapter, source, statement, paper, judge)
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


def judge(chapter: int, results: Mapping[str, xr.Dataset]) -> dict[str, Finding]:
    """The finding on each claim of a chapter, from the data sets that the chapter has computed."""
    return {claim.id: claim.judge(results) for claim in of_chapter(chapter)}


def ladder(supported: bool, limited: bool = False) -> str:
    """The verdict of a claim, which carries the burden of proof."""
    return SUPPORTED if supported else LIMITED if limited else NOT_SUPPORTED


def table(chapter: int, findings: Mapping[str, Finding]) -> str:
    """The table *claim · paper · here · interval · verdict* at a chapter's end, as Markdown."""
    rows = ["| claim | paper | here | 99% interval | verdict |", "|---|---|---|---|---|"]
    for claim in of_chapter(chapter):
        found = findings[claim.id]
        interval = "–" if found.interval is None else f"{found.interval:.3g}"
        paper = f"{claim.paper} ({claim.source})"
        rows.append(f"| {claim.statement} | {paper} | {found.measured} | {interval} | **{found.verdict}** |")
    changes = [f"*{claim.statement}* {findings[claim.id].change}" for claim in of_chapter(chapter)]
    return "\n".join(rows) + "\n\nWhat would change a verdict:\n\n" + "\n".join(f"- {line}" for line in changes)


def dossier(claim: Claim, found: Mapping) -> str:
    """Everything about one verdict, as a Markdown item. `found` is a stored finding, or one as `asdict` gives it."""
    ends = found["interval"]
    interval = f" (99% interval {Interval(**ends):.3g})" if ends else ""
    judge = inspect.unwrap(claim.judge)
    return (
        f"- **{claim.statement}** {claim.source}: {claim.paper}. *Verdict*: **{found['verdict']}**. "
        f"*Found*: {found['measured']}{interval}. *What would change it*: {found['change']} "
        f"*Predicate*: `{judge.__module__.replace('.', '/')}.py: {judge.__name__}`, for the claim `{claim.id}`."
    )


def to_json(findings: Mapping[str, Finding]) -> list[dict]:
    """Findings as plain values, for a chapter's stored results."""
    return [{"id": name} | asdict(finding) for name, finding in findings.items()]


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
