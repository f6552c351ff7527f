"""What a chapter's cells need to display: computed sentences, the device line, the claims table, the chapter's end."""

import ast
import html
import itertools
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import xarray as xr
from IPython import get_ipython
from IPython.display import Markdown, display

from lib import checkpoint, intervals, provenance, records
from lib import ledger as claims
from lib.chapter import figures
from lib.errors import among
from lib.ledger import questions

DRIVE = "/content/drive/MyDrive"  # where Colab mounts it


@dataclass
class Chapter:
    """A chapter while it runs: its number, the parameters it was started with, and what it has computed so far.

    `results` holds its data sets by name. Those of a recorded sweep (attribute `recorded`) are judged, not left again.
    """

    number: int
    parameters: dict[str, Any]
    defaults: dict[str, Any]
    started: float = field(default_factory=checkpoint.clock)
    results: dict[str, xr.Dataset] = field(default_factory=dict)
    answers: list[dict] = field(default_factory=list)

    def ask(
        self, world: str, data: xr.Dataset, laws: questions.Laws | None = None, errs: str = questions.MODEL
    ) -> None:
        """Ask the four questions of the regimes of a data set that the chapters compare; `world` is its heading in the
        table. `laws`: exact laws of its scores, by score and regime; `errs`: one of `questions.ERRS`."""
        self.answers += questions.asked(world, data, laws=laws, errs=errs)

    def bears(self, condition: Any) -> None:
        """Fail at the chapter's own defaults unless what a sentence written by hand says is so; with other parameters
        say that it is not."""
        if not condition and self.parameters == self.defaults:
            raise AssertionError("these results no longer bear the sentence beside them")
        if not condition:
            say("*With these parameters the sentence above does not hold.*")

    def end(self) -> None:
        """Answer the four questions, judge the chapter's claims, show both tables, and leave the results where the
        build has asked for them.

        Results are left only at the chapter's own defaults: no other run enters the ledger. A run of a sweep hands over
        everything, also if a judge refuses.
        """
        findings = []
        computed = {name: data for name, data in self.results.items() if "recorded" not in data.attrs}
        judged_on = self.results | ({"answers": questions.as_data(self.answers)} if self.answers else {})
        try:
            findings = claims.judge(self.number, judged_on)
        finally:
            records.leave_run(computed, findings, self.answers)
        if self.answers:
            say(questions.table(self.answers))
        summary = f"The claims that this chapter puts to the test: {len(findings)}"
        say(f"<details>\n<summary>{summary}</summary>\n\n{claims.table(findings)}\n\n</details>")
        folder = os.environ.get("LIB_RESULTS")
        if folder and self.parameters == self.defaults:
            seconds = checkpoint.clock() - self.started
            records.leave(self.number, self.parameters, computed, findings, self.answers, seconds, folder)


def begin(number: int) -> Chapter:
    """Start a chapter: read its parameters (the cell's defaults, and what papermill put after it), check the size dial,
    and set the house style."""
    shell = get_ipython()
    cells, names = ([], {}) if shell is None else (shell.user_ns.get("In", []), shell.user_ns)
    defaults = next((found for cell in cells if (found := _assignments(cell))), {})
    parameters = {name: names[name] for name in defaults}
    if "scale" in parameters:
        among("scale", parameters["scale"], ("laptop", "paper"))
    figures.use()
    return Chapter(number, parameters, defaults)


def _assignments(cell: str) -> dict[str, Any]:
    """Names and values of a cell made of annotated assignments of constants only: the parameters cell."""
    try:
        body = ast.parse(cell).body
    except SyntaxError:
        return {}
    if not body or not all(isinstance(line, ast.AnnAssign) and line.value is not None for line in body):
        return {}
    return {line.target.id: ast.literal_eval(line.value) for line in body}


def say(text: str) -> None:
    """Display a sentence, or any Markdown, made of computed numbers."""
    display(Markdown(text))


def recorded(name: str) -> records.Record | None:
    """The recorded sweep of that name, after saying what, where and when it was; None if there is none."""
    found = records.record(name)
    if found is not None:
        say(f"*{found.line}*")
    return found


def recorded_scores(data: xr.Dataset, scores: Mapping[str, tuple[str, str]]) -> None:
    """Show a recorded data set, one of `Record.data`, as one table for each parameter set that was run: scores at the
    first and the last generation by regime, with the 95% interval over the runs that were kept whole.

    `scores` maps their names to a label and a format, such as {"test_nelbo": ("test bound (nats)", ".1f")}.
    """
    for score in scores:
        among("scores", score, data["score_name"].values.tolist())
    axes = [dim for dim in data[next(iter(scores))].dims if dim not in records.SERIES]
    for place in itertools.product(*(data[axis].values for axis in axes)):
        arm = data.sel(dict(zip(axes, place, strict=True)))
        named = ", ".join(f"{axis} = `{value}`" for axis, value in zip(axes, place, strict=True))
        regimes, last = arm["regime"].values, int(arm["generation"][-1])
        header = " | ".join(["| score | *generation 1*", *map(str, regimes)])
        lines = [f"{header} |", "|---" * (len(regimes) + 2) + "|"]
        for score, (label, spec) in scores.items():
            found = arm[score].transpose("regime", "generation", ...)
            shown = " | ".join(f"{intervals.mean(end):{spec}}" for end in (found[0, 0], *found[:, -1]))
            lines.append(f"| {label} | {shown} |")
        said = f"*Recorded*{', ' + named if named else ''}: generation {last} by regime, {arm.sizes['run']} runs."
        say("\n".join([said, "", *lines]))


def passage(text: str, longest: int = 200) -> str:
    """The beginning of a generated text for a cell of a Markdown table: nothing in it is read as a mark."""
    text = " ".join(text.split())
    text = text if len(text) <= longest else text[:longest].rsplit(" ", 1)[0] + " …"
    text = html.escape(text, quote=False)
    return re.sub(r"([\\`*_{}\[\]#|$~])", lambda found: f"&#{ord(found.group())};", text)


def device_line() -> str:
    """What the chapter runs on, how long it is expected to take at each scale, and where it keeps what is finished."""
    versions = ", ".join(f"{name} {v}" for name in ("numpy", "torch") if (v := provenance.version(name)))
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    line = f"{provenance.device()}, {os.cpu_count()} cores, {threads} thread(s), {versions}"
    shell = get_ipython()
    here = {} if shell is None else shell.user_ns
    chapter = next((value for value in here.values() if isinstance(value, Chapter)), None)
    if chapter is None or "scale" not in chapter.parameters:
        return line
    return "\n".join([line, *expected(chapter.number), *kept_line(chapter.number)])


def expected(number: int, gpu: bool | None = None) -> list[str]:
    """Sentences: the minutes that a chapter is expected to take at each scale, and whether a GPU was found, where that
    matters. The laptop's minutes are those of the committed results, the paper's follow from the sizes of the scales.
    `gpu`: whether there is one; by default this is found out.
    """
    gpu = provenance.gpu() if gpu is None else gpu
    try:
        stored, _ = records.read(number, records.COMMITTED)
    except FileNotFoundError:
        return ["Expected time: not measured yet."]
    seconds, on = stored["seconds"], stored["provenance"]["device"]
    out = [f"Expected at scale laptop: {records.spent(seconds)} (measured on one core of {on})."]
    times = claims.CHAPTERS[number].paper_times
    if times:
        paper = f"about {records.spent(times * seconds)} ({times} times the work)"
    else:
        paper = "not measured; it is meant for a GPU, and the progress bar tells the time left"
    out += [f"Expected at scale paper: {paper}."]
    if not times and not gpu:
        colab = " On Colab, Runtime, Change runtime type offers one." if "google.colab" in sys.modules else ""
        out += [f"No GPU was found; scale laptop needs none.{colab}"]
    elif not times:
        out += ["A GPU was found and is used."]
    return out


def kept_line(number: int) -> list[str]:
    """Where finished generations are kept, for chapters that train for minutes; on Colab, how to name a folder."""
    folder = os.environ.get(checkpoint.VARIABLE)
    if claims.CHAPTERS[number].paper_times:
        return []
    if folder:
        return [f"Finished generations are kept in {folder}; run the chapter again and it goes on from there."]
    if "google.colab" not in sys.modules:
        return []
    first = "" if os.path.isdir(DRIVE) else "from google.colab import drive; drive.mount('/content/drive'), then "
    return [
        "To go on after a disconnection, keep finished generations on your Drive: "
        f"run {first}%env {checkpoint.VARIABLE}={DRIVE}/replace-or-accumulate before the experiments."
    ]


def settings_line(settings: Mapping[str, Any]) -> None:
    """Show the sizes a chapter runs at, given and derived."""
    say("Sizes of this run: " + ", ".join(f"{name} = `{value!r}`" for name, value in settings.items()) + ".")
