"""Two processes that train one model together, started as `accelerate launch` starts them on several GPUs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose

from lib import distributed as team
from lib.errors import Refused
from lib.pool import Part, Rows
from lib.recursion import recurse
from lib.regimes import Accumulate, Replace
from lib.worlds import weights
from lib.worlds.language import training
from lib.worlds.language.training import Schedule
from lib.worlds.language.transformer import Transformer
from tests.conftest import ROOT
from tests.unit import tiny

CALL = {"n": 16, "generations": 3, "runs": 2, "seed": 5}
REGIMES = [Replace(), Accumulate()]


def world(data, **settings):
    small = {
        "block": 8,
        "vocabulary": 300,
        "width": 16,
        "layers": 1,
        "heads": 2,
        "steps": 10,
        "epochs": None,
        "batch": 4,
    }
    return Transformer(
        data=data, **(small | {"test_blocks": 10, "score_samples": 10, "shown": 2, "stop": "best"} | settings)
    )


def a_fit(small):
    """The weights of one fit, and what they write."""
    train = (Part(Rows(small.corpus.train[None, :20]), 1.0),)
    model = small.fit(train, np.random.default_rng(1)).model
    return model.networks[0], small.sample(model, 12, None, np.random.default_rng(2)).values


def work(out, data, killed_at):
    """What each process does; its results are named by its number."""
    rank = int(os.environ["RANK"])
    if rank == 1:
        forbid_writing()
        time.sleep(1)  # the first one is there earlier and must wait
    terminal(out / f"bar-{rank}.txt")
    small = world(data)
    if int(killed_at):
        kill(int(killed_at))
    found = recurse(small, REGIMES, checkpoint=out / "run", progress=True, **CALL)
    values, samples = a_fit(small)
    real_savez(out / f"samples-{rank}.npz", samples=samples, **{name: w.numpy() for name, w in values.items()})
    found.to_netcdf(out / f"found-{rank}.nc")


real_savez = np.savez


def forbid_writing():
    """The second process keeps its hands off the checkpoint."""
    import shutil
    import tempfile

    def never(*arguments, **named):
        raise AssertionError("the second process writes")

    for place, name in (
        (tempfile, "mkdtemp"),
        (np, "savez"),
        (Path, "write_text"),
        (shutil, "rmtree"),
    ):
        setattr(place, name, never)


def terminal(path):
    import lib.distributed

    lib.distributed._terminal = lambda: path.open("w")


def kill(at):
    """Both end in the middle of a fit, whose progress is kept at every step; the second does not get to say so."""
    training.SAVE_SECONDS = -1.0
    factor, seen = Schedule.factor, []

    def killed(self, step):
        seen.append(step)
        if len(seen) == at:
            raise RuntimeError("killed")
        return factor(self, step)

    Schedule.factor = killed


def launch(out, data, killed_at=0):
    out.mkdir(exist_ok=True)
    script = out / "mine.py"
    lines = ["import sys", "from pathlib import Path", "from tests.unit.test_team import work"]
    script.write_text("\n".join([*lines, "work(Path(sys.argv[1]), *sys.argv[2:])"]))
    options = "--multi_gpu --num_processes=2 --num_machines=1 --mixed_precision=no --dynamo_backend=no"
    options += " --main_process_port=0"
    command = [sys.executable, "-m", "accelerate.commands.launch", *options.split(), script, out, data, killed_at]
    # No GPU is used where there is one: two processes cannot share it.
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    return subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=300, cwd=ROOT
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.text_file(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def together(data, tmp_path_factory):
    """The folder in which two processes have left what they found."""
    out = tmp_path_factory.mktemp("together")
    done = launch(out, data)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def test_both_processes_end_with_the_weights_of_a_single_one(together, data):
    single, written = a_fit(world(data))
    with np.load(together / "samples-0.npz") as first, np.load(together / "samples-1.npz") as second:
        assert set(first.files) == set(second.files) == {*single, "samples"}
        assert all((first[name] == second[name]).all() for name in first.files)
        for name, weight in single.items():
            assert_allclose(first[name], weight, atol=1e-5)
        assert (first["samples"] == written).all()
    # Taking half of each batch for the whole of it would have ended elsewhere.
    half, _ = a_fit(world(data, batch=2))
    assert max((half[name] - weight).abs().max() for name, weight in single.items()) > 1e-3


def test_both_processes_find_what_a_single_one_finds(together, data):
    first, second = (xr.load_dataset(together / f"found-{rank}.nc") for rank in (0, 1))
    assert first.identical(second)
    single = recurse(world(data), REGIMES, **CALL)
    assert {name: str(value) for name, value in first.attrs.items()} == {
        name: str(v) for name, v in single.attrs.items()
    }
    for name in world(data).scores:
        assert_allclose(first[name].values, single[name].values, rtol=1e-3)


def test_the_first_process_alone_writes_and_shows_progress(together, data):
    assert sorted(path.name for path in (together / "run").glob("block-0000/*/*")) == [
        "0001",
        "0002",
        "0002",
        "0003",
        "0003",
    ]
    assert [path.name for path in (together / "run").rglob(".*")] == [".lock"]
    assert "fit" in (together / "bar-0.txt").read_text()
    assert not (together / "bar-1.txt").exists() or (together / "bar-1.txt").read_text() == ""
    # What they have left is a checkpoint like any other.
    again = recurse(world(data), REGIMES, checkpoint=together / "run", **CALL)
    assert again.identical(xr.load_dataset(together / "found-0.nc"))


def test_processes_killed_in_a_fit_go_on_together(together, data, tmp_path):
    out = tmp_path / "killed"
    # Two runs of 10 steps a fit, asked twice a step: in the second run of the third fit.
    done = launch(out, data, killed_at=2 * 55)
    assert done.returncode != 0 and "RuntimeError: killed" in done.stderr
    run = out / "run"
    assert sorted(path.name for path in run.glob("block-0000/*/0*")) == ["0001", "0002"]
    assert [path.name for path in run.glob("block-0000/*/.progress-*/run-*")] == ["run-0000"]
    assert list(run.glob("block-0000/*/.progress-*/fit-0001/step-*/files.json"))
    done = launch(out, data)
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in (0, 1):
        assert xr.load_dataset(out / f"found-{rank}.nc").identical(xr.load_dataset(together / "found-0.nc"))


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch):
    monkeypatch.setattr(team, "size", lambda: 2)
    with pytest.raises(Refused) as found:
        training.train(torch.nn.Linear(1, 1), np.zeros((4, 2)), Schedule(1, 3, 0.1), np.random.default_rng(0))
    assert (found.value.setting, found.value.value) == ("batch", 3)


def test_a_process_alone_is_the_first_and_agrees_with_itself(monkeypatch):
    assert team.size() == 1 and team.first() and team.agreed("x") == "x"
    monkeypatch.setenv("WORLD_SIZE", "4")  # set by a batch system that has started no others
    assert team.size() == 1
    monkeypatch.setenv("RANK", "1")
    assert team.size() == 4 and not team.first()


def test_a_device_that_the_processes_were_not_launched_on_is_refused(monkeypatch):
    monkeypatch.setattr(team, "size", lambda: 2)
    monkeypatch.setattr(team, "device", lambda: torch.device("cuda", 1))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert weights.device_of("auto") == weights.device_of("cuda") == torch.device("cuda", 1)
    with pytest.raises(Refused) as found:
        weights.device_of("cpu")
    assert (found.value.setting, found.value.value) == ("device", "cpu")
