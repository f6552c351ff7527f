"""The command line of lib.batch. Exit status: 0 all runs finished, 1 some failed, 2 a setting is wrong or a place is
not there, 128 and the signal's number where one has stopped it."""

import argparse
import signal
import sys

from lib import batch
from lib.batch import cluster


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
    place = one.add_mutually_exclusive_group()
    place.add_argument("--scheduler", help="address of a running Dask scheduler, tcp://HOST:PORT")
    place.add_argument("--jobqueue", metavar="FILE", help="a YAML file with options of dask-jobqueue (Slurm, PBS …)")
    one.set_defaults(do=run)
    for do in (status, collect, report):
        one = commands.add_parser(do.__name__, help=do.__doc__)
        one.add_argument("out", help="a sweep's folder, or its URL")
        one.set_defaults(do=do)
    return top


def main(words: list[str] | None = None) -> int:
    """Do what the words ask for; a wrong setting or a place that cannot be used is a message and status 2."""
    for stream in (sys.stdout, sys.stderr):  # what its encoding does not know ends no sweep
        stream.reconfigure(errors="replace")
    arguments, stopped = parser().parse_args(words), []

    def stop(number: int, _) -> None:
        for again in (signal.SIGTERM, signal.SIGHUP):  # once is enough: what was started is being ended
            signal.signal(again, signal.SIG_IGN)
        stopped.append(number)
        raise KeyboardInterrupt

    try:
        with cluster.heard(stop, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            return arguments.do(arguments)
    except (KeyboardInterrupt, ValueError, OSError) as error:
        if not stopped:  # closing a cluster after a signal may fail with an error of its own
            print(f"error: {error}", file=sys.stderr)
            return 2
        print(f"stopped ({signal.Signals(stopped[0]).name}); the same command goes on from here", file=sys.stderr)
        return 128 + stopped[0]


if __name__ == "__main__":
    sys.exit(main())
