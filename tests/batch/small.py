"""Small sweeps for tests: a notebook of a few cells, a sweep file, and the command line in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml

from lib.batch import load, plan, run
from lib.batch.drive import Progress
from lib.batch.folder import Folder

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = "x: int = 1  # a number [0 .. 1000]\nname: str = 'a'  # a letter [a | b | c]\nrate: float = 0.5  # a share\nseed: int = 7  # seed"
# Leaves a small data set without importing anything heavy but xarray.
LEAVE = """\
import numpy as np
import xarray as xr
from lib import records

values = x + np.arange(6.0).reshape(1, 2, 3)
data = xr.Dataset(
    {"score": (("regime", "generation", "run"), values), "real_share": (("regime", "generation"), values[..., 0] / 10)},
    {"regime": [f"R{x % 2}"], "generation": [1, 2], "run": [0, 1, 2]},
    {"world": "toy", "x": x},
)
records.leave_run({"main": data}, notes={"x": x})"""


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


def command(*words, **more):
    """Run `python -m lib.batch WORDS` and return what it did."""
    return subprocess.run(
        [sys.executable, "-m", "lib.batch", *map(str, words)],
        env=environment(**more), capture_output=True, text=True, timeout=280,
    )  # fmt: skip


def here(path, out, client, rerun_failed=False):
    """Run a sweep on a cluster that exists. Returns how many runs are finished, how many failed, and the lines of progress."""
    lines = []
    work = plan(load(path), str(out), rerun_failed)
    finished, failed = run(work, client=client, progress=Progress(len(work.missing), show=lines.append))
    return finished, failed, "\n".join(lines)


def start(*words, **more):
    """Start `python -m lib.batch WORDS` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "lib.batch", *map(str, words)],
        env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def markers(out):
    """The finished runs of a local folder: key to marker."""
    return {path.parent.name: json.loads(path.read_text()) for path in Path(out).glob("runs/*/finished.json")}


def parameters_of(out, part="runs"):
    """The parameters of the runs in a part of a local folder, by key."""
    found = {}
    for path in Path(out).glob(f"{part}/*/config.json"):
        found[path.parent.name] = json.loads(path.read_text())["configuration"]
    return found


def trivial(task):
    """In place of `lib.batch.runner.execute`: leave the folder of a run, with nothing in it but its marker."""
    folder = Folder(task.folder)
    folder.publish(folder.scratch(task.key), task.key, {"key": task.key, "seconds": 0.0, "cell_seconds": 0.0})
    return {"key": task.key}
