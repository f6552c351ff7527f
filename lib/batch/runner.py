"""One run of a sweep, on a worker: execute the notebook, watch it, and leave its folder."""

from __future__ import annotations

import datetime
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from lib.batch import kernel
from lib.batch.folder import Folder

# What papermill has to say about a run is in its folder.
logging.getLogger("papermill").addHandler(logging.NullHandler())
WATCH = 1.0  # seconds between two looks at a run's time and memory; a look at the memory costs some hundredths
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class RunFailed(Exception):
    """A run that did not finish; the text says why, in one line. Its folder is among the failed ones if it could be written."""


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
    machine: dict[str, Any] | None = None  # what a worker's machine is, if it is the driver's; a worker asks otherwise


def execute(task: Task) -> dict[str, Any]:
    """Do one run unless it is finished already. Returns its key, seconds and overhead; RunFailed for whatever goes wrong."""
    folder = Folder(task.folder)
    if (marker := folder.marker(task.key)) is not None:
        return marker
    # Once for each worker: what the runs share.
    modules = kernel.imported(_notebook(task.folder, task.code))
    kernel.nursery(modules, task.cores)
    machine = task.machine or provenance()
    scratch = folder.scratch(task.key)
    started = time.time()
    try:
        reason, where = _attempt(task, modules, machine, scratch)
        if not reason:
            marker = {"key": task.key} | _times(scratch / "run.ipynb", started)
            folder.publish(scratch, task.key, marker)
            return marker
    except Exception as error:
        reason, where = _one_line(error), None
        with open(os.devnull, "w") if not scratch.exists() else open(scratch / "log.txt", "a") as log:
            traceback.print_exc(file=log)
    try:
        folder.publish_failed(scratch, task.key, {"key": task.key, "reason": reason, "cell": where, "started": started})
    except OSError as error:
        reason += f" (and its folder cannot be kept: {_one_line(error)})"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    raise RunFailed(reason)


def _attempt(task: Task, modules: tuple[str, ...], machine: dict, scratch: Path) -> tuple[str, int | None]:
    """Execute the notebook in `scratch`. Returns ("", None), or why it failed and in which cell."""
    notebook = _notebook(task.folder, task.code)
    (scratch / "results").mkdir()
    (scratch / "work").mkdir()
    settings = {"key": task.key, "configuration": task.configuration}
    settings["provenance"] = machine | {"threads": str(task.cores), "date": _now()}
    (scratch / "config.json").write_text(json.dumps(settings, indent=1, ensure_ascii=False) + "\n")
    output = scratch / "run.ipynb"
    own = kernel.RunKernel(
        modules, task.cores, scratch / "work", scratch / "log.txt", {"LIB_RUN": str(scratch / "results")}
    )  # fmt: skip
    watch = _Watch(own, task)
    try:
        papermill.execute_notebook(
            nbformat.from_dict(notebook),
            str(output).replace("{", "{{").replace("}", "}}"),
            parameters=dict(task.configuration),
            kernel_name="python3",
            language="python",
            progress_bar=False,
            kernel_manager_class=own.manager_class,
            shutdown_kernel="immediate",
        )
    except PapermillExecutionError as error:
        reason = f"cell {error.cell_index}: {error.ename}: {_first_line(error.evalue)}"
        return reason.removesuffix(": "), error.cell_index
    except DeadKernelError:
        return watch.verdict or "the kernel died", None
    except Exception as error:  # also a kernel that is ended while it starts
        return watch.verdict or _one_line(error), None
    finally:
        watch.done.set()
        own.end()
        shutil.rmtree(scratch / "work", ignore_errors=True)
    return watch.verdict, None


class _Watch(threading.Thread):
    """Ends the kernel of a run that takes more time or memory than it may; `verdict` then says which."""

    def __init__(self, own: kernel.RunKernel, task: Task):
        super().__init__(daemon=True)
        self.own, self.task, self.verdict, self.done = own, task, "", threading.Event()
        self.start()

    def run(self):
        began = time.monotonic()
        while not self.done.wait(WATCH):
            if time.monotonic() - began > self.task.time:
                self.verdict = f"over its time limit of {self.task.time:g} s"
            elif self.task.memory and (held := self.memory()) > self.task.memory:
                self.verdict = f"over its memory limit of {self.task.memory / 1e9:.3g} GB, at {held / 1e9:.3g} GB"
            if self.verdict:
                return self.kill()

    def memory(self) -> int:
        """Bytes that the kernel and what it has started hold for themselves or share with each other."""
        if self.own.process is None:
            return 0
        try:
            kernel = psutil.Process(self.own.process.pid)
            return sum(process.memory_info().rss for process in [kernel, *kernel.children(recursive=True)])
        except psutil.Error:
            return 0

    def kill(self):
        """Again until the run has noticed: the kernel may still be starting."""
        while not self.done.wait(0.1):
            if self.own.process is not None:
                try:
                    os.killpg(self.own.process.pid, 9)
                except ProcessLookupError:
                    pass


@cache
def _notebook(folder: str, code: str) -> dict:
    """The sweep's notebook, read once by each worker for each version of it."""
    return nbformat.reads(Folder(folder).read_text("notebook.ipynb"), as_version=4)


@cache
def provenance() -> dict[str, Any]:
    """What this machine and its code are, asked once of a process of its own: the answer needs torch, which a worker need not carry."""
    program = "import json; from lib import provenance; print(json.dumps(provenance.collected()))"
    done = subprocess.run(
        [sys.executable, "-c", program], env=kernel.environment(), capture_output=True, text=True, timeout=300, check=True
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def _times(notebook: Path, started: float) -> dict[str, float]:
    """Seconds of the whole run so far, of its cells alone, and when it started."""
    cells = nbformat.read(notebook, as_version=4).cells
    inside = sum(cell.metadata.get("papermill", {}).get("duration") or 0.0 for cell in cells)
    return {"started": started, "seconds": round(time.time() - started, 3), "cell_seconds": round(inside, 3)}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {_first_line(str(error))}"


def _first_line(text: str) -> str:
    return COLOUR.sub("", text.strip().splitlines()[0])[:300] if text.strip() else ""
