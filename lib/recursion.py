"""The one recursion of the book: fit, sample, compose, fit again. The only place where generations are counted."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from tqdm import tqdm

from lib import __version__, pool
from lib import distributed as team
from lib.checkpoint import Checkpoint, named_by_reader
from lib.errors import among, flag, refuse, whole
from lib.regimes import Regime, Step
from lib.streams import Streams, regime_key
from lib.world import Demand, World

MOST_FITS = 10**9  # a score of so many takes 8 GB
PER_GENERATION = {
    "real_share": "expected share of real samples in the training set",
    "train_size": "samples in the training set, per run",
    "steps": "optimiser steps of the fit, per run (1 for a closed form)",
    "examples": "training examples the fit has seen, per run",
}


def recurse(
    world: World,
    regimes: Regime | Iterable[Regime] | Mapping[str, Regime],
    *,
    n: int | Callable[[int], int],
    generations: int,
    runs: int,
    seed: int,
    scores: Iterable[str] | None = None,
    select: Callable[[pool.Batch, np.random.Generator], pool.Batch] | None = None,
    independent: bool = False,
    inputs_from: str = "real",
    block: int | None = None,
    checkpoint: str | Path | None = None,
    keep: Iterable[str] = (),
    progress: bool | None = None,
) -> xr.Dataset:
    """Train generation after generation under each regime, with everything but the regime the same.

    Parameters
    ----------
    world : the model family and its data.
    regimes : one regime, several, or a mapping from labels to regimes (labels must differ; two equal regimes under two
        labels make a null experiment).
    n : samples in a set; a function of the generation (1, 2, …) for data that grow.
    generations : number of fits. Generation 1 is fitted to n real samples and shared by all regimes.
    runs : independent repetitions, computed together along a leading axis.
    seed : a non-negative whole number. Streams are keyed by (block, generation, purpose): adding a regime, a generation
        or, with `block=None`, a run changes no other number.
    scores : names among `world.scores`; all of them by default.
    select : applied to each synthetic batch, with a random stream: a filter or a verifier.
    independent : each regime draws everything, the real data included, from streams of its own, for null experiments.
        By default regimes share streams, so that differences between them are paired.
    inputs_from : "real" or "previous": where a conditional world takes its inputs from, the original data or the newest
        synthetic batch.
    block : at most so many runs are held in memory at once. The block is part of a stream's key.
    checkpoint : a folder. What is finished is stored there after every generation and found again by a call with the
        same settings; more generations or more regimes may be asked for later. Without one, a world that trains networks
        keeps its generations below the folder that the environment variable LIB_CHECKPOINTS names, if it is set.
    keep : names among `world.extras` to be recorded as well.
    progress : show a bar; by default for whatever takes longer than three seconds.

    Returns
    -------
    Dataset with dims (regime, generation, run), one variable per score, and `real_share`, `train_size`, `steps` and
    `examples` with dims (regime, generation). Attributes hold every setting.

    Raises
    ------
    ValueError naming the setting, its value and what is allowed, before any work is done.
    """
    labelled, sizes, demands = _asked(world, regimes, n, generations, runs)
    generations, runs, seed = len(sizes), whole("runs", runs, 1), whole("seed", seed, 0)
    if block is not None:
        block = whole("block", block, 1)
    flag("independent", independent)
    among("inputs_from", inputs_from, ("real", "previous"))
    names = _names("scores", world.scores if scores is None else scores, world.scores)
    extras = _names("keep", keep, world.extras)
    world.check(demands, sizes, names, scores is not None)

    call = {
        "n": sizes[0] if len(set(sizes)) == 1 else sizes,
        "generations": generations,
        "runs": runs,
        "seed": seed,
        "block": block,
        "scores": list(names),
        "keep": list(extras),
        "select": "" if select is None else getattr(select, "__qualname__", repr(select)),
        "independent": independent,
        "inputs_from": inputs_from,
        "regimes": {label: repr(regime) for label, regime in labelled.items()},
        "version": __version__,
    }
    own = world.settings()
    if clash := sorted(own.keys() & call.keys()):
        refuse("world", own["world"], f"a world with other names for its settings: {clash[0]!r} is one of recurse")
    settings = own | call
    if checkpoint is None and world.trained:
        checkpoint = named_by_reader(settings)
    store = Checkpoint.open(checkpoint, settings, sizes) if checkpoint is not None else None
    out = _Output(labelled, generations, runs, world)

    held = min(block or runs, runs)
    bar = _bar(progress, total=-(-runs // held) * len(labelled) * generations)
    with bar:
        for index, start in enumerate(range(0, runs, held)):
            rows = slice(start, min(start + held, runs))
            shared = None
            for position, (label, regime) in enumerate(labelled.items()):
                streams = Streams(seed, index, regime_key(label) if independent else 0)
                line = _Line(world, regime, streams, rows.stop - rows.start, sizes, names + extras, select, inputs_from)
                folder = None if store is None else store.line(index, label, independent)
                bar.set_description(label, refresh=False)
                shared = line.first(shared if not independent else None, folder)
                out.put(position, 0, rows, line)
                bar.update()
                for t in range(2, generations + 1):
                    line.advance(t, folder)
                    out.put(position, t - 1, rows, line)
                    bar.update()
    return out.dataset(settings)


class _Line:
    """One regime in one block of runs: the pool, the newest model, and what the newest fit scored."""

    def __init__(self, world, regime, streams, runs, sizes, names, select, inputs_from):
        self.world, self.regime, self.streams, self.runs = world, regime, streams, runs
        self.sizes, self.names, self.select, self.inputs_from = sizes, names, select, inputs_from
        self.used = self.total = sizes[0]
        self.keep_rows = regime.needs_take or world.keeps_rows

    def first(self, shared, folder):
        """Generation 1, fitted to real data: taken from the line before if it is shared, from disk if it is there."""
        if shared is None:
            stored = None if folder is None else folder.read(1, self.world)
            if stored is None:
                real = self.world.real(self.runs, self.sizes[0], self.streams(1, "real"), 0)
                stored = {"real": real} | self._fitted((pool.Part(real, real=1.0),), 1, folder)
                if folder is not None:
                    folder.write(1, stored, self.world)
            shared = stored
        self.result = shared
        self.original_model = shared["model"] if self.world.compares else None
        original = shared["real"]
        start = self._reduced(original)
        self.train = (pool.Part(start, real=1.0),)
        self.pool = pool.Pool(original, self.streams, accumulates=self.regime.accumulates)
        self.pool.previous = self.train if self.regime.needs_take else ()
        if self.regime.accumulates:
            kept = self.regime.starts_with(original.size)
            whole_set = kept == original.size
            self.pool.begin(start if whole_set else self._reduced(self.pool.subset(kept)) if kept else None)
        return shared

    def advance(self, t, folder):
        """Generation t: sample the newest model, compose the next training set, fit and score it."""
        n = self.sizes[t - 1]
        self.total += n
        step = Step(n, self.total)
        draws = self.regime.draws(step)
        stored = None if folder is None else folder.read(t, self.world)
        if stored is None:
            batches = {}
            if draws.synthetic:
                batches["synthetic"] = self._reduced(self._sampled(t, draws.synthetic))
            if draws.real:
                real = self.world.real(self.runs, draws.real, self.streams(1, "real"), self.used)
                batches["real"] = self._reduced(real)
        else:
            batches = {k: stored[k] for k in ("synthetic", "real") if k in stored}
        self.used += draws.real
        self.pool.add(real=batches.get("real"), synthetic=batches.get("synthetic"))
        rng = self.streams(t, "compose") if self.regime.needs_take else _Nothing()
        self.train = self.regime.compose(self.pool, step, rng)
        self.pool.previous = self.train if self.regime.needs_take else ()
        if stored is None:
            stored = batches | self._fitted(self.train, t, folder)
            if folder is not None:
                folder.write(t, stored, self.world)
        self.result = stored

    def _sampled(self, t, size):
        model = self.result["model"]
        newest = self.pool.synthetic
        source = self.pool.original if self.inputs_from == "real" or newest is None else newest
        inputs = self.world.inputs(source, size, self._stream(t, "inputs"))
        batch = self.world.sample(model, size, inputs, self.streams(t, "sample"))
        if self.select is None:
            return batch
        selected = self.select(batch, self.streams(t, "select"))
        if not hasattr(selected, "size") or pool.runs(selected) != self.runs or not selected.size:
            refuse("select", self.select, f"a function that returns a batch of {self.runs} runs with samples in it")
        return selected

    def _fitted(self, train, t, folder):
        reduced = tuple(pool.Part(self.world.reduce(part.batch), part.real, part.weight) for part in train)
        more = {"scratch": None if folder is None else folder.scratch(t)} if self.world.long_fits else {}
        fit = self.world.fit(reduced, self._stream(t, "fit"), **more)
        more = {"first": None if t == 1 else self.original_model} if self.world.compares else {}
        scored = self.world.score(fit.model, self._stream(t, "score"), self.names, **more)
        for name in self.names:
            if name not in scored:
                refuse("scores", name, f"one that {type(self.world).__name__}.score returns: {', '.join(scored)}")
        return {"model": fit.model, "steps": fit.steps, "examples": fit.examples, "scores": scored}

    def _stream(self, t, purpose):
        return self.streams(t, purpose) if purpose in self.world.random else None

    def _reduced(self, batch):
        return batch if self.keep_rows else self.world.reduce(batch)


class _Nothing:
    """In place of the stream of a regime that has not asked for one."""

    def __getattr__(self, name):
        refuse("needs_take", False, "True for a regime that draws subsets in `compose`")


class _Output:
    """The arrays of a call, filled in place: nothing is held twice."""

    def __init__(self, regimes, generations, runs, world):
        self.regimes, self.generations, self.runs, self.world = regimes, generations, runs, world
        self.scores: dict[str, np.ndarray] = {}
        shape = (len(regimes), generations)
        self.counts = {"real_share": np.empty(shape)} | {
            name: np.empty(shape, dtype=np.int64) for name in PER_GENERATION if name != "real_share"
        }

    def put(self, position, generation, rows, line):
        for name, values in line.result["scores"].items():
            if name not in self.scores:
                shape = (len(self.regimes), self.generations, self.runs, *values.shape[1:])
                self.scores[name] = np.empty(shape, dtype=values.dtype)
            self.scores[name][position, generation, rows] = values
        self.counts["real_share"][position, generation] = pool.real_share(line.train)
        self.counts["train_size"][position, generation] = pool.size(line.train)
        for name in ("steps", "examples"):
            self.counts[name][position, generation] = line.result[name]

    def dataset(self, settings):
        dims, known = ("regime", "generation", "run"), self.world.scores
        variables = {
            name: ((*dims, *self.world.extras.get(name, ())), v, known[name].attributes if name in known else {})
            for name, v in self.scores.items()
        }
        variables |= {name: (dims[:2], v, {"long_name": PER_GENERATION[name]}) for name, v in self.counts.items()}
        coords = {
            "regime": list(self.regimes),
            "family": ("regime", [regime.family for regime in self.regimes.values()]),
            "generation": np.arange(1, self.generations + 1),
            "run": np.arange(self.runs),
        }
        # NetCDF attributes hold numbers and text; whatever else a setting is, it is stored as JSON.
        attrs = {
            k: v if isinstance(v, int | float | str) and not isinstance(v, bool) else json.dumps(v)
            for k, v in settings.items()
        }
        attrs = {k: str(v) if isinstance(v, int) and abs(v) >= 2**63 else v for k, v in attrs.items()}
        return xr.Dataset(variables, coords, attrs)


def _asked(world, regimes, n, generations, runs) -> tuple[dict[str, Regime], list[int], list[Demand]]:
    """The regimes by their labels, the set sizes, and what each regime will ask of the world, all of it checked."""
    labelled = _label(regimes)
    generations = whole("generations", generations, 1)
    if (fits := len(labelled) * generations * whole("runs", runs, 1)) >= MOST_FITS:
        refuse("generations", generations, f"fewer than {MOST_FITS} fits, over all regimes and runs; these are {fits}")
    if callable(n):
        sizes = [whole(f"n({t})", n(t), 1) for t in range(1, generations + 1)]
    else:
        sizes = [whole("n", n, 1)] * generations
    demands = []
    for label, regime in labelled.items():
        regime.check(sizes)
        if regime.weighs and not world.weighs:
            allowed = f"regimes in which all samples count alike: {type(world).__name__} knows no weights"
            refuse("regimes", str(regime), allowed)
        asked = demand(label, regime, sizes)
        if asked.most >= 2**63:
            allowed = f"fewer than 2**63 samples in all, the largest count held; {label} comes to {asked.most}"
            refuse("n", sizes[0], allowed)
        demands.append(asked)
    return labelled, sizes, demands


def demand(label: str, regime: Regime, sizes: list[int]) -> Demand:
    """What a regime will ask for, given the set sizes n_1, n_2, …"""
    totals = itertools.accumulate(sizes)
    draws = [regime.draws(Step(n, total)) for n, total in zip(sizes, totals, strict=True)][1:]
    synthetic, real = (0, *(d.synthetic for d in draws)), (0, *(d.real for d in draws))
    new = [a + b for a, b in zip(synthetic, real, strict=True)]
    most = max(*sizes, *new, sizes[0] + sum(new) if regime.accumulates else 0)
    return Demand(label, tuple(sizes), synthetic, real, most, regime.drawn_from(sizes), regime.needs_take)


def _label(regimes) -> dict[str, Regime]:
    if isinstance(regimes, Regime):
        regimes = [regimes]
    if not isinstance(regimes, Iterable):
        refuse("regimes", regimes, "one regime, several, or a mapping from labels to regimes")
    pairs = list(regimes.items()) if isinstance(regimes, Mapping) else [(str(r), r) for r in regimes]
    if not pairs:
        refuse("regimes", regimes, "at least one regime")
    for label, regime in pairs:
        if not isinstance(regime, Regime):
            refuse("regimes", regime, f"regimes of lib.regimes, such as Replace() or Accumulate(), for {label!r}")
    labels = [label for label, _ in pairs]
    if len(set(labels)) < len(labels):
        refuse("regimes", labels, "regimes under labels that differ; use a mapping {label: regime} for equal ones")
    return dict(pairs)


def _names(setting: str, asked: Iterable[str], known: Mapping) -> tuple[str, ...]:
    asked = (asked,) if isinstance(asked, str) or not isinstance(asked, Iterable) else tuple(asked)
    for name in asked:
        among(setting, name, known)
    return tuple(dict.fromkeys(asked))


def _bar(progress: bool | None, total: int) -> tqdm:
    stream = _terminal()
    every = 0.1 if stream.isatty() else 10
    delay = 0 if progress else 3
    return tqdm(
        total=total,
        unit="fit",
        file=stream,
        disable=progress is False or not team.first(),
        delay=delay,
        mininterval=every,
        leave=False,
    )


def _terminal():
    """Where progress goes: the stderr of the process, which papermill logs, and not the outputs that a notebook stores. A
    Jupyter kernel redirects its file descriptor and keeps a copy of the original one; Colab shows nothing but sys.stderr."""
    kept = getattr(sys.stderr, "_original_stdstream_copy", None)
    if "google.colab" in sys.modules:
        return sys.stderr
    return sys.__stderr__ if kept is None else open(kept, "w", closefd=False)
