"""Whether every chapter shows the same on other processors. `make processors` runs this (a maintainer's check, an
hour on two cores).

OpenBLAS and torch pick their kernels by the processor they find; told to pick others, they round as other processors
do. Each chapter's stored outputs are compared cell by cell, as `make test` does, with nothing taken from a store.
Names or numbers of chapters as arguments: those only. What nbval said of each is left in _build/processors.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book"))

from make import BUILD, ROOT, find, seconds

PLACE = BUILD / "processors"
PROCESSORS = {
    "as it is": {},
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "Zen": {"OPENBLAS_CORETYPE": "Zen"},
    "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
    "Prescott": {"OPENBLAS_CORETYPE": "Prescott", "ATEN_CPU_CAPABILITY": "default"},
}
# What would choose kernels, or hand over results instead of computing them.
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "ATEN_CPU_CAPABILITY", "LIB_STORE", "LIB_CHECKPOINTS", "LIB_RESULTS")
KERNEL = "import numpy, threadpoolctl; print({i.get('architecture') for i in threadpoolctl.threadpool_info()} - {None})"


def environment(processor):
    inherited = {name: value for name, value in os.environ.items() if name not in UNSET}
    return inherited | PROCESSORS[processor]


def check(path, processor):
    """Whether nbval finds a chapter's outputs on a processor; what it prints goes into a file."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    command += ["--nbval-cell-timeout=3600", str(path)]
    log = PLACE / f"{path.stem} {processor}.log"
    with log.open("w") as file:
        done = subprocess.run(command, cwd=ROOT, env=environment(processor), stdout=file, stderr=file)
    last = log.read_text(encoding="utf-8").splitlines()[-1:]
    same = done.returncode == 0
    print(f"{path.stem}, {processor}: {'same' if same else f'NOT the same, see {log}: ' + ''.join(last)}", flush=True)
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help="numbers or names of chapters; all when none is given")
    only = parser.parse_args().only
    paths = sorted(find(only), key=lambda path: seconds(path.stem), reverse=True)
    PLACE.mkdir(parents=True, exist_ok=True)
    for processor in PROCESSORS:
        print(f"{processor}: OpenBLAS computes with", end=" ", flush=True)
        subprocess.run([sys.executable, "-c", KERNEL], env=environment(processor))
    cells = [(path, processor) for processor in PROCESSORS for path in paths]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        same = dict(zip(cells, pool.map(lambda cell: check(*cell), cells), strict=True))
    print(f"\n{'':24}" + "".join(f"{processor:>10}" for processor in PROCESSORS))
    for path in sorted(paths):
        print(f"{path.stem:24}" + "".join(f"{'same' if same[path, p] else 'DIFFERS':>10}" for p in PROCESSORS))
    return int(not all(same.values()))


if __name__ == "__main__":
    sys.exit(main())
