"""Scores of generated text, by hand on small examples and by known laws."""

import math

import numpy as np
import pytest
from scipy import stats

from lib.errors import Refused
from lib.worlds.language.scores import (
    counts,
    distinct,
    gram_ids,
    repetition_rate,
    vocabulary_coverage,
    zipf_exponent,
)

# Run 0 says "a b a b | a b c d", run 1 "a a a a | a a a a".
TOKENS = np.array([[[0, 1, 0, 1], [0, 1, 2, 3]], [[0, 0, 0, 0], [0, 0, 0, 0]]], dtype=np.int32)


def test_distinct_by_hand():
    np.testing.assert_allclose(distinct(TOKENS, 1), [4 / 8, 1 / 8])
    # ab ba ab | ab bc cd: four of six, and no bigram across the border of the blocks.
    np.testing.assert_allclose(distinct(TOKENS, 2), [4 / 6, 1 / 6])
    np.testing.assert_allclose(distinct(TOKENS, 4), [1, 1 / 2])


def test_repetition_by_hand():
    # ab ba ab: one of three was there before; the second block repeats nothing. All but the first of aa aa aa.
    np.testing.assert_allclose(repetition_rate(TOKENS, 2), [(1 / 3 + 0) / 2, 2 / 3])
    np.testing.assert_allclose(repetition_rate(TOKENS), [0, 0])  # one 4-gram a block
    long = np.array([[[5, 6, 7, 8, 5, 6, 7, 8, 9]]])
    np.testing.assert_allclose(repetition_rate(long), [1 / 6])


def test_coverage_and_counts_by_hand():
    assert counts(TOKENS, 5).tolist() == [[3, 3, 1, 1, 0], [8, 0, 0, 0, 0]]
    # The real text uses 0, 1, 2 and 4; run 0 still says three of them.
    np.testing.assert_allclose(vocabulary_coverage(TOKENS, np.array([9, 1, 1, 0, 2])), [3 / 4, 1 / 4])
    np.testing.assert_allclose(vocabulary_coverage(TOKENS, np.array([1, 0, 0, 0])), [1, 1])


@pytest.mark.parametrize("order", [1, 2, 3, 5, 8])
def test_grams_against_tuples(order):
    # Ids near the largest of int32: 5-grams as plain numbers would not fit into 64 bits.
    tokens = np.random.default_rng(order).choice([0, 1, 2**31 - 2], size=(3, 20, 9)).astype(np.int32)
    ids = gram_ids(tokens, order)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, order, axis=2)
    assert ids.shape == windows.shape[:3]
    number = {}
    for gram, found in zip(map(tuple, windows.reshape(-1, order).tolist()), ids.ravel().tolist(), strict=True):
        assert number.setdefault(gram, found) == found
    assert len(set(number.values())) == len(number)
    by_hand = [len({tuple(g) for g in run.reshape(-1, order).tolist()}) / run[..., 0].size for run in windows]
    np.testing.assert_allclose(distinct(tokens, order), by_hand)
    rates = [np.mean([1 - len({tuple(g) for g in block.tolist()}) / len(block) for block in run]) for run in windows]
    np.testing.assert_allclose(repetition_rate(tokens, order), rates)


def test_runs_do_not_mix():
    tokens = np.random.default_rng(0).integers(0, 9, size=(4, 6, 8))
    for score in (
        lambda t: distinct(t, 2),
        lambda t: repetition_rate(t, 2),
        lambda t: vocabulary_coverage(t, np.ones(9)),
        lambda t: zipf_exponent(counts(t, 9)),
    ):
        np.testing.assert_array_equal(score(tokens)[2:3], score(tokens[2:3]))


def test_zipf_exponent_is_the_maximum_likelihood_one():
    # At the likeliest exponent the mean of ln f is that of the law, summed here term by term.
    f = np.array([5, 5, 5, 6, 6, 7, 9, 12, 30, 100, 4, 1] + 20 * [5])
    a = 1 + 1 / zipf_exponent(f[None])[0]
    terms = np.arange(5, 10**6) ** -a
    mean = (terms * np.log(np.arange(5, 10**6))).sum() / terms.sum()
    assert a > 2.5 and mean == pytest.approx(np.log(f[f >= 5]).mean(), rel=1e-6)
    with_zeros = np.concatenate([f, np.zeros(20, dtype=int)])[None]
    assert zipf_exponent(with_zeros) == zipf_exponent(f[None])


@pytest.mark.statistical
@pytest.mark.parametrize("a", [1.7, 2.0, 2.5])
def test_zipf_exponent_of_known_laws(a):
    runs, words = 20, 20000
    f = stats.zipf(a).rvs(size=(runs, words), random_state=np.random.default_rng(int(10 * a)))
    # scipy draws numbers beyond 2**63 as the largest one: cut off, a matter of 1e-13 of the words for a = 1.7.
    s = zipf_exponent(f, least=1)
    ks = np.arange(1, 10**6)
    p = ks**-a / (ks**-a).sum()
    spread = math.sqrt((p * np.log(ks) ** 2).sum() - (p * np.log(ks)).sum() ** 2)
    error = (1 / (a - 1)) ** 2 / (math.sqrt(words) * spread)
    # Mean of 20 runs within 4.5 of its standard errors, three tests: false-alarm rate 2e-5. The bias of the estimate is
    # of order 1/words, below 1% of that.
    assert abs(s.mean() - 1 / (a - 1)) < 4.5 * error / math.sqrt(runs)
    assert 0.5 < s.std() / error < 1.7  # chi-square with 19 degrees of freedom outside: rate below 1e-3


@pytest.mark.statistical
@pytest.mark.parametrize(("s", "tokens"), [(1.0, 41000), (1.2, 41000), (1.5, 41000), (1.0, 400000)])
def test_zipf_exponent_of_tokens(s, tokens):
    # Tokens drawn from ranks r^(−s): frequencies are known with counting noise, which for f ≥ 5 costs less than a tenth
    # of s, always on the low side (measured 2 to 9%); its own spread is below 2% and the bounds are wider by ten of
    # them.
    p = np.arange(1, 50001.0) ** -s
    f = np.random.default_rng(7).multinomial(tokens, p / p.sum(), size=20)
    assert 0.88 * s < zipf_exponent(f).mean() < 1.01 * s


def test_steeper_texts_have_larger_exponents():
    ranks = np.arange(1, 50001.0)
    f = np.stack([(40000 * ranks**-s / (ranks**-s).sum()).astype(int) for s in (0.7, 1.0, 1.3, 1.6)])
    assert (np.diff(zipf_exponent(f)) > 0.1).all()


def test_limits_of_the_zipf_exponent():
    found = zipf_exponent(np.array([[5, 5, 5], [5, 5, 6], [4, 4, 0]]))
    assert found[0] == 0 < found[1] and np.isnan(found[2])
    one = zipf_exponent(np.array([[1000, 0, 0]]), least=1)
    # One word: E ln f = 1/(a − 1) − … = ln 1000, so s is near ln 1000 + 0.577.
    assert one[0] == pytest.approx(math.log(1000) + 0.577, rel=0.01)


@pytest.mark.parametrize(
    ("call", "setting", "value"),
    [
        (lambda: distinct(TOKENS, 0), "order", 0),
        (lambda: distinct(TOKENS, 5), "order", 5),
        (lambda: repetition_rate(TOKENS, 1.5), "order", 1.5),
        (lambda: counts(TOKENS, 3), "tokens", 3),
        (lambda: counts(-TOKENS, 5), "tokens", -3),
        (lambda: zipf_exponent(np.array([[1, 2]]), least=0), "least", 0),
    ],
)
def test_wrong_arguments_are_named(call, setting, value):
    with pytest.raises(Refused) as found:
        call()
    assert (found.value.setting, found.value.value) == (setting, value)


def test_a_reference_without_words_is_refused():
    with pytest.raises(Refused, match="reference"):
        vocabulary_coverage(TOKENS, np.zeros(4))
