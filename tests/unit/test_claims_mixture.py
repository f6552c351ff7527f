"""Every judge of chapter 4 is shown numbers that turn its verdict."""

import numpy as np
import pytest
import xarray as xr

from lib import ledger, theory
from lib.ledger import LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED
from lib.regimes import Accumulate

from .judging import verdict

RUNS, N, T = 24, 200, 20
SETTINGS = ("moons 0.1", "moons 0.5", "swiss_roll scott")


def dataset(of, n=N, bend=1.0):
    """{variable: {regime: (first, last)}} as a data set whose runs differ a little, and go straight from first to last,
    or with a `bend` below 1 mostly at the start."""
    noise = 1e-3 * np.random.default_rng(0).normal(size=(T, RUNS))
    steps = np.linspace(0, 1, T)[:, None] ** bend
    values = {
        name: (
            ("regime", "generation", "run"),
            np.array([first + (last - first) * steps + noise for first, last in rows.values()]),
        )
        for name, rows in of.items()
    }
    regimes = list(next(iter(of.values())))
    return xr.Dataset(values, {"regime": regimes, "generation": np.arange(1, T + 1)}, {"n": n})


def settings_of(dim, cells, n=N):
    """{setting: {variable: rows}} as a data set with a dim for the setting."""
    return xr.concat([dataset(of, n) for of in cells.values()], xr.Variable(dim, list(cells)))


def results(replace=9.0, accumulate=None, subsample=4.0, drift=0.3, kernel=3.0, settings=SETTINGS, **gmm):
    """Results as the chapter finds them, or with the last value of one regime changed in the kernels' `settings`."""
    usual = {
        "replace_nll": 9.0,
        "accumulate_nll": 2.1,
        "rare_mode": 0.01,
        "kept_mode": 0.1,
        "real_nll": 2.0,
        "notebook": 1.0,
        "late": 0.1,
        "poor": 0.01,
    }
    gmm = usual | gmm
    kernels = {"Replace": (2, 9.0), "Accumulate": (2, kernel), "AccumulateSubsample": (2, 4.0)}
    changed = {
        "Replace": (2, replace),
        "Accumulate": (2, kernel if accumulate is None else accumulate),
        "AccumulateSubsample": (2, subsample),
    }
    kde = {s: {"test_nll": changed if s in settings else kernels} for s in SETTINGS}
    laws = {n: theory.expected_error(Accumulate(), n, T, "unbiased")[-1] for n in (100, 500)}
    return {
        "gmm": dataset(
            {
                "test_nll": {
                    "Replace": (2, gmm["replace_nll"]),
                    "Accumulate": (2, gmm["accumulate_nll"]),
                    "RealOnly": (2, gmm["real_nll"]),
                },
                "rare_mode": {
                    "Replace": (0.1, gmm["rare_mode"]),
                    "Accumulate": (0.1, gmm["kept_mode"]),
                    "RealOnly": (0.1, 0.1),
                },
            },
            bend=0.2,
        ),
        "kde": settings_of("setting", kde),
        "bias": dataset({"second_moment": {"Accumulate": (1.25, 1.25 + drift)}}),
        "components": settings_of(
            "components",
            {
                1: {"test_nll": {"Replace": (3, 3.1), "Accumulate": (3, 3 + gmm["poor"])}},
                4: {"test_nll": {"Replace": (2, 9), "Accumulate": (gmm.get("rich", 2), 2.1)}},
            },
        ),
        "alldata": settings_of(
            "n",
            {n: {"squared_mean_error": {"Accumulate": (1 / n, gmm["notebook"] * law)}} for n, law in laws.items()},
        ),
    }


def judged(found):
    return {name: finding.verdict for name, finding in ledger.judge(4, found).items()}


def verdicts(**change):
    return judged(results(**change))


def test_verdicts_on_what_the_chapter_finds():
    assert verdicts() == {
        "nature-mixture": LIMITED,
        "nature-rare-mode": SUPPORTED,
        "nature-expressivity": SUPPORTED,
        "thread-no-collapse-mixture": LIMITED,
        "kazdan-kernels-replaced": SUPPORTED,
        "kazdan-kernels-accumulated": LIMITED,
        "kazdan-kernels-between": SUPPORTED,
        "pi-squared-sixth-notebook": SUPPORTED,
    }


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        ("nature-mixture", {"replace_nll": 2.0}, NOT_SUPPORTED),
        ("nature-rare-mode", {"rare_mode": 0.1}, NOT_SUPPORTED),
        ("nature-expressivity", {"poor": 0.5}, LIMITED),
        ("nature-expressivity", {"poor": 2.0}, NOT_SUPPORTED),
        ("nature-expressivity", {"rich": 4}, NOT_TESTABLE),
        ("thread-no-collapse-mixture", {"accumulate_nll": 2.0}, SUPPORTED),
        ("thread-no-collapse-mixture", {"accumulate_nll": 9.0}, NOT_SUPPORTED),
        ("thread-no-collapse-mixture", {"accumulate_nll": 2.0, "real_nll": 1.9}, LIMITED),
        ("thread-no-collapse-mixture", {"kept_mode": 0.01}, NOT_SUPPORTED),
        ("kazdan-kernels-replaced", {"replace": 2.0, "settings": SETTINGS[:1]}, LIMITED),
        ("kazdan-kernels-replaced", {"replace": 2.0}, NOT_SUPPORTED),
        ("kazdan-kernels-accumulated", {"kernel": 1.9}, SUPPORTED),
        ("kazdan-kernels-accumulated", {"kernel": 1.9, "accumulate": 9.0, "settings": SETTINGS[:1]}, LIMITED),
        ("kazdan-kernels-accumulated", {"accumulate": 9.0}, NOT_SUPPORTED),
        ("kazdan-kernels-between", {"subsample": 3.0, "settings": SETTINGS[:1]}, LIMITED),
        ("kazdan-kernels-between", {"subsample": 3.0}, NOT_SUPPORTED),
        ("kazdan-kernels-between", {"subsample": 9.0}, NOT_SUPPORTED),
        ("pi-squared-sixth-notebook", {"notebook": 1.7}, NOT_SUPPORTED),
    ],
)
def test_other_numbers_give_other_verdicts(claim, change, expected):
    assert verdict(4, claim, results(**change)) == expected


def test_a_rare_mode_that_fades_in_half_of_the_runs_is_a_limit():
    found = results(rare_mode=0.1)
    found["gmm"]["rare_mode"].loc[{"regime": "Replace", "generation": T}] = np.where(np.arange(RUNS) % 2, 0.01, 0.2)
    assert judged(found)["nature-rare-mode"] == LIMITED


def test_a_loss_that_rises_late_does_not_level_off():
    found = results()
    loss = found["gmm"]["test_nll"]
    late = np.maximum(0, loss["generation"] - T // 2)
    loss.loc[{"regime": "Accumulate"}] = (2 + 0.05 * late + 0 * loss.sel(regime="Accumulate")).transpose(
        "generation", "run"
    )
    assert judged(found)["thread-no-collapse-mixture"] == NOT_SUPPORTED


def test_too_few_runs_decide_nothing():
    few = {name: data.isel(run=slice(6)) for name, data in results().items()}
    found = judged(few)
    assert found["nature-mixture"] == found["kazdan-kernels-replaced"] == found["nature-expressivity"] == NOT_TESTABLE
