"""A browser that may not leave this machine, and the pages of the built book."""

import http.server
import os
import threading
from pathlib import Path

import pytest

from .chromium import FLAGS, find_chromium, missing

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"


def pages():
    """Every page that a reader can reach, as a path below the built book."""
    found = [
        path.relative_to(HTML).as_posix() for part in ("book", "notebooks") for path in HTML.glob(f"{part}/*.html")
    ]
    return [*sorted(found), "search.html", "genindex.html", "404.html"] if found else []


def pytest_generate_tests(metafunc):
    if "page_path" in metafunc.fixturenames:
        metafunc.parametrize("page_path", pages() or ["book/index.html"])


@pytest.fixture(scope="session", autouse=True)
def required():
    reason = missing(HTML / "book" / "index.html")
    if reason and os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"REQUIRE_BROWSER=1, but {reason}")
    if reason:
        pytest.skip(f"browser tests not run: {reason}")


@pytest.fixture(scope="session")
def browser(required):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """One open page, with what it asked for and what it complained about."""

    def __init__(self, page, at):
        self.page, self.at, self.requests, self.complaints = page, at, [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        page.on("response", lambda r: self.complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self.hear)

    def hear(self, message):
        # A browser asks each server once for an icon, whatever the page says.
        if message.type in ("error", "warning") and not message.location["url"].endswith("/favicon.ico"):
            self.complaints.append(message.text)

    def foreign(self):
        return [url for url in self.requests if not url.startswith((self.at or "file:", "data:", "blob:"))]


@pytest.fixture
def visit(browser):
    """Open a page of the book in a window of the given width: from file:// with the network cut, or from a server."""
    contexts = []

    def open_page(path, width=1280, at=None):
        size = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, color_scheme="light", reduced_motion="reduce", offline=not at)
        contexts.append(context)
        visit = Visit(context.new_page(), at)
        file, mark, query = path.partition("?")
        visit.page.goto(f"{at}/{path}" if at else (HTML / file).as_uri() + mark + query, wait_until="load")
        visit.page.wait_for_function("!window.MathJax || !MathJax.startup || MathJax.startup.promise !== undefined")
        visit.page.evaluate("window.MathJax && MathJax.startup ? MathJax.startup.promise : null")
        return visit

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def served(required):
    """Where `make serve` would serve the book on this machine."""
    from make import Handler

    class Silent(Handler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
