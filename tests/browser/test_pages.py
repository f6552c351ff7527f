"""The built book as a reader gets it: from a folder, without a network, on a desktop and on a phone, light and dark."""

from functools import cache
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

HTML = Path(__file__).resolve().parents[2] / "_build" / "html"
pytestmark = [pytest.mark.browser]
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
A4 = {"width": 794, "height": 1123}  # CSS pixels


@cache
def soup(path):
    return BeautifulSoup((HTML / path).read_text(encoding="utf-8"), "html.parser")


def is_chapter(path):
    return path.startswith("notebooks/")


@pytest.mark.parametrize("width", WIDTHS)
def test_page_as_it_is_seen(visit, served, page_path, width):
    """One opening of a page for all that is asked of it, for opening it takes longer than asking: as a phone reads it
    from a folder, and as a desktop reads it from a server."""
    seen = visit(page_path, width, at=None if width == min(WIDTHS) else served)
    page = seen.page
    found = {"mathematics": unrendered(page), "sideways": sideways(page)}
    # What axe itself asks for is none of the page's doing.
    found |= {"foreign": seen.foreign(), "complaints": list(seen.complaints)}
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        if themed := page.evaluate("'theme' in document.documentElement.dataset"):
            page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
        found[f"accessibility, {scheme}"] = grave(page)
    assert themed or page_path == "404.html"
    found |= on_paper(page, themed)
    assert {what: which for what, which in found.items() if which} == {}


def grave(page):
    """Violations of accessibility that axe calls serious or critical."""
    violations = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
    return [(v["id"], v["help"], [node["html"][:200] for node in v["nodes"][:4]]) for v in violations]


def unrendered(page):
    """Formulas that MathJax has left as they were written, or as an error."""
    return page.evaluate(
        """[...document.querySelectorAll('.bd-article .math')].filter(e => !e.querySelector('mjx-container'))
           .concat([...document.querySelectorAll('mjx-merror, .MathJax_Error')]).map(e => e.outerHTML.slice(0, 120))"""
    )


def sideways(page):
    """What makes the page wider than its window, and what is wide without lying in something that scrolls."""
    return page.evaluate(
        """(document.documentElement.scrollWidth > innerWidth ? ['the page'] : []).concat(
           [...document.querySelectorAll('.bd-article *')].filter(e => {
             if (e.getBoundingClientRect().right <= innerWidth + 1) return false;
             if (document.documentElement.scrollWidth > innerWidth) return true;
             if (!e.matches('table, img, pre, mjx-container')) return false;
             for (let p = e; p && !p.matches('.bd-article'); p = p.parentElement)
               if (['auto', 'scroll'].includes(getComputedStyle(p).overflowX)) return false;
             return true; }).slice(0, 5).map(e => e.outerHTML.slice(0, 120)))"""
    )


def on_paper(page, themed):
    """What is wrong with the print of a page that is dark on the screen: paper is white all the same."""
    page.set_viewport_size(A4)
    page.emulate_media(media="print")
    found = page.evaluate(
        """(height) => {
             const all = (what) => [...document.querySelectorAll(what)].filter(e => e.offsetParent !== null);
             const style = (e) => getComputedStyle(e);
             const found = {};
             const controls = 'button, input, .bd-sidebar-primary, .bd-sidebar-secondary, .prev-next-footer,'
               + '.bd-header-article, .toggle-details__summary, details.hide:not([open])';
             found["controls on paper"] = document.querySelector('#search-results') ? [] :
               all(controls).filter(e => style(e).visibility === 'visible');
             found["wider than paper"] = all('.bd-article :is(p, figure, img, pre, table)')
               .filter(e => e.getBoundingClientRect().right > innerWidth + 1);
             found["figures over two sheets"] = [...document.querySelectorAll('.bd-article figure')].filter(e =>
               style(e).breakInside !== 'avoid' || e.getBoundingClientRect().height > height - 140);
             // A cell of code that may not go on over the page's end leaves an empty frame there.
             found["code that may not go on"] = all('.bd-article .cell_input pre').filter(e => {
               for (; !e.matches('.cell'); e = e.parentElement)
                 if (style(e).breakInside !== 'auto' || style(e).display !== 'block') return true;
               return false; });
             found["pale on paper"] = all('.bd-article :is(p, h1, h2, li, td, a, pre span)').filter(e => {
               const [r, g, b] = style(e).color.match(/[0-9.]+/g).map(Number);
               return e.textContent.trim() && 0.299 * r + 0.587 * g + 0.114 * b > 130; });
             for (const what in found) found[what] = found[what].slice(0, 5).map(e => e.outerHTML.slice(0, 120));
             return found; }""",
        A4["height"],
    )
    page.evaluate("addEventListener('beforeprint', () => (window.printed = document.documentElement.dataset.theme))")
    assert page.pdf(format="A4").startswith(b"%PDF")
    theme = page.evaluate("[window.printed, document.documentElement.dataset.theme]")
    return found | {"theme on paper, and after": theme if themed and theme != ["light", "dark"] else []}


def test_images_have_a_text_alternative(page_path):
    article = soup(page_path).find("article") or soup(page_path)
    # Sphinx writes the file name where an author wrote nothing.
    bare = [i for i in article.find_all("img") if len(i.get("alt", "").split()) < 3 or "_images/" in i["alt"]]
    assert [str(image)[:160] for image in bare] == []


def test_no_page_shows_a_raw_error_or_a_dead_control(page_path):
    text = (soup(page_path).find("article") or soup(page_path)).get_text()
    code = "".join(block.get_text() for block in soup(page_path).find_all(["pre", "code"]))
    assert "Traceback (most recent call last)" not in text
    for sign in ("nbsphinx error", "<!-- ledger", "{cite", "{numref", "{ref}", "VBox(", "interactive(children"):
        assert text.count(sign) == code.count(sign), sign
    raw = (HTML / page_path).read_text(encoding="utf-8")
    assert "application/vnd.jupyter.widget" not in raw
    assert "require.js" not in raw and "require.min.js" not in raw
    assert "thebe" not in "".join(str(s.get("src", "")) for s in soup(page_path).find_all("script"))


@cache
def anchors(path):
    return {tag["id"] for tag in soup(path).find_all(id=True)} | {
        t["name"] for t in soup(path).find_all("a", {"name": True})
    }


def test_links_inside_the_book_are_alive(page_path):
    dead = []
    for link in soup(page_path).find_all("a", href=True):
        if urlsplit(link["href"]).scheme or link["href"] in ("#", ""):
            continue
        target, anchor = urldefrag(urljoin(page_path, link["href"]))
        target = unquote(target.split("?")[0])
        file = HTML / target
        alive = file.is_file() and (not anchor or file.suffix != ".html" or unquote(anchor) in anchors(target))
        if not alive:
            dead.append(link["href"])
    assert dead == []


def test_no_link_leads_to_the_reserved_address(page_path):
    assert ".invalid" not in "".join(link["href"] for link in soup(page_path).find_all("a", href=True))


def test_chapter_says_where_its_numbers_come_from(page_path):
    notes = [note.get_text() for note in soup(page_path).select("p.provenance")]
    if page_path.startswith(("book/", "notebooks/")):
        assert len(notes) == 1 and notes[0].startswith("Commit ")
    if is_chapter(page_path):
        assert "executed in" in notes[0]
