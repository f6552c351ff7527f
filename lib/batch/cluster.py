"""Workers for a sweep, all of them Dask's: on this machine, on a running cluster, or as jobs of a batch system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import dask
import psutil
import yaml
from distributed import Client, Nanny, Scheduler, SpecCluster

from lib.batch.kernel import environment
from lib.batch.sweep import Resources
from lib.errors import among, refuse, whole
from lib.provenance import code_digest

QUIET = {
    "logging.distributed": "critical",  # a failed run is reported by name; Dask need not tell it again
    "distributed.worker.memory.target": False,  # results stay in files; what a worker holds is small
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.scheduler.worker-saturation": 1.0,
}


@contextmanager
def connect(
    resources: Resources,
    runs: int,
    scheduler: str | None = None,
    jobqueue: str | None = None,
    workers: int | None = None,
) -> Iterator[Client]:
    """A client of a cluster on which runs of these resources can be done. What was started for it ends with the
    block."""
    if scheduler and jobqueue:
        refuse("scheduler", scheduler, "not together with a job queue: choose one of the two")
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(QUIET))
        place = scheduler
        if not scheduler:
            with _deaf_children():
                place = stack.enter_context(
                    _queued(jobqueue, resources, runs) if jobqueue else local(resources, runs, workers)
                )
        yield stack.enter_context(Client(place, timeout="10s", set_as_default=False))


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes that are started in this block do not hear Ctrl-C or the end of the terminal, which all that run in it
    are told: this process alone decides what becomes of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def local(resources: Resources, runs: int, workers: int | None = None) -> SpecCluster:
    """A cluster on this machine: as many workers as cores, memory and GPUs allow, one process and one run at a time
    each."""
    count, devices = local_workers(resources, runs, workers)
    offered = {"gpu": resources.gpu} if resources.gpu else {}
    common = {"nthreads": 1, "memory_limit": 0, "resources": offered, "dashboard": False, "silence_logs": "CRITICAL"}
    specification = {}
    for k in range(count):
        env = environment(resources.cores)
        if devices:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(devices[k * resources.gpu : (k + 1) * resources.gpu])
        specification[k] = {"cls": Nanny, "options": {**common, "env": env}}
    bokeh = find_spec("bokeh") is not None  # what draws the dashboard
    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "dashboard": bokeh}
    head = {"cls": Scheduler, "options": options}
    return SpecCluster(workers=specification, scheduler=head, silence_logs="ERROR", name="sweep")


def local_workers(resources: Resources, runs: int, wanted: int | None = None) -> tuple[int, list[str]]:
    """How many runs fit on this machine side by side, and the names of its GPUs if runs need them. ValueError if none
    fits."""
    have, free = cores(), psutil.virtual_memory().available
    if resources.cores > have:
        refuse("resources.cores", resources.cores, f"at most the {have} cores of this machine")
    if resources.memory > free:
        refuse("resources.memory", resources.memory, f"at most the {free} bytes that are free on this machine")
    devices = gpus() if resources.gpu else []
    if len(devices) < resources.gpu:
        refuse("resources.gpu", resources.gpu, f"at most the {len(devices)} GPUs of this machine")
    limits = [max(1, runs), have // resources.cores]
    limits += [free // resources.memory] if resources.memory else []
    limits += [len(devices) // resources.gpu] if resources.gpu else []
    limits += [whole("workers", wanted, 1)] if wanted is not None else []
    return min(limits), devices


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them. Asked of a process of its own:
    one that has touched a GPU holds memory on it."""
    if given := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return [name for name in given.split(",") if name.strip()]
    program = "import torch; print(torch.cuda.device_count())"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=300
    )
    return [str(k) for k in range(int(done.stdout))] if done.returncode == 0 else []


def _queued(path: str, resources: Resources, runs: int) -> SpecCluster:
    """A cluster whose workers are jobs of a batch system, through dask-jobqueue. The YAML file names the system
    (`system: slurm`), how many jobs (`jobs: 4`), and options that go to dask-jobqueue as they are (queue, account,
    cores, memory, walltime …)."""
    import dask_jobqueue

    systems = {name.removesuffix("Cluster").lower(): name for name in vars(dask_jobqueue) if name.endswith("Cluster")}
    try:
        options = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no valid YAML: {error}") from error
    if not isinstance(options, dict):
        refuse("jobqueue", path, "a YAML file with `system: slurm` (or pbs, sge, lsf, htcondor), `jobs: N` and options")
    system, jobs = options.pop("system", None), whole("jobs", options.pop("jobs", 1), 1)
    among("system", system, tuple(systems))
    options = {"cores": resources.cores, "processes": 1, "memory": "2 GB", "python": sys.executable} | options
    if resources.gpu:
        offered = ["--resources", f"gpu={resources.gpu}"]
        options["worker_extra_args"] = [*options.get("worker_extra_args", []), *offered]
    # What a run needs is in the worker's environment, wherever the job starts.
    exports = [f"export {name}={environment(resources.cores)[name]!r}" for name in ("PYTHONPATH", "OMP_NUM_THREADS")]
    options["job_script_prologue"] = [*exports, *options.get("job_script_prologue", [])]
    try:
        cluster = getattr(dask_jobqueue, systems[system])(**options)
    except (TypeError, ValueError) as error:
        refuse("jobqueue", path, f"options that dask-jobqueue takes ({error})")
    cluster.scale(jobs=min(jobs, runs))
    return cluster


def check_workers(client: Client, resources: Resources, modules: list[str]) -> None:
    """Refuse workers on which a notebook with these modules of `lib` would run other code, and a cluster on which no
    worker offers what a run needs."""
    ours = code_digest(modules)
    others = [address for address, found in client.run(code_digest, modules).items() if found != ours]
    if others:
        refuse(
            "scheduler",
            client.scheduler.address,
            f"workers with the same lib as here; {', '.join(others)} have another",
        )
    offers = [worker.get("resources", {}) for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
    if resources.gpu and not any(offer.get("gpu", 0) >= resources.gpu for offer in offers):
        refuse("resources.gpu", resources.gpu, "what a worker offers; start workers with --resources gpu=N")
