"""What generated text is judged by: how often it repeats itself, which words it still uses, and how its tail falls.

Everywhere `tokens` are token ids of shape (runs, count, block), and a result has shape (runs,). An n-gram lies within
one block.
"""

import math

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import zeta

from lib.errors import refuse, whole


def distinct(tokens: np.ndarray, order: int) -> np.ndarray:
    """Distinct n-grams of `order` over all n-grams of a run, in (0, 1]: distinct-n after Li et al. (2016, "A
    diversity-promoting objective function for neural conversation models"), who divide by the number of tokens instead.
    It falls with the amount of text: compare equal amounts only."""
    grams = gram_ids(tokens, order)
    grams = grams.reshape(len(grams), -1)
    return _kinds(grams) / grams.shape[1]


def repetition_rate(tokens: np.ndarray, order: int = 4) -> np.ndarray:
    """seq-rep-n of Welleck et al. (2020, "Neural text generation with unlikelihood training"): in each block 1 −
    distinct n-grams / n-grams, which is the share of n-grams that occurred earlier in the same block; averaged over
    blocks. 0 if nothing is said twice."""
    grams = gram_ids(tokens, order)
    return (1 - _kinds(grams) / grams.shape[2]).mean(axis=1)


def vocabulary_coverage(tokens: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Share of the tokens of the real text that occur in a run at all.

    `reference` has shape (vocabulary,): how often each token occurs in the real text. Any finite text misses rare
    words: compare equal amounts, and with real text of that amount.
    """
    wanted = np.asarray(reference) > 0
    if not wanted.any():
        refuse("reference", reference, "counts of which at least one is positive")
    return (counts(tokens, wanted.size)[:, wanted] > 0).mean(axis=1)


def counts(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """How often each token of the vocabulary occurs in a run: (runs, …) to (runs, vocabulary), int64."""
    flat = tokens.reshape(len(tokens), -1)
    if flat.size and not (flat.min() >= 0 and flat.max() < vocabulary):
        refuse("tokens", int(flat.min() if flat.min() < 0 else flat.max()), f"ids from 0 to {vocabulary - 1}")
    shifted = flat + vocabulary * np.arange(len(flat), dtype=np.int64)[:, None]
    return np.bincount(shifted.ravel(), minlength=len(flat) * vocabulary).reshape(-1, vocabulary)


def zipf_exponent(frequencies: np.ndarray, least: int = 5) -> np.ndarray:
    """The exponent s of Zipf's law, frequency ∝ rank^(−s), from how often each word occurs: (runs, words) to (runs,).

    If frequencies fall with the rank like r^(−s), the share of words that occur f times falls like f^(−a), a = 1 + 1/s.
    a is the maximum-likelihood exponent of the discrete power law p(f) = f^(−a) / ζ(a, least) over the words with f ≥
    least (Clauset, Shalizi and Newman 2009, "Power-law distributions in empirical data", Section 3.1). No word is
    ranked, so no bias comes from ranking by the same counts. s is near 1 for real text; a steeper fall makes it
    larger, and 0 means that every word occurs `least` times. Words that occur less often are left out, since whether a
    rare word occurs once, twice or never is chance and no property of its law. A run without a word that occurs so
    often has no exponent: nan.
    """
    least = whole("least", least, 1)
    used = frequencies >= least
    words = used.sum(axis=1)
    logs = np.log(np.where(used, frequencies, 1)).sum(axis=1) / np.maximum(words, 1)
    return np.array([_likeliest(*run, least) for run in zip(logs, words, strict=True)])


def _likeliest(mean_log: float, words: int, least: int) -> float:
    """s = 1/(a − 1) at the largest likelihood of a, of which the mean of ln f is all that matters."""
    if not words or mean_log <= math.log(least):
        return 0.0 if words else math.nan

    def loss(log_s: float) -> float:
        a = 1 + math.exp(-log_s)
        return a * mean_log + math.log(zeta(a, least))

    found = minimize_scalar(loss, bounds=(math.log(1e-2), math.log(1e3)), method="bounded", options={"xatol": 1e-9})
    return math.exp(found.x)


def gram_ids(tokens: np.ndarray, order: int) -> np.ndarray:
    """A number for every n-gram, equal for equal ones: (runs, count, block) to (runs, count, block − order + 1),
    int64."""
    order = whole("order", order, 1)
    if order > tokens.shape[2]:
        refuse("order", order, f"at most the {tokens.shape[2]} tokens of a block")
    ids = tokens.astype(np.int64)
    base = int(tokens.max()) + 1
    for _ in range(order - 1):
        if int(ids.max()) >= 2**63 // base - 1:  # give the n-grams found so far smaller numbers
            ids = np.unique(ids, return_inverse=True)[1].reshape(ids.shape)
        step = ids[:, :, :-1] * base
        ids = step + tokens[:, :, tokens.shape[2] - step.shape[2] :]
    return ids


def _kinds(values: np.ndarray) -> np.ndarray:
    """How many values along the last axis differ."""
    ordered = np.sort(values, axis=-1)
    return 1 + (ordered[..., 1:] != ordered[..., :-1]).sum(axis=-1)
