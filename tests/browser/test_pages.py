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


@cache
def soup(path):
    return BeautifulSoup((HTML / path).read_text(encoding="utf-8"), "html.parser")


def is_chapter(path):
    return path.startswith("notebooks/")


def test_page_stays_on_this_machine_with_a_clean_console(visit, page_path):
    seen = visit(page_path)
    assert seen.foreign() == []
    assert seen.complaints == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_page_has_no_serious_accessibility_violation(visit, page_path, width, scheme):
    results = Axe().run(visit(page_path, width, scheme).page)
    grave = [v for v in results.response["violations"] if v["impact"] in ("serious", "critical")]
    told = [(v["id"], v["help"], [node["html"][:200] for node in v["nodes"][:4]]) for v in grave]
    assert told == []


def test_page_does_not_scroll_sideways_on_a_phone(visit, page_path):
    page = visit(page_path, 390).page
    width = page.evaluate("document.documentElement.scrollWidth")
    culprits = page.evaluate(
        """[...document.querySelectorAll('.bd-article *')]
           .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
           .slice(0, 5).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert width <= 390, culprits
    # What is wide must be reachable: either it fits, or it lies in something that scrolls.
    hidden = page.evaluate(
        """[...document.querySelectorAll('.bd-article :is(table, img, pre, mjx-container)')].filter(e => {
             if (e.getBoundingClientRect().right <= innerWidth + 1) return false;
             for (let p = e; p && !p.matches('.bd-article'); p = p.parentElement)
               if (['auto', 'scroll'].includes(getComputedStyle(p).overflowX)) return false;
             return true; }).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert hidden == []


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


def test_mathematics_is_rendered(visit, page_path):
    page = visit(page_path).page
    marked = page.locator(".bd-article .math").count()
    if marked:
        assert page.locator(".bd-article .math mjx-container").count() == marked
        assert page.locator("mjx-merror, .MathJax_Error").count() == 0


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
