"""Kernels for runs: each run gets a process of its own, forked from one that has already imported what the notebook imports.

A fresh Python spends seconds on imports, the same ones in every run. A worker therefore keeps one process that imports once and
does nothing else; a run's kernel is a fork of it, so it starts warm and still shares nothing with the run before. Where a fork
is not safe (threads have been started by an import, or the system is not Linux) a fresh Python is started instead.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning import LocalProvisioner

import lib

SOCKET_PATH = 80  # characters that a folder for sockets may take; the system's limit is 108 for the whole path


def environment(cores: int = 1) -> dict[str, str]:
    """The variables a kernel starts with: this process's own, its threads, and this `lib` before any other."""
    threads = {name: str(cores) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    path = os.pathsep.join(filter(None, [str(Path(lib.__file__).parent.parent), os.environ.get("PYTHONPATH")]))
    kept = {k: v for k, v in os.environ.items() if k not in ("LIB_RESULTS", "LIB_RUN", "PYTHONHASHSEED")}
    # The kernel would set the backend itself, but matplotlib reads it when it is imported, which may be before that.
    inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    return inline | kept | threads | {"PYTHONPATH": path}


def library_version() -> str:
    """A hash of the sources of `lib`, the same on every machine that has the same ones."""
    root, found = Path(lib.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        name = path.relative_to(root).as_posix()
        if not name.startswith("batch/"):
            found.update(name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return found.hexdigest()[:16]


def imported(notebook) -> tuple[str, ...]:
    """Modules that a notebook imports at the top of its code cells, the setup cell left out; they can be imported early."""
    found = {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or "setup" in cell.metadata.get("tags", []):
            continue
        try:
            body = ast.parse(cell.source).body
        except SyntaxError:  # lines for IPython; what such a cell imports is imported when it runs
            continue
        for line in body:
            if isinstance(line, ast.Import):
                found |= dict.fromkeys(alias.name for alias in line.names)
            elif isinstance(line, ast.ImportFrom) and line.module and not line.level:
                found |= dict.fromkeys([line.module, *(f"{line.module}.{alias.name}" for alias in line.names)])
    return tuple(found)


@lru_cache(maxsize=2)
def nursery(modules: tuple[str, ...], cores: int) -> Nursery | None:
    """The process that kernels of this process are forked from, started at the first call; None where there can be none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return Nursery(modules, environment(cores))
    except OSError:
        return None


class Nursery:
    """A process that has imported `modules` and forks a kernel when asked. It ends with the process that holds this object."""

    def __init__(self, modules: tuple[str, ...], env: Mapping[str, str]):
        ours, theirs = socket.socketpair()
        # By its path: imported as a module it would bring all of Dask along.
        program = str(Path(__file__).with_name("nursery.py"))
        self.process = subprocess.Popen(
            [sys.executable, "-P", program, str(theirs.fileno()), *modules],
            # Arrow's allocator, which pandas brings along, would start a thread of its own.
            env={**env, "JE_ARROW_MALLOC_CONF": "background_thread:false"},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self.lock, self.socket, self.lines = threading.Lock(), ours, ours.makefile("r")
        self.warm = self.ask({"do": "ready"})["threads"] == 1

    def ask(self, request: dict) -> dict:
        """One request and its answer; OSError if the process is gone."""
        with self.lock:
            self.socket.sendall(json.dumps(request).encode() + b"\n")
            answer = self.lines.readline()
        if not answer:
            raise ConnectionResetError("the process that forks kernels has ended")
        return json.loads(answer)


class Forked:
    """A forked kernel, with as much of `subprocess.Popen` as jupyter_client uses."""

    stdin = stdout = stderr = None

    def __init__(self, home: Nursery, pid: int):
        self.home, self.pid, self.returncode = home, pid, None

    def poll(self) -> int | None:
        if self.returncode is None:
            try:
                self.returncode = self.home.ask({"do": "poll", "pid": self.pid})["status"]
            except OSError:
                self.returncode = -signal.SIGKILL  # its children end with the process that forked them
        return self.returncode

    def wait(self) -> int:
        while self.poll() is None:
            threading.Event().wait(0.02)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class RunKernel:
    """What a run needs to have a kernel: the class that papermill makes its kernel manager from, and how to end it.

    `modules`: what to import early. `cwd`: where the kernel starts. `log`: the file that its process writes to. `extra`: variables
    besides `environment(cores)`. Sockets are files in a folder of their own, as kernels that start side by side can pick the
    same TCP port.
    """

    def __init__(self, modules: tuple[str, ...], cores: int, cwd: Path, log: Path, extra: Mapping[str, str]):
        self.folder = tempfile.mkdtemp(prefix="k", dir=None if len(tempfile.gettempdir()) < SOCKET_PATH else "/tmp")
        self.home = nursery(modules, cores)
        if self.home is not None and self.home.process.poll() is not None:
            nursery.cache_clear()
            self.home = nursery(modules, cores)
        self.env = environment(cores) | {"IPYTHONDIR": f"{self.folder}/ipython"} | dict(extra)
        self.cwd, self.log, self.process = str(cwd), str(log), None
        run = self

        class Provisioner(LocalProvisioner):
            async def launch_kernel(self, cmd, **kwargs):
                run.process = self.process = run.start(f"{run.folder}/c.json")
                self.pid = self.pgid = self.process.pid
                return self.connection_info

        class Manager(AsyncKernelManager):
            def __init__(self, **settings):
                super().__init__(transport="ipc", connection_file=f"{run.folder}/c.json", **settings)
                self.kernel_id = str(uuid.uuid4())
                self.provisioner = Provisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)

            @property
            def kernel_spec(self):
                """This Python, whatever kernelspecs are installed."""
                argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
                return KernelSpec(argv=argv, display_name="Python 3", language="python")

        self.manager_class = Manager

    def start(self, connection_file: str) -> Forked | subprocess.Popen:
        """Start the kernel in a process group of its own."""
        if self.home is not None and self.home.warm:
            request = {
                "do": "start",
                "connection_file": connection_file,
                "env": self.env,
                "cwd": self.cwd,
                "log": self.log,
            }
            return Forked(self.home, self.home.ask(request)["pid"])
        # The kernel watches this process and ends with it.
        env = self.env | {"JPY_PARENT_PID": str(os.getpid())}
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "ipykernel_launcher", "-f", connection_file],
                env=env, cwd=self.cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def end(self) -> None:
        """End the kernel and whatever it has started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
