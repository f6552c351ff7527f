"""The ledger: every claim of the thread and of the papers that a chapter puts to the test.

A claim has an id, a source, a statement, and a judge: a function from the chapter's results to a finding, that is, a measured
effect with its interval and a verdict that follows from it. No verdict is typed. Judges use 99% intervals.
"""

from __future__ import annotations

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
    """What a judge found: a verdict, the measured effect in words (`measured`), its interval if there is one, and what
    result would have made the verdict another."""

    verdict: str
    measured: str
    interval: Interval | None
    change: str

    def __post_init__(self):
        among("verdict", self.verdict, VERDICTS)


@dataclass(frozen=True)
class Claim:
    """A statement that somebody made. `source` names the paper or thread and the place in it; `paper` gives the number or
    the words it stands on there."""

    id: str
    chapter: int
    source: str
    statement: str
    paper: str
    judge: Callable[[Mapping[str, xr.Dataset]], Finding]


CHAPTERS = {
    1: "setting",
    2: "gaussian",
    3: "tails",
    4: "mixture",
    5: "regression",
    6: "images",
    7: "language",
    8: "kept",
    9: "molecules",
    10: "definitions",
    11: "limits",
    12: "web",
    13: "journalists",
}


def of_chapter(chapter: int) -> tuple[Claim, ...]:
    """The claims that a chapter owns."""
    among("chapter", chapter, tuple(CHAPTERS))
    return importlib.import_module(f"lib.ledger.claims.{CHAPTERS[chapter]}").CLAIMS


def every() -> tuple[Claim, ...]:
    """All claims, by chapter."""
    return tuple(claim for chapter in CHAPTERS for claim in of_chapter(chapter))


def judge(chapter: int, results: Mapping[str, xr.Dataset]) -> dict[str, Finding]:
    """The finding on each claim of a chapter, from the data sets that the chapter has computed."""
    return {claim.id: claim.judge(results) for claim in of_chapter(chapter)}


def verdict(interval: Interval, *, above: float = -math.inf, below: float = math.inf, holds: str = SUPPORTED) -> str:
    """`holds` if the whole interval lies between the limits, otherwise not supported: a claim carries the burden of proof."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        refuse("interval", interval, "an interval with both ends; more runs are needed")
    return holds if above < interval.low and interval.high < below else NOT_SUPPORTED


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


def code(claim: Claim) -> str:
    """Where the predicate of a claim is: its file from the top of the repository, and the name of the function."""
    judge = inspect.unwrap(claim.judge)
    return f"{judge.__module__.replace('.', '/')}.py: {judge.__name__}"


def dossier(claim: Claim, found: Mapping) -> str:
    """Everything about one verdict, as a Markdown item: what was claimed and where, what was found, the predicate, and what would
    change it. `found` is a stored finding, or a `Finding` as `asdict` gives it."""
    ends = found["interval"]
    interval = f" (99% interval {Interval(**ends):.3g})" if ends else ""
    return (
        f"- **{claim.statement}** {claim.source}: {claim.paper}. *Verdict*: **{found['verdict']}**. *Found*: {found['measured']}{interval}. "
        f"*What would change it*: {found['change']} *Predicate*: `{code(claim)}`, for the claim `{claim.id}`."
    )


def to_json(findings: Mapping[str, Finding]) -> list[dict]:
    """Findings as plain values, for a chapter's stored results."""
    return [{"id": name} | asdict(finding) for name, finding in findings.items()]


def ledger(folder: str | Path, chapters: tuple[int, ...] | None = None) -> list[tuple[Claim, dict]]:
    """Every claim, or those of some chapters, with the finding stored by its chapter in `folder`. FileNotFoundError for a chapter
    without results, ValueError for stored findings that are not those of the claims."""
    rows = []
    for chapter in CHAPTERS if chapters is None else chapters:
        path = Path(folder) / f"{chapter:02d}.json"
        if not path.exists():
            raise FileNotFoundError(f"{path}: chapter {chapter} has left no results; `make notebooks` writes them")
        stored = {finding["id"]: finding for finding in json.loads(path.read_text())["findings"]}
        claims = of_chapter(chapter)
        if set(stored) != {claim.id for claim in claims}:
            refuse(
                "findings", sorted(stored), f"one for each claim of chapter {chapter}: {sorted(c.id for c in claims)}"
            )
        rows += [(claim, stored[claim.id]) for claim in claims]
    return rows


def ledger_markdown(
    folder: str | Path, link: Callable[[int], str] = lambda chapter: f"[{chapter}](chapter-{chapter})"
) -> str:
    """The ledger as a Markdown table of three columns, narrow enough for a phone: the claim with its source and a link to the
    chapter that judged it, the verdict, and what was found."""
    rows = ["| claim | verdict | what we find |", "|---|---|---|"]
    for claim, found in ledger(folder):
        where = f"*{claim.source}*; chapter {link(claim.chapter)}"
        rows.append(f"| {claim.statement} ({where}) | **{found['verdict']}** | {found['measured']} |")
    return "\n".join(rows)
