"""One kernel for one execution of a notebook: this Python with this `lib`, in a process group of its own.

Shared by the runs of a sweep and by the book's own execution (book/execute.py). `SETTINGS` and `own_kernel` go to
papermill.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec

import lib

# Without "immediate" papermill waits a second for a kernel to take leave.
SETTINGS = {"kernel_name": "python3", "language": "python", "progress_bar": False, "shutdown_kernel": "immediate"}


def environment(cores: int = 1) -> dict[str, str]:
    """The variables a kernel starts with: this process's own, its threads, and this `lib` before any other. What
    belongs to another execution (where results go, where a recursion is saved) is left out."""
    others = ("LIB_RESULTS", "LIB_RUN", "LIB_CHECKPOINTS", "PYTHONHASHSEED")
    kept = {name: value for name, value in os.environ.items() if name not in others}
    threads = {name: str(cores) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    path = os.pathsep.join(filter(None, [str(Path(lib.__file__).parent.parent), kept.get("PYTHONPATH")]))
    return kept | threads | {"PYTHONPATH": path}


@contextmanager
def own_kernel(folder: Path, env: Mapping[str, str], cwd: Path, log=None) -> Iterator[type[AsyncKernelManager]]:
    """A class for papermill's `kernel_manager_class`; `started` lists the processes of its kernels. When the block
    ends, so do these and whatever they have started. `folder` is a fresh one with a short path for the kernel's
    sockets, `log` an open file that its process writes to."""
    # Its user's start-up files, history and choice of a backend stay out of it.
    own = {"IPYTHONDIR": f"{folder}/ipython", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    process = {"env": {**env, **own}, "cwd": str(cwd), "stdout": log, "stderr": log}

    class OwnKernel(AsyncKernelManager):
        started: list[subprocess.Popen] = []

        def __init__(self, **settings):
            # Sockets are files in a folder of their own: kernels that start side by side can pick the same TCP port.
            super().__init__(transport="ipc", connection_file=f"{folder}/c.json", **settings)

        @property
        def kernel_spec(self):
            """This Python, whatever kernelspecs are installed."""
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=argv, display_name="Python 3", language="python")

        async def start_kernel(self, **settings):
            await super().start_kernel(**settings | process)
            self.started.append(self.provisioner.process)

    try:
        yield OwnKernel
    finally:
        for process in OwnKernel.started:
            kill(process)
            process.wait()


def ask(module: str, function: str) -> Any:
    """What a function says in a process of its own: one that has touched a GPU holds memory on it."""
    line = [sys.executable, "-c", f"import json, {module}; print(json.dumps({module}.{function}()))"]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=300, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def kill(process: subprocess.Popen) -> None:
    """End a kernel's process group at once, also where the kernel itself has ended."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
