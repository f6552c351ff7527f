"""The pages *How we judge* and *The ledger*: rules, rates of error and findings, put into words when the pages are
assembled."""

import html
import inspect
import json
import re
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import xarray as xr
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

JUDGING, LEDGER = Path("book", "how-we-judge.md"), Path("book", "ledger.md")
SEEDS = Path(__file__).parents[1] / "lib" / "stored" / "seeds.json"  # made by tests/seeds.py
# A claim for each word that the page explains; that the words are these is asserted where the page is made.
EXAMPLES = {
    "holds": "thread-gaussian",
    "holds if": "thread-no-collapse",
    "fails": "book-no-collapse-bias",
    "undecided": "thread-no-collapse-text",
    "not for simulation": "thread-accumulates",
}
# Trajectories made to order: the mean error after t fits, in the first fit's, and whether it has no bound.
SHAPES = {
    "levels off, like Σ1/i²": (lambda t: np.cumsum(1.0 / t**2), False),
    "grows like ln t": (lambda t: 1 + np.log(t), True),
    "grows like √t": (lambda t: np.sqrt(t), True),
    "grows like t": (lambda t: 1.0 * t, True),
    "noise alone": (lambda t: np.ones(t.size), False),
}
RUNS = (4, 10, 30, 100)


def made_to_order(shape, runs, many, rng, fits=64):
    """`many` data sets as regimes of one. Each run has an error of its own that stays, of a fifth of the mean, and one
    that walks on by a fiftieth of it with every fit."""
    mean, walk = SHAPES[shape][0](np.arange(1, fits + 1)), rng.normal(size=(many, fits, runs)).cumsum(1)
    values = mean[:, None] * (1 + 0.2 * rng.normal(size=(many, 1, runs)) + 0.02 * walk)
    about = {"kind": "excess risk", "worse": "more", "units": ""}
    coords = {"regime": [f"trajectory {k}" for k in range(many)], "generation": np.arange(1, fits + 1)}
    return xr.Dataset({"excess_risk": (("regime", "generation", "run"), values, about)}, coords)


def answers_to_order(many, seed):
    """How often the second question is answered *no*, *yes* and *undecided*, by shape and number of runs."""
    from lib import records
    from lib.ledger.questions import QUESTIONS

    (unbounded,) = (question for question in QUESTIONS if question.id == "unbounded")
    rng, found = np.random.default_rng(seed), {}
    for shape in SHAPES:
        for runs in RUNS:
            data = records.summary(made_to_order(shape, runs, many, rng))
            found[shape, runs] = Counter(unbounded.ask(data, r).word for r in data["regime"].values.tolist())
    return found


def wrong(found):
    """Wrong answers of `answers_to_order`, and all answers."""
    said = {shape: "no" if endless else "yes" for shape, (_, endless) in SHAPES.items()}
    return sum(count[said[shape]] for (shape, _), count in found.items()), sum(sum(c.values()) for c in found.values())


def rates(found, many):
    """The share of undecided answers as a table, and the wrong ones in a sentence."""
    rows = [f"| {many} trajectories each, 64 fits | " + " | ".join(f"{runs} runs" for runs in RUNS) + " |"]
    rows.append("|---" * (1 + len(RUNS)) + "|")
    rows += [
        f"| {shape} | " + " | ".join(f"{found[shape, runs]['undecided'] / many:.0%}" for runs in RUNS) + " |"
        for shape in SHAPES
    ]
    errors, of = wrong(found)
    said = f"Of these {of:,} answers {errors} {'is' if errors == 1 else 'are'} wrong, or {errors / of:.2%}. "
    said += "The table gives the share that is *undecided*."
    return said + "\n\n" + "\n".join(rows)


def write(target, results, titles):
    """Fill both pages in `target` from the chapters' `results`; `titles` maps a chapter's number to its file's name
    without ending and its title."""
    from lib.ledger import CHAPTERS, ledger

    stored = {k: json.loads((Path(results) / f"{k:02d}.json").read_text(encoding="utf-8")) for k in CHAPTERS}
    rows, answers = ledger(results), [answer for chapter in stored.values() for answer in chapter["answers"]]
    settings = {k: chapter["configuration"] for k, chapter in stored.items()}
    for page, fill in (
        (JUDGING, lambda text: fill_judging(text, rows, answers)),
        (LEDGER, lambda text: fill_ledger(text, rows, settings, titles)),
    ):
        path = target / page
        path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")


def fill_judging(text, rows, answers):
    """The page *How we judge*: `rows` are those of `lib.ledger.ledger`, `answers` those of all chapters."""
    from lib import ledger
    from lib.ledger import course, questions

    by_id, parts = {claim.id: (claim, found) for claim, found in rows}, {}
    for word, name in EXAMPLES.items():
        claim, found = by_id[name]
        if found["word"] != word:
            raise ValueError(f"{JUDGING}: {name} is no example of {word!r} any more, it is {found['word']!r}")
        said = f"**{ledger.verdict(found).replace('*', '')}**, {claim.reach}: {found['said']}"
        parts[f"example: {word}"] = f"*Example* ({claim.source}, {claim.quote}). {claim.statement} {said}."
    for name in ("FLAT", "LEVELLING", "LEFT", "FADED", "CARRIED"):
        parts[name] = f"{getattr(questions if hasattr(questions, name) else course, name):g}"
    many = 200
    parts["rates"] = rates(answers_to_order(many, seed=20240724), many)
    parts["chance"] = chance([found for _, found in rows], answers)
    parts["seeds"] = other_seeds(by_id)
    return _filled(text, parts, JUDGING)


def chance(findings, answers):
    """How many words another seed is expected to change."""
    from lib.ledger import chance_of_change

    near = sorted((chance_of_change(f["interval"], f["threshold"]), f["id"]) for f in findings if f["interval"])[::-1]
    by_runs = [chance_of_change(a["interval"], 0.0) for a in answers if a["by"] == "runs" and a["interval"]]
    likely = " and ".join(f"`{name}`" for p, name in near[:2])
    return (
        f"Of {len(findings)} words {len(near)} stand on an interval and a line. If everything were measured again with "
        f"another seed, {sum(p for p, _ in near):.1f} of them are expected to change, and {likely} most likely. Of the "
        f"{len(by_runs)} answers to the four questions that runs decide, {sum(by_runs):.1f} are."
    )


def other_seeds(by_id):
    """Which words of the chapters that train nothing changed at the other seeds that were run."""
    stored = json.loads(SEEDS.read_text(encoding="utf-8"))
    changed = [
        f"`{name}` ({by_id[name][1]['word']} here, {word} at seed {seed})"
        for seed, words in stored["words"].items()
        for name, word in words.items()
        if name in by_id and word != by_id[name][1]["word"]
    ]
    count = len(next(iter(stored["words"].values())))
    said = "no word changed" if not changed else f"these changed: {'; '.join(changed)}"
    return (
        f"The chapters that train nothing ({', '.join(map(str, stored['chapters']))}) were run again at "
        f"{len(stored['words'])} other seeds. Of their {count} words, {said}."
    )


def fill_ledger(text, rows, settings, titles):
    """The page *The ledger*: a table that is whole without JavaScript; `settings` are chapters' parameters."""
    body = "\n".join(_row(claim, found, settings[claim.chapter], titles[claim.chapter]) for claim, found in rows)
    columns = ("Chapter", "What was said", "By whom", "Word", "Reach")
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    table = f'<table class="ledger" id="ledger"><caption>{len(rows)} claims. A row unfolds to its numbers.</caption>'
    table += f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    script = (Path(__file__).parent / "ledger.js").read_text(encoding="utf-8")
    whole = f'```{{raw}} html\n{table}\n<script type="module">\n{script}</script>\n```'
    return _filled(text, {"ledger": whole}, LEDGER)


def _row(claim, found, settings, title):
    from lib.intervals import Interval

    word = found["word"] + (f" {found['note']}" if found["word"] == "holds if" else "")
    word += f" ({found['note']})" if found["note"] and found["word"] != "holds if" else ""
    lines = {"What was found": _text(found["said"]) + "."}
    if found["interval"]:
        at = "" if found["threshold"] is None else f"; the word turns at {found['threshold']:.3g}"
        lines["Interval"] = f"{Interval(**found['interval'])} at {found['interval']['level']:.0%}{at}"
    lines["What would change the word"] = _text(claim.turns)
    if claim.control:
        turned = found["turned"].replace("*", "")
        lines["Negative control"] = f"{_text(claim.control.said)}: {_text(turned)}"
    name, heading = title
    at = ", ".join(f"{key} = {value!r}" for key, value in settings.items())
    lines["Settings"] = f'<a href="../notebooks/{name}.html">{html.escape(heading)}</a> at {html.escape(at)}'
    lines["Id"] = f"<code>{claim.id}</code>"
    listed = "".join(f"<dt>{key}</dt><dd>{value}</dd>" for key, value in lines.items())
    code = highlight(textwrap.dedent(inspect.getsource(claim.judge)), PythonLexer(), HtmlFormatter(nowrap=True))
    who = html.escape(re.split("[,;]", claim.source)[0])
    return (
        f'<tr id="{claim.id}" data-source="{who}" data-word="{found["word"]}">'
        f'<td data-label="Chapter">{claim.chapter}</td>'
        f"<td><details><summary>{_text(claim.statement)}</summary><dl>{listed}</dl>"
        f'<div class="highlight"><pre tabindex="0">{code}</pre></div></details></td>'
        f'<td data-label="By whom">{_text(claim.source)}: {_text(claim.quote)}</td>'
        f'<td data-label="Word"><strong class="word {found["word"].replace(" ", "-")}">{_text(word)}</strong></td>'
        f'<td data-label="Reach">{claim.reach}</td></tr>'
    )


def _text(said):
    """A text of the ledger as HTML, its code marked; it holds no formulas."""
    said = html.escape(said, quote=False)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", said)


def _filled(text, parts, page):
    for name, part in parts.items():
        mark = f"<!-- {name} -->"
        if mark not in text:
            raise ValueError(f"{page} needs a mark {mark}")
        text = text.replace(mark, part)
    return text
