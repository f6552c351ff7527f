"""The ledger: every claim has an owner, and every verdict follows from its numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from lib import claims, notebook, records, theory
from lib.claims import LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED
from lib.gaussian import Gaussian
from lib.intervals import Interval
from lib.recursion import recurse
from lib.regimes import Accumulate, AccumulateSubsample, FreshReal, RealOnly, Replace, ReplaceGrown

RUNS = 400
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def dataset(n=100, generations=100, **scores):
    """A data set of `recurse` with given values {score: {regime: (generation) → array (runs,)}}."""
    regimes = list(next(iter(scores.values())))
    rows = {
        name: (
            ("regime", "generation", "run"),
            np.array([[of[r](t) for t in range(1, generations + 1)] for r in regimes]),
        )
        for name, of in scores.items()
    }
    return xr.Dataset(rows, {"regime": regimes, "generation": np.arange(1, generations + 1)}, {"n": n})


def spread(center, width=0.01, seed=0):
    return center + width * np.random.default_rng(seed).normal(size=RUNS)


def gaussian_results(**change):
    """Results as the theory has them, or with one thing changed."""
    n = 100
    w2 = theory.expected_w2_replace(n, 100)
    w2_mle = theory.expected_w2_replace(n, 100, "mle")
    values = {
        "replace_variance": lambda t: np.exp(spread(-t / 10)),
        "accumulate_variance": lambda t: spread(0.99),
        "replace_w2": lambda t: spread(w2[t - 1]),
        "replace_w2_mle": lambda t: spread(w2_mle[t - 1] / 10),
    } | {
        f"error_{type(r).__name__}": lambda t, r=r: spread(theory.expected_error(r, n, t)[-1], 1e-4)
        for r in (Replace(), ReplaceGrown(), Accumulate(), AccumulateSubsample(), RealOnly())
    }
    values |= change
    variance = {"Replace": values["replace_variance"], "Accumulate": values["accumulate_variance"]}
    flat = {"Replace": values["replace_w2"], "Accumulate": lambda t: spread(0.01)}
    flat_mle = flat | {"Replace": values["replace_w2_mle"]}
    errors = {name.removeprefix("error_"): of for name, of in values.items() if name.startswith("error_")}
    return {
        "unbiased": dataset(n, trace_ratio=variance, w2_squared=flat),
        "mle": dataset(n, trace_ratio=variance, w2_squared=flat_mle),
        "regimes": dataset(n, squared_mean_error=errors),
    }


def test_verdicts_when_everything_is_as_the_theory_has_it():
    found = {name: f.verdict for name, f in claims.judge(2, gaussian_results()).items()}
    assert found == {
        "nature-variance": SUPPORTED,
        "nature-distance": LIMITED,
        "thread-gaussian": SUPPORTED,
        "thread-cause": SUPPORTED,
        "thread-no-collapse": LIMITED,
        "colm-size": SUPPORTED,
        "kazdan-between": SUPPORTED,
    }


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        ("nature-variance", {"replace_variance": lambda t: spread(0.5)}, NOT_SUPPORTED),
        ("nature-distance", {"replace_w2": lambda t: spread(1.0)}, NOT_SUPPORTED),
        ("nature-distance", {"replace_w2_mle": lambda t: spread(3.0)}, SUPPORTED),
        ("thread-gaussian", {"accumulate_variance": lambda t: spread(0.6)}, NOT_SUPPORTED),
        ("thread-cause", {"replace_variance": lambda t: spread(0.99, seed=1)}, NOT_SUPPORTED),
        ("thread-no-collapse", {"error_Accumulate": lambda t: spread(0.01 * (1 + t), 1e-4)}, NOT_SUPPORTED),
        ("thread-no-collapse", {"error_RealOnly": lambda t: spread(0.02, 1e-4)}, SUPPORTED),
        ("colm-size", {"error_ReplaceGrown": lambda t: spread(0.01, 1e-4)}, NOT_SUPPORTED),
        ("kazdan-between", {"error_AccumulateSubsample": lambda t: spread(2.0, 1e-4)}, NOT_SUPPORTED),
    ],
)
def test_other_numbers_give_other_verdicts(claim, change, expected):
    assert claims.judge(2, gaussian_results(**change))[claim].verdict == expected


def setting_results(kept=1000, drift=0.0):
    composition = recurse(
        Gaussian(),
        [Replace(), Accumulate(), FreshReal(0.1)],
        n=1000,
        generations=4,
        runs=2,
        seed=1,
        scores="trace_ratio",
    ).assign_coords(regime=["Replace", "Accumulate", "Keep(0.1)"])
    composition["train_size"].loc[{"regime": "Replace", "generation": 4}] = kept
    first = np.random.default_rng(0).normal(0.99, 0.1, size=RUNS)
    of = {"Mixture(0, 1, 0)": lambda t: first + drift * (t - 1) * spread(1.0)}
    return {"composition": composition, "condition": dataset(100, 5, trace_ratio=of)}


def test_verdicts_on_the_setting():
    found = {name: f.verdict for name, f in claims.judge(1, setting_results()).items()}
    assert found == {
        "thread-growth": NOT_TESTABLE,
        "thread-quality": NOT_TESTABLE,
        "thread-accumulates": NOT_TESTABLE,
        "thread-thrown-away": SUPPORTED,
        "nature-condition": NOT_SUPPORTED,
    }
    assert claims.judge(1, setting_results(kept=3000))["thread-thrown-away"].verdict == NOT_SUPPORTED
    assert claims.judge(1, setting_results(drift=-0.1))["nature-condition"].verdict == SUPPORTED


def image_results(**change):
    level = {"Replace": 0.2, "Accumulate": 0.06, "RealOnly(refit)": 0.04} | change
    of = {
        "test_nelbo": {r: lambda t, v=v: spread(125 + 100 * (v - 0.04) * (t - 1)) for r, v in level.items()},
        "frechet_distance": {r: lambda t, v=v: spread(0.04 + (v - 0.04) * (t - 1), 1e-3) for r, v in level.items()},
        "class_entropy": {r: lambda t, v=v: spread(2.3 - (v - 0.04) * (t - 1), 1e-3) for r, v in level.items()},
    }
    return {"main": dataset(1000, 2, **of)}


def test_verdicts_on_images():
    found = {name: f.verdict for name, f in claims.judge(6, image_results()).items()}
    assert set(found.values()) == {SUPPORTED, LIMITED}
    assert found["thread-no-collapse-images"] == LIMITED
    found = {name: f.verdict for name, f in claims.judge(6, image_results(Accumulate=0.04)).items()}
    assert found["thread-no-collapse-images"] == SUPPORTED
    assert found["colm-images"] == found["colm-attributes"] == NOT_SUPPORTED
    found = {name: f.verdict for name, f in claims.judge(6, image_results(Accumulate=0.2)).items()}
    assert found["thread-images"] == found["thread-no-collapse-images"] == found["colm-images"] == NOT_SUPPORTED
    assert claims.judge(6, image_results(Replace=0.04))["nature-images"].verdict == NOT_SUPPORTED


def test_every_claim_has_an_owner_and_an_id_of_its_own():
    every = claims.every()
    assert len({claim.id for claim in every}) == len(every)
    for chapter in claims.CHAPTERS:
        assert claims.of_chapter(chapter)
        assert all(claim.chapter == chapter for claim in claims.of_chapter(chapter))


def test_the_committed_ledger_is_well_formed():
    """Stored intervals hold their estimates, at the ledger's level, and verdicts are words of the ledger."""
    for claim, found in claims.ledger(records.COMMITTED):
        assert found["verdict"] in claims.VERDICTS
        if found["interval"] is None:
            continue
        low, high = found["interval"]["low"], found["interval"]["high"]
        assert low <= found["interval"]["estimate"] <= high
        assert found["interval"]["level"] == claims.LEVEL, claim.id


def test_an_interval_without_ends_decides_nothing():
    with pytest.raises(ValueError, match="interval="):
        claims.verdict(Interval(1.0, np.nan, np.nan, 0.99), above=0)
    assert claims.verdict(Interval(1.0, -0.1, 2.1, 0.99), above=0) == NOT_SUPPORTED
    assert claims.verdict(Interval(1.0, 0.1, 2.1, 0.99), above=0) == SUPPORTED


def test_a_finding_needs_a_known_verdict():
    with pytest.raises(ValueError, match="verdict='true'"):
        claims.Finding("true", "", None, "")


def test_results_travel(tmp_path):
    data = gaussian_results()
    findings = claims.judge(2, data)
    records.leave(2, {"n": 100}, data, claims.to_json(findings), 1.0, tmp_path)
    stored, found = records.read(2, tmp_path)
    assert stored["key"] == records.key({"n": 100}) != records.key({"n": 101})
    assert set(found) == {"unbiased", "mle", "regimes"}
    mean = found["regimes"]["squared_mean_error"].sel(regime="Accumulate", summary="mean").isel(generation=-1)
    assert mean == pytest.approx(
        data["regimes"]["squared_mean_error"].sel(regime="Accumulate").isel(generation=-1).mean()
    )
    assert [f["verdict"] for f in stored["findings"]] == [f.verdict for f in findings.values()]
    assert {"commit", "date", "versions", "device"} <= set(stored["provenance"])
    with pytest.raises(FileNotFoundError, match=r"01\.json: chapter 1 has left no results"):
        claims.ledger(tmp_path)


def test_stale_findings_are_refused(tmp_path):
    for chapter in claims.CHAPTERS:
        stored = json.loads((records.COMMITTED / f"{chapter:02d}.json").read_text())
        (tmp_path / f"{chapter:02d}.json").write_text(json.dumps(stored))
    assert claims.ledger_markdown(tmp_path).count("\n") == len(claims.every()) + 1
    stored["findings"] = stored["findings"][1:]
    (tmp_path / f"{chapter:02d}.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match="findings="):
        claims.ledger(tmp_path)


@pytest.mark.parametrize("chapter", claims.CHAPTERS)
def test_committed_results_are_small_and_at_default_parameters(chapter):
    (path,) = NOTEBOOKS.glob(f"{chapter:02d}-*.ipynb")
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    defaults = next(found for cell in cells if (found := notebook._assignments(cell)))
    stored, _ = records.read(chapter, records.COMMITTED)
    assert stored["configuration"] == defaults
    assert stored["key"] == records.key(defaults)
    for ending in ("nc", "json"):
        assert (records.COMMITTED / f"{chapter:02d}.{ending}").stat().st_size < 200_000


def test_only_default_parameters_enter_the_ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("LIB_RESULTS", str(tmp_path))
    monkeypatch.setattr(notebook, "say", lambda text: None)
    for parameters in ({"n": 100}, {"n": 99}):
        chapter = notebook.Chapter(2, parameters, {"n": 99})
        chapter.results = gaussian_results()
        chapter.end()
        assert (tmp_path / "02.json").exists() == (parameters == {"n": 99})


def test_the_parameters_cell_is_found_and_nothing_else():
    assert notebook._assignments('scale: str = "laptop"  # size\nn: int = 100  # samples') == {
        "scale": "laptop",
        "n": 100,
    }
    assert notebook._assignments("n = 100") == notebook._assignments("import os") == notebook._assignments("x =") == {}
