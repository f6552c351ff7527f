"""Small sweeps for tests: a notebook of a few cells, a sweep file, and the command line in a process of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import yaml

from lib.batch import load, plan, run
from lib.batch.folder import Folder

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = """\
x: int = 1  # a number [0 .. 1000]
name: str = 'a'  # a letter [a | b | c]
rate: float = 0.5  # a share
seed: int = 7  # seed"""
# Leaves a small data set without importing anything heavy but xarray.
LEAVE = """\
import numpy as np
import xarray as xr
from lib import records

values = x + np.arange(6.0).reshape(1, 2, 3)
data = xr.Dataset(
    {"score": (("regime", "generation", "run"), values), "real_share": (("regime", "generation"), values[..., 0] / 10)},
    {"regime": [f"R{x % 2}"], "family": ("regime", ["R"]), "generation": [1, 2], "run": [0, 1, 2]},
    {"world": "toy", "x": x},
)
interval = {"estimate": x, "low": x - 0.5, "high": x + 0.5, "level": 0.99}
word = "holds" if x > 2 else "fails"
finding = {"id": "toy", "word": word, "said": f"an effect of {x}", "interval": interval}
records.leave_run({"main": data}, findings=[finding], notes={"x": x})"""


def gate(place, after=0):
    """A cell that waits until there is a file `go`, in runs whose x is larger than `after`."""
    return f"import pathlib, time\nwhile x > {after} and not pathlib.Path('{place}/go').exists(): time.sleep(0.05)"


def notebook(path, *cells, parameters=PARAMETERS):
    """Write a notebook with a parameters cell and the given cells."""
    new = nbformat.v4
    made = [new.new_code_cell(parameters, metadata={"tags": ["parameters"]})] if parameters is not None else []
    made += [new.new_code_cell(cell) for cell in cells]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(new.new_notebook(cells=made, metadata={"kernelspec": kernel}), path)
    return path


def sweep(folder, *cells, name="small", parameters=PARAMETERS, **keys):
    """Write a notebook and the sweep file of it; returns the latter's path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    notebook(folder / f"{name}.ipynb", *cells, parameters=parameters)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"notebook": f"{name}.ipynb"} | keys))
    return path


def environment(**more):
    """The variables of a command that finds this `lib`."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def line(*words):
    return [sys.executable, "-m", "lib.batch", *map(str, words)]


def command(*words, **settings):
    """Run `python -m lib.batch WORDS` and return what it did."""
    return subprocess.run(
        line(*words), capture_output=True, text=True, timeout=280, **{"env": environment()} | settings
    )


def start(*words):
    """Start `python -m lib.batch WORDS` in a process group of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(line(*words), env=environment(), start_new_session=True, **pipes)


def here(path, out, client, rerun_failed=False):
    """Run a sweep on a cluster that exists. Returns how many runs are finished, how many failed, and the lines of
    progress."""
    lines = []
    work = plan(load(path), str(out), rerun_failed)
    finished, failed = run(work, lines.append, client)
    return finished, failed, "\n".join(lines)


def markers(out):
    """The finished runs of a local folder: key to marker."""
    return {path.parent.name: json.loads(path.read_text()) for path in Path(out).glob("runs/*/finished.json")}


def parameters_of(out, part="runs"):
    """The parameters of the runs in a part of a local folder, by key."""
    paths = Path(out).glob(f"{part}/*/config.json")
    return {path.parent.name: json.loads(path.read_text())["configuration"] for path in paths}


def leftovers(out):
    """Temporary folders of a sweep."""
    own = Folder(str(out))._temporary
    return list(own.parent.glob(f"{own.name}*"))


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.05)


def family(pid):
    """A process and everything below it."""
    try:
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kernels(pid):
    """Kernels that run below a driver."""
    below = {process.pid for process in family(pid)}
    every = psutil.process_iter(["cmdline"])
    return [p for p in every if p.pid in below and "ipykernel_launcher" in (p.info["cmdline"] or [])]


def gone(processes):
    return not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def instant(place, key, configuration, _):
    """In place of `lib.batch.runner.execute`: what a run of LEAVE would, without a kernel."""
    folder = Folder(place)
    with folder.scratch() as scratch:
        run = Folder(f"{scratch}/run")
        os.environ["LIB_RUN"] = f"{run.local}/results"
        exec(LEAVE, dict(configuration))
        about = dict.fromkeys(("commit", "changed", "device", "cores", "python", "versions", "date"), "")
        run.put("config.json", {"configuration": configuration, "provenance": about})
        folder.publish(run.local, key, {"key": key, "started": time.time(), "seconds": 1.0})


def marked(place, key, *_):
    """The least that a run can leave."""
    folder = Folder(place)
    with folder.scratch() as scratch:
        folder.publish(Path(scratch), key, {"key": key, "started": time.time(), "seconds": 0.0})


def gated(place, key, configuration, _):
    """The first run of a sweep waits for a file, the others do not."""
    if configuration["x"] == 1:
        wait_for(Path(place, "go").exists)
    marked(place, key)


def meeting(place, key, *_):
    """A run that ends when another one runs beside it."""
    Path(place, f"here-{key}").touch()
    wait_for(lambda: len(list(Path(place).glob("here-*"))) == 2)
    marked(place, key)
