"""One run of a sweep, on a worker: execute the notebook, watch it, and leave its folder."""

import datetime
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
from papermill.exceptions import PapermillExecutionError

from lib.batch.folder import Folder
from lib.batch.kernel import SETTINGS, ask, environment, kill, own_kernel
from lib.batch.sweep import Resources

# What papermill has to say about a run is in its folder.
logging.getLogger("papermill").addHandler(logging.NullHandler())
WATCH = 1.0  # seconds between two looks at a run's time and memory; a look at the memory costs some hundredths
KILLED = (-signal.SIGKILL, -signal.SIGTERM)  # how a kernel ends that something else has ended


class RunFailed(Exception):
    """A run that did not finish; the text says why, in one line."""


class KernelKilled(RunFailed):
    """Something else has ended the run's kernel: not the run's own fault."""


def execute(place: str, key: str, configuration: dict[str, Any], resources: Resources) -> dict[str, Any]:
    """Do one run of the sweep in `place` unless it is finished already, and once more if its kernel is killed. Returns
    its marker; RunFailed for whatever goes wrong."""
    folder = Folder(place)
    if (marker := folder.marker(key)) is not None:
        return marker
    try:
        return _once(folder, key, configuration, resources)
    except KernelKilled:
        return _once(folder, key, configuration, resources, again=True)


def _once(folder: Folder, key: str, configuration: dict, resources: Resources, again: bool = False) -> dict[str, Any]:
    started = time.time()
    with folder.scratch() as scratch:
        run = Path(scratch, "run")
        try:
            _attempt(folder, {"key": key, "configuration": configuration}, resources, Path(scratch), run)
            spent = {"started": started, "seconds": round(time.time() - started, 3)}
            return folder.publish(run, key, {"key": key} | spent)
        except PapermillExecutionError as error:
            failure = RunFailed(f"cell {error.cell_index}: {error.ename}: {error.evalue}".splitlines()[0][:300])
        except RunFailed as error:
            if isinstance(error, KernelKilled) and not again:
                raise
            failure = error
        except Exception as error:
            failure = RunFailed(f"{type(error).__name__}: {error}".splitlines()[0][:300])
        with suppress(OSError):  # a full disk may not hold it
            folder.publish(run, key, {"key": key, "reason": str(failure)}, failed=True)
    raise failure


def _attempt(folder: Folder, about: dict[str, Any], resources: Resources, scratch: Path, run: Path) -> None:
    """Execute the notebook; what it leaves is in `run`."""
    (run / "results").mkdir(parents=True)
    (scratch / "work").mkdir()
    cores, date = resources.cores, datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    where = machine() | {"threads": str(cores), "date": date}
    Folder(str(run)).put("config.json", about | {"provenance": where})
    env = environment(cores) | {"LIB_RUN": str(run / "results")}
    if saved := os.environ.get("LIB_CHECKPOINTS"):  # runs that share a recursion share no checkpoint
        env["LIB_CHECKPOINTS"] = str(Path(saved).expanduser().absolute() / about["key"])
    with (
        open(run / "log.txt", "ab") as log,
        own_kernel(scratch, env, scratch / "work", log) as manager,
        limited(manager.started, resources) as verdict,
    ):
        try:
            done = papermill.execute_notebook(
                nbformat.from_dict(folder.read_json("notebook.ipynb")),
                str(run / "run.ipynb"),
                parameters=dict(about["configuration"]),
                kernel_manager_class=manager,
                **SETTINGS,
            )
        except Exception as error:  # also a kernel that is ended while it starts
            if verdict:
                raise RunFailed(verdict[0]) from error
            if not isinstance(error, RuntimeError) or not manager.started:  # a kernel that died is a RuntimeError
                raise
            status = manager.started[0].wait(10)
            if status in KILLED:
                raise KernelKilled("the kernel was killed, twice") from error
            raise RunFailed(f"the kernel died with status {status}") from error
    for k, cell in enumerate(done.cells):  # papermill takes sys.exit(0) for an end
        if cell.cell_type == "code" and cell.metadata["papermill"]["status"] != "completed":
            raise RunFailed(f"cell {k}: it has left the notebook before its end")


@contextmanager
def limited(started: list[subprocess.Popen], limits: Resources) -> Iterator[list[str]]:
    """Ends kernels that take more time or memory than they may; the list then says which."""
    verdict, done, began = [], threading.Event(), time.monotonic()

    def watch() -> None:
        while not done.wait(WATCH):
            if time.monotonic() - began > limits.time:
                verdict.append(f"over its time limit of {limits.time:g} s")
            elif limits.memory and (held := sum(map(_held, started))) > limits.memory:
                verdict.append(f"over its memory limit of {limits.memory / 1e9:.3g} GB, at {held / 1e9:.3g} GB")
            for process in started if verdict else []:  # again until noticed: it may still be starting
                kill(process)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield verdict
    finally:
        done.set()


def _held(process: subprocess.Popen) -> int:
    """Bytes that a kernel and what it has started hold for themselves or share with each other."""
    try:
        kernel = psutil.Process(process.pid)
        return sum(one.memory_info().rss for one in [kernel, *kernel.children(recursive=True)])
    except psutil.Error:
        return 0


@cache
def machine() -> dict[str, Any]:
    """What this machine and its code are: the answer may need torch and a GPU."""
    return ask("lib.provenance", "collected")
