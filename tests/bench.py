"""Benchmarks as ratios measured in one run: medians of five, one BLAS thread. `make bench` runs this; exit code 1 if
one misses.

The anchors are the plain loops that published code uses. Gaussian: concatenate all points, refit them with `np.cov`,
draw new ones with `multivariate_normal`; both sides score trace and mean. Regression: stack the design and all labels
so far, refit by `pinv`. Transformer: the same architecture and weights in transformers, with its own loss and its own
`generate`.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from lib.recursion import recurse
from lib.regimes import Accumulate
from lib.worlds.discrete import Discrete
from lib.worlds.gaussian import Gaussian
from lib.worlds.regression import Regression

REPEATS = 5
BOTH = ("trace_ratio", "squared_mean_error")


def plain_loop(n: int, d: int, generations: int, seed: int) -> list[tuple[float, float]]:
    """Accumulate as it is usually written."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((n, d))
    out = []
    for generation in range(generations):
        mean, covariance = points.mean(axis=0), np.cov(points.T)
        out.append((np.trace(covariance) / d, mean @ mean))
        if generation < generations - 1:
            points = np.concatenate([points, rng.multivariate_normal(mean, covariance, size=n)])
    return out


def stacked_loop(n: int, d: int, generations: int, seed: int) -> list[float]:
    """Accumulate in regression as it is usually written: the same X labelled again, everything stacked and refitted."""
    rng = np.random.default_rng(seed)
    truth = np.full(d, d**-0.5)
    x = rng.standard_normal((n, d))
    all_x, all_y = x, x @ truth + rng.standard_normal(n)
    out = []
    for generation in range(generations):
        weights = np.linalg.pinv(all_x) @ all_y
        out.append(((weights - truth) ** 2).sum())
        if generation < generations - 1:
            all_x = np.concatenate([all_x, x])
            all_y = np.concatenate([all_y, x @ weights + rng.standard_normal(n)])
    return out


def seconds(work) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(slow, fast, per: int = 1) -> float:
    """Median over five rounds of time(slow) / (time(fast) / per), both timed in each round."""
    return statistics.median(seconds(slow) / (seconds(fast) / per) for _ in range(REPEATS))


def gaussian(runs: int = 1, scores=BOTH, n: int = 1000, d: int = 100, generations: int = 100):
    """Our side of the Gaussian benchmarks."""
    settings = {"n": n, "generations": generations, "runs": runs, "seed": 1, "scores": scores, "progress": False}
    return lambda: recurse(Gaussian(d, "unbiased"), Accumulate(), **settings)


def regression(runs: int = 1, n: int = 1000, d: int = 100, generations: int = 30, design: str = "fixed"):
    """Our side of the regression benchmarks."""
    settings = {"n": n, "generations": generations, "runs": runs, "seed": 1, "scores": "excess_risk", "progress": False}
    return lambda: recurse(Regression(d, design=design), Accumulate(), **settings)


def discrete(world: Discrete, n: int = 10**3, generations: int = 100, runs: int = 1):
    """Our side of the discrete benchmarks, every score included."""
    settings = {"n": n, "generations": generations, "runs": runs, "seed": 1, "progress": False}
    return lambda: recurse(world, Accumulate(), **settings)


def singly(make, runs: int):
    """As many runs one at a time."""
    one = make(runs=1)
    return lambda: [one() for _ in range(runs)]


def vaes():
    """Eight seeds of the digits VAE one after another, and together."""
    from lib.worlds.images.vae import VAE

    def run(seeds, first):
        recurse(VAE(), Accumulate(), n=500, generations=1, runs=seeds, seed=first, scores=(), progress=False)

    return lambda: [run(1, k) for k in range(8)], lambda: run(8, 0)


def transformers_training(steps: int = 60):
    """The model class of transformers and the laptop's transformer, each trained for as many steps: the same weights,
    batches, optimiser and clipping. Ours is the loop of the book with all that it does, theirs the shortest loop
    around the library's loss."""
    import torch

    from lib.worlds.language.generate import exported
    from lib.worlds.language.training import CLIP, Schedule, _groups, batches, train
    from lib.worlds.language.transformer import Transformer

    world = Transformer()
    blocks, schedule = world.corpus.train[:400], Schedule(steps, world.batch, world.rate)
    network = world.network(None)
    world.begin(network, np.random.default_rng(0))
    model = exported(network).train()

    def theirs():
        optimiser = torch.optim.AdamW(_groups(model, schedule.decay), lr=world.rate, betas=(0.9, 0.95), fused=True)
        tokens, rng = torch.from_numpy(blocks.astype(np.int64)), np.random.default_rng(1)
        for step in range(steps):
            rows = tokens[torch.from_numpy(batches(rng, len(blocks), world.batch, step))]
            model(input_ids=rows, labels=rows, use_cache=False).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimiser.step()
            optimiser.zero_grad()

    return theirs, lambda: train(network, blocks, schedule, np.random.default_rng(1))


def transformers_sampling(size: int = 512):
    """`generate` of transformers and the sampling of the laptop's transformer: as many blocks from the same weights,
    in one batch, at temperature 1 from all of the vocabulary, with cached keys and values, without gradients."""
    import torch

    from lib.worlds import weights
    from lib.worlds.language.generate import exported
    from lib.worlds.language.neural import NeuralModel
    from lib.worlds.language.transformer import Transformer

    world = Transformer()
    network = world.network(None)
    world.begin(network, np.random.default_rng(0))
    vocabulary, model = world.corpus.tokenizer.size, exported(network)
    own = NeuralModel((weights.copied(network),), np.ones((1, vocabulary), dtype=int))

    def theirs():
        first = torch.from_numpy(np.random.default_rng(1).integers(vocabulary, size=(size, 1)))
        new = world.block - 1
        with torch.inference_mode():
            model.generate(
                first,
                attention_mask=torch.ones_like(first),
                do_sample=True,
                top_k=0,
                max_new_tokens=new,
                min_new_tokens=new,
                eos_token_id=None,
                pad_token_id=0,
            )

    return theirs, lambda: world.sample(own, size, None, np.random.default_rng(1))


def benchmarks():
    """Name, measured ratio, what it has to be, and whether larger is better."""

    def plain():
        plain_loop(1000, 100, 100, 1)

    gaussian(generations=2)()  # imports and first calls are nobody's time
    yield "Gaussian, accumulate, plain loop / one run", ratio(plain, gaussian()), 100, True
    yield "… per run in a batch of 100 runs", ratio(plain, gaussian(runs=100), per=100), 140, True
    yield "… one run with every score", ratio(plain, gaussian(scores=None)), 40, True
    few = gaussian(runs=10, n=10**3)
    yield "one generation at n = 10¹³ / at n = 10³", ratio(gaussian(runs=10, n=10**13), few), 1.3, False
    long, short = gaussian(runs=10, generations=800), gaussian(runs=10, generations=200)
    yield "a late generation / an early one", (ratio(long, short) * 200 - 200) / 600, 1.3, False

    regression(generations=2)()
    # At 100 generations the anchor takes minutes; both sides are timed at 30.
    stacked = ratio(lambda: stacked_loop(1000, 100, 30, 1), singly(regression, 20), per=20)
    yield "regression, accumulate, stacked loop / one run", stacked, 1000, True
    for design in ("fixed", "fresh"):

        def batch(runs, design=design):
            return regression(runs, n=100, d=10, generations=100, design=design)

        yield f"… 100 single runs / a batch of 100, {design} X, d = 10", ratio(singly(batch, 100), batch(100)), 5, True

    zipf, words = Discrete("zipf", 100), Discrete("words")
    yield "discrete, K = 100, at n = 10¹³ / at n = 10³", ratio(discrete(zipf, 10**13), discrete(zipf)), 3, False
    first = ratio(discrete(words, 10**13, 1, 10), discrete(words, 10**3, 1, 10))
    yield "… the first step with the words of Wikipedia", first, 3, False

    def counted(runs):
        return discrete(zipf, runs=runs)

    yield "… 100 single runs / a batch of 100", ratio(singly(counted, 100), counted(100)), 5, True
    yield "eight VAE seeds, one after another / together", ratio(*vaes()), 1.5, True
    for name, make, mark in (("training", transformers_training, 1.0), ("sampling", transformers_sampling, 1.5)):
        theirs, ours = make()
        theirs(), ours()  # the first calls
        yield f"tokens/s of {name}, laptop transformer / transformers", ratio(theirs, ours), mark, True


def main() -> int:
    """Print a line per benchmark; 1 if one misses its mark."""
    missed = 0
    for name, measured, mark, larger in benchmarks():
        good = measured >= mark if larger else measured <= mark
        missed += not good
        print(
            f"{'ok  ' if good else 'MISS'} {name}: {measured:.3g} ({'at least' if larger else 'at most'} {mark})",
            flush=True,
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
