"""The one recursion of the book: fit, sample, compose, fit again. The only place where generations are counted."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from lib import __version__, pool
from lib import distributed as team
from lib.checkpoint import Checkpoint, through
from lib.errors import among, flag, refuse, whole
from lib.regimes import Regime
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
    regimes : one regime, several, or a mapping from labels to regimes.
    n : samples in a set; a function of the generation (1, 2, …) for data that grow.
    generations : number of fits. Generation 1 is fitted to n real samples and shared by all regimes.
    runs : independent repetitions, computed together along a leading axis.
    seed : of the streams. Adding a regime, a generation or, with `block=None`, a run changes no other number.
    scores : names among `world.scores`; all of them by default.
    select : applied to each synthetic batch, with a random stream: a filter or a verifier.
    independent : each regime draws everything from streams of its own, for null experiments. By default regimes share
        streams, so that differences between them are paired.
    inputs_from : "real" or "previous": a conditional world takes its inputs from the original or from the newest data.
    block : at most so many runs are held in memory at once. The block is part of a stream's key.
    checkpoint : a folder. What is finished is stored there after every generation and found again by a call with the
        same settings, data, code and versions; more generations or regimes may be asked for later. Without one, a world
        that trains keeps its generations below the folder in LIB_CHECKPOINTS, a whole result is found in LIB_STORE.
    keep : names among `world.extras` to be recorded as well.
    progress : show a bar; by default for whatever takes longer than three seconds.

    Returns a Dataset with dims (regime, generation, run), one variable per score, and `real_share`, `train_size`,
    `steps` and `examples` (regime, generation); its attributes hold every setting. A wrong setting is `Refused`.
    """
    labelled, sizes, demands = _asked(world, regimes, n, generations, runs)
    generations, runs, seed = len(sizes), whole("runs", runs, 1), whole("seed", seed, 0)
    block = None if block is None else whole("block", block, 1)
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

    def compute(store: Checkpoint | None) -> xr.Dataset:
        out = _Output(labelled, generations, runs, world)
        held = min(block or runs, runs)
        with team.progress(-(-runs // held) * len(labelled) * generations, progress) as bar:
            for index, start in enumerate(range(0, runs, held)):
                rows, shared = slice(start, min(start + held, runs)), None
                for position, (label, regime) in enumerate(labelled.items()):
                    streams = Streams(seed, index, regime_key(label) if independent else 0)
                    line = _Line(world, regime, streams, rows.stop - start, sizes, names + extras, select, inputs_from)
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
        self.keep_rows = regime.needs_take or world.keeps_rows

    def first(self, shared, folder):
        """Generation 1, fitted to real data: taken from the line before if it is shared, from disk if it is there."""
        if shared is None:
            stored = None if folder is None else folder.read(1, self.world, ("real",))
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
        self.pool.held = self.train if self.regime.needs_take else ()
        if self.regime.accumulates:
            kept = self.regime.starts_with(original.size)
            whole_set = kept == original.size
            self.pool.begin(start if whole_set else self._reduced(self.pool.subset(kept)) if kept else None)
        return shared

    def advance(self, t, folder):
        """Generation t: sample the newest model, compose the next training set, fit and score it."""
        self.total += self.sizes[t - 1]
        step = pool.Step(self.sizes[t - 1], self.total)
        draws = self.regime.draws(step)
        asked = tuple(name for name, count in vars(draws).items() if count)
        stored = None if folder is None else folder.read(t, self.world, asked)
        if stored is None:
            batches = {}
            if draws.synthetic:
                batches["synthetic"] = self._reduced(self._sampled(t, draws.synthetic))
            if draws.real:
                real = self.world.real(self.runs, draws.real, self.streams(1, "real"), self.used)
                batches["real"] = self._reduced(real)
        else:
            batches = {name: stored[name] for name in asked}
        self.used += draws.real
        self.pool.add(real=batches.get("real"), synthetic=batches.get("synthetic"))
        rng = self.streams(t, "compose") if self.regime.needs_take else pool.NoStream()
        self.train = self.regime.compose(self.pool, step, rng)
        self.pool.held = self.train if self.regime.needs_take else ()
        if stored is None:
            stored = batches | self._fitted(self.train, t, folder)
            if folder is not None:
                folder.write(t, stored, self.world)
        self.result = stored

    def _sampled(self, t, size):
        newest = self.pool.synthetic
        source = self.pool.original if self.inputs_from == "real" or newest is None else newest
        inputs = self.world.inputs(source, size, self._stream(t, "inputs"))
        batch = self.world.sample(self.result["model"], size, inputs, self.streams(t, "sample"))
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
        if left_out := [name for name in self.names if name not in scored]:
            refuse("scores", left_out[0], f"one that {type(self.world).__name__}.score returns: {', '.join(scored)}")
        return {"model": fit.model, "steps": fit.steps, "examples": fit.examples, "scores": scored}

    def _stream(self, t, purpose):
        return self.streams(t, purpose) if purpose in self.world.random else None

    def _reduced(self, batch):
        return batch if self.keep_rows else self.world.reduce(batch)


class _Output:
    """The arrays of a call, filled in place: nothing is held twice."""

    def __init__(self, regimes, generations, runs, world):
        self.regimes, self.generations, self.runs, self.world = regimes, generations, runs, world
        self.scores: dict[str, np.ndarray] = {}
        shape = (len(regimes), generations)
        self.counts = {k: np.empty(shape, dtype=float if k == "real_share" else np.int64) for k in PER_GENERATION}

    def put(self, position, generation, rows, line):
        for name, values in line.result["scores"].items():
            if name not in self.scores:
                shape = (len(self.regimes), self.generations, self.runs, *values.shape[1:])
                self.scores[name] = np.empty(shape, dtype=values.dtype)
            self.scores[name][position, generation, rows] = values
        counts = pool.real_share(line.train), pool.size(line.train), line.result["steps"], line.result["examples"]
        for name, count in zip(PER_GENERATION, counts, strict=True):
            self.counts[name][position, generation] = count

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
        return xr.Dataset(variables, coords, {name: _attribute(value) for name, value in settings.items()})


def _attribute(value):
    """NetCDF attributes hold numbers of up to 64 bits and text; whatever else a setting is, it is stored as JSON."""
    held = isinstance(value, float | str) or (isinstance(value, int) and abs(value) < 2**63)
    return value if held and not isinstance(value, bool) else json.dumps(value)


def _asked(world, regimes, n, generations, runs) -> tuple[dict[str, Regime], list[int], list[Demand]]:
    """The regimes by their labels, the set sizes, and what each regime will ask of the world, all of it checked."""
    labelled = _label(regimes)
    if not isinstance(world, World):
        refuse("world", world, "a world of lib.worlds, such as Gaussian()")
    generations = whole("generations", generations, 1)
    if (fits := len(labelled) * generations * whole("runs", runs, 1)) >= MOST_FITS:
        refuse("generations", generations, f"fewer than {MOST_FITS} fits, over all regimes and runs; these are {fits}")
    steps = range(1, generations + 1)
    sizes = [whole(f"n({t})", n(t), 1) for t in steps] if callable(n) else [whole("n", n, 1)] * generations
    for regime in labelled.values():
        regime.check(sizes)
        if regime.weighs and not world.weighs:
            refuse("regimes", str(regime), f"regimes without weights, which {type(world).__name__} does not know")
    demands = [Demand.of(label, regime, sizes) for label, regime in labelled.items()]
    for asked in demands:
        if asked.most >= 2**63:
            allowed = f"fewer than 2**63 samples in all, the largest count held; {asked.label} comes to {asked.most}"
            refuse("n", sizes[0], allowed)
    return labelled, sizes, demands


def _label(regimes) -> dict[str, Regime]:
    if isinstance(regimes, Regime):
        regimes = [regimes]
    listed = list(regimes) if isinstance(regimes, Iterable) else []
    if not listed:
        refuse("regimes", regimes, "at least one regime, or a mapping from labels to regimes")
    pairs = list(regimes.items()) if isinstance(regimes, Mapping) else [(str(r), r) for r in listed]
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
