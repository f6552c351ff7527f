"""Workers for a sweep, all of them Dask's: on this machine, on a running cluster, or as jobs of a batch system."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import dask
import psutil
from dask.system import CPU_COUNT
from distributed import Client, Nanny, Scheduler, SpecCluster

from lib.batch.kernel import ask, environment
from lib.batch.sweep import Resources, read_yaml
from lib.errors import among, refuse, whole
from lib.provenance import code_digest

# A failed run is reported by name, Dask need not tell it again; and what is handed out is never more than can be done.
QUIET = {"logging.distributed": "critical", "distributed.scheduler.worker-saturation": 1.0}


@contextmanager
def connect(resources: Resources, runs: int, scheduler=None, jobqueue=None, workers=None) -> Iterator[Client]:
    """A client of a cluster for runs of these resources: the address of a scheduler, a file for a batch system, or a
    number of workers here. What was started for it ends with the block."""
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(QUIET))
        if not scheduler:
            # Ctrl-C and the end of the terminal are told to all that run in it; this process alone hears them.
            with heard(signal.SIG_IGN, signal.SIGINT, signal.SIGHUP):
                started = _queued(jobqueue, resources, runs) if jobqueue else local(resources, runs, workers)
                scheduler = stack.enter_context(started)
        yield stack.enter_context(Client(scheduler, timeout="10s", set_as_default=False))


@contextmanager
def heard(handler: Callable | signal.Handlers, *numbers: signal.Signals) -> Iterator[None]:
    """These signals go to `handler` during a block of the main thread, which alone can ask for that."""
    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in numbers if here}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def local(resources: Resources, runs: int, workers: int | None = None) -> SpecCluster:
    """A cluster on this machine: as many workers as fit, one process, one run at a time and GPUs of its own each."""
    count, devices = local_workers(resources, runs, workers)
    offered = {"gpu": resources.gpu} if resources.gpu else {}
    common = {"nthreads": 1, "memory_limit": 0, "resources": offered, "dashboard": False, "silence_logs": "CRITICAL"}
    specification = {}
    for k in range(count):
        env = environment(resources.cores)
        if devices:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(devices[k * resources.gpu : (k + 1) * resources.gpu])
        specification[k] = {"cls": Nanny, "options": {**common, "env": env}}
    head = {"cls": Scheduler, "options": {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "dashboard": True}}
    return SpecCluster(workers=specification, scheduler=head, silence_logs="ERROR", name="sweep")


def local_workers(resources: Resources, runs: int, wanted: int | None = None) -> tuple[int, list[str]]:
    """How many runs fit on this machine side by side, and the names of its GPUs if runs need them. Refused if none
    fits."""
    devices = gpus() if resources.gpu else []
    limits = [max(1, runs), max(1, runs) if wanted is None else whole("workers", wanted, 1)]
    there = {"cores": CPU_COUNT, "memory": psutil.virtual_memory().available, "gpu": len(devices)}
    for name, free in there.items():
        if need := getattr(resources, name):
            if need > free:
                refuse(f"resources.{name}", need, f"at most what is free on this machine: {free}")
            limits.append(free // need)
    return min(limits), devices


def gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    if given := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return [name for name in given.split(",") if name.strip()]
    return [str(k) for k in range(ask("torch.cuda", "device_count"))]


def _queued(path: str, resources: Resources, runs: int) -> SpecCluster:
    """A cluster whose workers are jobs of a batch system. The YAML file names the system (`system: slurm`), how many
    jobs (`jobs: 4`), and options that go to dask-jobqueue as they are (queue, account, cores, memory, walltime …)."""
    import dask_jobqueue

    systems = {name.removesuffix("Cluster").lower(): name for name in vars(dask_jobqueue) if name.endswith("Cluster")}
    options = read_yaml(path)
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
    """Refuse workers on which a notebook with these modules would run other code, and a cluster on which no worker
    offers what a run needs."""
    ours = code_digest(modules)
    if others := [worker for worker, found in client.run(code_digest, modules).items() if found != ours]:
        refuse("scheduler", client.scheduler.address, f"workers with the same lib; {', '.join(others)} have another")
    offers = [worker.get("resources", {}) for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
    if resources.gpu and not any(offer.get("gpu", 0) >= resources.gpu for offer in offers):
        refuse("resources.gpu", resources.gpu, "what a worker offers; start workers with --resources gpu=N")
