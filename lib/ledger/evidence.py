"""What the other chapters have left, brought onto one axis and into one table, for the chapter that weighs it.

Where an experiment had fewer runs than `MANY`, effects are means over the stored ones, paired within runs. Where it had
more, they are medians over all of them, whose errors are reckoned from the stored quartiles, as if generations and
regimes were independent. They share data, so these intervals are too wide rather than too narrow.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from lib import ledger as claims
from lib import records, theory
from lib.errors import refuse
from lib.intervals import Interval
from lib.ledger import definitions

LEVEL = claims.LEVEL
MANY = 20  # runs; fewer than that have no quartiles worth the name
SOURCES = {"Shumailov": "the Nature paper", "thread": "the thread", "Gerstgrasser": "the reply"}  # by how they begin
OTHERS = "others and this book"
ENDS = ["estimate", "low", "high"]
Stored = Mapping[int, Mapping[str, xr.Dataset]]  # by chapter and name


@dataclass(frozen=True)
class Experiment:
    """A data set of a chapter, at one `setting` if it holds several, and the score by which it is compared. `kind` says
    what else errs besides the finite sample: nothing ("sample"), nothing either, in a family built to fail ("built"), a
    model that is smoothed, truncated or trained for a while ("model"), or an error added on purpose ("added")."""

    label: str
    chapter: int
    group: str
    score: str
    kind: str = "sample"
    setting: Mapping[str, Any] = field(default_factory=dict)

    def data(self, read: Stored) -> xr.Dataset | None:
        """The stored data set; None if the chapter has not left it."""
        data = read.get(self.chapter, {}).get(self.group)
        return None if data is None or self.score not in data else data.sel(self.setting)


KINDS = ("sample", "built", "model", "added")
EXPERIMENTS = (
    Experiment("Gaussian, mean", 2, "regimes", "squared_mean_error"),
    Experiment("words, missing mass", 3, "words", "missing_mass"),
    Experiment("mixture, smallest mode", 4, "gmm", "smallest_mode"),
    Experiment("least squares, risk", 5, "fixed", "excess_risk"),
    Experiment("Gaussian, web size", 12, "constant", "squared_mean_error"),
    Experiment("counterexample, runs", 11, "counterexample_long", "collapsed", "built"),
    Experiment("kernels, loss", 4, "kde", "test_nll", "model", {"setting": "moons 0.5"}),
    Experiment("VAE, test bound", 6, "main", "test_nelbo", "model"),
    Experiment("n-gram, loss", 7, "ngram", "test_perplexity", "model"),
    Experiment("transformer, loss", 7, "transformer", "test_perplexity", "model"),
    Experiment("the protocol, loss", 8, "5 epochs", "test_perplexity", "model"),
    Experiment("molecules, error", 9, "main", "denoising_error", "model"),
    Experiment("temperature, variance", 11, "temperature", "trace_ratio", "added", {"temperature": 0.8}),
    Experiment("biased labels, bias", 11, "shift", "shrinkage", "added"),
)


def read(folder: str | Path | None = None) -> dict[int, dict[str, xr.Dataset]]:
    """The stored data sets of every chapter that does not itself read others'; FileNotFoundError without them."""
    return {k: records.read(k, folder)[1] for k, about in claims.CHAPTERS.items() if not about.reads}


def gather(folder: str | Path | None = None) -> dict[str, xr.Dataset]:
    """The data sets that chapter 13 is judged on."""
    found = read(folder)
    return {
        "ledger": table(folder),
        "effects": effects(found),
        "collapse": collapses(found),
        "sizes": found[1]["composition"][["train_size"]],
        "covariance": covariance(found[2]["unbiased"], found[12]["growing"]),
        "returns": changes(found[11]["unseen"], "missing_mass"),
        "worth": worth(found[11]["worth"]),
    }


def table(folder: str | Path | None = None) -> xr.Dataset:
    """The ledger without the claims of chapter 13: of each its verdict, who said it, and the interval or NaN."""
    folder = records.results_folder() if folder is None else folder
    rows = claims.ledger(folder, tuple(k for k in claims.CHAPTERS if k != 13))
    ends = [f["interval"] or {} for _, f in rows]
    return xr.Dataset(
        {
            "verdict": ("claim", [f["verdict"] for _, f in rows]),
            "measured": ("claim", [f["measured"] for _, f in rows]),
            "chapter": ("claim", [c.chapter for c, _ in rows]),
            "source": ("claim", [source(c) for c, _ in rows]),
            **{end: ("claim", [float(i.get(end, np.nan)) for i in ends]) for end in ("estimate", "low", "high")},
        },
        {"claim": [c.id for c, _ in rows]},
    )


def source(claim: claims.Claim) -> str:
    """Who made a claim: the first source that it names."""
    return next((who for begin, who in SOURCES.items() if claim.source.startswith(begin)), OTHERS)


def posts(source: str) -> set[int]:
    """Posts of the thread that a claim's source names: "thread, 7/N to 9/N" is 7, 8 and 9."""
    found = set()
    for part in source.split(";"):
        if "thread" in part:
            numbers = [int(n) for n in re.findall(r"(\d+)/N", part)]
            found |= set(range(numbers[0], numbers[-1] + 1)) if " to " in part else set(numbers)
    return found


def course(data: xr.Dataset, regime: str, score: str, log: bool = False) -> tuple[np.ndarray, np.ndarray, int]:
    """A score at every generation: values of shape (generation, runs), with errors 0, or medians, (generation, 1), and
    their errors; and the runs. Of a score that is 0 or 1 it is the share of ones; perplexities become logarithms."""
    take = np.log if log or data[score].attrs.get("units") == "perplexity" else np.asarray
    found, runs = data.sel(regime=regime, score_name=score), int(data.attrs["runs"])
    if runs < MANY:
        values = take(found[score].values.astype(float))
        return values, np.zeros(len(values)), values.shape[1]
    if score == "collapsed":  # 0 or 1 in each run
        mean = found["mean_of"].sel(part="estimate").values.astype(float)
        return mean[:, None], np.sqrt(mean * (1 - mean) / runs), runs
    quartiles = found["quantile_of"].sel(quantile=[0.25, 0.5, 0.75]).values.astype(float)
    low, middle, high = take(quartiles).T
    return middle[:, None], 1.2533 * (high - low) / 1.349 / math.sqrt(runs), runs


def change(data: xr.Dataset, regime: str, score: str, log: bool = False) -> tuple[np.ndarray, float, int]:
    """Change of a score from the first to the last generation: the runs' own, or one of medians with its error."""
    values, errors, runs = course(data, regime, score, log)
    return values[-1] - values[0], float(np.hypot(errors[-1], errors[0])), runs


def interval(found: tuple[np.ndarray, float, int]) -> Interval:
    """The interval of a change."""
    values, error, runs = found
    if values.size > 1:
        error = float(values.std(ddof=1) / math.sqrt(values.size))
    half = float(stats.t.ppf(0.5 + LEVEL / 2, max(runs - 1, 1))) * error
    centre = float(values.mean())
    return Interval(centre, centre - half, centre + half, LEVEL)


def ratio(a: tuple[np.ndarray, float, int], b: tuple[np.ndarray, float, int]) -> Interval:
    """Fieller's interval of the ratio of two changes, paired if whole runs are known; NaN ends if `b` may be 0."""
    (x, error_x, runs), (y, error_y, _) = a, b
    if x.shape != y.shape:
        refuse("changes", (x.shape, y.shape), "changes of as many runs")
    centre = x.mean() / y.mean()
    if x.size > 1:
        (xx, xy), (_, yy) = np.cov(x, y) / x.size
    else:
        xx, xy, yy = error_x**2, 0.0, error_y**2
    q = float(stats.t.ppf(0.5 + LEVEL / 2, max(runs - 1, 1))) ** 2
    p, r, s = y.mean() ** 2 - q * yy, x.mean() * y.mean() - q * xy, x.mean() ** 2 - q * xx
    if p <= 0:
        return Interval(float(centre), math.nan, math.nan, LEVEL)
    root = math.sqrt(max(r * r - p * s, 0.0))
    return Interval(float(centre), (r - root) / p, (r + root) / p, LEVEL)


def _known(read):
    return [(e, data) for e in EXPERIMENTS if (data := e.data(read)) is not None]


def _ends(found):
    return [found.estimate, found.low, found.high]


def effects(read: Stored) -> xr.Dataset:
    """What each regime does to each experiment's score from the first to the last fit, as a share of what Replace does
    to it; NaN where it was not run, or Replace does nothing. `rise_low` is the lower end of the change under Replace,
    counted upwards if for the worse."""
    known = _known(read)
    regimes = ("Accumulate", "ReplaceGrown", "Keep(0.1)", "AccumulateSubsample")
    share = np.full((len(known), len(regimes), 3), np.nan)
    rise = np.full(len(known), np.nan)
    for i, (e, data) in enumerate(known):
        replaced = change(data, "Replace", e.score)
        whole = interval(replaced)
        rise[i] = whole.low if data[e.score].attrs["worse"] == "more" else -whole.high
        for j, regime in enumerate(regimes):
            if rise[i] > 0 and regime in data["regime"].values:
                share[i, j] = _ends(ratio(change(data, regime, e.score), replaced))
    return xr.Dataset(
        {
            "share": (("experiment", "regime", "end"), share),
            "rise_low": ("experiment", rise),
            "kind": ("experiment", [e.kind for e, _ in known]),
            "chapter": ("experiment", [e.chapter for e, _ in known]),
            "fits": ("experiment", [int(data["generation"].values[-1]) for _, data in known]),
        },
        {"experiment": [e.label for e, _ in known], "regime": list(regimes), "end": ENDS},
    )


def collapses(read: Stored) -> xr.Dataset:
    """Whether risk rises catastrophically, or the variance collapses, in each experiment: 1 yes, 0 no, −1 undecided."""
    known = _known(read)
    answers = np.full((len(known), 2), -1)
    for i, (_, data) in enumerate(known):
        for j, regime in enumerate(("Replace", "Accumulate")):
            found = definitions.judge(data, regime)
            said = {found[name].collapses for name in ("catastrophic", "variance")}
            answers[i, j] = 1 if True in said else 0 if False in said else -1
    return xr.Dataset(
        {"answer": (("experiment", "regime"), answers), "kind": ("experiment", [e.kind for e, _ in known])},
        {"experiment": [e.label for e, _ in known], "regime": ["Replace", "Accumulate"]},
    )


def covariance(fixed: xr.Dataset, growing: xr.Dataset) -> xr.Dataset:
    """Change of the log of the median variance ratio under Replace, at a fixed size (with its law) and growing ones."""
    fits, n = [int(data["generation"].values[-1]) for data in (fixed, growing)], int(fixed.attrs["n"])
    found = [interval(change(data, "Replace", "trace_ratio", log=True)) for data in (fixed, growing)]
    return xr.Dataset(
        {
            "change": (("sizes", "end"), [_ends(i) for i in found]),
            "law": (fits[0] - 1) * theory.log_drift(n),
            "fits": ("sizes", fits),
            "n": n,
        },
        {"sizes": ["fixed", "growing"], "end": ENDS},
    )


def changes(data: xr.Dataset, score: str) -> xr.Dataset:
    """The change of a score in every regime of a data set, with its interval."""
    regimes = [str(r) for r in data["regime"].values]
    found = [interval(change(data, regime, score)) for regime in regimes]
    return xr.Dataset(
        {"change": (("regime", "end"), [_ends(i) for i in found])},
        {"regime": regimes, "end": ENDS},
        {"score": score, "fits": int(data["generation"].values[-1])},
    )


def worth(data: xr.Dataset) -> xr.Dataset:
    """The error under Accumulate in units of that of as many real samples, at a tenth of the fits and at the last."""
    t = data["generation"].values
    chosen = [int(np.abs(t - t[-1] / 10).argmin()), len(t) - 1]
    pair = [course(data, regime, "squared_mean_error") for regime in ("Accumulate", "RealOnly")]
    found = [ratio(*((values[k], float(errors[k]), runs) for values, errors, runs in pair)) for k in chosen]
    return xr.Dataset({"ratio": (("fits", "end"), [_ends(i) for i in found])}, {"fits": t[chosen], "end": ENDS})
