"""A report of a sweep: report.ipynb, which lies beside this file, executed over what was collected, and its outputs as
one page.

The page needs nothing beside it: figures are inside, there is no script, and nothing is fetched when it is read.
"""

from __future__ import annotations

import html
import json
import tempfile
from pathlib import Path

import papermill

from lib.batch.drive import status
from lib.batch.folder import Folder
from lib.batch.kernel import SETTINGS, environment, own_kernel
from lib.batch.merge import collect

NOTEBOOK = Path(__file__).with_name("report.ipynb")
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>
:root {{ color-scheme: light; }}
body {{ font: 17px/1.55 Georgia, serif; color: #222222; background: #ffffff; max-width: 60rem; margin: 2rem auto; }}
body {{ padding: 0 1rem; }} h1, h2, h3, th {{ font-family: system-ui, sans-serif; line-height: 1.25; }}
figure {{ margin: 1.5rem 0; }} img {{ max-width: 100%; height: auto; }}
figcaption, .small {{ font-size: 0.9rem; color: #444444; }}
.wide {{ overflow-x: auto; }} table {{ border-collapse: collapse; font-size: 0.9rem; }}
th, td {{ text-align: left; padding: 0.3rem 0.7rem; border-bottom: 1px solid #cccccc; vertical-align: top; }}
</style></head>
<body><main>
{body}
</main></body></html>
"""


def report(out: str) -> str:
    """Write `report.html` and `report.ipynb` into a sweep's folder, collecting first what is finished. Returns the
    page's name."""
    folder, names, found = Folder(out), collect(out), status(out)
    with (
        tempfile.TemporaryDirectory(prefix="report-") as aside,
        own_kernel(Path(aside), environment(), Path(aside)) as manager,
    ):
        state = Path(aside, "status.json")
        state.write_text(json.dumps(found), encoding="utf-8")
        parameters = {
            "arrays": folder.fetch(names["nc"], Path(aside)),
            "about": folder.fetch(names["json"], Path(aside)),
        }
        done = papermill.execute_notebook(
            str(NOTEBOOK),
            f"{aside}/report.ipynb",
            parameters={name: str(path) for name, path in {**parameters, "status": state}.items()},
            kernel_manager_class=manager,
            **SETTINGS,
        )
        folder.put("report.ipynb", Path(aside, "report.ipynb").read_bytes())
    outputs = (output.get("data", {}) for cell in done.cells for output in cell.get("outputs", []))
    body = "\n".join(data["text/html"] for data in outputs if "text/html" in data)
    folder.put("report.html", PAGE.format(title=html.escape(f"Sweep {found['name']}"), body=body))
    return "report.html"
