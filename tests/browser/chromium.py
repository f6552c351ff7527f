"""Find a Chromium; run as a program, say what its absence means (the last thing `make test` does)."""

import os
import shutil
from pathlib import Path

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def find_chromium():
    """Path of a browser: $CHROMIUM, else the system's, else playwright's own; None when there is none."""
    named = os.environ.get("CHROMIUM")
    if named:
        path = shutil.which(named)
        if path is None:
            raise FileNotFoundError(f"CHROMIUM is {named!r}, which is no program; name a Chromium or unset it")
        return path
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if shutil.which(name):
            return shutil.which(name)
    mac = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    if mac.exists():
        return str(mac)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def missing(built_page):
    """Why the browser tests cannot run, in one sentence; None when they can."""
    if find_chromium() is None:
        return "no Chromium was found: set CHROMIUM, install one, or run .venv/bin/playwright install chromium"
    if not built_page.exists():
        return "there is no built book: run make book first"
    return None


if __name__ == "__main__":
    reason = missing(Path(__file__).resolve().parents[2] / "_build" / "html" / "book" / "index.html")
    print(f"The browser tests were NOT run: {reason}." if reason else "The browser tests were run.")
