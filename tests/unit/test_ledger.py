"""Every claim of the thread and of the papers' three results has an owner, and a reader who disagrees finds what a
verdict stands on."""

import json
import re
from pathlib import Path

import pytest

from lib import ledger as claims
from lib.ledger import NOT_TESTABLE

ROOT = Path(__file__).parents[2]


def test_every_claim_has_what_the_ledger_shows():
    for claim in claims.every():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", claim.id), claim.id
        assert claim.statement.endswith(".") and len(claim.statement.split()) > 3, claim.id
        assert claim.source.strip() and claim.paper.strip() and callable(claim.judge), claim.id


def test_every_claim_has_one_owner():
    every = [claim.id for claim in claims.every()]
    assert len(set(every)) == len(every)
    assert all(claim.chapter == chapter for chapter in claims.CHAPTERS for claim in claims.of_chapter(chapter))


def test_everything_about_a_verdict_is_in_its_dossier():
    claim = claims.of_chapter(2)[0]
    found = {"verdict": "supported", "measured": "so much", "change": "Something else.", "interval": None}
    said = claims.dossier(claim, found)
    for part in (
        claim.statement,
        claim.source,
        claim.paper,
        claim.id,
        "lib/ledger/claims/gaussian.py: _variance_dies",
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
    with pytest.raises(FileNotFoundError):
        claims.ledger(tmp_path, (2, 3))


def test_claims_that_prose_names_exist():
    """A name in the prose of chapter 13 that looks like a claim's is one."""
    cells = json.loads((ROOT / "notebooks" / "13-journalists.ipynb").read_text(encoding="utf-8"))["cells"]
    prose = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    named = set(re.findall(r"(?<!})`([a-z0-9]+(?:-[a-z0-9]+)+)`", prose))
    assert named and named <= {claim.id for claim in claims.every()}, named
