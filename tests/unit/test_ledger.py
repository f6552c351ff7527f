"""Every claim of the thread and of the papers' three results has an owner, and a reader who disagrees finds what a verdict stands on."""

import ast
import inspect
import json
import re
from pathlib import Path

import pytest

from lib import ledger as claims
from lib.ledger import NOT_TESTABLE
from lib.ledger.evidence import posts

ROOT = Path(__file__).parents[2]
# Which chapter answers which post of the thread (by the mark that ends it). Post 2/N asks a question and claims nothing. Two posts end
# with 13/N, the journalists' question and the answer; 14/N thanks.
POSTS = {1: 13, 3: 1, 4: 1, 5: 12, 6: 13, 7: 1, 8: 1, 9: 1, 10: 2, 11: 5, 12: 2, 13: 13}
# The Nature paper's results, by the words with which a claim's source names them, and the chapter that owns each.
RESULTS = {"Theorem 3.1": 2, "discrete distributions": 3, "result 2": 7, "result 3": 8}
# What the thread says, post by post, and the claims that put it.
SAID = {
    "collapse appears where it is induced": (1, "thread-induced"),
    "in ways that do not match practice": (1, "thread-not-practice"),
    "more data": (3, "thread-growth"),
    "more chips": (3, "thread-compute"),
    "better data": (4, "thread-quality"),
    "users share better outputs, teams filter": (4, "thread-quality-filters"),
    "data accumulate": (4, "thread-accumulates"),
    "realistic settings": (5, "thread-no-threat-web"),
    "the covariance collapses to 0": (6, "thread-covariance"),
    "all prior data is thrown away": (7, "thread-thrown-away"),
    "and this is the cause": (7, "thread-cause"),
    "fixed size, result 2": (8, "thread-fixed-size"),
    "which does not match practice": (8, "thread-growth-web"),
    "most data replaced": (9, "thread-keep-all"),
    "fixed size, result 3": (9, "thread-fixed-size"),
    "a little real data helps": (9, "thread-little-real"),
    "no model collapse": (10, "thread-no-collapse"),
    "mitigated in text": (11, "thread-text"),
    "in vision": (11, "thread-images"),
    "in molecular conformation": (11, "thread-molecules"),
    "proved in linear regression": (11, "thread-regression"),
    "avoided in the setting of Theorem 3.1": (12, "thread-gaussian"),
    "models might be destroyed": (13, "press-destroy"),
    "how to make sure to avoid it": (13, "press-avoid"),
    "no threat under best practices": (13, "thread-no-threat"),
}


@pytest.mark.parametrize("post", POSTS)
def test_every_post_has_an_owner(post):
    named = [claim.id for claim in claims.of_chapter(POSTS[post]) if post in posts(claim.source)]
    assert named, f"no claim of chapter {POSTS[post]} names post {post}/N"


@pytest.mark.parametrize("what", SAID)
def test_everything_that_the_thread_says_is_a_claim(what):
    post, name = SAID[what]
    (claim,) = [claim for claim in claims.every() if claim.id == name]
    assert post in posts(claim.source)


@pytest.mark.parametrize("result", RESULTS)
def test_every_result_of_the_paper_has_an_owner(result):
    assert [claim.id for claim in claims.of_chapter(RESULTS[result]) if result in claim.source]


def test_every_claim_has_what_the_ledger_shows():
    for claim in claims.every():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", claim.id), claim.id
        assert claim.statement.endswith(".") and len(claim.statement.split()) > 3, claim.id
        assert claim.source.strip() and claim.paper.strip() and callable(claim.judge), claim.id


def test_every_claim_has_one_owner():
    every = [claim.id for claim in claims.every()]
    assert len(set(every)) == len(every)
    assert all(claim.chapter == chapter for chapter in claims.CHAPTERS for claim in claims.of_chapter(chapter))


@pytest.mark.parametrize("claim", claims.every(), ids=lambda claim: claim.id)
def test_the_predicate_is_where_the_ledger_says(claim):
    file, name = claims.code(claim).split(": ")
    defined = [n for n in ast.parse((ROOT / file).read_text(encoding="utf-8")).body if isinstance(n, ast.FunctionDef)]
    (found,) = [function for function in defined if function.name == name]
    assert found.lineno == inspect.getsourcelines(inspect.unwrap(claim.judge))[1]


def typed_verdicts(source):
    """Lines on which a finding is made with a verdict that no number can turn."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Finding"
        and (
            isinstance(node.args[0], ast.Constant)
            or getattr(node.args[0], "id", getattr(node.args[0], "attr", ""))
            in ("SUPPORTED", "LIMITED", "NOT_SUPPORTED")
        )
    ]


def test_no_verdict_is_typed():
    assert typed_verdicts("Finding(SUPPORTED, '', None, '')\nclaims.Finding(claims.LIMITED, '', None, '')") == [1, 2]
    assert typed_verdicts(
        "Finding('supported', '', None, '')\nFinding(NOT_TESTABLE, '', None, '')\nFinding(word, '', None, '')"
    ) == [1]
    for path in (ROOT / "lib" / "claims").glob("*.py"):
        assert typed_verdicts(path.read_text(encoding="utf-8")) == [], path.name


def test_every_claim_is_judged_in_a_test():
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "unit").glob("test_claims*.py"))
    assert [claim.id for claim in claims.every() if f'"{claim.id}"' not in tests] == []


def test_everything_about_a_verdict_is_in_its_dossier():
    claim = claims.of_chapter(2)[0]
    found = {"verdict": "supported", "measured": "so much", "change": "Something else.", "interval": None}
    said = claims.dossier(claim, found)
    for part in (
        claim.statement,
        claim.source,
        claim.paper,
        claim.id,
        claims.code(claim),
        "**supported**",
        "so much",
        "Something else.",
    ):
        assert part in said
    assert "interval" not in said
    with_interval = claims.dossier(
        claim, found | {"interval": {"estimate": 1.0, "low": 0.5, "high": 1.5, "level": 0.99}}
    )
    assert "so much (99% interval 1 [0.5, 1.5])" in with_interval


def test_the_ledger_can_be_read_in_part(tmp_path):
    stored = [
        {"id": c.id, "verdict": NOT_TESTABLE, "measured": "", "change": "", "interval": None}
        for c in claims.of_chapter(2)
    ]
    (tmp_path / "02.json").write_text(json.dumps({"findings": stored}))
    assert [claim.id for claim, _ in claims.ledger(tmp_path, (2,))] == [c.id for c in claims.of_chapter(2)]
    with pytest.raises(FileNotFoundError, match=r"03\.json"):
        claims.ledger(tmp_path, (2, 3))


def test_claims_that_prose_names_exist():
    """A name in the prose of chapter 13 that looks like a claim's is one."""
    cells = json.loads((ROOT / "notebooks" / "13-journalists.ipynb").read_text(encoding="utf-8"))["cells"]
    prose = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    named = set(re.findall(r"(?<!})`([a-z0-9]+(?:-[a-z0-9]+)+)`", prose))
    assert named and named <= {claim.id for claim in claims.every()}, named
