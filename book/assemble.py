"""The source tree that the pages are built from: prose, executed chapters, ledger and provenance, all under _build."""

import base64
import itertools
import json
import shutil
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import bigger
import explorer_page
import yaml
from setup_cell import ROOT, is_reserved, read_config, source_of

LEDGER = "<!-- ledger -->"
VERDICTS = "<!-- verdicts -->"
PICTURE = Path("book", "_static", "argument.png")
PICTURE_SOURCE = ("02-gaussian.ipynb", "fig-gaussian-accumulate")
NAMED = ("numpy", "scipy", "torch", "xarray")


def collect_provenance(seconds):
    """What the pages say about where their numbers come from; `seconds` maps a chapter's page to its run time."""
    from lib.provenance import collected

    found = collected()
    return {
        "commit": found["commit"][:12] if found["commit"] else "unknown (not a git checkout)",
        "changed": found["changed"],
        "date": found["date"][:16].replace("T", " ") + " UTC",
        "versions": {"python": found["python"], **{name: found["versions"][name] for name in NAMED}},
        "device": found["device"],
        "seconds": {page: round(value, 1) for page, value in seconds.items()},
    }


def draw_argument(executed, target):
    """The picture of the front page and the README: a figure of an executed chapter, as the chapter drew it."""
    name, figure = PICTURE_SOURCE
    for cell in json.loads((executed / name).read_text(encoding="utf-8"))["cells"]:
        if cell["metadata"].get("mystnb", {}).get("figure", {}).get("name") == figure:
            (png,) = (o["data"]["image/png"] for o in cell["outputs"] if "image/png" in o.get("data", {}))
            (target / PICTURE).write_bytes(base64.b64decode("".join(png)))
            return
    raise ValueError(f"{name} has no figure {figure}, which the front page shows")


def tally(findings):
    """How many of some findings came out how, in words: "6 supported, 2 not supported"."""
    from lib.ledger import VERDICTS

    counts = Counter(found["verdict"] for found in findings)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def ledger(results, titles):
    """The ledger as Markdown: for each chapter one line that says how its claims came out, and folds out into a table.

    `titles` maps the number of a chapter to its file's name without ending and its title.
    """
    from lib.ledger import ledger as rows_of

    parts = []
    for number, group in itertools.groupby(rows_of(results), key=lambda row: row[0].chapter):
        rows = list(group)
        name, title = titles[number]
        lines = [
            f":::{{dropdown}} {title}: {tally(found for _, found in rows)}",
            f":name: ledger-{number:02d}",
            ":class-container: ledger",
            "",
            f"{{doc}}`Chapter {number} <../notebooks/{name}>` gives the interval behind each verdict and what would "
            f"change it.",
            "",
            "| claim | verdict | what we find |",
            "|---|---|---|",
        ]
        lines += [f"| {c.statement} (*{c.source}*) | **{f['verdict']}** | {f['measured']} |" for c, f in rows]
        parts.append("\n".join([*lines, ":::"]))
    return "\n\n".join(parts)


def fill_front_page(text, results, titles):
    """Put the ledger, and how its verdicts are divided, in the places of their marker lines."""
    from lib.ledger import ledger as rows_of

    findings = [found for _, found in rows_of(results)]
    said = f"The chapters judge **{len(findings)} claims** of the thread and of the papers: {tally(findings)}."
    for mark, filled in ((VERDICTS, said), (LEDGER, ledger(results, titles))):
        if mark not in text.splitlines():
            raise ValueError(f"book/index.md needs a line {mark}")
        text = text.replace(mark, filled)
    return text


def titles_of(executed):
    """Number of each chapter, with its file's name without ending and the title that its first line gives."""
    found = {}
    for path in sorted(executed.glob("*.ipynb")):
        first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
        found[int(path.stem.split("-")[0])] = (path.stem, source_of(first).splitlines()[0].removeprefix("# "))
    return found


def site(repository):
    """Where GitHub shows the pages of a repository; empty for a repository elsewhere, whose pages can be anywhere."""
    address = urlsplit(repository)
    owner, _, name = address.path.strip("/").removesuffix(".git").partition("/")
    if address.hostname != "github.com" or not name:
        return ""
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def assemble(target, executed, results, provenance):
    """Write the source tree of the book into `target`, an empty folder."""
    ignored = shutil.ignore_patterns("*.py", "__pycache__", "records", "sweeps")
    shutil.copytree(ROOT / "book", target / "book", ignore=ignored)
    shutil.copytree(ROOT / "book" / "_ext", target / "book" / "_ext", dirs_exist_ok=True)
    (target / "notebooks").mkdir()
    for path in executed.glob("*.ipynb"):
        shutil.copyfile(path, target / "notebooks" / path.name)
    draw_argument(executed, target)
    page = target / "book" / "index.md"
    page.write_text(fill_front_page(page.read_text(encoding="utf-8"), results, titles_of(executed)), encoding="utf-8")
    for made in (bigger, explorer_page):
        page = target / made.PAGE
        page.write_text(made.fill(page.read_text(encoding="utf-8"), target / "book" / "_static"), encoding="utf-8")
    (target / "provenance.json").write_text(json.dumps(provenance, indent=1))
    config = read_config()
    if is_reserved(config):  # nothing may link to it, and the theme refuses a host that it does not know
        del config["repository"]
    else:
        config["html"]["use_repository_button"] = True
        config["html"].setdefault("baseurl", site(config["repository"]["url"]))
        config["launch_buttons"] = {"notebook_interface": "classic", "colab_url": "https://colab.research.google.com"}
    (target / "_config.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
