"""The same sweep on other clusters and in other places: a running cluster, a stand-in for Slurm, object storage; a thousand runs."""

import fcntl
import json
import os
import pty
import re
import signal
import stat
import struct
import subprocess
import sys
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import fsspec
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from distributed import Client, LocalCluster

from lib import batch
from lib.batch import cluster, drive
from lib.batch.__main__ import main
from lib.batch.drive import Progress
from lib.batch.folder import Folder
from lib.batch.sweep import Resources
from tests.batch.small import LEAVE, ROOT, command, environment, here, markers, parameters_of, sweep, trivial

GRID = {"x": [1, 2, 3, 4]}


def table(out):
    """What a sweep has found, as collected."""
    fs, root = fsspec.core.url_to_fs(str(out))
    with fs.open(f"{root}/{batch.collect(str(out))['parquet']}") as file:
        return pd.read_parquet(file)


@pytest.fixture(scope="module")
def expected(tmp_path_factory, client):
    folder = tmp_path_factory.mktemp("expected")
    assert here(sweep(folder, LEAVE, grid=GRID), folder / "out", client)[:2] == (4, 0)
    return table(folder / "out")


def wait_for_line(process, pattern, seconds=60):
    end = time.monotonic() + seconds
    for line in process.stderr:
        assert time.monotonic() < end
        if found := re.search(pattern, line):
            return found.group(1)
    raise AssertionError(f"the process ended and said nothing like {pattern}")


@pytest.fixture
def running(tmp_path):
    """A cluster of processes started by their own commands: a scheduler and a worker of two threads. Gives its address."""
    dask = [sys.executable, "-m", "dask"]
    address = ["--host", "127.0.0.1", "--no-dashboard"]
    settings = {"env": environment(), "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    scheduler = subprocess.Popen([*dask, "scheduler", *address, "--port", "0"], **settings)
    processes = [scheduler]
    try:
        place = wait_for_line(scheduler, r"Scheduler at:\s+(tcp://127.0.0.1:\d+)")
        words = ["worker", place, *address, "--nthreads", "2", "--no-nanny", "--local-directory", str(tmp_path)]
        processes.append(subprocess.Popen([*dask, *words], **settings))
        yield place, processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_running_cluster_gives_the_same_results(tmp_path, running, expected):
    place, _ = running
    path = sweep(tmp_path, LEAVE, grid=GRID)
    (tmp_path / "elsewhere").mkdir()  # the worker was started in another folder than the driver
    result = command("run", path, "--out", "../out", "--scheduler", place, cwd=tmp_path / "elsewhere")
    assert result.returncode == 0, result.stderr
    assert "4 runs to do, 2 at once" in result.stderr
    pd.testing.assert_frame_equal(table(tmp_path / "out"), expected)


def test_a_scheduler_that_dies_loses_nothing(tmp_path, running, client):
    place, (scheduler, _) = running
    path = sweep(tmp_path, "import time; time.sleep(1)", LEAVE, grid={"x": [1, 2, 3, 4, 5, 6, 7, 8]})
    words = [sys.executable, "-m", "lib.batch", "run", str(path), "--out", f"{tmp_path}/out", "--scheduler", place]
    driver = subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while len(markers(tmp_path / "out")) < 2:
        assert driver.poll() is None
        time.sleep(0.05)
    scheduler.send_signal(signal.SIGKILL)
    _, said = driver.communicate(timeout=120)
    assert driver.returncode == 2 and "is gone; the same command goes on from here" in said, said
    time.sleep(2)  # what its worker was at ends or is dropped
    before = markers(tmp_path / "out")
    assert 2 <= len(before) < 8
    assert here(path, tmp_path / "out", client)[:2] == (8, 0)
    assert before.items() <= markers(tmp_path / "out").items()


def test_workers_of_another_version_are_refused(tmp_path, client, monkeypatch):
    monkeypatch.setattr(cluster, "library_version", lambda: "another")
    monkeypatch.setattr(client, "run", lambda function: {"tcp://somewhere:1": "this"})
    with pytest.raises(ValueError, match="workers with the same lib as here; tcp://somewhere:1 have another"):
        here(sweep(tmp_path, LEAVE, grid=GRID), tmp_path / "out", client)


def test_a_cluster_without_gpus_is_refused_a_sweep_that_needs_them(tmp_path, client):
    path = sweep(tmp_path, LEAVE, grid=GRID, resources={"gpu": 1})
    with pytest.raises(ValueError, match="start workers with --resources gpu=N"):
        here(path, tmp_path / "out", client)


SBATCH = """\
#!{python}
# Stands in for Slurm: the job script is run on this machine, in the background.
import pathlib, subprocess, sys
script = sys.argv[-1]
jobs = pathlib.Path({jobs!r})
number = 100 + len(list(jobs.glob('*.sh')))
(jobs / f'{{number}}.sh').write_text(pathlib.Path(script).read_text())
with open(jobs / f'{{number}}.log', 'w') as log:
    process = subprocess.Popen(['bash', script], stdout=log, stderr=log, start_new_session=True)
(jobs / f'{{number}}.pid').write_text(str(process.pid))
print(f'Submitted batch job {{number}}')
"""
SCANCEL = """\
#!{python}
import os, pathlib, signal, sys
for number in sys.argv[1:]:
    pid = pathlib.Path({jobs!r}, f'{{number}}.pid')
    if pid.exists():
        try:
            os.killpg(int(pid.read_text()), signal.SIGTERM)
        except ProcessLookupError:
            pass
        pid.rename(pid.with_suffix('.cancelled'))
"""


def test_jobs_of_a_batch_system_give_the_same_results(tmp_path, expected):
    """Stand-ins for `sbatch` and `scancel` are on the path: what dask-jobqueue submits is run, and cancelled, for real."""
    programs, jobs = tmp_path / "bin", tmp_path / "jobs"
    programs.mkdir()
    jobs.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (programs / name).write_text(text.format(python=sys.executable, jobs=str(jobs)))
        (programs / name).chmod(stat.S_IRWXU)
    # The options are those of the page, on this machine's loopback.
    page = (ROOT / "book" / "run-it-bigger.md").read_text(encoding="utf-8")
    (text,) = (
        block for block in re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if "system:" in block
    )
    options = yaml.safe_load(text) | {"jobs": 2, "interface": "lo"}
    options |= {"local_directory": str(tmp_path), "log_directory": str(tmp_path / "logs")}
    (tmp_path / "slurm.yaml").write_text(yaml.safe_dump(options))
    path = sweep(tmp_path, "import time; time.sleep(1)", LEAVE, grid=GRID)
    search = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    result = command("run", path, "--out", tmp_path / "out", "--jobqueue", tmp_path / "slurm.yaml", **search)
    logs = "".join(log.read_text() for log in jobs.glob("*.log"))
    assert result.returncode == 0, result.stderr + logs
    pd.testing.assert_frame_equal(table(tmp_path / "out"), expected)
    scripts = [script.read_text() for script in jobs.glob("*.sh")]
    assert len(scripts) == 2 and all("#SBATCH -p short" in text and "#SBATCH -t 02:00:00" in text for text in scripts)
    assert len(list(jobs.glob("*.cancelled"))) == 2, "jobs are cancelled when the sweep is done"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"system": "torque"}, "system='torque'"),
        ({"jobs": 1}, "system=None"),
        ({"system": "slurm", "jobs": 0}, "jobs=0"),
        ({"system": "slurm", "colour": "red"}, "does not take these options"),
        ([1], "a YAML file with `system: slurm`"),
    ],
)
def test_wrong_options_of_a_batch_system_are_refused(tmp_path, capsys, options, said):
    (tmp_path / "queue.yaml").write_text(yaml.safe_dump(options))
    path = sweep(tmp_path, LEAVE, grid=GRID)
    assert main(["run", str(path), "--out", f"{tmp_path}/out", "--jobqueue", f"{tmp_path}/queue.yaml"]) == 2
    assert said in capsys.readouterr().err


def test_object_storage_holds_the_same(tmp_path, expected):
    """fsspec's in-memory filesystem stands for object storage: it has no rename, and no process but this one sees it."""
    path = sweep(tmp_path, "assert x != 9", LEAVE, grid={"x": [1, 2, 3, 4, 9]})
    with LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address=None) as one, Client(one) as client:
        assert here(path, "memory://bucket/out", client)[:2] == (4, 1)
        assert here(path, "memory://bucket/out", client, rerun_failed=True)[:2] == (4, 1)
    pd.testing.assert_frame_equal(table("memory://bucket/out"), expected)
    fs = fsspec.filesystem("memory")
    folder = Folder("memory://bucket/out")
    (failed,) = folder.failed()
    assert fs.exists(f"/bucket/out/failed/{failed}/run.ipynb") and not fs.exists(f"/bucket/out/runs/{failed}")
    assert batch.status("memory://bucket/out")["failed"][failed]["reason"].startswith("cell 2: AssertionError")
    assert batch.report("memory://bucket/out") == "report.html" and fs.size("/bucket/out/report.html") > 10_000
    # An upload that was cut off has no marker, so it is no run.
    one = min(folder.finished())
    fs.rm(f"/bucket/out/runs/{one}/finished.json")
    assert len(table("memory://bucket/out")) == 3 / 4 * len(expected)


def test_a_local_folder_may_be_given_as_a_url(tmp_path, client, expected):
    path = sweep(tmp_path, LEAVE, grid=GRID)
    assert here(path, f"file://{tmp_path}/out", client)[:2] == (4, 0)
    assert len(markers(tmp_path / "out")) == 4
    pd.testing.assert_frame_equal(table(f"file://{tmp_path}/out"), expected)


class Page(HTMLParser):
    """What a page would fetch, the texts of its images, and its words."""

    def __init__(self):
        super().__init__()
        self.fetched, self.alts, self.tags, self.text = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.fetched += [attrs[k] for k in ("src", "href") if k in attrs and not attrs[k].startswith("data:")]
        if tag == "img":
            self.alts.append(attrs.get("alt", ""))

    def handle_data(self, data):
        self.text += data


FINDING = """\
from lib import ledger as claims
from lib.intervals import Interval
verdict = 'supported' if x > 2 else 'not supported'
found = claims.Finding(verdict, f'an effect of {x}', Interval(x, x - 0.5, x + 0.5, 0.99), 'Another effect would.')"""


def test_a_report_stands_by_itself(tmp_path, client):
    judged = LEAVE.replace("notes={", "findings=claims.to_json({'gaussian-variance-dies': found}), notes={")
    path = sweep(tmp_path, "assert x < 4", FINDING, judged, grid={"x": [1, 2, 3, 4], "rate": [0.1, 0.2]})
    assert here(path, tmp_path / "out", client)[:2] == (6, 2)
    assert main(["report", f"{tmp_path}/out"]) == 0
    page = Page()
    page.feed((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert page.fetched == [] and not {"script", "link", "iframe"} & set(page.tags)
    assert len(page.alts) == 2 and all(len(alt.split()) >= 5 for alt in page.alts)
    assert "6 of 8 finished, 2 failed" in page.text and "x = [1, 2, 3, 4]" in page.text
    assert "not supported: 4, supported: 2" in page.text and "an effect of 3 [2.5, 3.5]" in page.text
    assert "cell 2: AssertionError" in page.text
    assert "score at generation 2: median over runs, for each x and rate" in page.text


def driver_cost(runs, folder, client):
    """CPU seconds of this process for a sweep of trivial runs, and its growth in bytes from the first tenth to the end."""
    path = sweep(folder / str(runs), "pass", parameters="x: int = 0  # a number", grid={"x": list(range(runs))})
    work = batch.plan(batch.load(path), str(folder / str(runs) / "out"))
    process, held = psutil.Process(), []
    count = iter(range(10**9))

    class Watched(Progress):
        def done(self):
            if next(count) % (runs // 10) == 0:
                held.append(process.memory_info().rss)
            super().done()

    began = time.process_time()
    assert drive.run(work, client=client, progress=Watched(runs, show=lambda text: None)) == (runs, 0)
    return time.process_time() - began, held[-1] - held[0]


def test_a_thousand_runs_cost_the_driver_in_proportion(tmp_path, client, monkeypatch):
    """What a run does is replaced by the writing of its folder, so that what is seen is the scheduling of it."""
    monkeypatch.setattr(drive, "execute", trivial)
    driver_cost(50, tmp_path, client)  # imports and connections
    short, _ = driver_cost(250, tmp_path, client)
    long, growth = driver_cost(1000, tmp_path, client)
    print(f"{1e3 * short / 250:.2f} and {1e3 * long / 1000:.2f} ms a run; {growth / 1e6:.1f} MB")
    assert long < 6 * short
    assert growth < 16e6


def test_the_number_of_workers_follows_what_a_run_needs(monkeypatch):
    monkeypatch.setattr(cluster, "cores", lambda: 8)
    monkeypatch.setattr(cluster, "gpus", lambda: ["0", "1", "2"])
    monkeypatch.setattr(cluster.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 10 * 10**9}))
    assert cluster.local_workers(Resources(), 100)[0] == 8
    assert cluster.local_workers(Resources(cores=3), 100)[0] == 2
    assert cluster.local_workers(Resources(memory=3 * 10**9), 100)[0] == 3
    assert cluster.local_workers(Resources(gpu=1), 100) == (3, ["0", "1", "2"])
    assert cluster.local_workers(Resources(gpu=2), 100)[0] == 1
    assert cluster.local_workers(Resources(), 5)[0] == 5
    assert cluster.local_workers(Resources(), 100, 2)[0] == 2
    with pytest.raises(ValueError, match="resources.gpu=4"):
        cluster.local_workers(Resources(gpu=4), 1)


def spans(out):
    """When each run began and ended, by its x."""
    found, names = markers(out), parameters_of(out)
    return {names[key]["x"]: (m["started"], m["started"] + m["seconds"]) for key, m in found.items()}


def test_no_run_waits_behind_a_long_one(tmp_path, client):
    """Three short runs and a long one on two workers: none of them is put behind it while the other worker is free."""
    path = sweep(tmp_path, "import time\nif x == 1: time.sleep(25)", LEAVE, grid={"x": [1, 2, 3, 4]})
    assert here(path, tmp_path / "out", client)[:2] == (4, 0)
    found = spans(tmp_path / "out")
    assert max(began for began, _ in found.values()) < found[1][1]


def test_a_worker_that_comes_later_gets_a_run_at_once(tmp_path):
    path = sweep(tmp_path, "import time; time.sleep(25)", LEAVE, grid={"x": [1, 2]})
    small = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", memory_limit=0)
    with small, Client(small, set_as_default=False) as alone, ThreadPoolExecutor(1) as aside:
        work = aside.submit(here, path, tmp_path / "out", alone)
        while not list((tmp_path / "out").glob(".unfinished/*/*")):
            assert not work.done()
            time.sleep(0.05)
        small.scale(2)
        assert work.result(timeout=200)[:2] == (2, 0)
    found = spans(tmp_path / "out")
    assert found[2][0] < found[1][1], "they ran side by side"


def test_each_worker_sees_its_own_gpus(monkeypatch):
    monkeypatch.setattr(cluster, "gpus", lambda: ["0", "1", "5", "6"])
    monkeypatch.setattr(cluster, "cores", lambda: 8)
    seen = []
    monkeypatch.setattr(cluster, "SpecCluster", lambda workers, **_: seen.append(workers))
    cluster.local(Resources(gpu=2), 100)
    assert [worker["options"]["env"]["CUDA_VISIBLE_DEVICES"] for worker in seen[0].values()] == ["0,1", "5,6"]
    assert [worker["options"]["resources"] for worker in seen[0].values()] == [{"gpu": 2}, {"gpu": 2}]


def test_progress_is_lines_where_there_is_no_terminal(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(drive.time, "monotonic", lambda: now[0])
    lines = []
    progress = Progress(40, show=lines.append)
    progress.running(2)
    for step in range(40):
        now[0] += 3
        progress.failed("x=7", "cell 1: KeyError") if step == 10 else progress.done()
    assert lines[0] == "40 runs to do, 2 at once"
    assert lines[1] == "4/40 runs, 0 failed, 12 s, about 1.8 min to go"
    assert "FAILED x=7: cell 1: KeyError" in lines
    assert lines[-1] == "40/40 runs, 1 failed, 2.0 min"
    assert len(lines) < 15


def test_a_terminal_gets_one_bar_and_failures_by_name(tmp_path):
    path = sweep(tmp_path, "assert x != 2", LEAVE, grid={"x": [1, 2]})
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    words = [sys.executable, "-m", "lib.batch", "run", str(path), "--out", f"{tmp_path}/out", "--workers", "1"]
    process = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=inner)
    os.close(inner)
    said = b""
    while True:
        try:
            more = os.read(outer, 4096)
        except OSError:
            break
        if not more:
            break
        said += more
    assert process.wait(60) == 1
    assert b"2/2" in said and b"FAILED x=2: cell 2: AssertionError" in said


def test_the_estimate_follows_the_finished_runs(tmp_path, client):
    path = sweep(tmp_path, LEAVE, grid={"x": [1]}, estimate={"seconds": 5000})
    assert here(path, tmp_path / "out", client)[:2] == (1, 0)
    path = sweep(tmp_path, LEAVE, grid={"x": [1, 2, 3]}, estimate={"seconds": 5000})
    work = batch.plan(batch.load(path), str(tmp_path / "out"))
    (marker,) = markers(tmp_path / "out").values()
    seconds, size = work.estimate()
    assert seconds == marker["seconds"] and size == sum(marker["files"].values())


def test_the_library_is_that_of_the_driver(tmp_path, client):
    path = sweep(tmp_path, "import lib\nprint('lib at', lib.__file__)", LEAVE, grid={"x": [1]})
    assert here(path, tmp_path / "out", client)[:2] == (1, 0)
    (key,) = markers(tmp_path / "out")
    text = json.loads((tmp_path / "out" / "runs" / key / "run.ipynb").read_text())
    assert f"lib at {ROOT}/lib/__init__.py" in str(text["cells"][2]["outputs"])
    assert np.isclose(markers(tmp_path / "out")[key]["started"], time.time(), atol=60)
