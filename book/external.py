"""Addresses outside the book: which its pages link to, and which of them still answer."""

import re
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from urllib.parse import urldefrag

LINK = re.compile(r'<a\b[^>]*?\bhref="(https?://[^"]+)"')
# Somebody is there, who does not talk to programs or not now: no sign that the address is dead.
ALIVE = (401, 403, 405, 406, 418, 429, 503)
AGENT = "Mozilla/5.0 (link check of a book)"
AT_ONCE = 4


def collect(html):
    """The addresses to which pages under `html` link, without fragments, each with the pages that do; sorted."""
    found = {}
    for page in sorted(html.rglob("*.html")):
        for address in LINK.findall(page.read_text(encoding="utf-8")):
            pages = found.setdefault(urldefrag(unescape(address)).url, [])
            if (name := page.relative_to(html).as_posix()) not in pages:
                pages.append(name)
    return dict(sorted(found.items()))


def write(html, path):
    """Leave the addresses in a file, one a line, each with the pages that link to it."""
    lines = [f"{address}\t{' '.join(pages)}" for address, pages in collect(html).items()]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def answer(address, timeout):
    """Why an address counts as dead; None if it answers."""
    request = urllib.request.Request(address, headers={"User-Agent": AGENT})
    try:
        with urllib.request.urlopen(request, timeout=timeout):
            return None
    except urllib.error.HTTPError as error:
        return None if error.code in ALIVE else f"{error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def check(addresses, timeout):
    """Print the dead ones of `addresses` (as `collect` gives them); 1 if there are any. What fails is asked twice."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        said = dict(
            zip(addresses, pool.map(lambda a: answer(a, timeout) and answer(a, timeout), addresses), strict=True)
        )
    dead = {address: reason for address, reason in said.items() if reason}
    for address, reason in dead.items():
        print(f"{address}: {reason}; on {', '.join(addresses[address])}", file=sys.stderr)
    print(f"{len(addresses) - len(dead)} of {len(addresses)} addresses answer")
    return int(bool(dead))
