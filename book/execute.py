"""Execute notebooks for real, several at a time, each in a process and a kernel of its own.

Run as a program, this file executes one notebook and reports each finished cell as a line of JSON; `run_all` starts
such processes and shows how far they are.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# Where a kernel starts, also when it runs a copy: the place where Jupyter and nbval start it.
NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
# A cell that takes longer has lost its kernel: no chapter's budget is more than a few minutes for the whole of it.
CELL_SECONDS = 1200
# The ledger's chapters read what the others found, so they come last.
LAST = ("10", "13")


@dataclass
class Chapter:
    source: Path
    output: Path
    log: Path
    cells: int = 0
    done: int = 0
    started: float = 0.0
    seconds: float = 0.0
    error: dict = field(default_factory=dict)

    @property
    def name(self):
        return self.source.stem

    @property
    def number(self):
        return self.name.split("-")[0]


def waves(chapters):
    """Groups of chapters in the order they run: all others, then 10, then 13."""
    groups = [[c for c in chapters if c.number not in LAST]] + [[c for c in chapters if c.number == n] for n in LAST]
    return [group for group in groups if group]


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(chapters, results, at_once=None):
    """Execute every chapter; `results` is what LIB_RESULTS names. Returns the chapters that failed."""
    environment = {**os.environ, **ONE_THREAD, "LIB_RESULTS": str(results)}
    environment.pop("PYTHONHASHSEED", None)
    environment.pop("LIB_CHECKPOINTS", None)  # a book is computed, not read from what an earlier call has left
    processes, lock = [], threading.Lock()
    for chapter in chapters:
        cells = json.loads(chapter.source.read_text(encoding="utf-8"))["cells"]
        chapter.cells = sum(cell["cell_type"] == "code" for cell in cells)
    bar = tqdm(total=sum(c.cells for c in chapters), unit="cell", disable=not sys.stderr.isatty(), file=sys.stderr)

    def say(text):
        if bar.disable:
            print(text, flush=True)
        else:
            bar.write(text, file=sys.stderr)

    def run(chapter):
        chapter.started = time.monotonic()
        with chapter.log.open("w") as log:
            command = [sys.executable, __file__, str(chapter.source), str(chapter.output)]
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
            processes.append(process)
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "cell":
                    chapter.done += 1
                    with lock:
                        bar.update()
                else:
                    chapter.error = event
            if process.wait() and not chapter.error:
                chapter.error = {"cell": None, "lines": [f"the process ended with status {process.returncode}"]}
        chapter.seconds = time.monotonic() - chapter.started

    try:
        for wave in waves(chapters):
            with ThreadPoolExecutor(min(at_once or cores(), len(wave))) as pool:
                running = {pool.submit(run, chapter): chapter for chapter in wave}
                announced = set()
                while running:
                    finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                    for chapter in running.values():
                        if chapter.started and chapter.name not in announced:
                            announced.add(chapter.name)
                            if bar.disable:
                                say(f"{chapter.name}: started, {chapter.cells} cells")
                    for future in finished:
                        chapter = running.pop(future)
                        future.result()
                        state = "FAILED" if chapter.error else "done"
                        say(f"{chapter.name}: {state} after {chapter.seconds:.0f} s")
                    now = time.monotonic()
                    active = [c for c in running.values() if c.started]
                    bar.set_description_str(", ".join(f"{c.name} {now - c.started:.0f} s" for c in active) or "done")
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
        bar.close()
    return [chapter for chapter in chapters if chapter.error]


def report(chapter):
    """What a reader needs to find the failing cell."""
    where = "outside a cell" if chapter.error["cell"] is None else f"in cell {chapter.error['cell']}"
    lines = [f"\n{chapter.name} failed {where}; what it got to is in {chapter.output}, its log in {chapter.log}"]
    return "\n".join(lines + ["    " + line for line in chapter.error["lines"]])


def execute_one(source, output):
    """Execute one notebook in this process, with this Python as its kernel."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from lib.batch.kernel import SETTINGS, own_kernel

    def cell_done(cell, cell_index, execute_reply):
        print(json.dumps({"event": "cell", "cell": cell_index}), flush=True)

    with tempfile.TemporaryDirectory(prefix="k") as short, own_kernel(Path(short), os.environ, NOTEBOOKS) as manager:
        try:
            papermill.execute_notebook(
                str(source),
                str(output),
                execution_timeout=CELL_SECONDS,
                kernel_manager_class=manager,
                on_cell_executed=cell_done,
                **SETTINGS,
            )
        except Exception as error:
            traceback.print_exc()
            cell, text = None, str(error)
            if isinstance(error, PapermillExecutionError):
                cell, text = error.cell_index, "\n".join(error.traceback)
            lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.splitlines()][-14:]
            print(json.dumps({"event": "error", "cell": cell, "lines": lines}), flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(execute_one(*sys.argv[1:]))
