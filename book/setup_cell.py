"""What every chapter opens with: the line that leads to Colab, and the one setup cell. Both come from `_config.yml`."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).resolve().parent.parent
BADGE = re.compile(r"<!-- badge -->\n.*?<!-- /badge -->", re.DOTALL)

SETUP = """\
# On Colab this installs the project and what Colab lacks, never torch or numpy. Elsewhere it does nothing.
import importlib.util
import subprocess
import sys

if "google.colab" in sys.modules:
    repository, branch = "{url}", "{branch}"
    if ".invalid/" in repository:
        raise RuntimeError("set repository.url in _config.yml")
    wanted = ("xarray", "h5py", "h5netcdf", "tqdm", "gensim", "smart_open", "wrapt", "rdkit")
    lacking = [name for name in wanted if importlib.util.find_spec(name) is None]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, f"git+{{repository}}@{{branch}}", *lacking], check=True)
    importlib.invalidate_caches()
"""


def read_config(path=ROOT / "_config.yml"):
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def is_reserved(config):
    """True while `repository.url` is the reserved address, to which nothing may link."""
    return urlsplit(config["repository"]["url"]).hostname.endswith(".invalid")


def setup_source(config):
    """Source of the cell tagged `setup`, the same in every chapter."""
    repository = config["repository"]
    return SETUP.format(url=repository["url"].rstrip("/"), branch=repository["branch"]).rstrip("\n")


def badge_source(config, name):
    """The marked lines under a chapter's title; `name` is the notebook's file name without its ending."""
    repository = config["repository"]
    address = urlsplit(repository["url"])
    if is_reserved(config):
        text = ""  # *Run it bigger* says once how to open a chapter there
    elif address.hostname == "github.com":
        path = (
            f"github{address.path.rstrip('/').removesuffix('.git')}/blob/{repository['branch']}/notebooks/{name}.ipynb"
        )
        text = f"[Open this chapter on Colab](https://colab.research.google.com/{path})"
    else:
        text = f"*On Colab: choose File, Upload notebook, and give it `notebooks/{name}.ipynb` of {repository['url']}.*"
    return f"<!-- badge -->\n{text}\n<!-- /badge -->"


def stamp(notebook, name, config):
    """Write badge and setup cell into a notebook (a dict); a chapter without a place for them is an error."""
    first = notebook["cells"][0]
    text, found = BADGE.subn(lambda _: badge_source(config, name), source_of(first))
    if found != 1:
        raise ValueError(f"{name}: the first cell needs one <!-- badge --> line followed by one <!-- /badge --> line")
    first["source"] = text
    cells = [cell for cell in notebook["cells"] if "setup" in cell["metadata"].get("tags", [])]
    if len(cells) != 1:
        raise ValueError(f"{name}: {len(cells)} cells are tagged setup; a chapter has exactly one")
    cells[0]["source"] = setup_source(config)
    return notebook


def source_of(cell):
    """A cell's text; notebook files store it as one string or as lines."""
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
