"""One HTML page of a sweep: what was run, how its scores went, and what became of its claims.

The page needs nothing beside it: figures are inside, there is no script, and nothing is fetched when it is read.
"""

from __future__ import annotations

import base64
import html
import io
import itertools
import math
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm

from lib import intervals
from lib import ledger as claims
from lib.batch.drive import duration, status
from lib.batch.folder import Folder
from lib.batch.merge import SERIES, collect, seeds_as_runs
from lib.chapter import figures

MOST_SCORES = 8  # of a data set that are drawn
MOST_PANELS = 3  # of an axis in a figure of trajectories: first, middle, last
MOST_MAPS = 4  # settings of further axes for which a map is drawn
STYLE = """\
:root { color-scheme: light; }
body { font: 17px/1.55 Georgia, serif; color: #222222; background: #ffffff; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3, th { font-family: system-ui, sans-serif; line-height: 1.25; }
figure { margin: 1.5rem 0; } img { max-width: 100%; height: auto; }
figcaption, .small { font-size: 0.9rem; color: #444444; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.9rem; }
th, td { text-align: left; padding: 0.3rem 0.7rem; border-bottom: 1px solid #cccccc; vertical-align: top; }
code { font-size: 0.85em; overflow-wrap: anywhere; }"""


def report(out: str) -> str:
    """Write `report.html` into a sweep's folder, collecting first what is finished. Returns its name there."""
    folder = Folder(out)
    names = collect(out)
    with tempfile.TemporaryDirectory(prefix="report-") as aside, mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")  # runs that are missing are drawn as empty
        figures.use()
        arrays = folder.fetch(names["nc"], Path(aside))
        page = _page(folder.read_json(names["json"]), status(out), arrays)
        target = Path(aside) / "report.html"
        target.write_text(page, encoding="utf-8")
        folder.put(target, "report.html")
    return "report.html"


def _page(about: dict, found: dict, arrays: Path) -> str:
    title = f"Sweep {about['name']}"
    parts = [f"<h1>{html.escape(title)}</h1>", _summary(about, found)]
    for group in about["groups"]:
        with xr.open_dataset(arrays, group=group, engine="h5netcdf") as data:
            parts += [
                f"<h2>Data set {html.escape(group)}</h2>",
                *_data_set(data, [a for a in about["axes"] if a in data.dims]),
            ]
    parts += [_claims(about["found"]), _failures(found)]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{html.escape(title)}</title>'
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}\n<style>\n{STYLE}\n</style></head>\n<body><main>\n'
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def _summary(about: dict, found: dict) -> str:
    def words(values: list) -> str:
        return " and ".join(str(value) for value in values)

    commit = words([c[:10] if c else "no repository" for c in about["commit"]]) + (
        " with changes" if any(about["changed"]) else ""
    )
    rows = {
        "runs": f"{about['runs']} of {about['of']} finished, {len(found['failed'])} failed",
        "notebook": about["sweep"]["notebook"],
        "computing": f"{duration(about['seconds'])} in all, on {words(about['device'])}",
        "last run": about["date"][:16].replace("T", " ") + " UTC",
        "commit": commit,
        "parameters": ", ".join(f"{name} = {values}" for name, values in about["axes"].items() if name != "set"),
        "defaults": ", ".join(f"{name} = {value!r}" for name, value in about["defaults"].items()),
        "versions": "; ".join(
            ", ".join(f"{n} {v}" for n, v in versions.items() if v) for versions in about["versions"]
        ),
    }
    if "set" in about["axes"]:
        rows["sets"] = "; ".join(f"{k}: {row}" for k, row in enumerate(about["sweep"]["list"]))
    return _table(["what", "value"], [[name, value] for name, value in rows.items()])


def _data_set(data: xr.Dataset, axes: list[str]) -> list[str]:
    scores = [n for n, v in data.data_vars.items() if v.dims == (*axes, *SERIES) and v.dtype.kind == "f"]
    parts = []
    if not scores:
        parts.append("<p>It has no scores with a regime, a generation and a run, so nothing is drawn.</p>")
    if len(scores) > MOST_SCORES:
        parts.append(
            f"<p class='small'>Drawn are {MOST_SCORES} of {len(scores)} scores; all are in the collected files.</p>"
        )
    for name in scores[:MOST_SCORES]:
        values = data[name].load()
        values = seeds_as_runs(values) if "seed" in axes else values
        if not np.isfinite(values).any():
            continue
        parts.append(f"<h3>{html.escape(name)}</h3>")
        drawn = [axis for axis in axes if axis != "seed"]
        parts += [_trajectories(values, drawn), *_ends(values, drawn)]
    return parts


def _trajectories(values: xr.DataArray, axes: list[str]) -> str:
    """Median and a 5–95% band over runs against the generation, one panel for each of a few values of two axes."""
    across, down = _largest(values, axes)
    fixed = {axis: 0 for axis in axes if axis not in (across, down)}
    shown = values.isel(fixed)
    columns, rows = _few(shown, across), _few(shown, down)
    fig, grid = plt.subplots(
        len(rows), len(columns), figsize=(3.1 * len(columns) + 1.2, 2.5 * len(rows) + 0.7), squeeze=False, sharex=True
    )  # fmt: skip
    finite = shown.values[np.isfinite(shown.values)]
    log = finite.min() > 0 and finite.max() > 100 * finite.min()
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        panel, ax = shown.isel({a: k for a, k in ((down, row), (across, column)) if a}), grid[i, j]
        for regime in panel["regime"].values:
            line = panel.sel(regime=regime)
            if np.isfinite(line).any():
                figures.trajectory(ax, line, marks=5)
        ax.set_yscale("log" if log else "linear")
        if panel.sizes["generation"] > 10:
            ax.set_xscale("log")
        ax.set_title(", ".join(_at(shown, a, k) for a, k in ((across, column), (down, row)) if a), fontsize=9.5)
    for ax in grid[-1]:
        ax.set_xlabel("generation $t$")
    handles = {text: line for ax in grid.flat for line, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.tight_layout()
    fig.legend(
        handles.values(), handles.keys(), loc="lower center", ncol=4, bbox_to_anchor=(0.5, -0.12 / len(rows) - 0.06)
    )
    where = "; " + ", ".join(_at(values, a, 0) for a in fixed) if fixed else ""
    caption = f"{values.name} against the generation: median over {values.sizes['run']} runs, with the band from 5% to 95%{where}."
    return _figure(fig, f"Lines of {values.name} against the generation, one for each regime.", caption)


def _ends(values: xr.DataArray, axes: list[str]) -> list[str]:
    """The last generation: a map over two axes for each regime, or lines over the one axis there is."""
    across, down = _largest(values, axes)
    last = values.isel(generation=-1).median("run")
    if across is None:
        return []
    if down is None:
        return [_line(last, across)]
    others = [axis for axis in axes if axis not in (across, down)]
    settings = list(itertools.product(*(range(last.sizes[axis]) for axis in others)))
    found = [
        _map(last.isel(dict(zip(others, setting, strict=True))), across, down, _where(last, others, setting))
        for setting in settings[:MOST_MAPS]
    ]
    if len(settings) > MOST_MAPS:
        found.append(f"<p class='small'>{MOST_MAPS} of {len(settings)} settings of {', '.join(others)} are drawn.</p>")
    return [figure for figure in found if figure]


def _map(last: xr.DataArray, across: str, down: str, where: str) -> str:
    finite = last.values[np.isfinite(last.values)]
    if not finite.size:
        return ""
    regimes = [r for r in last["regime"].values if np.isfinite(last.sel(regime=r)).any()]
    wide = min(4, len(regimes))
    high = math.ceil(len(regimes) / wide)
    fig, grid = plt.subplots(
        high, wide, figsize=(2.5 * wide + 0.8, 2.5 * high + 0.4), squeeze=False, layout="constrained"
    )
    log = finite.min() > 0 and finite.max() > 100 * finite.min()
    scale = {"norm": LogNorm(finite.min(), finite.max())} if log else {"vmin": finite.min(), "vmax": finite.max()}
    for ax, regime in itertools.zip_longest(grid.flat, regimes):
        if regime is None:
            ax.set_visible(False)
            continue
        cells = last.sel(regime=regime).transpose(down, across)
        image = ax.imshow(cells, cmap="cividis", origin="lower", aspect="auto", **scale)
        ax.grid(False)
        ax.set_xticks(range(cells.sizes[across]), [_value(v) for v in cells[across].values], fontsize=8)
        ax.set_yticks(range(cells.sizes[down]), [_value(v) for v in cells[down].values], fontsize=8)
        ax.set_title(str(regime), fontsize=9.5)
        ax.set(xlabel=across, ylabel=down)
        if cells.size <= 36:
            for (i, j), value in np.ndenumerate(cells.values):
                if np.isfinite(value):
                    dark = image.norm(value) < 0.55
                    ax.text(
                        j, i, f"{value:.2g}", ha="center", va="center", fontsize=7.5, color="white" if dark else "black"
                    )
    fig.colorbar(image, ax=grid, label=str(last.name), shrink=0.8)
    caption = f"{last.name} at generation {last['generation'].item()}: median over runs, for each {across} and {down}{where}. Empty cells have no value."
    return _figure(fig, f"Maps of {last.name} over {across} and {down}, one for each regime.", caption)


def _line(last: xr.DataArray, across: str) -> str:
    fig, ax = plt.subplots(figsize=(6.2, 3.6))
    at = last[across].values
    numbers = at.dtype.kind in "fiu"
    for regime in last["regime"].values:
        ax.plot(
            at if numbers else range(len(at)), last.sel(regime=regime), label=str(regime), **figures.style(str(regime))
        )
    if not numbers:
        ax.set_xticks(range(len(at)), [_value(v) for v in at])
    elif at.min() > 0 and at.max() >= 10 * at.min():
        ax.set_xscale("log")
    figures.finish(ax, xlabel=across, ylabel=str(last.name))
    caption = f"{last.name} at generation {last['generation'].item()} against {across}: median over runs."
    return _figure(fig, f"Lines of {last.name} against {across}, one for each regime.", caption)


def _claims(found: list[dict]) -> str:
    """How often each claim got each verdict, and one example of what was measured."""
    findings = [finding for run in found for finding in run["findings"]]
    if not findings:
        return ""
    known = {claim.id: claim for claim in claims.every()}
    rows = []
    for name in dict.fromkeys(finding["id"] for finding in findings):
        own = [finding for finding in findings if finding["id"] == name]
        counts = Counter(finding["verdict"] for finding in own)
        verdicts = ", ".join(f"{verdict}: {count}" for verdict, count in counts.most_common())
        interval = own[-1]["interval"]
        ends = "" if interval is None else " " + intervals.Interval(**interval).ends()
        statement = known[name].statement if name in known else name
        rows.append([statement, f"{len(own)} runs", verdicts, own[-1]["measured"] + ends])
    return "<h2>Claims</h2>" + _table(["claim", "judged in", "verdicts", "last run that judged it"], rows)


def _failures(found: dict) -> str:
    if not found["failed"]:
        return ""
    rows = [[key, str(run["parameters"]), run["reason"]] for key, run in found["failed"].items()]
    return "<h2>Failed runs</h2>" + _table(["folder", "parameters", "why"], rows)


def _largest(values: xr.DataArray, axes: list[str]) -> tuple[str | None, str | None]:
    """The two axes with the most values, if there are any with more than one."""
    several = (axis for axis in axes if values.sizes[axis] > 1)
    longest = sorted(several, key=lambda axis: (axis == "set", -values.sizes[axis]))
    return tuple([*longest, None, None][:2])


def _few(values: xr.DataArray, axis: str | None) -> list[int]:
    count = values.sizes[axis] if axis else 1
    return sorted({0, count // 2, count - 1}) if count > MOST_PANELS else list(range(count))


def _at(values: xr.DataArray, axis: str, k: int) -> str:
    return f"{axis} = {_value(values[axis].values[k])}"


def _where(values: xr.DataArray, axes: list[str], setting: tuple[int, ...]) -> str:
    return "".join(f", {_at(values, axis, k)}" for axis, k in zip(axes, setting, strict=True))


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


def _figure(fig, alt: str, caption: str) -> str:
    stored = io.BytesIO()
    fig.savefig(stored, format="png", dpi=110)
    plt.close(fig)
    source = base64.b64encode(stored.getvalue()).decode()
    return f'<figure><img alt="{html.escape(alt)}" src="data:image/png;base64,{source}"><figcaption>{html.escape(caption)}</figcaption></figure>'


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
