"""Sphinx extension: of what the theme and its packages bring along, the book keeps what a page can ask for.

Packages copy all of their files: every bundle of MathJax, source maps, each font in two formats. Pages load a few of
them. What stays is what a page or a style sheet names, and the fonts that MathJax asks for by itself.
"""

import re
from pathlib import Path

# Loaded by MathJax's one bundle: fonts, and small extensions the first time that a formula needs one.
ASKED_FOR_BY_MATHJAX = ("mathjax/output/chtml/fonts/woff-v2/*.woff", "mathjax/input/tex/extensions/*.js")
# Every TeX extension at once; no formula asks for it.
NEVER = ("mathjax/input/tex/extensions/all-packages.js",)
# Icons are drawn from the theme's font. The script would draw them a second time, as pictures; it is larger than all
# the rest.
ICON_SCRIPT = re.compile(r'\s*<script src="[^"]*scripts/fontawesome\.js[^"]*"></script>')
ICON = re.compile(r'<(i|span) class="([^"]*\bfa-[^"]*)"(?! aria-hidden)')
LINKED = re.compile(r'(?:src|href)="([^"#?]+)')
IN_STYLE = re.compile(r"(?:url\(\s*[\"']?|@import\s*[\"'])([^\"')?#]+)")
# The second format of a font, for browsers older than any that can show these pages.
OLD_FONT = re.compile(r",\s*url\([^)]*\.ttf[\"']?\)\s*format\([^)]*\)")
# A summary of what was found is read from the page itself, which a browser refuses for a page opened from a folder.
SEARCH_FROM_A_FOLDER = 'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'
# Its menu offers speech and other ways to draw a formula, whose files are not shipped. The MathML for screen readers
# stays.
MATHJAX = {"options": {"enableMenu": False}}
# A formula that is wider than the page scrolls inside itself, so the keyboard has to reach it.
SCROLLED_BY_KEYBOARD = """
(() => {
  const mark = () => document.querySelectorAll('mjx-container[display="true"]').forEach((e) => {
    if (e.scrollWidth > e.clientWidth) e.tabIndex = 0; else e.removeAttribute("tabindex");
  });
  addEventListener("load", () => window.MathJax?.startup?.promise?.then(mark));
  addEventListener("resize", mark);
})();
"""


def reachable(html):
    """Files under `html`/_static that a page or a style sheet names, or that MathJax asks for; a set of paths."""
    found = set()
    for page in html.rglob("*.html"):
        found |= {(page.parent / link).resolve() for link in LINKED.findall(page.read_text(encoding="utf-8"))}
    waiting = [path for path in found if path.suffix == ".css"]
    while waiting:
        style = waiting.pop()
        if style.is_file():
            linked = {(style.parent / link).resolve() for link in IN_STYLE.findall(style.read_text(encoding="utf-8"))}
            waiting += [path for path in linked - found if path.suffix == ".css"]
            found |= linked
    static = html / "_static"
    found |= {path.resolve() for pattern in ASKED_FOR_BY_MATHJAX for path in static.glob(pattern)}
    return found - {(static / name).resolve() for name in NEVER}


def prune(html):
    """Delete what nothing on the pages can ask for, and empty folders."""
    for style in (html / "_static").rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        if (without := OLD_FONT.sub("", text)) != text:
            style.write_text(without, encoding="utf-8")
    kept = reachable(html)
    for path in sorted((html / "_static").rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        # A licence stays with the file that it is about.
        elif (
            path.resolve() not in kept and path.with_name(path.name.removesuffix(".LICENSE.txt")).resolve() not in kept
        ):
            path.unlink()


def without_icon_script(text):
    """A page's HTML with icons from the font alone, which screen readers pass over."""
    return ICON.sub(r'<\1 class="\2" aria-hidden="true"', ICON_SCRIPT.sub("", text))


def finish(app, exception):
    if exception is not None or app.builder.name != "html":
        return
    html = Path(app.outdir)
    for page in html.rglob("*.html"):
        page.write_text(without_icon_script(page.read_text(encoding="utf-8")), encoding="utf-8")
    prune(html)


def configure(app, config):
    config.mathjax3_config = {**(config.mathjax3_config or {}), **MATHJAX}


def setup(app):
    app.add_js_file(None, body=SEARCH_FROM_A_FOLDER)
    app.add_js_file(None, body=SCROLLED_BY_KEYBOARD)
    app.connect("config-inited", configure)
    # After every extension that copies something when the pages are written.
    app.connect("build-finished", finish, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
