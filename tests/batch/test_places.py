"""The same sweep on other clusters and in other places: a running cluster, a stand-in for Slurm, object storage."""

import os
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pandas as pd
import pytest
import yaml
from distributed import Client, LocalCluster

from lib import batch
from lib.batch import cluster, drive
from lib.batch.__main__ import main
from lib.batch.folder import Folder
from lib.batch.sweep import Resources
from lib.errors import Refused
from tests.batch.small import (
    LEAVE,
    ROOT,
    command,
    environment,
    gate,
    gated,
    here,
    instant,
    markers,
    meeting,
    parameters_of,
    start,
    sweep,
    wait_for,
)  # fmt: skip

GRID = {"x": [1, 2]}


def table(out):
    """What a sweep has found, as collected."""
    fs, root = fsspec.core.url_to_fs(str(out))
    with fs.open(f"{root}/{batch.collect(str(out))['parquet']}") as file:
        return pd.read_parquet(file)


@pytest.fixture(scope="module")
def expected(tmp_path_factory, client):
    folder = tmp_path_factory.mktemp("expected")
    assert here(sweep(folder, LEAVE, grid=GRID), folder / "out", client)[:2] == (2, 0)
    return table(folder / "out")


@pytest.fixture
def running(tmp_path):
    """A cluster of processes started by their own commands: a scheduler and a worker of two threads. Gives its
    address."""
    dask, address = [sys.executable, "-m", "dask"], ["--host", "127.0.0.1", "--no-dashboard"]
    settings = {"env": environment(), "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    processes = [subprocess.Popen([*dask, "scheduler", *address, "--port", "0"], **settings)]
    try:
        lines = (re.search(r"Scheduler at:\s+(tcp://127.0.0.1:\d+)", line) for line in processes[0].stderr)
        place = next(found.group(1) for found in lines if found)
        words = ["worker", place, *address, "--nthreads", "2", "--no-nanny", "--local-directory", str(tmp_path)]
        processes.append(subprocess.Popen([*dask, *words], **settings))
        yield place, processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_running_cluster_gives_the_same_results(tmp_path, running, expected):
    (tmp_path / "elsewhere").mkdir()  # the worker was started in another folder than the driver
    path = sweep(tmp_path, LEAVE, grid=GRID)
    result = command("run", path, "--out", "../out", "--scheduler", running[0], cwd=tmp_path / "elsewhere")
    assert result.returncode == 0 and "2 runs to do, 2 at once" in result.stderr, result.stderr
    pd.testing.assert_frame_equal(table(tmp_path / "out"), expected)


def test_a_scheduler_that_dies_loses_nothing(tmp_path, running):
    place, (scheduler, _) = running
    path, out = sweep(tmp_path, gate(tmp_path, 1), grid=GRID), tmp_path / "out"
    driver = start("run", path, "--out", out, "--scheduler", place)
    wait_for(lambda: len(markers(out)) == 1)
    scheduler.kill()
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 2 and "is gone; the same command goes on from here" in said, said
    assert len(markers(out)) == 1 and not parameters_of(out, "failed")


def test_workers_that_do_not_fit_are_refused(tmp_path, client, monkeypatch):
    with pytest.raises(Refused) as caught:
        here(sweep(tmp_path, grid=GRID, resources={"gpu": 1}), tmp_path / "out", client)
    assert caught.value.setting == "resources.gpu"
    monkeypatch.setattr("lib.batch.cluster.code_digest", lambda modules: "another")
    monkeypatch.setattr(client, "run", lambda function, modules: {"tcp://somewhere:1": "this"})
    with pytest.raises(Refused) as caught:
        here(sweep(tmp_path, grid=GRID), tmp_path / "other", client)
    assert caught.value.setting == "scheduler" and "tcp://somewhere:1" in caught.value.allowed


# Stand-ins for Slurm: the job script is run on this machine, in the background, and ended when it is cancelled.
SBATCH = """\
#!/bin/bash
number=$$
cp "${{@: -1}}" {jobs}/$number.sh
setsid bash {jobs}/$number.sh > {jobs}/$number.log 2>&1 &
echo $! > {jobs}/$number.pid
echo "Submitted batch job $number"
"""
SCANCEL = """\
#!/bin/bash
for number; do
    kill -- -$(cat {jobs}/$number.pid)
    mv {jobs}/$number.pid {jobs}/$number.cancelled
done
"""


def test_jobs_of_a_batch_system_give_the_same_results(tmp_path, expected):
    programs, jobs = tmp_path / "bin", tmp_path / "jobs"
    programs.mkdir()
    jobs.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (programs / name).write_text(text.format(jobs=jobs))
        (programs / name).chmod(stat.S_IRWXU)
    # The options are those of the page, on this machine's loopback.
    page = (ROOT / "book" / "run-it-bigger.md").read_text(encoding="utf-8")
    (text,) = (block for block in re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S) if "system:" in block)
    options = yaml.safe_load(text) | {"jobs": 2, "interface": "lo"}
    options |= {"local_directory": str(tmp_path), "log_directory": str(tmp_path / "logs")}
    (tmp_path / "slurm.yaml").write_text(yaml.safe_dump(options))
    search = environment(PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")
    words = ["run", sweep(tmp_path, LEAVE, grid=GRID), "--out", tmp_path / "out", "--jobqueue", tmp_path / "slurm.yaml"]
    result = command(*words, env=search)
    assert result.returncode == 0, result.stderr + "".join(log.read_text() for log in jobs.glob("*.log"))
    pd.testing.assert_frame_equal(table(tmp_path / "out"), expected)
    scripts = [script.read_text() for script in jobs.glob("*.sh")]
    assert len(scripts) == 2 and all("#SBATCH -p short" in text and "#SBATCH -t 02:00:00" in text for text in scripts)
    assert len(list(jobs.glob("*.cancelled"))) == 2, "jobs are cancelled when the sweep is done"


def test_wrong_options_of_a_batch_system_are_refused(tmp_path):
    for options in ({"system": "torque"}, {"system": "slurm", "jobs": 0}, {"system": "slurm", "colour": "red"}, [1]):
        (tmp_path / "queue.yaml").write_text(yaml.safe_dump(options))
        with pytest.raises(Refused):
            cluster._queued(str(tmp_path / "queue.yaml"), Resources(), 1)


def test_object_storage_holds_the_same(tmp_path, expected):
    """fsspec's in-memory filesystem stands for object storage: it has no rename, and no process but this one sees
    it."""
    path, out = sweep(tmp_path, "assert x != 9", LEAVE, grid={"x": [1, 2, 9]}), "memory://bucket/out[a]"
    with LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address=None) as one, Client(one) as client:
        assert here(path, out, client)[:2] == (2, 1)
        assert here(path, out, client, rerun_failed=True)[:2] == (2, 1)
    pd.testing.assert_frame_equal(table(out), expected)
    fs, (failed,) = fsspec.filesystem("memory"), Folder(out).failed()
    assert fs.exists(f"/bucket/out[a]/failed/{failed}/run.ipynb") and not fs.exists(f"/bucket/out[a]/runs/{failed}")
    assert batch.status(out)["failed"][failed]["reason"].startswith("cell 2: AssertionError")
    assert batch.report(out) == "report.html" and fs.size("/bucket/out[a]/report.html") > 10_000


@pytest.mark.parametrize("out", ["file://{}/a", "star*[a]?", "~/b"])
def test_how_a_local_folder_may_be_given(tmp_path, client, monkeypatch, expected, out):
    monkeypatch.setattr(drive, "execute", instant)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = sweep(tmp_path, LEAVE, grid=GRID)
    assert here(path, out.format(tmp_path), client)[:2] == (2, 0)
    pd.testing.assert_frame_equal(table(out.format(tmp_path)), expected)
    assert {p.name for p in tmp_path.iterdir() if p.is_dir()} in ({"a"}, {"b"}, {"star*[a]?"})
    assert main(["run", str(path), "--out", out.format(tmp_path)]) == 0


def test_the_number_of_workers_follows_what_a_run_needs_and_each_has_its_gpus(monkeypatch):
    monkeypatch.setattr(cluster, "CPU_COUNT", 8)
    monkeypatch.setattr(cluster, "gpus", lambda: ["0", "1", "5", "6"])
    monkeypatch.setattr(cluster.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 10 * 10**9}))
    assert cluster.local_workers(Resources(), 100)[0] == 8
    assert cluster.local_workers(Resources(cores=3), 100)[0] == 2
    assert cluster.local_workers(Resources(memory=3 * 10**9), 100)[0] == 3
    assert cluster.local_workers(Resources(gpu=1), 100) == (4, ["0", "1", "5", "6"])
    assert cluster.local_workers(Resources(), 5)[0] == 5 and cluster.local_workers(Resources(), 100, 2)[0] == 2
    with pytest.raises(Refused):
        cluster.local_workers(Resources(gpu=5), 1)
    seen = []
    monkeypatch.setattr(cluster, "SpecCluster", lambda workers, **_: seen.extend(workers.values()))
    cluster.local(Resources(gpu=2), 100)
    assert [worker["options"]["env"]["CUDA_VISIBLE_DEVICES"] for worker in seen] == ["0,1", "5,6"]
    assert [worker["options"]["resources"] for worker in seen] == [{"gpu": 2}, {"gpu": 2}]


def test_no_run_waits_behind_a_long_one(tmp_path, client, monkeypatch):
    """Three short runs and a long one on two workers: all of the short ones end while the long one is at work."""
    monkeypatch.setattr(drive, "execute", gated)
    path, out = sweep(tmp_path, grid={"x": [1, 2, 3, 4]}), tmp_path / "out"
    with ThreadPoolExecutor(1) as aside:
        work = aside.submit(here, path, out, client)
        wait_for(lambda: len(markers(out)) == 3)
        (out / "go").touch()
        assert work.result(timeout=120)[:2] == (4, 0)


def test_a_worker_that_comes_later_gets_a_run_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(drive, "execute", meeting)
    settings = {"threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1", "memory_limit": 0}
    with (
        LocalCluster(n_workers=1, **settings) as small,
        Client(small, set_as_default=False) as alone,
        ThreadPoolExecutor(1) as aside,
    ):
        work = aside.submit(here, sweep(tmp_path, grid=GRID), tmp_path / "out", alone)
        wait_for(lambda: list((tmp_path / "out").glob("here-*")))
        small.scale(2)
        assert work.result(timeout=200)[:2] == (2, 0)
