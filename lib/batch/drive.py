"""The driver: what is missing is handed to Dask, as much as its workers can do at once, until nothing is missing."""

import itertools
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext

import nbformat
from distributed import CancelledError, Client, wait
from tqdm import tqdm

from lib.batch.cluster import check_workers, connect
from lib.batch.folder import Folder
from lib.batch.runner import RunFailed, execute
from lib.batch.sweep import Sweep

LOOK = 2.0  # seconds between two looks at how many runs can be done at once
EVERY = 10.0  # seconds between two lines of progress where there is no terminal
WAIT = 600.0  # seconds that a running cluster may have no worker


class Plan:
    """A sweep and a folder: which runs are there, and which are to be done, failed ones only if asked for. Nothing is
    written."""

    def __init__(self, sweep: Sweep, out: str, rerun_failed: bool = False) -> None:
        self.sweep, self.folder, self.rerun_failed = sweep, Folder(out), rerun_failed
        self.folder.check(sweep.name, sweep.source["notebook"])
        self.keys = {sweep.key(configuration): configuration for configuration in sweep.configurations}
        self.finished, self.failed = self.folder.finished() & set(self.keys), self.folder.failed() & set(self.keys)
        left_out = self.finished if rerun_failed else self.finished | self.failed
        self.missing = [key for key in self.keys if key not in left_out]

    def estimate(self) -> tuple[float | None, float | None]:
        """Seconds and megabytes that one missing run is expected to take: the mean of the finished ones, else what the
        sweep declares, else None."""
        markers = [self.folder.marker(key) for key in sorted(self.finished)[:100]]
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
        return "\n".join([*lines, f"time: {time}", f"disk: {disk}"])


def run(plan: Plan, say: Callable[[str], None] | None = None, client: Client | None = None, **where) -> tuple[int, int]:
    """Do the missing runs of a plan. Returns how many of the sweep's runs are finished and how many failed. `say` is
    told what happens; without it, that is written beside the bar. `where`: `scheduler`, `jobqueue` and `workers`, as
    `lib.batch.cluster.connect` takes them; or a `client` that exists."""
    say, folder = say or (lambda text: tqdm.write(text, file=sys.stderr)), plan.folder
    with folder.lock():
        try:
            folder.claim(_description(plan), nbformat.writes(plan.sweep.notebook))
            if missing := plan.missing:
                with nullcontext(client) if client else connect(plan.sweep.resources, len(missing), **where) as client:
                    _drive(plan, missing, client, say)
        finally:
            folder.clear()
    return len(folder.finished() & set(plan.keys)), len(folder.failed() & set(plan.keys))


def _drive(plan: Plan, missing: list[str], client: Client, say: Callable[[str], None]) -> None:
    """Hand out as many runs as can be done at once, and the next where one has ended or a worker has come.

    None is handed out ahead: Dask gives a task to a worker at once while there are few, and there it would wait behind
    a long run though another worker is free.
    """
    sweep, r, failed = plan.sweep, plan.sweep.resources, 0
    say(f"Dask dashboard: {client.dashboard_link or 'none'}")
    client.wait_for_workers(1, timeout=WAIT if client.cluster is None else None)
    check_workers(client, r, sweep.modules)
    say(f"{len(missing)} runs to do, {_slots(client)} at once")
    waiting, running = iter(missing), {}
    settings = {"retries": sweep.retries, "resources": {"gpu": r.gpu} if r.gpu else None, "pure": False}
    often = 0.1 if sys.stderr.isatty() else EVERY
    with tqdm(total=len(missing), unit="run", mininterval=often, maxinterval=EVERY, file=sys.stderr) as bar:
        while True:
            for key in itertools.islice(waiting, max(0, _slots(client) - len(running))):
                run = (plan.folder.address, key, plan.keys[key], r)
                running[client.submit(execute, *run, key=f"run-{key}", **settings)] = key
            if not running:
                break
            for future in _ended(client, running):
                key = running.pop(future)
                if reason := _failure(plan, future, key):
                    failed += 1
                    label = ", ".join(f"{name}={plan.keys[key][name]!r}" for name in sweep.varied)
                    say(f"FAILED {label}: {reason}")
                future.release()
                bar.set_postfix(failed=failed, refresh=False)
                bar.update()


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


def _failure(plan: Plan, future, key: str) -> str:
    """Why a run has failed, if it has; one that Dask gave up is marked as failed."""
    try:
        future.result()
        return ""
    except RunFailed as error:
        return str(error)
    except Exception as error:  # the worker was lost again and again, or could not even start the run
        reason = f"{type(error).__name__}: {error}"
        plan.folder.put(f"failed/{key}/failed.json", {"key": key, "reason": reason})
        return reason


def _description(plan: Plan) -> dict:
    """What sweep.json holds."""
    sweep = plan.sweep
    return {
        **{name: getattr(sweep, name) for name in ("name", "source", "code", "axes", "sets", "varied")},
        "notebook": sweep.source["notebook"],
        "defaults": {parameter.name: parameter.default for parameter in sweep.parameters.values()},
        "runs": plan.keys,
    }


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
