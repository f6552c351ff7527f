"""What goes wrong in a sweep, with real processes: no finished run is lost or done twice, nothing half-written is
collected."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from lib.batch import collect, load, plan, runner
from lib.batch.__main__ import main
from lib.batch.cluster import CPU_COUNT
from lib.batch.folder import Folder
from lib.batch.sweep import Resources
from lib.errors import Refused
from tests.batch.small import (
    LEAVE,
    command,
    environment,
    family,
    gate,
    gone,
    here,
    instant,
    kernels,
    leftovers,
    marked,
    markers,
    parameters_of,
    start,
    sweep,
    wait_for,
)  # fmt: skip

# Every execution adds a line, so that runs that were done twice are seen.
COUNT = "import os, pathlib\nwith open(pathlib.Path({place!r}) / f'{{x}}', 'a') as file: file.write('.')"


def counted(folder):
    place = folder / "count"
    place.mkdir()
    return place, COUNT.format(place=str(place))


def times_run(place):
    return {int(path.name): len(path.read_text()) for path in place.iterdir()}


def test_a_run_that_raises_fails_alone_is_kept_and_is_done_again_when_asked(tmp_path, client, capsys):
    place, count = counted(tmp_path)
    ready, name = tmp_path / "ready", f"left-by-{os.getpid()}"
    left = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)', '{name}'])"
    cell = f"assert x == 1 or pathlib.Path({str(ready)!r}).exists(), 'the law'"
    path, out = sweep(tmp_path, count, left, cell, grid={"x": [1, 2]}, retries=1), tmp_path / "out"
    finished, failed, lines = here(path, out, client)
    assert (finished, failed) == (1, 1) and times_run(place) == {1: 1, 2: 2}
    assert "FAILED x=2: cell 4: AssertionError: the law" in lines
    wait_for(lambda: not [p for p in psutil.process_iter(["cmdline"]) if name in (p.info["cmdline"] or [])])
    ((key, configuration),) = parameters_of(out, "failed").items()
    assert configuration["x"] == 2 and not (out / "failed" / key / "finished.json").exists()
    kept = json.loads((out / "failed" / key / "run.ipynb").read_text())
    assert any("AssertionError" in str(cell.get("outputs")) for cell in kept["cells"])
    assert main(["run", str(path), "--out", str(out)]) == 1 and main(["status", str(out)]) == 0
    said = capsys.readouterr().out
    assert "1 failed, 0 to do" in said and f"failed/{key}" in said and "AssertionError: the law" in said
    before = markers(out)
    ready.touch()
    assert here(path, out, client)[:2] == (1, 1)
    assert here(path, out, client, rerun_failed=True)[:2] == (2, 0)
    assert len(markers(out)) == 2 and before.items() <= markers(out).items()
    assert not list((out / "failed").iterdir()) and not leftovers(out)


def test_how_a_kernel_may_end(tmp_path, client):
    """Killed from outside once: done again; twice: failed; by its own doing: failed at once, sys.exit(0) too."""
    place, count = counted(tmp_path)
    cell = f"""\
print('before')
times = len(open({str(place)!r} + f'/{{x}}').read())
if x == 1 and times == 1 or x == 2: os.kill(os.getpid(), 9)
if x == 3: os._exit(3)
if x == 4: raise SystemExit(0)"""
    path, out = sweep(tmp_path, count, cell, "pass", grid={"x": [1, 2, 3, 4]}), tmp_path / "out"
    finished, failed, lines = here(path, out, client)
    assert (finished, failed) == (1, 3) and times_run(place) == {1: 2, 2: 2, 3: 1, 4: 1}
    assert "FAILED x=2: the kernel was killed, twice" in lines
    assert "FAILED x=3: the kernel died with status 3" in lines and "FAILED x=4: cell 3: " in lines
    assert all("before" in (out / "failed" / key / "run.ipynb").read_text() for key in parameters_of(out, "failed"))


@pytest.mark.parametrize(
    ("limits", "said"),
    [({"time": 0.5}, "over its time limit of 0.5 s"), ({"memory": 10**6}, "over its memory limit of 0.001 GB")],
)
def test_limits_of_time_and_memory_end_a_kernel(limits, said):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    with runner.limited([process], Resources(**limits)) as verdict:
        assert process.wait(60) == -signal.SIGKILL and verdict[0].startswith(said)


def test_a_worker_killed_in_mid_run_costs_that_run_only_time(tmp_path):
    place, count = counted(tmp_path)
    path = sweep(tmp_path, count, gate(tmp_path), grid={"x": [1, 2, 3]})
    driver = start("run", path, "--out", tmp_path / "out", "--workers", 2)
    wait_for(lambda: len(kernels(driver.pid)) == 2 and len(times_run(place)) == 2)
    orphan = kernels(driver.pid)[0]
    orphan.parent().kill()
    wait_for(lambda: sum(times_run(place).values()) == 3 and gone([orphan]))
    (tmp_path / "go").touch()
    text, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0 and len(markers(tmp_path / "out")) == 3, text
    assert sorted(times_run(place).values()) == [1, 1, 2], "only the run that was killed is done again"
    assert not leftovers(tmp_path / "out")


def test_a_killed_driver_goes_on_where_it_was(tmp_path, client):
    place, count = counted(tmp_path)
    path, out = sweep(tmp_path, count, gate(tmp_path, 2), LEAVE, grid={"x": [1, 2, 3, 4]}), tmp_path / "out"
    driver = start("run", path, "--out", out, "--workers", 2)
    wait_for(lambda: len(markers(out)) == 2 and set(times_run(place)) == {1, 2, 3, 4})
    everything = family(driver.pid)
    driver.kill()
    driver.communicate()
    wait_for(lambda: gone(everything))
    before = markers(out)
    about = json.loads((out / collect(str(out))["json"]).read_text())
    assert {run["key"] for run in about["found"]} == set(before) and leftovers(out)
    (tmp_path / "go").touch()
    assert here(path, out, client)[:2] == (4, 0)
    assert before.items() <= markers(out).items() and times_run(place) == {1: 1, 2: 1, 3: 2, 4: 2}
    assert not leftovers(out)


def test_a_preempted_sweep_says_that_it_goes_on(tmp_path, client):
    path = sweep(tmp_path, gate(tmp_path), grid={"x": [1, 2]})
    driver = start("run", path, "--out", tmp_path / "out", "--workers", 1)
    wait_for(lambda: kernels(driver.pid))
    everything = family(driver.pid)
    driver.terminate()
    text, _ = driver.communicate(timeout=120)
    assert driver.returncode == 143 and "stopped (SIGTERM); the same command goes on from here" in text
    wait_for(lambda: gone(everything))
    (tmp_path / "go").touch()
    assert here(path, tmp_path / "out", client)[:2] == (2, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_error_while_closing_after_a_signal_is_still_the_signal(tmp_path, monkeypatch, capsys, number):
    def closing(out):
        try:
            os.kill(os.getpid(), number)
            time.sleep(60)
        finally:
            raise TimeoutError("the cluster did not close in time")

    monkeypatch.setattr("lib.batch.merge.status", closing)
    assert main(["status", str(tmp_path)]) == 128 + number
    assert "the same command goes on from here" in capsys.readouterr().err


def test_what_is_damaged_is_named_and_left_out(tmp_path, client, monkeypatch, capsys):
    monkeypatch.setattr("lib.batch.drive.execute", instant)
    path, out = sweep(tmp_path, LEAVE, grid={"x": [1, 2, 3, 4, 5, 6]}), tmp_path / "out"
    assert here(path, out, client)[:2] == (6, 0)
    one, two, three, four, five, six = markers(out)
    for key, name in ((one, "finished.json"), (two, "config.json"), (three, "results/findings.json")):
        (out / "runs" / key / name).write_text('{"half')
    (out / "runs" / four / "results" / "data.nc").write_bytes(b"\0" * 100)
    (out / "runs" / five / "finished.json").unlink()  # an upload that was cut off
    shutil.copy(out / "runs" / six / "results" / "data.nc", out / "runs" / six / "results" / "left-over.nc")
    about = json.loads((out / collect(str(out))["json"]).read_text())
    assert [run["key"] for run in about["found"]] == [six] and about["groups"] == ["main"]
    said = capsys.readouterr().err
    assert all(f"delete {out}/runs/{key}, and the same sweep does it again" in said for key in (one, two, three, four))
    assert "finished.json is damaged" in said and five not in said
    for key in (one, two, three, four):
        shutil.rmtree(out / "runs" / key)
    assert here(path, out, client)[:2] == (6, 0)


def limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_a_disk_that_is_full_fails_what_does_not_fit(tmp_path, client):
    """A limit on the size of files stands for a full disk: a result and a notebook of more than 300 kB cannot be
    written."""
    cell = f"""\
import os
if x == 2: open(os.environ['LIB_RUN'] + '/big', 'wb').write(bytes(400_000))
if x == 3: print('y' * 400_000)
if x == 1:\n    pass
{LEAVE}"""
    path, out = sweep(tmp_path, cell, grid={"x": [1, 2, 3]}), tmp_path / "out"
    result = command("run", path, "--out", out, "--workers", 2, preexec_fn=limited)
    assert result.returncode == 1 and "1 of 3 runs are finished, 2 failed" in result.stdout, result.stderr
    assert result.stderr.count("OSError: [Errno 27] File too large") == 2
    assert [c["x"] for c in parameters_of(out).values()] == [1]
    assert here(path, out, client, rerun_failed=True)[:2] == (3, 0)


def refused(path, out):
    with pytest.raises(Refused) as caught:
        plan(load(path), str(out))
    return caught.value.setting


def test_a_folder_that_is_not_this_sweeps_own_is_refused(tmp_path, client, monkeypatch, capsys):
    monkeypatch.setattr("lib.batch.drive.execute", marked)
    one, other = sweep(tmp_path, grid={"x": [1]}), sweep(tmp_path, name="other", grid={"x": [1]})
    assert here(one, tmp_path / "out", client)[:2] == (1, 0)
    assert refused(other, tmp_path / "out") == "out"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    assert refused(one, tmp_path / "mine") == "out"
    assert main(["run", str(one), "--out", f"{tmp_path}/mine"]) == 2
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    (tmp_path / "file").touch()
    assert main(["run", str(one), "--out", f"{tmp_path}/file/out"]) == 2
    assert f"Not a directory: '{tmp_path}/file/out'" in capsys.readouterr().err
    assert main(["status", f"{tmp_path}/file/out"]) == 2 and main(["collect", f"{tmp_path}/file/out"]) == 2


def test_two_drivers_cannot_share_a_folder(tmp_path, capsys):
    path = sweep(tmp_path, grid={"x": [1]})
    with Folder(f"{tmp_path}/out").lock():
        assert main(["run", str(path), "--out", f"{tmp_path}/out"]) == 2
    assert "error: out=" in capsys.readouterr().err


def test_changed_code_is_another_run_and_the_old_one_stays(tmp_path, client, monkeypatch, capsys):
    monkeypatch.setattr("lib.batch.drive.execute", marked)
    path, out = sweep(tmp_path, "pass", grid={"x": [1]}), tmp_path / "out"
    assert here(path, out, client)[:2] == (1, 0)
    sweep(tmp_path, "pass # changed", grid={"x": [1]})
    assert here(path, out, client)[:2] == (1, 0) and len(markers(out)) == 2
    assert main(["status", str(out)]) == 0
    assert "1 finished runs of other parameters or of other code" in capsys.readouterr().out
    assert main(["collect", str(out)]) == 2
    assert "lib.records.leave_run" in capsys.readouterr().err


def test_a_folder_of_an_older_version_is_named(tmp_path, capsys):
    (tmp_path / "sweep.json").write_text(json.dumps({"name": "small", "notebook": "small.ipynb", "runs": {}}))
    for name in ("status", "collect", "report"):
        assert main([name, str(tmp_path)]) == 2
        assert "is of an older version" in capsys.readouterr().err


def test_a_dry_run_estimates_in_any_encoding_and_starts_nothing(tmp_path):
    estimate = {"seconds": 30, "megabytes": 5}
    path = sweep(tmp_path, grid={"x": list(range(10))}, list=[{"rate": 0.5}, {"rate": 1}], estimate=estimate)
    words = ["run", path, "--out", f"{tmp_path}/ö…", "--dry-run", "--workers", "2"]
    result = command(*words, env=environment(PYTHONIOENCODING="ascii"))
    assert result.returncode == 0, result.stderr
    at_once = min(2, CPU_COUNT)
    assert "20 runs of small.ipynb" in result.stdout and "20 to do" in result.stdout
    assert f"about 10.0 min of computing, {['10.0', '5.0'][at_once - 1]} min with {at_once} at once" in result.stdout
    assert "disk: about 100 MB" in result.stdout and not (tmp_path / "ö…").exists()


@pytest.mark.parametrize(
    ("keys", "words", "said"),
    [
        ({"resources": {"cores": 10_000}}, [], "resources.cores=10000"),
        ({"resources": {"memory": "900 TB"}}, [], "resources.memory"),
        ({"resources": {"gpu": 512}}, [], "resources.gpu=512"),
        ({}, ["--workers", "0"], "workers=0"),
        ({}, ["--scheduler", "tcp://127.0.0.1:1"], "127.0.0.1:1"),
        ({}, ["--jobqueue", "nothing.yaml"], "nothing.yaml"),
        ({}, ["--out", "nowhere://x"], "out='nowhere://x'"),
    ],
)
def test_what_cannot_be_started_is_status_2(tmp_path, capsys, monkeypatch, keys, words, said):
    monkeypatch.setattr("lib.batch.cluster.gpus", lambda: [])
    path = sweep(tmp_path, **{"grid": {"x": [1]}} | keys)
    assert main(["run", str(path), "--out", f"{tmp_path}/out", *words]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out" / "runs").exists()
