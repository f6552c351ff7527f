"""Exact laws of small discrete recursions by going through every outcome: what the samplers and the closed forms must
meet.

`law(regime, truth, n, generations)` is the distribution of the model's counts at each generation, as a dict from tuples
to probabilities. Written from the descriptions of the regimes, one state after another, without any code of the
regimes.
"""

from collections import defaultdict
from functools import cache
from math import comb, factorial, prod

from lib.regimes import (
    Accumulate,
    AccumulateSubsample,
    FreshReal,
    Keep,
    Mixture,
    RealOnly,
    Replace,
    ReplaceGrown,
)


@cache
def splits(n, states):
    """All ways to spread n samples over the states."""
    if states == 1:
        return ((n,),)
    return tuple((first, *rest) for first in range(n + 1) for rest in splits(n - first, states - 1))


@cache
def drawn(n, weights):
    """Multinomial: n draws in proportion to the weights."""
    total = sum(weights)
    out = {}
    for counts in splits(n, len(weights)):
        ways = factorial(n) // prod(factorial(c) for c in counts)
        chance = ways * prod((w / total) ** c for w, c in zip(weights, counts, strict=True))
        if chance > 0:
            out[counts] = chance
    return out


@cache
def taken(k, counts):
    """Multivariate hypergeometric: k of the samples, without replacement."""
    ways = comb(sum(counts), k)
    chances = {
        part: prod(comb(c, p) for c, p in zip(counts, part, strict=True)) / ways for part in splits(k, len(counts))
    }
    return {part: chance for part, chance in chances.items() if chance > 0}


def add(*parts):
    return tuple(map(sum, zip(*parts, strict=True)))


def law(regime, truth, n, generations):
    """A history is (model counts, pool, original, kept); a regime's step lists what it may become and with what
    chance."""
    step = STEPS[type(regime)]
    histories = defaultdict(float)
    for first, chance in drawn(n, truth).items():
        if isinstance(regime, Keep) and not regime.redraw:
            for kept, share in taken(round(regime.share * n), first).items():
                histories[first, first, first, kept] += chance * share
        else:
            histories[first, first, first, None] += chance
    out = [models(histories)]
    for t in range(2, generations + 1):
        after = defaultdict(float)
        for history, chance in histories.items():
            for model, pool, more in step(regime, history, truth, n, t):
                after[(model, pool, *history[2:])] += chance * more
        histories = after
        out.append(models(histories))
    return out


def models(histories):
    out = defaultdict(float)
    for (model, *_), chance in histories.items():
        out[model] += chance
    return dict(out)


def replace(regime, history, truth, n, t):
    return [(new, None, chance) for new, chance in drawn(n, history[0]).items()]


def replace_grown(regime, history, truth, n, t):
    return [(new, None, chance) for new, chance in drawn(n * t, history[0]).items()]


def accumulate(regime, history, truth, n, t):
    return [(add(history[1], new),) * 2 + (chance,) for new, chance in drawn(n, history[0]).items()]


def accumulate_subsample(regime, history, truth, n, t):
    out = []
    for new, chance in drawn(n, history[0]).items():
        pool = add(history[1], new)
        out += [(part, pool, chance * more) for part, more in taken(n, pool).items()]
    return out


def keep(regime, history, truth, n, t):
    model, _, original, kept = history
    held = {kept: 1.0} if kept is not None else taken(round(regime.share * n), original)
    return [
        (add(new, old), None, chance * more)
        for old, more in held.items()
        for new, chance in drawn(n - sum(old), model).items()
    ]


def fresh_real(regime, history, truth, n, t):
    real = round(regime.share * n)
    return [
        (add(new, old), None, chance * more)
        for old, more in drawn(real, truth).items()
        for new, chance in drawn(n - real, history[0]).items()
    ]


def real_only(regime, history, truth, n, t):
    return [(add(history[1], new),) * 2 + (chance,) for new, chance in drawn(n if regime.grow else 0, truth).items()]


def mixture(regime, history, truth, n, t):
    """Here the model's counts are the previous training set itself."""
    model, _, original, _ = history
    copied, kept = round(regime.beta * n), round(regime.gamma * n)
    real = drawn(kept, truth) if regime.fresh else taken(kept, original)
    return [
        (add(new, before, old), None, chance * more * most)
        for old, most in real.items()
        for before, more in taken(copied, model).items()
        for new, chance in drawn(n - copied - kept, model).items()
    ]


STEPS = {
    Replace: replace,
    ReplaceGrown: replace_grown,
    Accumulate: accumulate,
    AccumulateSubsample: accumulate_subsample,
    Keep: keep,
    FreshReal: fresh_real,
    RealOnly: real_only,
    Mixture: mixture,
}
