"""The process that kernels are forked from: it imports, then waits for requests on a socket, one line of JSON each.

It starts no thread, so that a fork is safe, and touches no GPU, which would not survive one. When the other end of the socket
is closed, even by a kill, it ends and takes its kernels with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process gets when the one that forked it ends


def serve(descriptor: int, modules: list[str]) -> None:
    """Import, then answer requests until nobody is left to ask."""
    # A kernel is wanted to be interrupted by its own manager only, not by a Ctrl-C in the terminal.
    os.setsid()
    line = socket.socket(fileno=descriptor)
    import ipykernel.kernelapp

    for name in modules:
        # What cannot be imported is an error of the run that imports it; some names are no modules at all.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()  # keeps the pages of what is imported shared between the forks
    children = set()
    with contextlib.suppress(ConnectionError):
        for text in line.makefile("r"):
            request = json.loads(text)
            if request["do"] == "ready":
                answer = {"threads": len(os.listdir("/proc/self/task"))}
            elif request["do"] == "poll":
                answer = {"status": _status(request["pid"])}
                if answer["status"] is not None:
                    children.discard(request["pid"])
            else:
                pid = os.fork()
                if pid == 0:
                    _become_kernel(line, request, ipykernel.kernelapp.IPKernelApp)
                children.add(pid)
                answer = {"pid": pid}
            line.sendall(json.dumps(answer).encode() + b"\n")
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _status(pid: int) -> int | None:
    """How a child has ended, as subprocess would say it; None while it runs."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return -signal.SIGKILL
    return os.waitstatus_to_exitcode(status) if done else None


def _become_kernel(line: socket.socket, request: dict, application) -> None:
    """In the fork: become a kernel, as `python -m ipykernel_launcher -f FILE` would. Never returns."""
    code = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # the worker does not hear Ctrl-C, a notebook may want to
        line.close()
        out = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.close(out)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        # The kernel is told of its parent, as it would be by Jupyter; without one it greets a person in the log.
        parent = f"--IPKernelApp.parent_handle={os.getppid()}"
        sys.argv = ["ipykernel_launcher", "-f", request["connection_file"], parent]
        _new_random_states()
        application.launch_instance(sys.argv[1:])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _new_random_states() -> None:
    """Forks would all draw the same numbers from generators that nobody has seeded."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2:])
