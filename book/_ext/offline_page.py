"""Sphinx extension: pages that need no kernel and no network, and that say where their numbers come from."""

import html
import json
import re
from pathlib import Path

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def without_widgets(notebook):
    """A notebook (a dict) without its widgets: on a page they are dead, and their loader comes from the network."""
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [out for out in cell["outputs"] if WIDGET_VIEW not in out.get("data", {})]
    return notebook


def read_source(app, docname, source):
    if str(app.env.doc2path(docname)).endswith(".ipynb"):
        source[0] = json.dumps(without_widgets(json.loads(source[0])))


def footer(provenance, page):
    """Where the numbers of a page come from, as one small block of HTML."""
    versions = ", ".join(f"{name} {number}" for name, number in provenance["versions"].items())
    commit = provenance["commit"] + (" with local changes" if provenance["changed"] else "")
    parts = [f"Commit {commit}", f"built {provenance['date']}", versions]
    if page in provenance["seconds"]:
        parts.insert(1, f"executed in {provenance['seconds'][page]:.0f} s on {provenance['device']}, one thread")
    else:
        minutes = sum(provenance["seconds"].values()) / 60
        chapters = f"{len(provenance['seconds'])} chapters executed in {minutes:.1f} minutes"
        parts.insert(1, f"{chapters} on {provenance['device']}, one thread each")
    return '<p class="provenance">' + html.escape("; ".join(parts)) + ".</p>"


def note(app, page):
    """That block for a page of a book that is being built; empty if nothing is known of the build."""
    path = Path(app.srcdir) / "provenance.json"
    return footer(json.loads(path.read_text(encoding="utf-8")), page) if path.exists() else ""


def is_thebe(script):
    """Whether a script, linked or inline, belongs to thebe: it would look for a kernel on the network."""
    text = f"{getattr(script, 'filename', script)} {getattr(script, 'attributes', '')}"
    return "thebe" in text.lower()


def finish_page(app, pagename, templatename, context, doctree):
    context["default_mode"] = "auto"
    context["script_files"] = [s for s in context["script_files"] if not is_thebe(s)]
    if not context.get("body"):
        # The index and the search page have no body: theirs stands below.
        context["theme_extra_footer"] = note(app, pagename)
        return
    # A list whose entries are not list items, by their roles: screen readers announce it better with neither role.
    body = re.sub(r' role="(?:list|doc-biblioentry)"', "", context["body"])
    context["body"] = body + note(app, pagename)


def setup(app):
    app.connect("source-read", read_source)
    app.connect("html-page-context", finish_page, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
