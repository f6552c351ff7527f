"""The command line of lib.batch. Exit status: 0 all runs finished, 1 some failed, 2 a setting is wrong or a place is
not there, 128 and the signal's number where one has stopped it."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from lib import batch
from lib.batch import cluster, drive


class Stopped(KeyboardInterrupt):
    """A signal that ends this process; its number comes with it."""


def run(arguments) -> int:
    """Do what is missing of a sweep."""
    found = batch.plan(batch.load(arguments.sweep), arguments.out, arguments.rerun_failed)
    at_once = None
    if not (arguments.scheduler or arguments.jobqueue):
        at_once, _ = cluster.local_workers(found.sweep.resources, len(found.missing), arguments.workers)
    print(found.describe(at_once), flush=True)
    if arguments.dry_run:
        return 0
    where = {name: getattr(arguments, name) for name in ("scheduler", "jobqueue", "workers")}
    finished, failed = batch.run(found, **where)
    print(f"{finished} of {len(found.keys)} runs are finished, {failed} failed; they are in {found.folder.address}")
    return 0 if finished == len(found.keys) else 1


def status(arguments) -> int:
    """Say what a sweep's folder holds."""
    found = batch.status(arguments.out)
    counts = f"{len(found['finished'])} finished, {len(found['failed'])} failed, {found['missing']} missing"
    print(f"{found['name']}: {found['runs']} runs, {counts}")
    if found["others"]:
        print(f"{found['others']} finished runs of other parameters or of other code are kept, and not collected")
    for key, failed in found["failed"].items():
        print(f"  failed/{key} {failed['parameters']}: {failed['reason']}")
    return 0


def collect(arguments) -> int:
    """Merge what is finished into one Parquet file, one NetCDF file and one JSON file."""
    for name in batch.collect(arguments.out).values():
        print(f"{arguments.out.rstrip('/')}/{name}")
    return 0


def report(arguments) -> int:
    """Write one HTML page with figures and tables, readable by itself, and the notebook that it comes from."""
    print(f"{arguments.out.rstrip('/')}/{batch.report(arguments.out)}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="python -m lib.batch", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("run", help=run.__doc__)
    one.add_argument("sweep", help="a YAML file: notebook, grid, seeds, resources (lib/batch/sweep.py lists the keys)")
    one.add_argument("--out", required=True, help="folder for the runs, or an fsspec URL (s3://…, gs://…)")
    one.add_argument("--dry-run", action="store_true", help="check, print the estimate, and stop")
    one.add_argument("--rerun-failed", action="store_true", help="do failed runs again as well")
    one.add_argument("--workers", type=int, help="runs at once on this machine; by default what cores and memory allow")
    one.add_argument("--scheduler", help="address of a running Dask scheduler, tcp://HOST:PORT")
    one.add_argument("--jobqueue", metavar="FILE", help="a YAML file with options of dask-jobqueue (Slurm, PBS …)")
    one.set_defaults(do=run)
    for do in (status, collect, report):
        one = commands.add_parser(do.__name__, help=do.__doc__)
        one.add_argument("out", help="a sweep's folder, or its URL")
        one.set_defaults(do=do)
    return top


def main(words: list[str] | None = None) -> int:
    """Do what the words ask for; a wrong setting or a place that cannot be used is a message and status 2."""
    drive.encodable(sys.stdout, sys.stderr)
    arguments = parser().parse_args(words)
    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGHUP) if here}
    try:
        return arguments.do(arguments)
    except (KeyboardInterrupt, ValueError, OSError) as error:
        # Closing a cluster after a signal may fail with an error of its own.
        if stop := _cause(error, KeyboardInterrupt):
            number = stop.args[0] if isinstance(stop, Stopped) else signal.SIGINT
            print(f"stopped ({signal.Signals(number).name}); the same command goes on from here", file=sys.stderr)
            return 128 + number
        print("\n".join([f"error: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr)
        return 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _) -> None:
    for again in (signal.SIGTERM, signal.SIGHUP):  # once is enough: what was started is being ended
        signal.signal(again, signal.SIG_IGN)
    raise Stopped(number)


def _cause(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    """The error of that kind that was being handled when this one was raised, or this one itself."""
    return error if error is None or isinstance(error, kind) else _cause(error.__context__, kind)


if __name__ == "__main__":
    sys.exit(main())
