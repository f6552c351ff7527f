"""What a run has found, and what it was: parameters, seeds, versions, commit, device, times.

- A chapter at its default parameters leaves a *summary* (`leave`) where LIB_RESULTS says: the ledger reads it.
- A run of a sweep hands over *everything* (`leave_run`) in the folder that LIB_RUN names, where `lib.batch` collects
  it. A notebook that a sweep executes needs a parameters cell and `leave_run` at its end, or `chapter.end()`.
- What `make records` has kept of a sweep (`record`) lies in `lib/stored/sweeps/`, what others have published
  (`published`) in `lib/stored/published/`; chapters draw both.
"""

import gzip
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from lib import provenance
from lib.errors import among

COMMITTED = Path(__file__).parent / "stored" / "chapters"
RECORDED = (Path(__file__).parent / "stored" / "sweeps",)
PUBLISHED = Path(__file__).parent / "stored" / "published"
SERIES = ("regime", "generation", "run")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
KEPT_RUNS = 6  # whole trajectories kept with a summary, for judges that pair runs
KEPT_GENERATIONS = 40
PARTS = ("estimate", "error")
ABOUT = ("kind", "worse", "units")  # what a world says of a score
# Changes that a summary keeps, and between which generations: all of them, the last doubling of their number, the one
# before, and both doublings (from which the covariance of the two follows).
CHANGES = {"whole": ("first", "end"), "last": ("half", "end")}
CHANGES |= {"before": ("quarter", "half"), "both": ("quarter", "end")}
FEW = 8  # regimes; up to so many all pairs are compared, of more each with the first


def results_folder() -> Path:
    """Where results are read: the fresh folder named by LIB_RESULTS if one is set, else the committed one."""
    return Path(os.environ.get("LIB_RESULTS") or COMMITTED)


def key(configuration: Mapping[str, Any]) -> str:
    """A short hash of a configuration, the same wherever it is computed."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:16]


def summary(data: xr.Dataset, runs: int = KEPT_RUNS, generations: int = KEPT_GENERATIONS) -> xr.Dataset:
    """A data set of `recurse` small enough to commit. Of scores with dims (…, regime, generation, run) it keeps the
    first `runs` runs under the score's own name, and for all scores together, with `score_name` as the first dim

    - `quantile_of` (…, regime, generation, quantile) and `mean_of` (…, regime, generation, part), where `part` is the
      estimate and its standard error;
    - `change_of` (…, regime, change, part): changes between generations (`CHANGES`), paired within runs;
    - `gap_of` (…, regime, other, part): differences of regimes at the last generation, paired within runs.

    All are computed from all runs in double precision and stored in single; a standard error from one run is NaN.
    Changes and gaps are of the logarithm where `logarithmic` says so; those of a variance are medians over runs, the
    others means.

    Up to `generations` generations are kept, about evenly on a log scale, and those that changes start from. What was
    kept for pictures stays in the notebook, as do rows of a sweep's list (dim `set`) that hold nothing. A data set
    without runs stays as it is, and so does a summary.
    """
    if "run" not in data.sizes or "quantile_of" in data:
        return data
    data = _filled(data)
    scores = {n: v for n, v in data.data_vars.items() if v.dims[-3:] == SERIES and np.issubdtype(v.dtype, np.number)}
    out = data.drop_vars([name for name in data.variables if "run" in data[name].dims])
    out.attrs["runs"] = data.sizes["run"]
    if not scores:
        return out
    t, known = data["generation"].values, data["regime"].values
    places = _places(t)
    early = range(len(t))
    if len(t) > generations:
        early = np.geomspace(1, len(t), generations).round().astype(int) - 1
    chosen = sorted({*map(int, early), *places.values()})
    out = out.isel(generation=chosen)
    others = known if len(known) <= FEW else known[:1]
    parts = []
    for name, values in scores.items():
        whole = values.values.astype(float)
        if runs:
            out[name] = (values.dims, whole[..., chosen, :runs].astype("float32"), values.attrs)
        with np.errstate(all="ignore"):
            compared = np.log(whole) if logarithmic(name, values.attrs) else whole
            centred = _typical if values.attrs.get("kind") == "variance" else _mean
            at = {place: compared[..., k, :] for place, k in places.items()}
            gaps = at["end"][..., :, None, :] - at["end"][..., None, : len(others), :]
            parts.append(
                {
                    "quantile": np.moveaxis(np.quantile(whole[..., chosen, :], QUANTILES, axis=-1), 0, -1),
                    "mean": _mean(whole[..., chosen, :]),
                    "change": np.stack([centred(at[b] - at[a]) for a, b in CHANGES.values()], axis=-2),
                    "gap": centred(gaps),
                }
            )
    lead = next(iter(scores.values())).dims[:-3]
    dims = {"quantile": "generation quantile", "mean": "generation part", "change": "change part", "gap": "other part"}
    for part, last in dims.items():
        array = np.stack([of[part] for of in parts]).astype("float32")
        out[f"{part}_of"] = (("score_name", *lead, "regime", *last.split()), array)
    about = {key: ("score_name", [str(v.attrs.get(key, "")) for v in scores.values()]) for key in ABOUT}
    since, until = zip(*CHANGES.values(), strict=True)
    spans = {k: ("change", [t[places[at]] for at in ends]) for k, ends in (("since", since), ("until", until))}
    out = out.assign_coords(quantile=list(QUANTILES), part=list(PARTS), change=list(CHANGES), other=others)
    return out.assign_coords({"score_name": list(scores)} | about | spans)


def logarithmic(name: str, about: Mapping[str, Any]) -> bool:
    """Whether changes of a score are changes of its logarithm: of a perplexity, of a variance that is no logarithm."""
    return about.get("units") == "perplexity" or (about.get("kind") == "variance" and not name.startswith("log_"))


def _filled(data: xr.Dataset) -> xr.Dataset:
    """A sweep over a list without the rows that hold nothing, and without the dim if one is left."""
    if "set" not in data.dims:
        return data
    held = data[[name for name, v in data.data_vars.items() if {"set", *SERIES} <= set(v.dims)]].to_dataarray()
    data = data.isel(set=np.flatnonzero(held.notnull().any([dim for dim in held.dims if dim != "set"]).values))
    return data.isel(set=0, drop=True) if data.sizes["set"] == 1 else data


def _places(t: np.ndarray) -> dict[str, int]:
    """Where changes begin and end: the first generation, the nearest to a quarter and to half of the last, the last."""
    quarter, half = (int(np.abs(t - t[-1] / k).argmin()) for k in (4, 2))
    return {"first": 0, "quarter": quarter, "half": half, "end": len(t) - 1}


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean over runs and its standard error, on a new last axis."""
    runs = values.shape[-1]
    error = values.std(axis=-1, ddof=1) / np.sqrt(runs) if runs > 1 else np.full(values.shape[:-1], np.nan)
    return np.stack([values.mean(axis=-1), error], axis=-1)


def _typical(values: np.ndarray) -> np.ndarray:
    """The median over runs and its standard error by the quartiles, as for a normal sample."""
    runs = values.shape[-1]
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=-1)
    error = 1.2533 * (high - low) / 1.349 / np.sqrt(runs) if runs > 1 else np.full(middle.shape, np.nan)
    return np.stack([middle, error], axis=-1)


def leave(
    chapter: int,
    configuration: Mapping[str, Any],
    results: Mapping[str, xr.Dataset],
    findings: list[dict],
    answers: list[dict],
    seconds: float,
    folder: str | Path,
) -> None:
    """Write `NN.nc.gz`, a group for each summary, and `NN.json` into `folder`, each aside and then renamed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{chapter:02d}"
    # What a judge needs and no trajectory keeps is left out as a whole.
    kept = {name: small for name, data in results.items() if (small := summary(data)).data_vars}
    if kept:
        aside = folder / f".{stem}.nc"
        write_groups(aside, kept)
        # Most of a file of many small arrays is their headers, which nothing but this makes small.
        (folder / f".{stem}.nc.gz").write_bytes(gzip.compress(aside.read_bytes(), mtime=0))
        aside.unlink()
        (folder / f".{stem}.nc.gz").replace(folder / f"{stem}.nc.gz")
    stored = {
        "chapter": chapter,
        "key": key(configuration),
        "configuration": dict(configuration),
        "groups": list(kept),
        "answers": answers,
        "findings": findings,
        "seconds": round(seconds, 1),
        "provenance": provenance.collected(),
    }
    aside = folder / f".{stem}.json"
    aside.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")
    aside.replace(folder / f"{stem}.json")


def write_groups(path: Path, groups: Mapping[str, xr.Dataset]) -> None:
    """Write data sets into one file, a group for each."""
    path.unlink(missing_ok=True)
    for name, data in groups.items():
        large = [v for v in data.data_vars if data[v].size > 200 and data[v].dtype.kind in "fiu"]
        encoding = {v: {"zlib": True, "complevel": 4} for v in large}
        data.to_netcdf(path, mode="a", group=name, engine="h5netcdf", encoding=encoding)


def leave_run(
    results: Mapping[str, xr.Dataset],
    findings: list[dict] | None = None,
    answers: list[dict] | None = None,
    notes: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
) -> Path | None:
    """Hand over what a run of a sweep has found, in `folder` or the one that LIB_RUN names; without either, do nothing.

    `results` maps names to data sets of numbers or text; those of one name are merged over the runs, so dims that mean
    the same have the same name. `findings` are judged claims (`lib.ledger.judge`), `answers` those of
    `lib.ledger.questions.asked`, `notes` anything else that JSON holds. Writes `data.nc`, with a group for each data
    set, and `findings.json`.
    """
    folder = folder or os.environ.get("LIB_RUN")
    if not folder:
        return None
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_groups(folder / "data.nc", results)
    stored = {"groups": list(results), "findings": findings or [], "answers": answers or [], "notes": dict(notes or {})}
    (folder / "findings.json").write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")
    return folder


@dataclass(frozen=True)
class Record:
    """A recorded sweep: `data` has what `summary` keeps of its data sets, with the sweep's axes as the first dims and
    its name as the attribute `recorded`; `about` says what was run, where, when, and how long."""

    name: str
    data: dict[str, xr.Dataset]
    about: dict[str, Any]

    @property
    def line(self) -> str:
        """The label that goes with every figure drawn from it."""
        about = self.about
        commit = f"commit {about['commit'][:10]}" if about["commit"] else "outside a repository"
        changed = " with changes" if about["changed"] else ""
        runs = f"{about['runs']} runs" if about["runs"] > 1 else "one run"
        ran = about.get("ran", "a notebook")
        took = f"{spent(about['seconds'])} in all, on {about['device']}"
        return f"Recorded on {about['date'][:10]}, {commit}{changed}: {runs} of {ran}, {took}."


def spent(seconds: float) -> str:
    """A time in words: seconds below a minute and a half, minutes above."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


def record(name: str) -> Record | None:
    """The recorded sweep of that name; None if there is none (`not_recorded` then says so in a sentence)."""
    for folder in RECORDED:
        if (folder / f"{name}.json").exists():
            about = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            path = folder / f"{name}.nc"
            data = {g: xr.load_dataset(path, group=g, engine="h5netcdf") for g in about["groups"]}
            return Record(name, {g: found.assign_attrs(recorded=name) for g, found in data.items()}, about)
    return None


def not_recorded(name: str) -> str:
    """What a chapter says in place of a record that does not exist."""
    return f"*No run of `{name}` is recorded yet.* In a clone, `make records ONLY={name}` records it."


def read(chapter: int, folder: str | Path | None = None) -> tuple[dict[str, Any], dict[str, xr.Dataset]]:
    """What a chapter has left: its record and its summarised data sets."""
    folder = results_folder() if folder is None else Path(folder)
    path = folder / f"{chapter:02d}.json"
    if not path.exists():
        raise FileNotFoundError(f"{path}: chapter {chapter} has left no results; `make notebooks` writes them")
    stored = json.loads(path.read_text())
    if not stored["groups"]:
        return stored, {}
    file = gzip.decompress((folder / f"{chapter:02d}.nc.gz").read_bytes())
    return stored, {g: xr.load_dataset(io.BytesIO(file), group=g, engine="h5netcdf") for g in stored["groups"]}


def published(name: str) -> xr.Dataset:
    """Numbers that others have published, `lib/stored/published/NAME.csv`, by all of its columns but the last; the
    attributes say whose they are and how they were read."""
    import pandas as pd

    about = json.loads((PUBLISHED / "about.json").read_text(encoding="utf-8"))
    among("name", name, tuple(about["sets"]))
    table = pd.read_csv(PUBLISHED / f"{name}.csv")
    data = table.set_index(list(table.columns[:-1])).to_xarray()
    return data.assign_attrs(source=about["source"], read=about["read"], about=about["sets"][name])
