"""The one recursion of the book: fit, sample, compose, fit again. The only place where generations are counted."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from tqdm import tqdm

from lib import __version__, pool
from lib import distributed as team
from lib.checkpoint import Checkpoint, through
from lib.errors import among, refuse, whole
from lib.regimes import Regime, Step
from lib.streams import Streams, regime_key
from lib.world import World, most_samples

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
        same settings, data, code and versions; more generations or more regimes may be asked for later. Without one, a
        world that trains networks keeps its generations below the folder that the environment variable LIB_CHECKPOINTS
        names, and a whole result is found again in the one that LIB_STORE names, if they are set.
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
    labelled = _label(regimes)
    generations, runs = whole("generations", generations, 1), whole("runs", runs, 1)
    seed = whole("seed", seed, 0)
    if block is not None:
        block = whole("block", block, 1)
    sizes = [
        whole("n" if not callable(n) else f"n({t})", n(t) if callable(n) else n, 1) for t in range(1, generations + 1)
    ]
    among("inputs_from", inputs_from, ("real", "previous"))
    names = _names("scores", world.scores if scores is None else scores, world.scores)
    extras = _names("keep", keep, tuple(world.extras))
    for regime in labelled.values():
        regime.check(sizes)
        if regime.weighs and not world.weighs:
            refuse(
                "regimes",
                str(regime),
                f"regimes in which all samples count alike: {type(world).__name__} knows no weights",
            )
        if (most := most_samples(regime, sizes)) >= 2**63:
            refuse("n", sizes[0], f"fewer than 2**63 samples in all, the largest count held; {regime} comes to {most}")
    world.check(list(labelled.values()), sizes, names, scores is not None)

    own = world.settings()
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
    if clash := sorted(own.keys() & call.keys()):
        refuse("world", own["world"], f"a world with other names for its settings: {clash[0]!r} is one of recurse")
    settings = own | call

    def compute(store: Checkpoint | None) -> xr.Dataset:
        out = _Output(labelled, generations, runs, world)
        held = min(block or runs, runs)
        with _bar(progress, total=-(-runs // held) * len(labelled) * generations) as bar:
            for index, start in enumerate(range(0, runs, held)):
                rows = slice(start, min(start + held, runs))
                shared = None
                for position, (label, regime) in enumerate(labelled.items()):
                    streams = Streams(seed, index, regime_key(label) if independent else 0)
                    some = rows.stop - rows.start
                    line = _Line(world, regime, streams, some, sizes, names + extras, select, inputs_from)
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

    return through(compute, checkpoint, world, labelled, select, settings, sizes)


class _Line:
    """One regime in one block of runs: the pool, the newest model, and what the newest fit scored."""

    def __init__(self, world, regime, streams, runs, sizes, names, select, inputs_from):
        self.world, self.regime, self.streams, self.runs = world, regime, streams, runs
        self.sizes, self.names, self.select, self.inputs_from = sizes, names, select, inputs_from
        self.used = self.total = sizes[0]

    def first(self, shared, folder):
        """Generation 1, fitted to real data: taken from the line before if it is shared, from disk if it is there."""
        if shared is None:
            stored = None if folder is None else folder.read(1, self.world, ("real",))
            if stored is None:
                real = self.world.real(self.runs, self.sizes[0], self.streams(1, "real"), 0)
                train = (pool.Part(self._reduced(real, keep_rows=False), origin=0, real=1.0),)
                stored = {"real": real} | self._fitted(train, 1, folder)
                if folder is not None:
                    folder.write(1, stored, self.world)
            shared = stored
        self.result = shared
        self.original_model = shared["model"] if self.world.compares else None
        original = shared["real"]
        start = self._reduced(original, keep_rows=self.regime.needs_take)
        self.pool = pool.Pool(original, self.streams, accumulates=self.regime.accumulates)
        self.pool.previous = (pool.Part(start, origin=0, real=1.0),)
        if self.regime.accumulates:
            kept = self.regime.starts_with(original.size)
            whole_set = kept == original.size
            self.pool.begin(start if whole_set else self._reduced(self.pool.subset(kept), False) if kept else None)
        self.train = self.pool.previous
        return shared

    def advance(self, t, folder):
        """Generation t: sample the newest model, compose the next training set, fit and score it."""
        n = self.sizes[t - 1]
        self.total += n
        step = Step(t, n, self.total)
        draws = self.regime.draws(step)
        asked = tuple(name for name, count in vars(draws).items() if count)
        stored = None if folder is None else folder.read(t, self.world, asked)
        if stored is None:
            synthetic = self._sampled(t, draws.synthetic) if draws.synthetic else None
            real = self.world.real(self.runs, draws.real, self.streams(1, "real"), self.used) if draws.real else None
            batches = {"synthetic": synthetic, "real": real}
            batches = {k: self._reduced(b, self.regime.needs_take) for k, b in batches.items() if b is not None}
        else:
            batches = {k: stored[k] for k in ("synthetic", "real") if k in stored}
        self.used += draws.real
        self.pool.add(real=batches.get("real"), synthetic=batches.get("synthetic"))
        self.train = self.regime.compose(
            self.pool, step, self.streams(t, "compose") if self.regime.needs_take else None
        )
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
        return batch if self.select is None else self.select(batch, self.streams(t, "select"))

    def _fitted(self, train, t, folder):
        more = {"scratch": None if folder is None else folder.scratch(t)} if self.world.long_fits else {}
        fit = self.world.fit(train, self._stream(t, "fit"), **more)
        more = {"first": None if t == 1 else self.original_model} if self.world.compares else {}
        scored = self.world.score(fit.model, self._stream(t, "score"), self.names, **more)
        return {"model": fit.model, "steps": fit.steps, "examples": fit.examples, "scores": scored}

    def _stream(self, t, purpose):
        return self.streams(t, purpose) if purpose in self.world.random else None

    def _reduced(self, batch, keep_rows):
        return batch if keep_rows else self.world.reduce(batch)


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
        dims = ("regime", "generation", "run")
        variables = {name: ((*dims, *self.world.extras.get(name, ())), v) for name, v in self.scores.items()}
        variables |= {name: (dims[:2], v, {"long_name": PER_GENERATION[name]}) for name, v in self.counts.items()}
        coords = {
            "regime": list(self.regimes),
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


def _label(regimes) -> dict[str, Regime]:
    if isinstance(regimes, Regime):
        regimes = [regimes]
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


def _names(setting: str, asked: Iterable[str], known: tuple[str, ...]) -> tuple[str, ...]:
    asked = (asked,) if isinstance(asked, str) else tuple(asked)
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
