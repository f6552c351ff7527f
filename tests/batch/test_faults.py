"""What goes wrong in a sweep, with real processes: no finished run is lost or done twice, nothing half-written is collected."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from lib.batch import collect
from lib.batch.__main__ import main
from lib.batch.cluster import cores
from lib.batch.folder import Folder
from tests.batch.small import LEAVE, environment, here, markers, parameters_of, start, sweep

# Every execution adds a line, so that runs that were done twice are seen.
COUNT = "import os, pathlib\nwith open(pathlib.Path({place!r}) / f'{{x}}', 'a') as file: file.write('.')"


def counted(folder):
    place = folder / "count"
    place.mkdir()
    return place, COUNT.format(place=str(place))


def times_run(place):
    return {int(path.name): len(path.read_text()) for path in place.iterdir()}


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.05)


def family(pid):
    """A process and everything below it, with their creation times: a pid alone may be used again."""
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kernels(pid):
    """Kernels that run below a driver: they have their folder's log open."""
    found = []
    for process in family(pid):
        try:
            if any(file.path.endswith("log.txt") for file in process.open_files()):
                found.append(process)
        except psutil.Error:
            pass
    return found


def workers(pid):
    """Dask workers of a driver: its children that have a child which forks kernels."""
    found = []
    for process in family(pid)[1:]:
        try:
            if any("nursery.py" in " ".join(child.cmdline()) for child in process.children()):
                found.append(process)
        except psutil.Error:
            pass
    return found


def gone(processes):
    return not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_notebook_that_raises_fails_alone_and_is_kept(tmp_path, client, capsys):
    path = sweep(tmp_path, "y = 2", "if x == 2:\n    raise KeyError('the law')", LEAVE, grid={"x": [1, 2, 3]})
    out = tmp_path / "out"
    finished, failed, lines = here(path, out, client)
    assert (finished, failed) == (2, 1)
    assert "FAILED x=2: cell 3: KeyError: 'the law'" in lines and "3/3 runs, 1 failed" in lines
    assert {c["x"] for c in parameters_of(out).values()} == {1, 3}
    ((key, configuration),) = parameters_of(out, "failed").items()
    assert configuration["x"] == 2
    kept = json.loads((out / "failed" / key / "run.ipynb").read_text())
    assert any("KeyError" in str(cell.get("outputs")) for cell in kept["cells"])
    assert not (out / "failed" / key / "finished.json").exists()
    assert main(["run", str(path), "--out", str(out)]) == 1
    said = capsys.readouterr().out
    assert "1 failed, 0 to do" in said and "--rerun-failed" in said
    assert main(["status", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"failed/{key}" in said and "KeyError: 'the law'" in said


def test_failed_runs_are_done_again_when_asked(tmp_path, client):
    ready = tmp_path / "ready"
    cell = f"assert x == 1 or __import__('pathlib').Path({str(ready)!r}).exists()"
    path = sweep(tmp_path, cell, LEAVE, grid={"x": [1, 2]})
    out = tmp_path / "out"
    assert here(path, out, client)[:2] == (1, 1)
    before = markers(out)
    ready.touch()
    assert here(path, out, client)[:2] == (1, 1)
    assert here(path, out, client, rerun_failed=True)[:2] == (2, 0)
    assert len(markers(out)) == 2 and before.items() <= markers(out).items()
    assert not list((out / "failed").iterdir())


def test_a_run_is_tried_again_as_often_as_the_sweep_says(tmp_path, client):
    place, count = counted(tmp_path)
    cell = f"assert len(open({str(place)!r} + f'/{{x}}').read()) > x"
    path = sweep(tmp_path, count, cell, LEAVE, grid={"x": [1, 9]}, retries=2)
    finished, failed, lines = here(path, tmp_path / "out", client)
    assert (finished, failed) == (1, 1) and lines.count("FAILED") == 1
    assert times_run(place) == {1: 2, 9: 3}


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_a_kernel_that_dies_is_a_failed_run(tmp_path, client, end):
    path = sweep(tmp_path, "print('before')", f"import os\nif x == 2: {end}", LEAVE, grid={"x": [1, 2]})
    finished, failed, lines = here(path, tmp_path / "out", client)
    assert (finished, failed) == (1, 1) and "FAILED x=2: the kernel died" in lines
    ((key, _),) = parameters_of(tmp_path / "out", "failed").items()
    assert "before" in (tmp_path / "out" / "failed" / key / "run.ipynb").read_text()
    assert len(markers(tmp_path / "out")) == 1


def test_limits_of_time_and_memory_end_a_run(tmp_path, client):
    cell = "import time\nif x == 1: time.sleep(120)\nif x == 2:\n    held = bytearray(900_000_000)\n    time.sleep(120)"
    path = sweep(tmp_path, cell, LEAVE, grid={"x": [1, 2, 3]}, resources={"time": 20, "memory": "600 MB"})
    finished, failed, lines = here(path, tmp_path / "out", client)
    assert (finished, failed) == (1, 2)
    assert "FAILED x=1: over its time limit of 20 s" in lines
    assert "FAILED x=2: over its memory limit of 0.6 GB" in lines
    assert [c["x"] for c in parameters_of(tmp_path / "out").values()] == [3]


def test_what_a_run_has_started_ends_with_it(tmp_path, client):
    cell = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)', f'left-by-{seed}'])"
    name = f"left-by-{os.getpid()}"
    path = sweep(tmp_path, cell, LEAVE, grid={"x": [1]}, fixed={"seed": os.getpid()})
    assert here(path, tmp_path / "out", client)[:2] == (1, 0)
    wait_for(lambda: not [p for p in psutil.process_iter(["cmdline"]) if name in (p.info["cmdline"] or [])], 5)


def test_a_worker_killed_in_mid_run_costs_that_run_only_time(tmp_path):
    place, count = counted(tmp_path)
    path = sweep(tmp_path, count, "import time; time.sleep(2)", LEAVE, grid={"x": [1, 2, 3, 4]})
    driver = start("run", path, "--out", tmp_path / "out", "--workers", 2)
    wait_for(lambda: len(kernels(driver.pid)) == 2 and len(times_run(place)) == 2)
    victim, *_ = workers(driver.pid)
    orphans = [p for p in kernels(driver.pid) if victim in p.parents()]
    assert len(orphans) == 1
    victim.send_signal(signal.SIGKILL)
    text, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, text
    assert len(markers(tmp_path / "out")) == 4
    counts = times_run(place)
    assert sorted(counts.values()) == [1, 1, 1, 2], "only the run that was killed is done again"
    assert gone(orphans)
    assert not (tmp_path / "out" / ".unfinished").exists()


def test_a_killed_driver_goes_on_where_it_was(tmp_path, client):
    place, count = counted(tmp_path)
    path = sweep(tmp_path, count, "import time; time.sleep(1.5)", LEAVE, grid={"x": [1, 2, 3, 4, 5]})
    out = tmp_path / "out"
    driver = start("run", path, "--out", out, "--workers", 2)
    wait_for(lambda: len(markers(out)) >= 2 and len(kernels(driver.pid)) >= 1)
    everything = family(driver.pid)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    wait_for(lambda: gone(everything), 20)
    before, started = markers(out), times_run(place)
    assert 2 <= len(before) < 5
    about = json.loads(Folder(str(out)).read_text(collect(str(out))["json"]))
    assert {run["key"] for run in about["found"]} == set(before)
    assert here(path, out, client)[:2] == (5, 0)
    assert before.items() <= markers(out).items() and len(markers(out)) == 5
    finished_first = {c["x"] for key, c in parameters_of(out).items() if key in before}
    assert {x: n for x, n in times_run(place).items() if x in finished_first} == {x: started[x] for x in finished_first}


def test_ctrl_c_stops_and_the_same_command_goes_on(tmp_path, client):
    path = sweep(tmp_path, "import time; time.sleep(2)", LEAVE, grid={"x": [1, 2, 3]})
    driver = start("run", path, "--out", tmp_path / "out", "--workers", 1)
    wait_for(lambda: kernels(driver.pid))
    everything = family(driver.pid)
    os.killpg(driver.pid, signal.SIGINT)  # a terminal sends it to all that runs in it
    text, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130 and "the same command goes on from here" in text
    wait_for(lambda: gone(everything), 20)
    assert here(path, tmp_path / "out", client)[:2] == (3, 0)


def test_half_a_run_is_never_collected(tmp_path, client):
    path = sweep(tmp_path, LEAVE, grid={"x": [1, 2]})
    out = tmp_path / "out"
    assert here(path, out, client)[:2] == (2, 0)
    one, two = sorted(markers(out))
    (out / "runs" / two / "finished.json").unlink()
    shutil.copy(out / "runs" / one / "results" / "data.nc", out / "runs" / one / "results" / "left-over.nc")
    about = json.loads(Folder(str(out)).read_text(collect(str(out))["json"]))
    assert about["runs"] == 1 and [run["key"] for run in about["found"]] == [one]
    assert Folder(str(out)).files(one, ".nc") == ["results/data.nc"]


def limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_a_disk_that_is_full_fails_what_does_not_fit(tmp_path, client):
    """A limit on the size of files stands for a full disk: what is larger than 300 kB cannot be written. One run has a result
    that is too large, one a notebook."""
    array = "np.random.default_rng(1).random((1, 2, 100_000)) if x == 2 else x"
    big = LEAVE.replace("values = x", f"values = {array}").replace(
        "np.arange(6.0).reshape(1, 2, 3)", "np.zeros((1, 2, 3 if x != 2 else 1))"
    )
    big = big.replace('"run": [0, 1, 2]', '"run": np.arange(values.shape[2])')
    path = sweep(tmp_path, big, "if x == 3: print('y' * 400_000)", grid={"x": [1, 2, 3, 4]})
    out = tmp_path / "out"
    words = [sys.executable, "-m", "lib.batch", "run", str(path), "--out", str(out), "--workers", "1"]
    result = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=200, preexec_fn=limited)
    assert result.returncode == 1 and "2 of 4 runs are finished, 2 failed" in result.stdout, result.stderr
    # The library that writes NetCDF may take the kernel with it when the disk is full.
    assert "FAILED x=2: " in result.stderr and "FAILED x=3: OSError: [Errno 27] File too large" in result.stderr
    assert {c["x"] for c in parameters_of(out).values()} == {1, 4}
    assert here(path, out, client, rerun_failed=True)[:2] == (4, 0)


def test_a_folder_that_cannot_be_written_is_refused_before_anything_starts(tmp_path, capsys):
    path = sweep(tmp_path, LEAVE, grid={"x": [1]})
    (tmp_path / "file").touch()
    assert main(["run", str(path), "--out", f"{tmp_path}/file/out"]) == 2
    assert f"'{tmp_path}/file/out' cannot be written" in capsys.readouterr().err
    assert main(["status", f"{tmp_path}/file/out"]) == 2


def test_a_folder_of_another_sweep_or_of_something_else_is_refused(tmp_path, client, capsys):
    one = sweep(tmp_path, LEAVE, grid={"x": [1]})
    other = sweep(tmp_path, LEAVE, name="other", grid={"x": [1]})
    assert here(one, tmp_path / "out", client)[:2] == (1, 0)
    assert main(["run", str(other), "--out", f"{tmp_path}/out"]) == 2
    assert (
        "a new folder, or this sweep's own; this one is the folder of another sweep (small, small.ipynb)"
        in capsys.readouterr().err
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    assert main(["run", str(one), "--out", f"{tmp_path}/mine", "--dry-run"]) == 2
    assert main(["run", str(one), "--out", f"{tmp_path}/mine"]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_two_drivers_cannot_share_a_folder(tmp_path, capsys):
    path = sweep(tmp_path, "import time; time.sleep(5)", LEAVE, grid={"x": [1]})
    first = start("run", path, "--out", tmp_path / "out")
    wait_for(lambda: (tmp_path / "out" / "sweep.json").exists())
    assert main(["run", str(path), "--out", f"{tmp_path}/out"]) == 2
    assert f"process {first.pid} on" in capsys.readouterr().err
    assert first.wait(60) == 0


def test_changed_code_is_another_run_and_the_old_one_stays(tmp_path, client, capsys):
    path = sweep(tmp_path, LEAVE, grid={"x": [1]})
    out = tmp_path / "out"
    assert here(path, out, client)[:2] == (1, 0)
    sweep(tmp_path, LEAVE + "\n# changed", grid={"x": [1]})
    assert main(["run", str(path), "--out", str(out), "--dry-run"]) == 0
    assert "0 are finished, 0 failed, 1 to do" in capsys.readouterr().out
    assert here(path, out, client)[:2] == (1, 0)
    assert len(markers(out)) == 2
    assert main(["status", str(out)]) == 0
    said = capsys.readouterr().out
    assert "1 runs, 1 finished" in said and "1 finished runs of other parameters or of other code" in said


def test_a_dry_run_checks_and_estimates_and_starts_nothing(tmp_path, capsys):
    path = sweep(tmp_path, LEAVE, grid={"x": list(range(10))}, estimate={"seconds": 30, "megabytes": 5})
    assert main(["run", str(path), "--out", f"{tmp_path}/out", "--dry-run", "--workers", "2"]) == 0
    said = capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    at_once = min(2, cores())
    assert "10 runs of small.ipynb" in said and "10 to do" in said
    assert f"about 5.0 min of computing, about {['5.0', '2.5'][at_once - 1]} min with {at_once} at once" in said
    assert "disk: about 50 MB of" in said


@pytest.mark.parametrize(
    ("keys", "words", "said"),
    [
        ({"grid": {"y": [1]}}, [], "parameter='y'"),
        ({"grid": {"x": [1]}, "resources": {"cores": 10_000}}, [], "resources.cores=10000"),
        ({"grid": {"x": [1]}, "resources": {"memory": "900 TB"}}, [], "resources.memory"),
        ({"grid": {"x": [1]}, "resources": {"gpu": 512}}, [], "resources.gpu=512"),
        ({"grid": {"x": [1]}}, ["--workers", "0"], "workers=0"),
        ({"grid": {"x": [1]}}, ["--scheduler", "tcp://127.0.0.1:1"], "127.0.0.1:1"),
        ({"grid": {"x": [1]}}, ["--jobqueue", "nothing.yaml"], "nothing.yaml"),
        ({"grid": {"x": [1]}}, ["--scheduler", "tcp://127.0.0.1:1", "--jobqueue", "a.yaml"], "not together"),
        ({"grid": {"x": [1]}}, ["--out", "memory://x"], "a place that other processes see too"),
        ({"grid": {"x": [1]}}, ["--out", "nowhere://x"], "no place that fsspec can reach"),
    ],
)
def test_what_cannot_be_started_is_status_2(tmp_path, capsys, keys, words, said):
    path = sweep(tmp_path, LEAVE, **keys)
    assert main(["run", str(path), "--out", f"{tmp_path}/out", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "runs").exists()


def test_nothing_to_collect_is_said(tmp_path, client, capsys):
    assert main(["collect", str(tmp_path)]) == 2
    assert "no folder of a sweep" in capsys.readouterr().err
    path = sweep(tmp_path / "a", "pass", grid={"x": [1]})
    assert here(path, tmp_path / "out", client)[:2] == (1, 0)
    assert main(["collect", f"{tmp_path}/out"]) == 2
    assert "lib.records.leave_run" in capsys.readouterr().err


def test_forks_draw_different_random_numbers(tmp_path, client):
    cell = "import numpy as np, random\nprint('drawn', np.random.rand(), random.random())"
    path = sweep(tmp_path, cell, LEAVE, grid={"x": [1, 2, 3]})
    assert here(path, tmp_path / "out", client)[:2] == (3, 0)
    drawn = []
    for run in (tmp_path / "out" / "runs").iterdir():
        text = str(json.loads((run / "run.ipynb").read_text())["cells"][2]["outputs"])
        drawn.append(text.split("drawn ")[1].split()[:2])
    assert len(np.unique(np.array(drawn).ravel())) == 6
