"""Sphinx extension: pictures that open at full size, what a link shows elsewhere, and the page for a wrong address."""

import html
import json
import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup
from offline_page import note

PICTURE = "_images/argument.png"
FIGURE = re.compile(r'(<figure\b[^>]*>\s*)(<img\b[^>]*?\bsrc="([^"]+)"[^>]*>)', re.DOTALL)
CITATION = re.compile(r" \[[^\]]*\b(?:19|20)\d\d\]")
LONGEST = 200  # characters of a description that others show
# Paper is white whatever the screen was; a drawing in the page has to be told.
LIGHT_ON_PAPER = """
(() => {
  const page = document.documentElement;
  let shown;
  addEventListener("beforeprint", () => { shown = page.dataset.theme; page.dataset.theme = "light"; });
  addEventListener("afterprint", () => { page.dataset.theme = shown; });
})();
"""
# A server shows this page at whatever address was asked for. So it asks for no file, and its links start where the book
# does: above the folders of pages, or at the book's own address. Opened as the file that it is, it needs no help.
NOT_FOUND = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>There is no such page – {site}</title>
<script>
(() => {{
  const known = location.pathname.match(/^(.*?\\/)(?:book|notebooks|_static|_images|_sources)\\//);
  const home = {home};
  if (location.protocol !== "file:")
    document.write(`<base href="${{known ? known[1] : location.pathname.startsWith(home) ? home : "/"}}">`);
}})();
</script>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 42rem; margin: 0 auto; padding: 1rem; }}
body {{ overflow-wrap: break-word; color: #1b1f24; background: #fff; }}
a {{ color: #0b57c4; }}
.provenance {{ font-size: 0.8rem; }}
@media screen and (prefers-color-scheme: dark) {{
  body {{ color: #e6e8eb; background: #121212; }}
  a {{ color: #7fb0f5; }}
}}
</style>
</head>
<body>
<main>
<article>
<h1>There is no such page</h1>
<p>The address may be misspelt, or the page has another name now. The <a href="{root}.html">front page</a> leads to
everything; the <a href="search.html">search</a> looks for words. The pages are:</p>
<ul>
{links}
</ul>
{note}
</article>
</main>
</body>
</html>
"""


def open_at_full_size(body):
    """A page's HTML in which each figure is a link to its picture: on a phone, two panels side by side are small."""
    return FIGURE.sub(r'\1<a class="full-size" href="\3" title="Open the picture by itself">\2</a>', body)


def describe(body):
    """What a page is about: what the reader will see if it says so, else the beginning of its first paragraph."""
    # Only the beginning is read: most of a page is marked-up code, and slow to read.
    first = re.findall(r"<p\b.*?</p>", body, re.DOTALL)[:20]
    paragraphs = [" ".join(BeautifulSoup(p, "html.parser").get_text().split()) for p in first]
    told = [p for p in paragraphs if p.startswith("You will see")] or [p for p in paragraphs if len(p) >= 60]
    text = CITATION.sub("", (told or paragraphs or [""])[0])
    return text if len(text) <= LONGEST else text[: LONGEST - 2].rsplit(" ", 1)[0] + " …"


def picture(body, pagename):
    """The page's first figure, as an address from the top of the book, and what it shows."""
    found = FIGURE.search(body)
    if not found:
        return PICTURE, "The argument of the book in one figure."
    alt = re.search(r'\balt="([^"]*)"', found.group(2))
    address = urljoin(f"/{pagename}.html", found.group(3)).lstrip("/")
    return address, html.unescape(alt.group(1)) if alt else ""


def card(app, pagename, context):
    """Meta elements: what others show for a link to this page."""
    body = context["body"]
    title = re.sub(r"<[^>]*>", "", html.unescape(context.get("title", "")))
    address, alt = picture(body, pagename)
    base = app.config.html_baseurl
    # Without a public address of the book the picture's is told from the page.
    image = urljoin(base, address) if base else context["pathto"](address, resource=True)
    description = describe(body)
    said = {
        "og:type": "article",
        "og:site_name": app.config.html_title or app.config.project,
        "og:title": title,
        "og:description": description,
        "og:image": image,
        "og:image:alt": alt,
    } | ({"og:url": urljoin(base, f"{pagename}.html")} if base else {})
    metas = [f'<meta property="{name}" content="{html.escape(value)}">' for name, value in said.items()]
    metas += [f'<meta name="description" content="{html.escape(description)}">']
    metas += ['<meta name="twitter:card" content="summary_large_image">']
    return "\n".join(metas)


def finish_page(app, pagename, templatename, context, doctree):
    if context.get("body"):
        context["metatags"] = (context.get("metatags") or "") + card(app, pagename, context)
        context["body"] = open_at_full_size(context["body"])


def write_page_not_found(app, exception):
    """The page that a server shows for an address that is not in the book: GitHub's does, and `make serve`."""
    if exception is not None or app.builder.name != "html":
        return
    names = app.env.toctree_includes.get(app.config.root_doc, [])
    text = NOT_FOUND.format(
        site=html.escape(app.config.html_title or app.config.project),
        home=json.dumps(urlsplit(app.config.html_baseurl or "").path or "/"),
        root=app.config.root_doc,
        links="\n".join(f'<li><a href="{n}.html">{html.escape(app.env.titles[n].astext())}</a></li>' for n in names),
        note=note(app, "404"),
    )
    (Path(app.outdir) / "404.html").write_text(text, encoding="utf-8")


def setup(app):
    app.add_js_file(None, body=LIGHT_ON_PAPER)
    # After the page has its body, before the theme's own templates are filled.
    app.connect("html-page-context", finish_page, priority=910)
    app.connect("build-finished", write_page_not_found)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
