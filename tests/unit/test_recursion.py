"""The recursion: what it shares, what it keys, what it refuses, and that nothing is lost when it is killed."""

import itertools
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from lib.pool import Rows
from lib.recursion import recurse
from lib.regimes import Accumulate, AccumulateSubsample, FreshReal, Keep, Mixture, RealOnly, Replace, ReplaceGrown
from lib.streams import PURPOSES, Streams
from lib.worlds.gaussian import Gaussian
from tests.unit.refusals import refused
from tests.unit.toy import Toy

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"n": 10, "generations": 4, "runs": 5, "seed": 3}


def test_dims_variables_and_attributes():
    data = recurse(Gaussian(2), [Replace(), Accumulate()], **SMALL)
    assert data["trace_ratio"].dims == ("regime", "generation", "run")
    assert data["trace_ratio"].shape == (2, 4, 5)
    assert list(data["generation"].values) == [1, 2, 3, 4]
    assert list(data["regime"].values) == ["Replace", "Accumulate"]
    for name in ("real_share", "train_size", "steps", "examples"):
        assert data[name].dims == ("regime", "generation")
    assert data["train_size"].sel(regime="Accumulate").values.tolist() == [10, 20, 30, 40]
    assert data["real_share"].sel(regime="Accumulate").values.tolist() == [1, 1 / 2, 1 / 3, 1 / 4]
    for name in ("seed", "n", "runs", "generations", "estimator", "sampler", "dimension", "regimes", "version"):
        assert name in data.attrs
    assert np.isfinite(data["trace_ratio"]).all()


def test_results_go_through_netcdf(tmp_path):
    data = recurse(Gaussian(2), [Replace(), Accumulate()], **SMALL, keep="covariance")
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    xr.testing.assert_equal(data, xr.load_dataset(tmp_path / "a.nc", engine="h5netcdf"))


def test_generation_1_is_shared_and_later_ones_differ():
    data = recurse(Gaussian(sampler="explicit"), [Replace(), Accumulate(), AccumulateSubsample()], **SMALL)
    first = data["trace_ratio"].isel(generation=0)
    assert (first == first.isel(regime=0)).all()
    assert (data["trace_ratio"].isel(generation=1, regime=0) != data["trace_ratio"].isel(generation=1, regime=1)).all()


def test_adding_a_regime_changes_no_other_number():
    alone = recurse(Gaussian(3), Accumulate(), **SMALL)
    beside = recurse(Gaussian(3), [Keep(0.2, redraw=False), RealOnly(), Accumulate(), FreshReal(0.3)], **SMALL)
    xr.testing.assert_equal(alone["trace_ratio"].isel(regime=0), beside["trace_ratio"].sel(regime="Accumulate"))


@pytest.mark.parametrize("sampler", ["statistic", "explicit"])
def test_adding_a_run_or_a_generation_changes_no_other_number(sampler):
    regimes = [Replace(), Accumulate(), FreshReal(0.2), Keep(0.2, redraw=False)]
    world = Gaussian(2, sampler=sampler)
    few = recurse(world, regimes, **SMALL)
    many = recurse(world, regimes, **SMALL | {"runs": 9, "generations": 6})
    np.testing.assert_allclose(few["trace_ratio"], many["trace_ratio"][:, :4, :5], rtol=1e-12)


def test_blocks_bound_the_runs_and_keep_their_numbers():
    data = recurse(Gaussian(), [Replace(), Accumulate()], **SMALL | {"runs": 7}, block=3)
    more = recurse(Gaussian(), [Replace(), Accumulate()], **SMALL | {"runs": 9}, block=3)
    assert (data["trace_ratio"] == more["trace_ratio"].isel(run=slice(7))).all()
    assert len(np.unique(data["trace_ratio"].isel(generation=0, regime=0))) == 7


def test_independent_regimes_share_nothing():
    pair = {"one": Replace(), "two": Replace()}
    data = recurse(Gaussian(), pair, **SMALL, independent=True)["trace_ratio"]
    assert (data.sel(regime="one") != data.sel(regime="two")).all()
    data = recurse(Gaussian(), pair, **SMALL)["trace_ratio"]
    assert (data.sel(regime="one") == data.sel(regime="two")).all()


def test_sizes_may_depend_on_the_generation():
    data = recurse(
        Gaussian(), [Replace(), Accumulate(), ReplaceGrown(), RealOnly()], **SMALL | {"n": lambda t: 10 * 2 ** (t - 1)}
    )
    assert data["train_size"].sel(regime="Replace").values.tolist() == [10, 20, 40, 80]
    for regime in ("Accumulate", "ReplaceGrown", "RealOnly"):
        assert data["train_size"].sel(regime=regime).values.tolist() == [10, 30, 70, 150]


def test_ten_to_the_thirteen_samples():
    data = recurse(Gaussian(2), [Replace(), Accumulate(), RealOnly()], **SMALL | {"n": 10**13})
    assert data["train_size"].max() == 4 * 10**13
    assert abs(data["trace_ratio"] - 1).max() < 1e-5
    assert (data["trace_ratio"] != 1).all()
    assert data["w2_squared"].max() < 1e-11


def test_select_filters_each_synthetic_batch():
    def upper_half(batch, rng):
        return Rows(np.sort(batch.values, axis=1)[:, batch.size // 2 :])

    data = recurse(Toy(), Replace(), **SMALL, select=upper_half)
    assert data["train_size"].values.ravel().tolist() == [10, 5, 5, 5]
    assert (data["mean"].isel(generation=-1) > data["mean"].isel(generation=0)).all()
    assert "upper_half" in data.attrs["select"]


def test_inputs_come_from_the_real_data_or_from_the_newest_batch():
    real = recurse(Toy(conditional=True), Replace(), **SMALL | {"n": 1000})
    previous = recurse(Toy(conditional=True), Replace(), **SMALL | {"n": 1000}, inputs_from="previous")
    assert (real["mean"].isel(generation=slice(2)) == previous["mean"].isel(generation=slice(2))).all()
    assert (real["mean"].isel(generation=3) != previous["mean"].isel(generation=3)).all()


def test_steps_and_examples_are_recorded_and_extras_kept():
    data = recurse(Toy(), Accumulate(), **SMALL, keep=["pair"])
    assert data["steps"].values.ravel().tolist() == [3] * 4
    assert data["examples"].values.ravel().tolist() == [30, 60, 90, 120]
    assert data["pair"].dims == ("regime", "generation", "run", "side")
    assert (data["pair"].isel(side=0) == data["mean"]).all()


BAD = [
    ({"n": 1}, ("n", 1)),
    ({"n": 0}, ("n", 0)),
    ({"n": 2.5}, ("n", 2.5)),
    ({"n": lambda t: 10 - 9 * (t > 2)}, ("n", 1)),
    ({"n": 2**63}, ("n", 9223372036854775808)),
    ({"n": 2**61, "regimes": [Accumulate()]}, ("n", 2305843009213693952)),
    ({"generations": -3}, ("generations", -3)),
    ({"generations": 0}, ("generations", 0)),
    ({"runs": 0}, ("runs", 0)),
    ({"seed": -1}, ("seed", -1)),
    ({"block": 0}, ("block", 0)),
    ({"scores": ["variance"]}, ("scores", "variance")),
    ({"keep": ["model"]}, ("keep", "model")),
    ({"inputs_from": "web"}, ("inputs_from", "web")),
    ({"regimes": []}, ("regimes",)),
    ({"regimes": ["Replace"]}, ("regimes", "Replace")),
    ({"regimes": [Replace(), Replace()]}, ("regimes",)),
    ({"regimes": [AccumulateSubsample()]}, ("sampler", "statistic")),
    ({"regimes": [Keep(0.5)]}, ("sampler", "statistic")),
    ({"regimes": [Mixture(0.5, 0.5, 0)]}, ("sampler", "statistic")),
    ({"world": Gaussian(10), "scores": ["log_det_ratio"]}, ("scores", "log_det_ratio")),
    ({"world": Gaussian(10), "scores": ["kl"]}, ("scores", "kl")),
    ({"world": Gaussian(sampler="explicit"), "n": 10**9}, ("n", 1000000000)),
]


@pytest.mark.parametrize(("change", "expected"), BAD, ids=[str(m) for _, m in BAD])
def test_bad_settings_are_named_before_any_work(change, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(Gaussian, "real", lambda *a: pytest.fail("work was done"))
    arguments = {"world": Gaussian(), "regimes": [Replace()], **SMALL, "checkpoint": tmp_path / "new"} | change
    with refused(*expected):
        recurse(arguments.pop("world"), arguments.pop("regimes"), **arguments)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Gaussian(estimator="map"), ("estimator", "map")),
        (lambda: Gaussian(sampler="fast"), ("sampler", "fast")),
        (lambda: Gaussian(0), ("dimension", 0)),
    ],
)
def test_bad_worlds_are_named(make, expected):
    with refused(*expected):
        make()


def test_a_world_whose_settings_would_hide_those_of_the_call_is_refused():
    class Crowded(Gaussian):
        def settings(self):
            return super().settings() | {"runs": 7}

    with refused("world", "Crowded"):
        recurse(Crowded(), Replace(), **SMALL)


def test_memory_of_ten_thousand_runs_over_a_thousand_generations():
    # Read as a child of a fresh interpreter: on Linux a program's peak starts at that of the process which started it,
    # here a test worker that may hold much more.
    code = """
    import resource, subprocess, sys
    work = '''if True:
        from lib.worlds.gaussian import Gaussian
        from lib.recursion import recurse
        from lib.regimes import *
        data = recurse(Gaussian(), [Replace(), Accumulate(), RealOnly()], n=100, generations=1000, runs=10_000, seed=1,
                       scores=("trace_ratio", "squared_mean_error"))
        print(data.nbytes)
    '''
    subprocess.run([sys.executable, "-c", work], check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit)
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, check=True
    )
    held, peak = map(int, done.stdout.split())
    assert held > 2 * 3 * 1000 * 10_000 * 8
    assert peak < 2**30


def test_every_part_of_a_stream_s_key_makes_another_stream():
    keys = itertools.product((0, 1), (0, 1), (0, 1), (1, 2), PURPOSES)
    drawn = [Streams(seed, block, regime)(t, purpose).random() for seed, block, regime, t, purpose in keys]
    assert len(set(drawn)) == len(drawn) == 16 * len(PURPOSES)
