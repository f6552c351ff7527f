"""Every judge of chapter 9 is shown numbers that turn its verdict."""

import numpy as np
import pytest
import xarray as xr

from lib import ledger
from lib.ledger import LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED

from .judging import verdict

RUNS, T = 6, 6
REGIMES = ("Replace", "ReplaceGrown", "Accumulate", "Keep(0.1)", "RealOnly", "RealOnly(refit)")


def results(spread=1.0, **change):
    """Results as the chapter finds them, or with the last value of a score in one regime changed."""
    last = {
        "denoising_error": {"Replace": 0.650, "ReplaceGrown": 0.650, "Accumulate": 0.638} | change.get("error", {}),
        "torsion_distance": {"Replace": 12.5, "ReplaceGrown": 12.0, "Accumulate": 6.5} | change.get("torsion", {}),
    }
    first = {"denoising_error": (0.636, 0.0003), "torsion_distance": (3.5, 0.6)}
    rng = np.random.default_rng(0)
    values = {}
    for name, ends in last.items():
        start, width = first[name]
        noise = spread * width * rng.normal(size=(len(REGIMES), T, RUNS))
        ramp = np.array([ends.get(regime, start) - start for regime in REGIMES])[:, None] * np.linspace(0, 1, T)
        values[name] = (("regime", "generation", "run"), start + ramp[:, :, None] + noise)
    return {"main": xr.Dataset(values, {"regime": list(REGIMES), "generation": np.arange(1, T + 1)})}


def verdicts(**change):
    return {name: found.verdict for name, found in ledger.judge(9, results(**change)).items()}


def test_verdicts_on_what_the_chapter_finds():
    assert verdicts() == {
        "colm-molecules-replaced": SUPPORTED,
        "colm-molecules-flat": LIMITED,
        "thread-molecules": SUPPORTED,
        "thread-no-collapse-molecules": LIMITED,
        "colm-molecules-size": SUPPORTED,
    }


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        ("colm-molecules-replaced", {"error": {"Replace": 0.636}}, NOT_SUPPORTED),
        ("colm-molecules-replaced", {"spread": 300}, NOT_SUPPORTED),
        ("colm-molecules-flat", {"error": {"Accumulate": 0.636}}, SUPPORTED),
        ("colm-molecules-flat", {"error": {"Accumulate": 0.645}}, NOT_SUPPORTED),
        ("colm-molecules-flat", {"error": {"Replace": 0.636, "Accumulate": 0.630}}, NOT_SUPPORTED),
        ("thread-molecules", {"error": {"Accumulate": 0.650}}, NOT_SUPPORTED),
        ("thread-molecules", {"torsion": {"Accumulate": 12.5}}, LIMITED),
        ("thread-no-collapse-molecules", {"torsion": {"Accumulate": 3.5, "Replace": 30.0}}, SUPPORTED),
        ("thread-no-collapse-molecules", {"torsion": {"Accumulate": 12.5}}, NOT_SUPPORTED),
        ("thread-no-collapse-molecules", {"torsion": {"Replace": 3.5, "Accumulate": 3.5}}, NOT_SUPPORTED),
        ("colm-molecules-size", {"error": {"ReplaceGrown": 0.645}}, LIMITED),
        ("colm-molecules-size", {"error": {"ReplaceGrown": 0.638}}, NOT_SUPPORTED),
    ],
)
def test_other_numbers_give_other_verdicts(claim, change, expected):
    assert verdict(9, claim, results(**change)) == expected


def test_too_few_runs_decide_nothing():
    few = {name: data.isel(run=slice(1)) for name, data in results().items()}
    assert {found.verdict for found in ledger.judge(9, few).values()} == {NOT_TESTABLE}
