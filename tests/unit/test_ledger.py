"""Rules that all claims and all stored findings obey, and what the words do with numbers."""

import itertools
import re
from math import nan

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from lib import ledger as claims
from lib import records
from lib.intervals import Interval
from lib.ledger import ANALOGUE, FAILS, HOLDS, IF, LAW, OUTSIDE, SMALLER, THEIRS, UNDECIDED, Claim, Control, Finding
from lib.ledger import predicates as p

FOUND = claims.ledger(records.COMMITTED)
BY_ID = pytest.mark.parametrize(("claim", "found"), FOUND, ids=[claim.id for claim, _ in FOUND])


@BY_ID
def test_a_claim_says_what_it_stands_on(claim, found):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", claim.id)
    for said in (claim.statement, claim.turns):
        assert said.endswith(".") and len(said.split()) > 3
    assert claim.source.strip() and claim.quote.strip() and found["said"].strip()
    assert "$" not in claim.quote + claim.says + claim.statement  # the ledger's page has no mathematics
    assert "the reply" not in " ".join((claim.statement, claim.source, claim.quote, claim.turns, claim.says)).lower()


@BY_ID
def test_a_control_turns_the_word(claim, found):
    """Only what is never for simulation has none."""
    assert (claim.control is None) == (found["word"] == OUTSIDE)
    assert claim.control is None or found["turned"] != claims.verdict(found)


@BY_ID
def test_no_word_fails_while_its_interval_contains_the_line(claim, found):
    if found["word"] == FAILS or found["note"] == claims.NOT_REPRODUCED:
        ends = found["interval"]
        assert ends is None or not ends["low"] < found["threshold"] < ends["high"]
    assert found["word"] != FAILS or claim.reach in (LAW, THEIRS)


# Claims that name accumulating and are not made in its favour, or stand on data in which nothing is replaced.
NOT_IN_FAVOUR = {"colm-attributes", "nature-language-replaced", "barzilai-theorem-4", "kazdan-plateau"}


@BY_ID
def test_what_is_said_in_favour_of_accumulating_replacing_does_not_pass(claim, found):
    """Their control gives Accumulate the results of another regime, as a rule of Replace, and turns the word."""
    named = re.search(r"accumulat|no model collapse|keep|kept", claim.statement)
    if named and found["word"] in (HOLDS, IF) and claim.id not in NOT_IN_FAVOUR:
        assert re.search(r"Accumulate.*exchanged", claim.control.said), claim.control.said


def test_the_same_number_has_one_word():
    known = {}
    for claim, found in FOUND:
        if found["interval"] and found["threshold"] is not None:
            number = claim.chapter, f"{found['interval']['estimate']:.6g}", found["threshold"]
            known.setdefault(number, set()).add(found["word"])
    assert {number: words for number, words in known.items() if len(words) > 1} == {}


def test_every_claim_has_one_owner_and_there_are_about_sixty():
    names = [claim.id for claim in claims.every()]
    assert len(set(names)) == len(names) and 50 <= len(names) <= 70
    assert all(claim.chapter == chapter for chapter in claims.CHAPTERS for claim in claims.of_chapter(chapter))


def test_findings_that_are_not_those_of_the_claims_are_refused(tmp_path):
    assert [claim.id for claim, _ in claims.ledger(records.COMMITTED, (2,))] == [c.id for c in claims.of_chapter(2)]
    with pytest.raises(FileNotFoundError, match="make notebooks"):
        claims.ledger(tmp_path)
    (tmp_path / "02.json").write_text('{"findings": []}')
    with pytest.raises(ValueError, match="one for each claim of chapter 2"):
        claims.ledger(tmp_path, (2,))


def made(word, reach, condition="", interval=None, threshold=None):
    claim = Claim("one", 2, "somebody", "quote", "It is so.", reach, "{n:.1f}", condition, "More.", None, None)
    return claims.settled(claim, Finding(word, {"n": -0.25}, interval, threshold))


def test_only_a_law_or_their_own_setting_makes_a_claim_fail():
    assert made(FAILS, LAW)["word"] == made(FAILS, THEIRS)["word"] == FAILS
    for reach in (SMALLER, ANALOGUE):
        found = made(FAILS, reach)
        assert (found["word"], claims.verdict(found)) == (UNDECIDED, "**undecided** (not reproduced at this size)")


def test_numbers_are_printed_by_the_template_and_kept():
    found = made(IF, LAW, "the moon is full")
    assert (found["said"], found["numbers"]) == ("−0.2", {"n": -0.25})
    assert claims.verdict(found) == "**holds if** the moon is full"
    with pytest.raises(ValueError, match="condition"):
        made(IF, LAW)


def test_an_interval_that_contains_its_line_never_fails():
    around = Interval(1.0, 0.5, 1.5, 0.99)
    with pytest.raises(ValueError, match="another word"):
        Finding(FAILS, {}, around, 1.2)
    assert Finding(FAILS, {}, around, 1.6).word == FAILS
    assert Finding(HOLDS, {}, Interval(1.0, nan, nan, 0.99), 0.0).word == UNDECIDED


def test_words_of_answers():
    assert [claims.word(*answers) for answers in ((True,), (False,), (None,))] == [HOLDS, FAILS, UNDECIDED]
    assert [claims.word(*answers) for answers in ((False, True), (None, True), (False, None))] == [IF, IF, UNDECIDED]
    assert [p.above(Interval(2, low, 3, 0.99), 1.0) for low in (1.5, 0.5)] == [True, None]
    assert p.below(Interval(0, -1, 0.5, 0.99), 1.0) and not p.below(Interval(2, 1.5, 3, 0.99), 1.0)
    for answers in itertools.product((True, False, None), repeat=2):
        assert p.every(*answers) is (False if False in answers else None if None in answers else True)


def test_a_law_is_believed_unless_far_off():
    """At 1.51 half-widths of the 99% interval: once in 10,000 normal estimates."""
    assert 2 * stats.norm.sf(p.ALARM * stats.norm.ppf(0.995)) == pytest.approx(1e-4, rel=0.05)
    assert p.on_law(Interval(1.0, 0.9, 1.1, 0.99), 1.14) and p.on_law(Interval(1.0, 0.9, 1.1, 0.99), 1.16) is None


def test_a_ratio_has_the_interval_of_fieller():
    """Against its definition: the ratios r for which the mean of x − r y is not separated from 0."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(2, 1, 12), rng.normal(5, 1, 12)
    found = p.ratio(x, y)
    for end in (found.low, found.high):
        paired = p.mean(x - end * y)
        assert min(abs(paired.low), abs(paired.high)) < 1e-9
    assert found.estimate == pytest.approx(x.mean() / y.mean())
    assert np.isnan(p.ratio(x, y - 5).low)


def test_controls_exchange_and_stop_regimes():
    values = np.arange(12.0).reshape(3, 2, 2)
    data = xr.Dataset(
        {"score": (("regime", "generation", "run"), values)}, {"regime": ["Replace", "Accumulate", "Other"]}
    )
    results = {"main": data, "else": xr.Dataset({"score": ("regime", [1.0])}, {"regime": ["Replace"]})}
    after = p.swapped("Accumulate").apply(results)
    assert (after["main"]["score"].sel(regime="Accumulate").values == values[0]).all()
    assert list(after["main"]["regime"].values) == list(data["regime"].values)
    assert after["else"].identical(results["else"])
    stopped = p.still("Replace").apply(results)["main"]["score"]
    assert (stopped.sel(regime="Replace").values == values[0, :1]).all()
    assert (stopped.sel(regime="Other").values == values[2]).all()
    said = Control("one more", lambda found: found)
    assert said.apply(results) is results


def test_the_chance_that_another_seed_changes_a_word():
    """Against drawing the truth about the estimate, and an estimate about the truth; 2 of 1000 at six errors."""
    rng, half = np.random.default_rng(11), stats.norm.ppf(0.995)
    for estimate in (0.0, 1.0, 2.5, 3.0, -4.0):
        again = estimate + rng.normal(size=400_000) * 2**0.5
        word = np.sign(estimate) * (abs(estimate) > half)
        share = (np.sign(again) * (abs(again) > half) != word).mean()
        ends = {"estimate": estimate, "low": estimate - half, "high": estimate + half, "level": 0.99}
        assert claims.chance_of_change(ends, 0.0) == pytest.approx(share, abs=0.006)
