"""The driver: what is missing is handed to Dask, as much as its workers can do at once, until nothing is missing."""

from __future__ import annotations

import datetime
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import nbformat
from distributed import CancelledError, Client, wait
from tqdm import tqdm

from lib import __version__
from lib.batch import cluster
from lib.batch.folder import Folder
from lib.batch.runner import RunFailed, Task, execute
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
        """Seconds and megabytes that one missing run is expected to take: the mean of the finished ones, else what the
        sweep declares, else None."""
        markers = []
        for key in sorted(self.finished)[:100]:
            with suppress(ValueError):  # `collect` names what is damaged
                markers.append(self.folder.marker(key))
        if not markers:
            return self.sweep.estimate.get("seconds"), self.sweep.estimate.get("megabytes")
        size = sum(sum(marker["files"].values()) for marker in markers)
        return sum(marker["seconds"] for marker in markers) / len(markers), size / len(markers) / 1e6

    def describe(self, at_once: int | None) -> str:
        """What would be done, with an estimate of time and disk."""
        sweep, missing = self.sweep, len(self.missing)
        axes = " × ".join(f"{name} ({len(values)})" for name, values in sweep.axes.items())
        rows = f"{len(sweep.sets)} sets × " if sweep.source.get("list") else ""
        lines = [f"{sweep.name}: {len(self.keys)} runs of {sweep.source['notebook']} ({rows}{axes or 'no grid'})"]
        lines += [f"{len(self.finished)} are finished, {len(self.failed)} failed, {missing} to do"]
        if self.failed and not self.rerun_failed:
            lines += ["failed runs are left as they are; --rerun-failed does them again"]
        seconds, size = self.estimate()
        beside = f", {duration(seconds * missing / at_once)} with {at_once} at once" if seconds and at_once else ""
        time = "not known" if seconds is None else f"about {duration(seconds * missing)} of computing{beside}"
        disk = "not known" if size is None else f"about {size * missing:.3g} MB"
        lines += [f"time: {time}", f"disk: {disk}"]
        if seconds is None or size is None:
            lines += ["`estimate: {seconds: …, megabytes: …}` in the sweep file says what one run takes"]
        return "\n".join(lines)


def plan(sweep: Sweep, out: str, rerun_failed: bool = False) -> Plan:
    """Look at what `out` holds of a sweep. Nothing is written."""
    folder = Folder(out)
    keys = {sweep.key(configuration): configuration for configuration in sweep.configurations}
    found = Plan(sweep, folder, keys, rerun_failed=rerun_failed)
    if folder.check(sweep.name, sweep.source["notebook"]) is not None:
        found.finished = folder.finished() & set(keys)
        found.failed = folder.failed() & set(keys)
    return found


def run(plan: Plan, *, progress: Progress | None = None, client: Client | None = None, **where) -> tuple[int, int]:
    """Do the missing runs of a plan. Returns how many of the sweep's runs are finished and how many failed.

    `where`: `scheduler`, `jobqueue` and `workers`, as `lib.batch.cluster.connect` takes them; or a `client` that
    exists.
    """
    sweep, folder = plan.sweep, plan.folder
    if folder.in_memory and client is None:
        refuse("out", folder.url, "a place that other processes see too; for tests, with a client in this process")
    with folder.lock():
        try:
            folder.claim(_description(plan), nbformat.writes(sweep.notebook))
            missing = plan.missing
            progress = progress or Progress(len(missing))
            if missing and client is not None:
                _drive(plan, missing, client, progress)
            elif missing:
                with cluster.connect(sweep.resources, len(missing), **where) as client:
                    _drive(plan, missing, client, progress)
        finally:
            folder.clear()
    return len(folder.finished() & set(plan.keys)), len(folder.failed() & set(plan.keys))


def _drive(plan: Plan, missing: list[str], client: Client, progress: Progress) -> None:
    """Hand out as many runs as can be done at once, and the next where one has ended or a worker has come.

    None is handed out ahead: Dask gives a task to a worker at once while there are few, and there it would wait behind
    a long run though another worker is free.
    """
    sweep, r = plan.sweep, plan.sweep.resources
    progress.say(f"Dask dashboard: {client.dashboard_link or 'none'}")
    client.wait_for_workers(1, timeout=WAIT if client.cluster is None else None)
    cluster.check_workers(client, r, sweep.modules)
    waiting, running = iter(missing), {}

    def hand_out(slots: int) -> None:
        for key in itertools.islice(waiting, max(0, slots - len(running))):
            task = Task(plan.folder.address, sweep.code, key, plan.keys[key], r.cores, r.memory, r.time)
            settings = {"retries": sweep.retries, "resources": {"gpu": r.gpu} if r.gpu else None, "pure": False}
            running[client.submit(execute, task, key=f"run-{key}", **settings)] = key

    progress.running(slots := _slots(client))
    hand_out(slots)
    while running:
        for future in _ended(client, running):
            _settle(plan, future, running.pop(future), progress)
            future.release()
        hand_out(_slots(client))  # a cluster may have grown


def _slots(client: Client) -> int:
    return max(1, sum(w["nthreads"] for w in client.scheduler_info(n_workers=-1)["workers"].values()))


def _ended(client: Client, running: dict) -> Iterable:
    """The futures that have ended, waited for until the next look."""
    try:
        with client.as_current():
            return wait(list(running), timeout=LOOK, return_when="FIRST_COMPLETED").done
    except CancelledError as error:
        gone = f"the scheduler {client.scheduler.address} is gone"
        raise OSError(f"{gone}; the same command goes on from here") from error
    except TimeoutError:
        return ()


def _settle(plan: Plan, future, key: str, progress: Progress) -> None:
    """Say how a run has ended; one that Dask gave up is marked as failed."""
    try:
        future.result()
        progress.done()
        return
    except RunFailed as error:
        reason = str(error)
    except Exception as error:  # the worker was lost again and again, or could not even start the run
        reason = f"{type(error).__name__}: {error}"
        failed = {"key": key, "reason": reason, "cell": None, "files": {}}
        plan.folder.put(f"failed/{key}/failed.json", json.dumps(failed))
    label = ", ".join(f"{name}={plan.keys[key][name]!r}" for name in plan.sweep.varied)
    progress.done(f"FAILED {label}: {reason}")


def _description(plan: Plan) -> dict:
    """What sweep.json holds."""
    sweep = plan.sweep
    return {
        **{name: getattr(sweep, name) for name in ("name", "source", "code", "axes", "sets", "varied")},
        "notebook": sweep.source["notebook"],
        "defaults": {parameter.name: parameter.default for parameter in sweep.parameters.values()},
        "runs": plan.keys,
        "version": __version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Progress:
    """One bar with the time left on a terminal, else a line now and then; failures are named as they happen."""

    def __init__(self, total: int, show: Callable[[str], None] | None = None):
        encodable(sys.stderr)
        hidden = not total or show is not None or not sys.stderr.isatty()
        self.bar = tqdm(total=total, unit="run", smoothing=0.1, disable=hidden)
        self.total, self.count, self.bad, self.began = total, 0, 0, time.monotonic()
        self.told = self.began
        write = print if self.bar.disable else self.bar.write
        self.say = show or (lambda text: write(text, file=sys.stderr))

    def running(self, slots: int) -> None:
        """The first runs are handed out: time is counted from here."""
        self.began = self.told = time.monotonic()
        self.say(f"{self.total} runs to do, {slots} at once")

    def done(self, failure: str = "") -> None:
        """One more run has ended."""
        self.count += 1
        self.bar.update()
        if failure:
            self.bad += 1
            self.say(failure)
        now, last = time.monotonic(), self.count == self.total
        if self.bar.disable and (last or now - self.told > EVERY):
            self.told, spent = now, now - self.began
            left = "" if last else f", about {duration(spent / self.count * (self.total - self.count))} to go"
            self.say(f"{self.count}/{self.total} runs, {self.bad} failed, {duration(spent)}{left}")
        if last:
            self.bar.close()


def encodable(*streams) -> None:
    """What a stream's encoding does not know is written as a question mark, so that no message ends a sweep."""
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def status(out: str) -> dict:
    """What a sweep's folder holds: the number of runs, which are finished, failed (with the reason) and missing."""
    folder = Folder(out)
    stored = folder.stored()
    keys, everything = stored["runs"], folder.finished()
    finished, failed = everything & set(keys), {}
    for key in sorted(folder.failed() & set(keys)):
        parameters = {name: keys[key][name] for name in stored["varied"]}
        failed[key] = {"parameters": parameters, "reason": folder.read_json(f"failed/{key}/failed.json")["reason"]}
    return {
        "name": stored["name"],
        "runs": len(keys),
        "finished": sorted(finished),
        "failed": failed,
        "missing": len(keys) - len(finished) - len(failed),
        "others": len(everything - finished),
    }
