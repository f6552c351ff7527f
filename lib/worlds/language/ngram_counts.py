"""Interpolated n-gram models of many runs at once, as sorted arrays: counting, probabilities, entropies and exact
sampling.

An m-gram is known by its number: its place in the sorted list of all m-grams of all runs. A list is sorted by (number
of the first m − 1 tokens, last token), so the m-grams that continue one context lie side by side, and one binary search
finds the number of a context that has grown by a token. Contexts end at the border of a block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

UNSEEN = -1


@dataclass(frozen=True)
class GramModel:
    """Counts of the n-grams of every run and how they are smoothed.

    `keys["m"]`, m = 2 … order: sorted, int64, (number of the first m − 1 tokens) · vocabulary + last token; 1-grams
    need none, their number is run · vocabulary + token. `counts["m"]`, m = 1 … order: how often each occurs. For
    "kneser-ney" `left["m"]`, m < order: after how many different tokens it occurs.
    """

    smoothing: str
    order: int
    vocabulary: int
    runs: int
    keys: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
    left: dict[str, np.ndarray]

    @cached_property
    def levels(self) -> list[tuple[Level, Level]]:
        """For m = 1 … order the m-grams as a longer history backs off to them, and as the longest history that there is
        uses them."""
        out = []
        contexts, bounds = self.runs, np.arange(self.runs + 1)
        for m in range(1, self.order + 1):
            counts = self.counts[str(m)]
            if m == 1:
                starts = np.arange(self.runs + 1) * self.vocabulary
            else:
                starts = np.searchsorted(self.keys[str(m)], np.arange(contexts + 1) * self.vocabulary)
            full = Level.of(counts, starts, bounds, self.smoothing)
            left = self.left.get(str(m))
            out.append((full if left is None else Level.of(left, starts, bounds, self.smoothing), full))
            contexts, bounds = len(counts), starts[bounds]
        return out

    def numbers(self, m: int, context: np.ndarray, token: np.ndarray) -> np.ndarray:
        """The numbers of m-grams by the numbers of their first m − 1 tokens (of the run, for m = 1); −1 if unseen."""
        wanted = context * np.int64(self.vocabulary) + token
        if m == 1:
            return wanted
        keys = self.keys[str(m)]
        if not len(keys):
            return np.full(wanted.shape, UNSEEN)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where((context >= 0) & (keys[place] == wanted), place, UNSEEN)

    def tokens(self, m: int, number: np.ndarray) -> np.ndarray:
        """The last tokens of m-grams by number."""
        return (number if m == 1 else self.keys[str(m)][number]) % self.vocabulary


@dataclass(frozen=True, eq=False)
class Level:
    """The m-grams of one m by context: with context h and last token w, P(w | h) = gain(h, w) + back(h) · P(w | shorter
    h).

    `counts` are those of the m-grams (occurrences, or different tokens before them), `starts` where the m-grams of each
    context begin, `before` the sum of all counts before an m-gram. For each context, `total` is the sum of its counts,
    `back` the weight of the shorter context, `discount` what is taken off each count (0 for Witten–Bell) and `scale`
    what counts are divided by.
    """

    counts: np.ndarray
    starts: np.ndarray
    before: np.ndarray
    total: np.ndarray
    back: np.ndarray
    discount: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray, starts: np.ndarray, bounds: np.ndarray, smoothing: str) -> Level:
        """`bounds`: where the contexts of each run begin.

        Weights as Chen and Goodman (1999, "An empirical study of smoothing techniques for language modeling") give
        them. Witten–Bell: back = T / (c + T) with T different continuations of a context that was seen c times.
        Interpolated Kneser–Ney: back = D T / c, with the discount D = n₁ / (n₁ + 2 n₂) of Ney, Essen and Kneser (1994),
        n₁ and n₂ the numbers of m-grams of a run with count 1 and 2, and D = ½ where n₁ = 0.
        """
        before = _sums(counts)
        total = np.diff(before[starts])
        types = np.diff(_sums(counts > 0)[starts])
        if smoothing == "kneser-ney":
            once, twice = (np.diff(_sums(counts == k)[starts[bounds]]) for k in (1, 2))
            by_run = np.where(once > 0, once / np.maximum(once + 2 * twice, 1), 0.5)
            discount = np.repeat(by_run, np.diff(bounds))
            scale = total
            back = discount * types
        else:
            discount = np.zeros(len(total))
            scale = total + types
            back = types
        seen = total > 0
        back = np.where(seen, back, 1) / np.where(seen, scale, 1)
        return cls(counts, starts, before, total, back, discount, scale)

    @cached_property
    def occurrences(self) -> np.ndarray:
        """The number of the m-gram behind every single count."""
        return np.repeat(np.arange(len(self.counts), dtype=np.int32), self.counts)

    def seen(self, context: np.ndarray) -> np.ndarray:
        """Whether anything follows a context."""
        return (context >= 0) & (self.total[context] > 0) if len(self.total) else np.zeros(context.shape, dtype=bool)

    def gain(self, number: np.ndarray, context: np.ndarray) -> np.ndarray:
        """What m-grams add to the probability of their last token; 0 for unseen ones."""
        if not len(self.counts):
            return np.zeros(number.shape)
        count = self.counts[number]
        used = (number >= 0) & (count > 0)
        return np.where(used, count - self.discount[context], 0) / np.where(used, self.scale[context], 1)

    def weight(self, context: np.ndarray) -> np.ndarray:
        """The weight of the shorter context; 1 where this one is unseen."""
        if not len(self.back):
            return np.ones(context.shape)
        return np.where(context >= 0, self.back[context], 1.0)


def _sums(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(values, dtype=np.int64)])


def counted(values: np.ndarray, order: int, vocabulary: int, smoothing: str) -> GramModel:
    """Count the n-grams of blocks of tokens, shape (runs, count, block), block at least `order`."""
    runs = len(values)
    number = np.arange(runs)[:, None, None] * np.int64(vocabulary) + values
    counts = {"1": np.bincount(number.ravel(), minlength=runs * vocabulary).astype(np.int32)}
    keys, left = {}, {}
    for m in range(2, order + 1):
        shorter = number
        flat = (shorter[:, :, :-1] * vocabulary + values[:, :, m - 1 :]).ravel()
        ranked = np.argsort(flat)
        ordered = flat[ranked]
        new = np.ones(len(flat), dtype=bool)
        new[1:] = ordered[1:] != ordered[:-1]
        where = np.flatnonzero(new)
        keys[str(m)] = ordered[where]
        counts[str(m)] = np.diff(np.append(where, len(flat))).astype(np.int32)
        if smoothing == "kneser-ney":
            # One occurrence of each m-gram: what follows its first token is an (m − 1)-gram with one more token before
            # it.
            suffix = shorter[:, :, 1:].ravel()[ranked[where]]
            left[str(m - 1)] = np.bincount(suffix, minlength=len(counts[str(m - 1)])).astype(np.int32)
        if m < order:
            found = np.empty(len(flat), dtype=np.int64)
            found[ranked] = np.cumsum(new) - 1
            number = found.reshape(shorter[:, :, 1:].shape)
    return GramModel(smoothing, order, vocabulary, runs, keys, counts, left)


def probabilities(model: GramModel, tokens: np.ndarray) -> np.ndarray:
    """P of each token given those before it in its block, shape (runs, count, block); the first by the 1-grams of the
    model."""
    out = np.empty(tokens.shape)
    lower = np.full(tokens.shape, 1 / model.vocabulary)
    context = np.broadcast_to(np.arange(model.runs)[:, None, None], tokens.shape)
    for m, (level, full) in enumerate(model.levels, 1):
        # Position m − 1 has a history of m − 1 tokens and no longer one; those after it back off to this level.
        number = model.numbers(m, context, tokens[:, :, m - 1 :])
        split = tokens.shape[2] if m == model.order else m
        for table, part, target in ((full, slice(0, split - m + 1), out), (level, slice(split - m + 1, None), lower)):
            here = slice(m - 1, split) if target is out else slice(split, None)
            c, g = context[:, :, part], number[:, :, part]
            target[:, :, here] = table.gain(g, c) + table.weight(c) * lower[:, :, here]
        context = number[:, :, :-1]
    return out


def entropies(model: GramModel, m: int, histories: list[np.ndarray], full: bool = True) -> np.ndarray:
    """Entropy in nats of the next token after histories of m − 1 tokens, shape (count,), exact.

    `histories[k]` holds the numbers of their last k tokens, of the run for k = 0. With lower the distribution after the
    shorter history and λ its weight, H = −Σ p ln p − λ ln λ (1 − Σ lower) + λ (H(lower) + Σ lower ln lower), sums over
    the seen continuations only.
    """
    if m == 0:
        return np.full(len(histories[0]), math.log(model.vocabulary))
    out = entropies(model, m - 1, histories[:m], full=False) if m > 1 else entropies(model, 0, histories)
    level = model.levels[m - 1][full]
    context, first, inverse = np.unique(histories[m - 1], return_index=True, return_inverse=True)
    used = np.flatnonzero(level.seen(context))
    sizes = (level.starts[context[used] + 1] - level.starts[context[used]]).astype(np.int64)
    owner = np.repeat(np.arange(len(used)), sizes)
    number = np.arange(len(owner)) - np.repeat(_sums(sizes)[:-1], sizes) + level.starts[context[used]][owner]
    shorter = [h[first[used]][owner] for h in histories[: m - 1]]
    q = _after(model, m - 1, shorter, model.tokens(m, number))
    back = level.back[context[used]]
    p = level.gain(number, context[used][owner]) + back[owner] * q
    sums = [np.bincount(owner, v, minlength=len(used)) for v in (p * np.log(p), q, q * np.log(q))]
    found = out[first]
    found[used] = -sums[0] - back * np.log(back) * (1 - sums[1]) + back * (found[used] + sums[2])
    return np.where(histories[m - 1] >= 0, found[inverse], out)


def _after(model: GramModel, m: int, histories: list[np.ndarray], token: np.ndarray) -> np.ndarray:
    """P(token) that a longer history backs off to, after histories of up to m − 1 tokens; uniform for m = 0."""
    p = np.full(len(token), 1 / model.vocabulary)
    for k in range(1, m + 1):
        level = model.levels[k - 1][False]
        context = histories[k - 1]
        p = level.gain(model.numbers(k, context, token), context) + level.weight(context) * p
    return p


def extended(model: GramModel, histories: list[np.ndarray], token: np.ndarray) -> list[np.ndarray]:
    """The histories that a token makes of others, of at most order − 1 tokens."""
    kept = histories[: model.order - 1]
    return histories[:1] + [model.numbers(m, context, token) for m, context in enumerate(kept, 1)]


def suffixes(model: GramModel, tokens: np.ndarray) -> list[np.ndarray]:
    """The numbers of the last 0 … order − 1 tokens up to each place of blocks (runs, count, block); −1 where unseen or
    too early."""
    out = [np.broadcast_to(np.arange(model.runs)[:, None, None], tokens.shape)]
    for m in range(1, model.order):
        longer = np.full(tokens.shape, UNSEEN, dtype=np.int64)
        before = out[0] if m == 1 else out[-1][:, :, m - 2 : -1]
        longer[:, :, m - 1 :] = model.numbers(m, before, tokens[:, :, m - 1 :])
        out.append(longer)
    return out


def drawn(model: GramModel, histories: list[np.ndarray], uniform: np.ndarray) -> np.ndarray:
    """The next token after each history, exactly from the model's law; one uniform number in [0, 1) for each.

    One of the occurrences of the context is chosen, or the shorter context by its weight; what is left of the uniform
    number, blown up, is uniform again. With Kneser–Ney the discount of an m-gram comes off its first occurrence.
    """
    token = np.empty(len(uniform), dtype=np.int64)
    left = np.arange(len(uniform))  # those still without a token
    for m in range(len(histories), 0, -1):
        level = model.levels[m - 1][m == len(histories)]
        context = histories[m - 1][left]
        seen = level.seen(context)
        here, context = left[seen], context[seen]
        x = uniform[here] * level.scale[context]
        place = np.minimum(x.astype(np.int64), level.scale[context] - 1)
        within = place < level.total[context]
        at = level.before[level.starts[context]] + np.where(within, place, 0)
        number = level.occurrences[at]
        if model.smoothing == "kneser-ney":
            discount = level.discount[context]
            down = (at == level.before[number]) & (x - place < discount)
            rest = (x - place) / discount
        else:
            down = ~within
            rest = (x - level.total[context]) / (level.scale - level.total)[context]
        token[here[~down]] = model.tokens(m, number[~down])
        uniform[here[down]] = np.minimum(rest[down], np.nextafter(1, 0))
        left = np.concatenate([left[~seen], here[down]])
    token[left] = uniform[left] * model.vocabulary
    return token
