"""The source tree that the pages are built from: prose, executed chapters, ledger and provenance, all under _build."""

import base64
import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import bigger
import explorer_page
import judged
import yaml
from setup_cell import ROOT, is_reserved, read_config, source_of

PICTURE = Path("book", "_static", "argument.png")
PICTURE_SOURCE = ("01-setting.ipynb", "fig-bells")
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
    ignored = shutil.ignore_patterns("*.py", "__pycache__", "ledger.js", "sweeps")
    shutil.copytree(ROOT / "book", target / "book", ignore=ignored)
    shutil.copytree(ROOT / "book" / "_ext", target / "book" / "_ext", dirs_exist_ok=True)
    (target / "notebooks").mkdir()
    for path in executed.glob("*.ipynb"):
        shutil.copyfile(path, target / "notebooks" / path.name)
    draw_argument(executed, target)
    judged.write(target, results, titles_of(executed))
    for place, made in ((bigger.PAGE, bigger), *((page, explorer_page) for page in explorer_page.PAGES)):
        page = target / place
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
