"""The source tree that the pages are built from: prose, executed chapters, ledger and provenance, all under _build."""

import base64
import json
import shutil
from pathlib import Path

import bigger
import explorer_page
import yaml
from setup_cell import ROOT, is_reserved, read_config

LEDGER = "<!-- ledger -->"
PICTURE = Path("book", "_static", "argument.png")
PICTURE_SOURCE = ("02-gaussian.ipynb", "fig-gaussian-accumulate")
NAMED = ("numpy", "scipy", "torch", "xarray")


def collect_provenance(seconds):
    """What the pages say about where their numbers come from; `seconds` maps a chapter's page to its run time."""
    from lib.records import provenance

    found = provenance()
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


def fill_front_page(text, results):
    """Put the ledger's table in place of its marker line."""
    if LEDGER not in text.splitlines():
        raise ValueError(f"book/index.md needs a line {LEDGER}")
    from lib.claims import ledger_markdown

    names = {int(path.stem.split("-")[0]): path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    table = ledger_markdown(results, link=lambda number: f"[{number}](../notebooks/{names[number]})")
    return text.replace(LEDGER, table)


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
    page.write_text(fill_front_page(page.read_text(encoding="utf-8"), results), encoding="utf-8")
    for made in (bigger, explorer_page):
        page = target / made.PAGE
        page.write_text(made.fill(page.read_text(encoding="utf-8"), target / "book" / "_static"), encoding="utf-8")
    (target / "provenance.json").write_text(json.dumps(provenance, indent=1))
    config = read_config()
    if is_reserved(config):  # nothing may link to it, and the theme refuses a host that it does not know
        del config["repository"]
    else:
        config["html"]["use_repository_button"] = True
        config["launch_buttons"] = {"notebook_interface": "classic", "colab_url": "https://colab.research.google.com"}
    (target / "_config.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
