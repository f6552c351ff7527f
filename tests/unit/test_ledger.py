"""Every claim of the thread and of the papers' three results has an owner, as soon as the chapter that owns it exists."""

import re

import pytest

from lib import claims

# Which chapter answers which post of the thread (by the mark that ends it). Post 2/N asks a question and claims nothing; the second
# 13/N and 14/N are about the thread itself.
POSTS = {1: 13, 3: 1, 4: 1, 5: 12, 6: 13, 7: 1, 8: 1, 9: 1, 10: 2, 11: 5, 12: 2, 13: 12}
# The Nature paper's results, by the words with which a claim's source names them, and the chapter that owns each.
RESULTS = {"Theorem 3.1": 2, "result 2": 7, "result 3": 8}


def posts(source: str) -> set[int]:
    """Posts of the thread that a claim's source names: "thread, 7/N to 9/N" is 7, 8 and 9."""
    found = set()
    for part in source.split(";"):
        if "thread" in part:
            numbers = [int(n) for n in re.findall(r"(\d+)/N", part)]
            found |= set(range(numbers[0], numbers[-1] + 1)) if " to " in part else set(numbers)
    return found


def test_sources_are_read():
    assert posts("thread, 7/N to 9/N") == {7, 8, 9}
    assert posts("thread, 3/N and 8/N") == {3, 8}
    assert posts("Kazdan et al. 2025; thread, 10/N") == {10}
    assert posts("Kazdan et al. 2025") == set()


@pytest.mark.parametrize("post", POSTS)
def test_every_post_has_an_owner(post):
    if POSTS[post] in claims.CHAPTERS:
        assert [claim.id for claim in claims.every() if post in posts(claim.source)], f"no claim names post {post}/N"
    else:
        assert POSTS[post] in (7, 8, 9, 10, 13), f"chapter {POSTS[post]} should be registered"


@pytest.mark.parametrize("result", RESULTS)
def test_every_result_of_the_paper_has_an_owner(result):
    assert [claim.id for claim in claims.of_chapter(RESULTS[result]) if result in claim.source]


def test_every_claim_has_what_the_ledger_shows():
    for claim in claims.every():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", claim.id), claim.id
        assert claim.statement.endswith(".") and len(claim.statement.split()) > 3, claim.id
        assert claim.source.strip() and claim.paper.strip() and callable(claim.judge), claim.id
