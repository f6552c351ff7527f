"""One run of a sweep, on a worker: execute the notebook, watch it, and leave its folder."""

from __future__ import annotations

import datetime
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
from papermill.exceptions import PapermillExecutionError

from lib.batch.folder import Folder
from lib.batch.kernel import SETTINGS, environment, kill, own_kernel

# What papermill has to say about a run is in its folder.
logging.getLogger("papermill").addHandler(logging.NullHandler())
WATCH = 1.0  # seconds between two looks at a run's time and memory; a look at the memory costs some hundredths
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
KILLED = (-signal.SIGKILL, -signal.SIGTERM)  # how a kernel ends that something else has ended


class RunFailed(Exception):
    """A run that did not finish; the text says why, in one line. Its folder is among the failed ones if it could be
    written."""


class KernelKilled(RunFailed):
    """Something else has ended the run's kernel: not the run's own fault."""


@dataclass(frozen=True)
class Task:
    """What a worker is told: where the sweep is, which run, with which parameters, and what it may take."""

    folder: str
    code: str
    key: str
    configuration: dict[str, Any]
    cores: int
    memory: int
    time: float


def execute(task: Task) -> dict[str, Any]:
    """Do one run unless it is finished already, and once more if its kernel is killed. Returns its marker; RunFailed
    for whatever goes wrong."""
    folder = Folder(task.folder)
    if (marker := folder.marker(task.key)) is not None:
        return marker
    machine()  # asked once for each worker
    try:
        return _once(folder, task)
    except KernelKilled:
        return _once(folder, task, again=True)


def _once(folder: Folder, task: Task, again: bool = False) -> dict[str, Any]:
    started, where = time.time(), None
    with folder.scratch() as scratch:
        run = Path(scratch, "run")
        try:
            cells = _attempt(task, Path(scratch), run)
            times = {"started": started, "seconds": round(time.time() - started, 3), "cell_seconds": cells}
            folder.publish(run, task.key, {"key": task.key} | times)
            return {"key": task.key} | times
        except PapermillExecutionError as error:
            what = f"cell {error.cell_index}: {error.ename}: {_first_line(error.evalue)}"
            failure, where = RunFailed(what.removesuffix(": ")), error.cell_index
        except RunFailed as error:
            if isinstance(error, KernelKilled) and not again:
                raise
            failure = error
        except Exception as error:
            failure = RunFailed(f"{type(error).__name__}: {_first_line(str(error))}")
            with suppress(OSError), open(run / "log.txt", "a") as log:
                traceback.print_exc(file=log)
        reason = {"key": task.key, "reason": str(failure), "cell": where, "started": started}
        try:
            folder.publish_failed(run, task.key, reason)
        except OSError as error:
            failure.args = (f"{failure} (and its folder cannot be kept: {error})",)
    raise failure


def _attempt(task: Task, scratch: Path, run: Path) -> float:
    """Execute the notebook; what it leaves is in `run`. Returns the seconds of its cells."""
    (run / "results").mkdir(parents=True)
    (scratch / "work").mkdir()
    about = {"threads": str(task.cores), "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    settings = {"key": task.key, "configuration": task.configuration, "provenance": machine() | about}
    (run / "config.json").write_text(json.dumps(settings, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    env = environment(task.cores) | {"LIB_RUN": str(run / "results")}
    if saved := os.environ.get("LIB_CHECKPOINTS"):  # runs that share a recursion share no checkpoint
        env["LIB_CHECKPOINTS"] = str(Path(saved).expanduser().absolute() / task.key)
    with open(run / "log.txt", "ab") as log, own_kernel(scratch, env, scratch / "work", log) as manager:
        watch = _Watch(manager.started, task)
        try:
            done = papermill.execute_notebook(
                nbformat.from_dict(_notebook(task.folder, task.code)),
                str(run / "run.ipynb"),
                parameters=dict(task.configuration),
                kernel_manager_class=manager,
                **SETTINGS,
            )
        except Exception as error:  # also a kernel that is ended while it starts
            if watch.verdict:
                raise RunFailed(watch.verdict) from error
            if not isinstance(error, RuntimeError) or not manager.started:  # a kernel that died is a RuntimeError
                raise
            status = manager.started[0].wait(10)
            if status in KILLED:
                raise KernelKilled("the kernel was killed, twice") from error
            raise RunFailed(f"the kernel died with status {status}") from error
        finally:
            watch.done.set()
    cells = {k: cell.metadata["papermill"] for k, cell in enumerate(done.cells) if cell.cell_type == "code"}
    for k, cell in cells.items():
        if cell["status"] != "completed":  # papermill takes sys.exit(0) for an end
            raise RunFailed(f"cell {k}: it has left the notebook before its end")
    return round(sum(cell["duration"] or 0.0 for cell in cells.values()), 3)


class _Watch(threading.Thread):
    """Ends the kernel of a run that takes more time or memory than it may; `verdict` then says which."""

    def __init__(self, started: list[subprocess.Popen], task: Task):
        super().__init__(daemon=True)
        self.started, self.task, self.verdict, self.done = started, task, "", threading.Event()
        self.start()

    def run(self):
        began, task = time.monotonic(), self.task
        while not self.done.wait(WATCH):
            if time.monotonic() - began > task.time:
                self.verdict = f"over its time limit of {task.time:g} s"
            elif task.memory and (held := sum(map(_held, self.started))) > task.memory:
                self.verdict = f"over its memory limit of {task.memory / 1e9:.3g} GB, at {held / 1e9:.3g} GB"
            for process in self.started if self.verdict else []:  # again until noticed: it may still be starting
                kill(process)


def _held(process: subprocess.Popen) -> int:
    """Bytes that a kernel and what it has started hold for themselves or share with each other."""
    try:
        kernel = psutil.Process(process.pid)
        return sum(one.memory_info().rss for one in [kernel, *kernel.children(recursive=True)])
    except psutil.Error:
        return 0


@cache
def _notebook(folder: str, code: str) -> dict:
    """The sweep's notebook, read once by each worker for each version of it."""
    return Folder(folder).read_json("notebook.ipynb")


@cache
def machine() -> dict[str, Any]:
    """What this machine and its code are, asked of a process of its own: the answer may need torch and a GPU."""
    program = "import json; from lib import provenance; print(json.dumps(provenance.collected()))"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=300, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def _first_line(text: str) -> str:
    return COLOUR.sub("", text.strip().splitlines()[0])[:300] if text.strip() else ""
