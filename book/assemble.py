"""The source tree that the pages are built from: prose, executed chapters, ledger and provenance, all under _build."""

import json
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import yaml
from setup_cell import ROOT, is_reserved, read_config

LEDGER = "<!-- ledger -->"
NAMED = ("numpy", "scipy", "torch", "xarray")


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def processor():
    """Name of what computed: the first GPU that torch sees, else the processor."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return (names or [platform.processor() or platform.machine()])[0]


def collect_provenance(seconds):
    """What the pages say about where their numbers come from; `seconds` maps a chapter's page to its run time."""
    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        changed = bool(git("status", "--porcelain"))
    except FileNotFoundError:  # no git on this machine
        commit, changed = None, False
    return {
        "commit": commit or "unknown (not a git checkout)",
        "changed": bool(commit) and changed,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in NAMED}},
        "device": processor(),
        "seconds": {page: round(value, 1) for page, value in seconds.items()},
    }


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
    ignored = shutil.ignore_patterns("*.py", "__pycache__")
    shutil.copytree(ROOT / "book", target / "book", ignore=ignored)
    shutil.copytree(ROOT / "book" / "_ext", target / "book" / "_ext", dirs_exist_ok=True)
    (target / "notebooks").mkdir()
    for path in executed.glob("*.ipynb"):
        shutil.copyfile(path, target / "notebooks" / path.name)
    page = target / "book" / "index.md"
    page.write_text(fill_front_page(page.read_text(encoding="utf-8"), results), encoding="utf-8")
    (target / "provenance.json").write_text(json.dumps(provenance, indent=1))
    config = read_config()
    if is_reserved(config):  # nothing may link to it, and the theme refuses a host that it does not know
        del config["repository"]
    else:
        config["html"]["use_repository_button"] = True
        config["launch_buttons"] = {"notebook_interface": "classic", "colab_url": "https://colab.research.google.com"}
    (target / "_config.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
