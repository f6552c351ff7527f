"""The claims on linear regression: each judge is shown numbers that turn its verdict."""

import json

import numpy as np
import pytest
import xarray as xr

from lib import ledger as claims
from lib.ledger import LIMITED, NOT_SUPPORTED, SUPPORTED
from lib.regimes import Accumulate, Replace, ReplaceGrown
from lib.theory import regression as laws

from .judging import verdict

RUNS, D, N, T = 400, 10, 111, 40
SHAPES = [(2, 10, "fixed"), (2, 10, "fresh"), (20, 210, "fresh")]


def dataset(scores, attrs, generations=T):
    """{score: {regime: means by generation}} as a data set of `recurse`, runs scattered about exactly these means."""
    scatter = 0.02 * np.random.default_rng(0).standard_normal((len(next(iter(scores.values()))), generations, RUNS))
    scatter -= scatter.mean(axis=2, keepdims=True)
    rows = {
        name: (("regime", "generation", "run"), np.array(list(of.values()))[..., None] + scatter)
        for name, of in scores.items()
    }
    regimes = list(next(iter(scores.values())))
    return xr.Dataset(rows, {"regime": regimes, "generation": np.arange(1, generations + 1)}, attrs)


def least_squares(design, first=0.1, **change):
    """Excess risks as the laws have them at a noise that makes the first fit's `first`, or with the line of one regime
    replaced: its values in units of that."""
    noise = (first / laws.first_fit_risk(N, D)) ** 0.5
    lines = {
        type(r).__name__: laws.expected_excess_risk(r, N, T, D, 1.0, design) / laws.first_fit_risk(N, D)
        for r in (Replace(), ReplaceGrown(), Accumulate())
    }
    attrs = {"n": N, "dimension": D, "noise": noise, "design": design, "ridge": 0.0, "penalty": "fixed"}
    data = dataset({"excess_risk": lines | change}, attrs)
    data["excess_risk"] = first * data["excess_risk"]
    return data


def ridge(penalty, kept=0.9, **change):
    lines = {type(r).__name__: laws.ridge_shrinkage(r, kept, T, penalty) for r in (Replace(), Accumulate())}
    strength = (1 / kept - 1) * (1 if penalty == "per_row" else N)
    attrs = {"n": N, "dimension": D, "noise": 1.0, "design": json.dumps([[1.0]]), "ridge": strength, "penalty": penalty}
    return dataset({"shrinkage": lines | change}, attrs)


def shapes(off=1.0):
    """What Accumulate ends at for several shapes, the first of them `off` its law by a factor."""
    lines, noise = {}, 10.0
    for k, (d, n, design) in enumerate(SHAPES):
        law = laws.expected_excess_risk(Accumulate(), n, T, d, noise, design)
        lines[f"Accumulate, d={d}, n={n}, {design}"] = law * (off if k == 0 else 1)
    names = {"dimension": [s[0] for s in SHAPES], "size": [s[1] for s in SHAPES], "design": [s[2] for s in SHAPES]}
    data = dataset({"excess_risk": lines}, {"noise": noise}).isel(generation=[0, -1])
    return data.assign_coords({key: ("regime", values) for key, values in names.items()})


def results(**change):
    return {
        "fixed": least_squares("fixed"),
        "fresh": least_squares("fresh"),
        "shapes": shapes(),
        "ridge_fixed": ridge("fixed"),
        "ridge_per_row": ridge("per_row"),
    } | change


def verdicts(**change):
    return {name: finding.verdict for name, finding in claims.judge(5, results(**change)).items()}


def test_verdicts_when_everything_is_as_the_laws_have_it():
    assert verdicts() == {
        "colm-linear": SUPPORTED,
        "colm-bound": SUPPORTED,
        "colm-meaning": SUPPORTED,
        "book-bounded-error": NOT_SUPPORTED,
        "colm-size-regression": SUPPORTED,
        "dey-donoho-universal": SUPPORTED,
        "dey-donoho-efficiency": SUPPORTED,
        "thread-regression": SUPPORTED,
        "thread-no-collapse-regression": LIMITED,
    }


t = np.arange(1.0, T + 1)
GROWING, FLAT = {"fixed": least_squares("fixed", Accumulate=t)}, np.ones(T)


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        ("colm-linear", {"fixed": least_squares("fixed", Replace=t**0.5)}, NOT_SUPPORTED),
        ("colm-linear", {"fixed": least_squares("fixed", Replace=np.minimum(2 * t, T))}, NOT_SUPPORTED),
        ("colm-bound", GROWING, NOT_SUPPORTED),
        ("colm-bound", {"fresh": least_squares("fresh", Accumulate=t)}, LIMITED),
        ("colm-meaning", GROWING, NOT_SUPPORTED),
        ("colm-meaning", {"fixed": least_squares("fixed", first=0.7)}, LIMITED),
        ("book-bounded-error", {"ridge_fixed": ridge("fixed", Replace=0.9 * FLAT)}, SUPPORTED),
        ("colm-size-regression", {"fixed": least_squares("fixed", ReplaceGrown=FLAT)}, NOT_SUPPORTED),
        ("colm-size-regression", {"fixed": least_squares("fixed", ReplaceGrown=2 * FLAT)}, LIMITED),
        ("dey-donoho-universal", {"shapes": shapes(off=1.2)}, NOT_SUPPORTED),
        ("dey-donoho-efficiency", GROWING, NOT_SUPPORTED),
        ("dey-donoho-efficiency", {"fixed": least_squares("fixed", Accumulate=0.5 * FLAT)}, NOT_SUPPORTED),
        ("thread-regression", GROWING, NOT_SUPPORTED),
        ("thread-regression", {"fresh": least_squares("fresh", Accumulate=t + 1)}, NOT_SUPPORTED),
        ("thread-regression", {"ridge_per_row": ridge("per_row", Accumulate=0.01 * FLAT)}, LIMITED),
        ("thread-no-collapse-regression", GROWING, NOT_SUPPORTED),
    ],
)
def test_other_numbers_give_other_verdicts(claim, change, expected):
    assert verdict(5, claim, results(**change)) == expected


def test_no_collapse_without_limits_takes_an_error_that_does_not_rise_and_a_signal_that_stays():
    data = least_squares("fixed")
    data["excess_risk"][2, 0] = data["excess_risk"][2, -1]
    keeps = ridge("per_row", Accumulate=0.9 * FLAT)
    assert verdicts(fixed=data, ridge_per_row=keeps)["thread-no-collapse-regression"] == SUPPORTED
    assert verdicts(fixed=data)["thread-no-collapse-regression"] == LIMITED
    assert verdicts(ridge_per_row=keeps)["thread-no-collapse-regression"] == LIMITED


@pytest.mark.parametrize("generations", [4, 10, 40])
def test_verdicts_do_not_hang_on_the_length_of_a_run(generations):
    short = {name: data.isel(generation=slice(generations)) for name, data in results().items() if name != "shapes"}
    assert verdicts(**short) == verdicts()


def test_nothing_breaks_the_table_of_claims():
    assert [name for name, finding in claims.judge(5, results()).items() if "|" in finding.measured] == []
