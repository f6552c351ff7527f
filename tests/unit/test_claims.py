"""The ledger: every claim has an owner, and every verdict follows from its numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from lib import ledger as claims
from lib import records, theory
from lib.chapter import display as notebook
from lib.intervals import Interval
from lib.ledger import LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED
from lib.ledger.claims import setting
from lib.recursion import recurse
from lib.regimes import Accumulate, AccumulateSubsample, FreshReal, Replace, ReplaceGrown
from lib.worlds.gaussian import Gaussian
from lib.worlds.images.scores import with_rare_share

from .judging import verdict

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


def centred(center, width, seed=0):
    """Values whose sample mean is exactly `center`: what a judge finds then depends on the law alone."""
    values = spread(0.0, width, seed)
    return center + values - values.mean()


def gaussian_results(**change):
    """Results as the theory has them, or with one thing changed."""
    n, total = 100, 100
    w2 = theory.expected_w2_replace(n, total)
    w2_mle = theory.expected_w2_replace(n, total, "mle")
    drift = theory.log_drift(n)
    bounded = theory.expected_error(Accumulate(), n, total, "unbiased")
    values = {
        "replace_variance": lambda t: np.exp(centred(drift * t, 0.1)),
        "accumulate_variance": lambda t: spread(0.99, 0.05),
        # Each generation has noise of its own: a paired difference of equal noise would be an interval of no width.
        "replace_w2": lambda t: centred(w2[t - 1], 0.01, seed=t),
        "replace_w2_mle": lambda t: spread(w2_mle[t - 1]),
        "accumulate_error": lambda t: centred(bounded[t - 1], 1e-4),
    }
    for regime in (Replace(), ReplaceGrown(), Accumulate(), AccumulateSubsample()):
        name = type(regime).__name__
        error, variance = theory.expected_error(regime, n, total), theory.expected_variance(regime, n, total)
        values[f"error_{name}"] = lambda t, error=error: spread(error[t - 1], 1e-4)
        values[f"variance_{name}"] = lambda t, variance=variance: spread(variance[t - 1], 1e-3)
    values |= change
    variance = {"Replace": values["replace_variance"], "Accumulate": values["accumulate_variance"]}
    errors = {"Replace": values["accumulate_error"], "Accumulate": values["accumulate_error"]}
    flat = {"Replace": values["replace_w2"], "Accumulate": lambda t: spread(0.01)}
    compared = {
        score: {name.removeprefix(start): of for name, of in values.items() if name.startswith(start)}
        for score, start in (("squared_mean_error", "error_"), ("trace_ratio", "variance_"))
    }
    return {
        "unbiased": dataset(n, trace_ratio=variance, w2_squared=flat, squared_mean_error=errors),
        "mle": dataset(n, trace_ratio=variance, w2_squared=flat | {"Replace": values["replace_w2_mle"]}),
        "regimes": dataset(n, **compared),
    }


def replaced_variance(t):
    return spread(theory.expected_variance(Replace(), 100, t)[-1], 1e-3, seed=1)


def accumulated_error(t):
    return spread(theory.expected_error(Accumulate(), 100, t)[-1], 1e-4, seed=1)


def test_verdicts_when_everything_is_as_the_theory_has_it():
    found = {name: f.verdict for name, f in claims.judge(2, gaussian_results()).items()}
    assert found == {
        "nature-variance": SUPPORTED,
        "nature-distance": SUPPORTED,
        "nature-far": LIMITED,
        "thread-gaussian": SUPPORTED,
        "thread-cause": LIMITED,
        "thread-no-collapse": LIMITED,
        "pi-squared-sixth": SUPPORTED,
        "colm-size": LIMITED,
        "kazdan-between": SUPPORTED,
        "kazdan-slow": SUPPORTED,
    }


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        ("nature-variance", {"replace_variance": lambda t: np.exp(spread(0.0, 0.1))}, NOT_SUPPORTED),
        ("nature-variance", {"replace_variance": lambda t: np.exp(spread(-0.02 * t, 0.1))}, NOT_SUPPORTED),
        ("nature-distance", {"replace_w2": lambda t: spread(1.0)}, NOT_SUPPORTED),
        ("nature-far", {"replace_w2_mle": lambda t: spread(3.0)}, SUPPORTED),
        ("thread-gaussian", {"accumulate_variance": lambda t: spread(0.6, 0.1)}, NOT_SUPPORTED),
        ("thread-cause", {"variance_AccumulateSubsample": replaced_variance}, NOT_SUPPORTED),
        ("thread-cause", {"variance_ReplaceGrown": lambda t: spread(0.3, 1e-3)}, SUPPORTED),
        ("thread-no-collapse", {"accumulate_error": lambda t: spread(0.01 * t, 1e-4)}, NOT_SUPPORTED),
        ("thread-no-collapse", {"accumulate_error": lambda t: centred(0.0163, 0.02)}, SUPPORTED),
        ("pi-squared-sixth", {"accumulate_error": lambda t: spread(0.01 * t, 1e-4)}, NOT_SUPPORTED),
        ("colm-size", {"error_ReplaceGrown": accumulated_error}, NOT_SUPPORTED),
        ("colm-size", {"error_ReplaceGrown": lambda t: spread(0.5, 1e-4)}, SUPPORTED),
        ("kazdan-between", {"error_AccumulateSubsample": lambda t: spread(2.0, 1e-4)}, NOT_SUPPORTED),
        ("kazdan-slow", {"error_AccumulateSubsample": lambda t: spread(0.02 * t, 1e-4)}, NOT_SUPPORTED),
    ],
)
def test_other_numbers_give_other_verdicts(claim, change, expected):
    assert verdict(2, claim, gaussian_results(**change)) == expected


def setting_results(kept=0.1):
    regimes = [Replace(), FreshReal(kept)]
    data = recurse(Gaussian(), regimes, n=1000, generations=4, runs=2, seed=1, scores="trace_ratio")
    return {"composition": data.assign_coords(regime=["Replace", "Keep(0.1)"])}


def test_verdicts_on_the_setting(monkeypatch):
    found = {name: f.verdict for name, f in claims.judge(1, setting_results()).items()}
    assert found == {
        "thread-growth": SUPPORTED,
        "thread-quality": NOT_TESTABLE,
        "thread-accumulates": NOT_TESTABLE,
        "thread-thrown-away": SUPPORTED,
    }
    assert claims.judge(1, setting_results(kept=0.6))["thread-thrown-away"].verdict == NOT_SUPPORTED
    monkeypatch.setattr(setting, "LLAMA_TOKENS", {"a": 2.0, "b": 3.0, "c": 1.0})
    assert claims.judge(1, setting_results())["thread-growth"].verdict == NOT_SUPPORTED


def shares_of(rare, kept, floor=0.01):
    """Class shares of a world of ten classes, class 3 of them rare: at generation t the rare one has rare(t) above what
    is misread, and classes 5 to 9 have kept(t) of what they started with."""

    def at(t):
        shares = np.tile(np.linspace(0.09, 0.12, 10), (RUNS, 1))
        shares[:, 5:] *= kept(t)
        shares[:, 3] = spread(rare(t) + floor, 1e-3, seed=t)
        return shares

    return at


def sampled_results(drawn, noise_free, entropy=(0.0, -1.0, -0.5)):
    """The three data sets on a rare class: shares above what is misread, by regime; entropies fall by `entropy` of a
    nat a generation: drawn, noise-free under Replace, noise-free under Accumulate."""
    out = {}
    for name, of in (("drawn", drawn), ("noise_free", noise_free), ("absent", lambda t: 0.0)):
        kept = (lambda t: 0.9 ** (t - 1)) if name == "noise_free" else (lambda t: 1.0)
        slopes = entropy[1:] if name == "noise_free" else entropy[:1] * 2
        data = dataset(
            1000,
            3,
            class_entropy={
                r: lambda t, s=s: spread(2.3 + s * (t - 1), 1e-3)
                for r, s in zip(("Replace", "Accumulate"), slopes, strict=True)
            },
        )
        shares = np.array([[shares_of(of, kept)(t) for t in (1, 2, 3)]] * 2)
        data["class_shares"] = (("regime", "generation", "run", "class"), shares)
        out[name] = with_rare_share(data.assign_attrs(rare="[3, 0.02]"))
    return out


def image_results(
    longer=0.06, drawn=lambda t: 0.02, noise_free=lambda t: 0.02 * 0.1 ** (t - 1), entropy=(0.0, -1.0, -0.5), **change
):
    level = {"Replace": 0.2, "Accumulate": 0.06, "RealOnly(refit)": 0.04} | change
    of = {
        "test_nelbo": {r: lambda t, v=v: spread(125 + 100 * (v - 0.04) * (t - 1)) for r, v in level.items()},
        "frechet_distance": {r: lambda t, v=v: spread(0.04 + (v - 0.04) * (t - 1), 1e-3) for r, v in level.items()},
    }
    long = {"Accumulate": lambda t: spread(125 + 100 * (longer - 0.04) * (t - 1))}
    main = {"main": dataset(1000, 2, **of), "long": dataset(1000, 2, test_nelbo=long)}
    return main | sampled_results(drawn, noise_free, entropy)


def steady(t):
    return 0.02


def fading(t):
    return 0.02 * 0.5 ** (t - 1)


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        ("nature-images", {}, SUPPORTED),
        ("nature-images", {"Replace": 0.04}, NOT_SUPPORTED),
        ("thread-images", {}, SUPPORTED),
        ("thread-images", {"Accumulate": 0.2}, NOT_SUPPORTED),
        ("colm-images", {}, SUPPORTED),
        ("colm-images", {"longer": 0.03}, LIMITED),
        ("colm-images", {"Accumulate": 0.04}, NOT_SUPPORTED),
        ("colm-images", {"Accumulate": 0.2}, NOT_SUPPORTED),
        ("colm-attributes", {}, LIMITED),
        ("colm-attributes", {"drawn": fading}, SUPPORTED),
        ("colm-attributes", {"noise_free": steady}, NOT_SUPPORTED),
        ("nature-tails-images", {}, LIMITED),
        ("nature-tails-images", {"drawn": fading}, SUPPORTED),
        ("nature-tails-images", {"noise_free": steady}, NOT_SUPPORTED),
        ("mad-sampling-images", {}, SUPPORTED),
        ("mad-sampling-images", {"entropy": (0.0, -1.0, 0.0)}, LIMITED),
        ("mad-sampling-images", {"entropy": (0.0, 0.0, -0.5)}, NOT_SUPPORTED),
        ("mad-sampling-images", {"entropy": (-1.0, -1.0, -1.0)}, NOT_SUPPORTED),
        ("thread-no-collapse-images", {}, LIMITED),
        ("thread-no-collapse-images", {"Accumulate": 0.042}, SUPPORTED),
        ("thread-no-collapse-images", {"Accumulate": 0.15}, NOT_SUPPORTED),
    ],
)
def test_verdicts_on_images(claim, change, expected):
    assert verdict(6, claim, image_results(**change)) == expected


def test_a_class_that_others_go_before_is_not_the_first():
    results = image_results(noise_free=lambda t: 0.04 * 0.6 ** (t - 1))
    shares = results["noise_free"]["class_shares"].copy()
    assert claims.judge(6, results)["nature-tails-images"].verdict == LIMITED
    shares[{"class": 7, "generation": slice(1, None)}] = 0.0
    results["noise_free"] = results["noise_free"].assign(class_shares=shares)
    assert claims.judge(6, results)["nature-tails-images"].verdict == NOT_SUPPORTED


def test_a_class_that_was_never_there_cannot_disappear():
    results = image_results()
    shares = results["noise_free"]["class_shares"].copy()
    shares[{"class": 3}] = 0.0
    results["noise_free"] = results["noise_free"].assign(class_shares=shares)
    assert claims.judge(6, results)["nature-tails-images"].verdict == NOT_SUPPORTED


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
    assert claims.Finding(SUPPORTED, "", Interval(1.0, np.nan, np.nan, 0.99), "").verdict == NOT_TESTABLE
    assert claims.Finding(SUPPORTED, "", Interval(1.0, 0.1, 2.1, 0.99), "").verdict == SUPPORTED
    assert [claims.ladder(*rungs) for rungs in ((1, 1), (0, 1), (0, 0))] == [SUPPORTED, LIMITED, NOT_SUPPORTED]


def test_one_run_supports_nothing():
    one = {name: data.isel(run=[0]) for name, data in gaussian_results().items()}
    assert {found.verdict for found in claims.judge(2, one).values()} == {NOT_TESTABLE}


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
    mean = found["regimes"]["mean_of"].sel(score_name="squared_mean_error", regime="Accumulate", part="estimate")
    ends = data["regimes"]["squared_mean_error"].sel(regime="Accumulate").isel(generation=-1)
    assert mean.isel(generation=-1) == pytest.approx(ends.mean())
    assert [f["verdict"] for f in stored["findings"]] == [f.verdict for f in findings.values()]
    assert {"commit", "date", "versions", "device"} <= set(stored["provenance"])
    with pytest.raises(FileNotFoundError, match=r"01\.json: chapter 1 has left no results"):
        claims.ledger(tmp_path)


def test_stale_findings_are_refused(tmp_path):
    for chapter in claims.CHAPTERS:
        stored = json.loads((records.COMMITTED / f"{chapter:02d}.json").read_text())
        (tmp_path / f"{chapter:02d}.json").write_text(json.dumps(stored))
    assert [claim for claim, _ in claims.ledger(tmp_path)] == list(claims.every())
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
    for ending in ("nc.gz", "json"):
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
