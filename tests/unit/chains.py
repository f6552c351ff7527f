"""The chains of counts themselves, state by state: what the laws of `lib.theory.discrete` are checked against in small
cases."""

from itertools import combinations

import numpy as np
from scipy import special


def compositions(n: int, states: int) -> np.ndarray:
    """All ways to spread n samples over K states, shape (count, K), in lexicographic order; for small cases."""
    bars = np.array(list(combinations(range(n + states - 1), states - 1)), dtype=int).reshape(-1, states - 1)
    edges = np.concatenate([np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), n + states - 1)], axis=1)
    return np.diff(edges, axis=1) - 1


def multinomial_table(counts: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """P(counts | probabilities) for counts (a, K), each row of the same sum, and probabilities (b, K): shape (b, a)."""
    coefficient = special.gammaln(counts.sum(axis=1) + 1) - special.gammaln(counts + 1).sum(axis=1)
    # xlogy takes 0·ln 0 as 0: a lost state has probability 1 of not being drawn.
    powers = special.xlogy(counts[None], probabilities[:, None]).sum(axis=2)
    return np.exp(coefficient + powers)


def transition_matrix(n: int, states: int) -> np.ndarray:
    """The full chain of counts under Replace: entry [i, j] is the probability of going from `compositions` i to j. For
    small n, K."""
    counts = compositions(n, states)
    return multinomial_table(counts, counts / n)


def urn_matrix(n: int, states: int, generation: int) -> np.ndarray:
    """One generation of the urn under Accumulate: from the compositions of n·generation samples to those of
    n·(generation + 1)."""
    before, drawn, after = (compositions(size, states) for size in (n * generation, n, n * (generation + 1)))
    chances = multinomial_table(drawn, before / (n * generation))
    place = {tuple(row): k for k, row in enumerate(after)}
    target = np.array([[place[tuple(a + b)] for b in drawn] for a in before])
    matrix = np.zeros((len(before), len(after)))
    np.add.at(matrix, (np.arange(len(before))[:, None], target), chances)
    return matrix
