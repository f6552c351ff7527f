"""The driver: what is missing is handed to Dask, as much as its workers can do at once, until nothing is missing."""

from __future__ import annotations

import datetime
import itertools
import json
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import nbformat
from distributed import CancelledError, Client, wait
from tqdm import tqdm

from lib import __version__
from lib.batch import cluster
from lib.batch.folder import Folder
from lib.batch.runner import RunFailed, Task, execute, provenance
from lib.batch.sweep import Sweep
from lib.errors import refuse

LOOK = 2.0  # seconds between two looks at how many runs can be done at once
EVERY = 10.0  # seconds between two lines of progress where there is no terminal
WAIT = 600.0  # seconds that a running cluster may have no worker


@dataclass
class Plan:
    """A sweep and a folder: which runs are there, which are to be done."""

    sweep: Sweep
    folder: Folder
    keys: dict[str, dict] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    rerun_failed: bool = False

    @property
    def missing(self) -> list[str]:
        """Keys of the runs to do, in the sweep's order; failed ones only if asked for."""
        left_out = self.finished if self.rerun_failed else self.finished | self.failed
        return [key for key in self.keys if key not in left_out]

    def estimate(self) -> tuple[float | None, float | None]:
        """Seconds and bytes that one missing run is expected to take: the mean of the finished ones, else what the sweep
        declares, else None."""
        seconds = self.sweep.estimate.get("seconds")
        size = self.sweep.estimate.get("megabytes")
        seconds, size = seconds, None if size is None else size * 1e6
        markers = [self.folder.marker(key) for key in sorted(self.finished)[:100]]
        if markers := [marker for marker in markers if marker]:
            seconds = sum(marker["seconds"] for marker in markers) / len(markers)
            size = sum(sum(marker["files"].values()) for marker in markers) / len(markers)
        return seconds, size

    def describe(self, at_once: int | None) -> str:
        """What would be done, with an estimate of time and disk."""
        sweep, missing = self.sweep, self.missing
        axes = " × ".join(f"{name} ({len(values)})" for name, values in sweep.axes.items())
        rows = f"{len(sweep.sets)} sets × " if sweep.source.get("list") else ""
        lines = [f"{sweep.name}: {len(self.keys)} runs of {sweep.source['notebook']} ({rows}{axes or 'no grid'})"]
        lines += [f"{len(self.finished)} are finished, {len(self.failed)} failed, {len(missing)} to do"]
        if self.failed and not self.rerun_failed:
            lines += ["failed runs are left as they are; --rerun-failed does them again"]
        seconds, size = self.estimate()
        if seconds is None:
            lines += ["time: not known; `estimate: {seconds: …}` in the sweep file gives one"]
        else:
            total = seconds * len(missing)
            beside = f", about {duration(total / at_once)} with {at_once} at once" if at_once else ""
            lines += [f"time: about {duration(total)} of computing{beside}"]
        if size is None:
            lines += ["disk: not known; `estimate: {megabytes: …}` in the sweep file gives one"]
        else:
            lines += [f"disk: about {size * len(missing) / 1e6:.3g} MB{self._free(size * len(missing))}"]
        return "\n".join(lines)

    def _free(self, needed: float) -> str:
        if self.folder.local is None:
            return ""
        place = next(p for p in [self.folder.local, *self.folder.local.absolute().parents] if p.exists())
        free = shutil.disk_usage(place).free
        return f" of {free / 1e6:.3g} MB free" + (": TOO LITTLE" if needed > free else "")


def plan(sweep: Sweep, out: str, rerun_failed: bool = False) -> Plan:
    """Look at what `out` holds of a sweep. Nothing is written."""
    folder = Folder(out)
    code = sweep.code
    keys = {sweep.key(configuration, code): configuration for configuration in sweep.configurations}
    stored = folder.check(sweep.name, sweep.source["notebook"])
    found = Plan(sweep, folder, keys, rerun_failed=rerun_failed)
    if stored is not None:
        found.finished = folder.finished() & set(keys)
        found.failed = folder.failed() & set(keys)
    return found


def run(plan: Plan, *, progress: Progress | None = None, client: Client | None = None, **where) -> tuple[int, int]:
    """Do the missing runs of a plan. Returns how many of the sweep's runs are finished and how many failed.

    `where`: `scheduler`, `jobqueue` and `workers`, as `lib.batch.cluster.connect` takes them; or a `client` that exists.
    """
    sweep, folder = plan.sweep, plan.folder
    if folder.in_memory and client is None:
        refuse("out", folder.url, "a place that other processes see too; for tests, with a client in this process")
    lock = folder.lock()
    try:
        folder.claim(_description(plan), nbformat.writes(sweep.notebook))
        missing = plan.missing
        progress = progress or Progress(len(missing))
        if missing and client is not None:
            _drive(plan, missing, client, progress, None)
        elif missing:
            here = not (where.get("scheduler") or where.get("jobqueue"))
            with ThreadPoolExecutor(1) as aside:
                # Asked while the workers start, and only where they are on this machine.
                machine = aside.submit(provenance) if here else None
                with cluster.connect(sweep.resources, len(missing), **where) as client:
                    _drive(plan, missing, client, progress, machine)
        progress.close()
    finally:
        folder.clear()
        if lock is not None:
            lock.close()
    return len(folder.finished() & set(plan.keys)), len(folder.failed() & set(plan.keys))


def _drive(plan: Plan, missing: list[str], client: Client, progress: Progress, machine: Future | None) -> None:
    """Hand out as many runs as can be done at once, and the next where one has ended or a worker has come.

    None is handed out ahead: Dask gives a task to a worker at once while there are few, and there it would wait behind a long run
    though another worker is free.
    """
    sweep = plan.sweep
    progress.say(f"Dask dashboard: {client.dashboard_link or 'none'}")
    _wait_for_workers(client, progress)
    cluster.check_workers(client, sweep.resources)
    needed = {"gpu": sweep.resources.gpu} if sweep.resources.gpu else None
    machine = machine.result() if machine is not None else None
    waiting = iter(missing)
    running = {}  # Dask's futures, with the keys of their runs

    def slots():
        return max(1, sum(w["nthreads"] for w in client.scheduler_info(n_workers=-1)["workers"].values()))

    def hand_out(most):
        r = sweep.resources
        for key in itertools.islice(waiting, max(0, most - len(running))):
            task = Task(plan.folder.address, sweep.code, key, plan.keys[key], r.cores, r.memory, r.time, machine)
            future = client.submit(
                execute, task, key=f"run-{key}", retries=sweep.retries, resources=needed, pure=False, allow_other_workers=False
            )  # fmt: skip
            running[future] = key

    hand_out(slots())
    progress.running(slots())
    while running:
        try:
            with client.as_current():
                done = wait(list(running), timeout=LOOK, return_when="FIRST_COMPLETED").done
        except CancelledError as error:
            raise OSError(
                f"the scheduler {client.scheduler.address} is gone; the same command goes on from here"
            ) from error
        except TimeoutError:  # no run has ended
            done = ()
        for future in done:
            _settle(plan, future, running.pop(future), progress)
            future.release()
        hand_out(slots())  # a cluster may have grown


def _settle(plan: Plan, future, key: str, progress: Progress) -> None:
    """Say how a run has ended; one that Dask gave up is marked as failed."""
    label = _label(plan.sweep, plan.keys[key])
    try:
        future.result()
        progress.done()
    except RunFailed as error:
        progress.failed(label, str(error))
    except Exception as error:  # the worker was lost again and again, or could not even start the run
        reason = f"{type(error).__name__}: {error}"
        plan.folder.write_text(
            f"failed/{key}/failed.json", json.dumps({"key": key, "reason": reason, "cell": None, "files": {}})
        )
        progress.failed(label, reason)


def _wait_for_workers(client: Client, progress: Progress) -> None:
    started = time.monotonic()
    while not client.scheduler_info(n_workers=-1)["workers"]:
        waited = time.monotonic() - started
        if waited > WAIT and client.cluster is None:
            refuse("scheduler", client.scheduler.address, f"a cluster with workers; none came within {duration(WAIT)}")
        progress.waiting(waited)
        time.sleep(0.2)


def _description(plan: Plan) -> dict:
    """What sweep.json holds."""
    sweep = plan.sweep
    return {
        "name": sweep.name,
        "notebook": sweep.source["notebook"],
        "code": sweep.code,
        "axes": {name: list(values) for name, values in sweep.axes.items()},
        "sets": list(sweep.sets),
        "varied": list(sweep.varied),
        "source": sweep.source,
        "parameters": {
            p.name: {"type": p.type, "default": p.default, "help": p.help} for p in sweep.parameters.values()
        },
        "runs": plan.keys,
        "version": __version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _label(sweep: Sweep, configuration: dict) -> str:
    return ", ".join(f"{name}={configuration[name]!r}" for name in sweep.varied)


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Progress:
    """One bar with the time left on a terminal, else a line now and then; failures are named as they happen."""

    def __init__(self, total: int, stream=None, show: Callable[[str], None] | None = None):
        self.stream = stream or sys.stderr
        self.total, self.count, self.bad = total, 0, 0
        self.began = self.told = time.monotonic()
        terminal = show is None and self.stream.isatty()
        self.bar = tqdm(total=total, unit="run", file=self.stream, smoothing=0.1) if terminal else None
        self.show = show or (lambda text: print(text, file=self.stream, flush=True))

    def say(self, text: str) -> None:
        """A line of its own, above the bar if there is one."""
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        else:
            self.show(text)

    def running(self, slots: int) -> None:
        """The first runs are handed out: time is counted from here."""
        self.began = self.told = time.monotonic()
        self.say(f"{self.total} runs to do, {slots} at once")

    def waiting(self, seconds: float) -> None:
        if time.monotonic() - self.told > EVERY:
            self.told = time.monotonic()
            self.say(f"waiting for workers, {duration(seconds)} so far")

    def failed(self, label: str, reason: str) -> None:
        self.bad += 1
        self.say(f"FAILED {label}: {reason}")
        self._step()

    def done(self) -> None:
        self._step()

    def _step(self) -> None:
        self.count += 1
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update()
        elif now - self.told > EVERY or self.count == self.total:
            self.told = now
            spent = now - self.began
            left = spent / self.count * (self.total - self.count)
            end = f", about {duration(left)} to go" if self.count < self.total else ""
            self.say(f"{self.count}/{self.total} runs, {self.bad} failed, {duration(spent)}{end}")

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def status(out: str) -> dict:
    """What a sweep's folder holds: the number of runs, which are finished, failed (with the reason) and missing."""
    folder = Folder(out)
    stored = folder.stored()
    keys = stored["runs"]
    finished, failed = folder.finished() & set(keys), folder.failed() & set(keys)
    reasons = {key: folder.read_json(f"failed/{key}/failed.json")["reason"] for key in sorted(failed)}
    others = len(folder.finished() - set(keys))
    return {
        "name": stored["name"],
        "runs": len(keys),
        "finished": sorted(finished),
        "failed": {
            key: {"parameters": {n: keys[key][n] for n in stored["varied"]}, "reason": r} for key, r in reasons.items()
        },
        "missing": len(keys) - len(finished) - len(failed),
        "others": others,
    }
