"""Sampled blocks follow the probabilities of the n-gram model, token by token and as a whole."""

import numpy as np
import pytest
from scipy import stats

from lib.worlds.language.ngram_counts import counted, drawn, extended, probabilities

pytestmark = pytest.mark.statistical

VOCABULARY, BLOCK, SAMPLES = 4, 4, 200_000
TRAIN = np.random.default_rng(3).choice(VOCABULARY - 1, size=(2, 8, 6), p=[0.6, 0.3, 0.1])
# 16 tests of 2 p-values each: all above the level with probability 1 − 3e-4.
LEVEL = 1e-5


def p_value(observed, p):
    """Of Pearson's chi-square; outcomes expected fewer than ten times are put together."""
    expected = p * observed.sum()
    rare = expected < 10
    pooled = [np.append(x[~rare], x[rare].sum()) for x in (observed, expected)]
    if pooled[1][-1] < 10:
        assert abs(pooled[0][-1] - pooled[1][-1]) < 30
        pooled = [x[:-1] for x in pooled]
    return stats.chisquare(*pooled, sum_check=False).pvalue if len(pooled[0]) > 1 else 1.0


@pytest.mark.parametrize("smoothing", ["witten-bell", "kneser-ney"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("prompt", [(), (0, 2, 3)], ids=["free", "prompted"])
def test_blocks_have_the_probabilities_of_the_model(order, smoothing, prompt):
    # All 256 blocks, two runs: whatever depends on the place in the block or on the run is in their probabilities.
    model = counted(TRAIN, order, VOCABULARY, smoothing)
    rng = np.random.default_rng([4, order, len(smoothing), len(prompt)])
    histories = [np.repeat(np.arange(2), SAMPLES)]
    for token in prompt:
        histories = extended(model, histories, np.full(2 * SAMPLES, token))
    number = np.zeros(2 * SAMPLES, dtype=int)
    for _ in range(BLOCK):
        token = drawn(model, histories, rng.random(2 * SAMPLES))
        histories = extended(model, histories, token)
        number = VOCABULARY * number + token
    blocks = np.stack(np.unravel_index(np.arange(VOCABULARY**BLOCK), (VOCABULARY,) * BLOCK), axis=1)
    whole = np.concatenate([np.tile(prompt, (len(blocks), 1)).astype(int), blocks], axis=1)
    p = probabilities(model, np.broadcast_to(whole, (2, *whole.shape)))[:, :, len(prompt) :].prod(axis=2)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    for run in range(2):
        observed = np.bincount(number[run * SAMPLES : (run + 1) * SAMPLES], minlength=VOCABULARY**BLOCK)
        assert p_value(observed, p[run]) > LEVEL


def test_the_test_can_fail():
    # Samples of one smoothing are not those of the other.
    models = [counted(TRAIN, 2, VOCABULARY, smoothing) for smoothing in ("witten-bell", "kneser-ney")]
    history = extended(models[0], [np.zeros(SAMPLES, dtype=int)], np.zeros(SAMPLES, dtype=int))
    token = drawn(models[0], history, np.random.default_rng(5).random(SAMPLES))
    after = np.array([[[0, token] for token in range(VOCABULARY)]] * 2)
    p = [probabilities(model, after)[0, :, 1] for model in models]
    observed = np.bincount(token, minlength=VOCABULARY)
    assert p_value(observed, p[0]) > LEVEL > p_value(observed, p[1])
