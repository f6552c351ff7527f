"""What a run was, beside what it found: parameters, seeds, versions, commit, device, times."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

PACKAGES = ("numpy", "scipy", "xarray", "torch", "scikit-learn")
COMMITTED = Path(__file__).parent / "results"
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
KEPT_RUNS = 6  # whole trajectories kept with a summary, for definitions that look at a single run
KEPT_GENERATIONS = 40


def results_folder() -> Path:
    """Where results are read: the fresh folder named by LIB_RESULTS if one is set, else the committed one."""
    return Path(os.environ.get("LIB_RESULTS") or COMMITTED)


def provenance() -> dict[str, Any]:
    """Commit (None outside a checkout), whether the code differs from it, date (UTC), versions and processor."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(
            _git("status", "--porcelain", "--", "lib", "notebooks", ":!lib/results", ":!notebooks/*.ipynb")
        ),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "machine": platform.machine(),
        "device": device(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
    }


def version(package: str) -> str | None:
    """The installed version of a package without its build tag, or None."""
    try:
        return importlib.metadata.version(package).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def device() -> str:
    """The processor in words: the GPU's name where torch sees one, else the CPU's."""
    try:
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    except ImportError:
        pass
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def key(configuration: Mapping[str, Any]) -> str:
    """A short hash of a configuration, the same wherever it is computed."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:16]


def summary(data: xr.Dataset) -> xr.Dataset:
    """A data set of `recurse` small enough to commit: for each score a variable with dims (regime, generation, summary), where
    `summary` is "mean", the quantiles over runs ("q05" … "q95") and the first runs themselves ("run 0" …), in single precision.

    Up to 40 generations are kept, all early ones, then about evenly on a log scale. What was kept for pictures (samples, means)
    stays in the notebook.
    """
    total = data.sizes["generation"]
    chosen = np.unique(np.geomspace(1, total, min(total, KEPT_GENERATIONS)).round().astype(int)) - 1
    data = data.isel(generation=chosen)
    runs = min(KEPT_RUNS, data.sizes["run"])
    labels = ["mean", *(f"q{100 * q:02.0f}" for q in QUANTILES), *(f"run {k}" for k in range(runs))]
    out = data.drop_vars([name for name in data.variables if "run" in data[name].dims])
    for name, values in data.data_vars.items():
        if values.dims == ("regime", "generation", "run"):
            array = values.values
            parts = [
                array.mean(axis=2)[..., None],
                np.moveaxis(np.quantile(array, QUANTILES, axis=2), 0, -1),
                array[..., :runs],
            ]
            out[name] = (("regime", "generation", "summary"), np.concatenate(parts, axis=2).astype("float32"))
    return out.assign_coords(summary=labels)


def leave(
    chapter: int,
    configuration: Mapping[str, Any],
    results: Mapping[str, xr.Dataset],
    findings: list[dict],
    seconds: float,
    folder: str | Path,
) -> None:
    """Write `NN.nc` (a group per data set) and `NN.json` into `folder`, each aside and then renamed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{chapter:02d}"
    aside = folder / f".{stem}.nc"
    aside.unlink(missing_ok=True)
    for number, (name, data) in enumerate(results.items()):
        small = summary(data)
        encoding = {v: {"zlib": True, "complevel": 9} for v in small.data_vars if small[v].ndim == 3}
        small.to_netcdf(aside, mode="w" if number == 0 else "a", group=name, engine="h5netcdf", encoding=encoding)
    if results:
        aside.replace(folder / f"{stem}.nc")
    stored = {
        "chapter": chapter,
        "key": key(configuration),
        "configuration": dict(configuration),
        "groups": list(results),
        "findings": findings,
        "seconds": round(seconds, 1),
        "provenance": provenance(),
    }
    aside = folder / f".{stem}.json"
    aside.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")
    aside.replace(folder / f"{stem}.json")


def read(chapter: int, folder: str | Path | None = None) -> tuple[dict[str, Any], dict[str, xr.Dataset]]:
    """What a chapter has left: its record and its summarised data sets."""
    folder = results_folder() if folder is None else Path(folder)
    path = folder / f"{chapter:02d}.json"
    if not path.exists():
        raise FileNotFoundError(f"{path}: chapter {chapter} has left no results; `make notebooks` writes them")
    stored = json.loads(path.read_text())
    data = {g: xr.load_dataset(folder / f"{chapter:02d}.nc", group=g, engine="h5netcdf") for g in stored["groups"]}
    return stored, data


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, cwd=Path(__file__).parent, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
