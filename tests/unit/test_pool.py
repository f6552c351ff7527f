"""Batches: rows, moments and what may be done with them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from lib.pool import Counts, Rows
from lib.worlds.moments import Moments, bartlett
from tests.unit.refusals import refused


def rows(seed, runs=3, size=20, d=4):
    return Rows(np.random.default_rng(seed).normal(2.0, 3.0, (runs, size, d)))


def test_moments_of_rows_are_numpys():
    batch = rows(1)
    found = Moments.of(batch)
    for run in range(3):
        assert_allclose(found.mean[run], batch.values[run].mean(axis=0))
        assert_allclose(found.scatter[run], np.cov(batch.values[run].T) * 19)
    assert_allclose(found.factor @ found.factor.swapaxes(1, 2), found.scatter)
    assert_allclose(found.factor, np.tril(found.factor))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_merged_moments_are_the_moments_of_all_rows(a, b, d, seed):
    first, second = rows(seed, size=a, d=d), rows(seed + 1, size=b, d=d)
    one, all_rows = Moments.of(first).merge(Moments.of(second)), Moments.of(first.merge(second))
    assert one.size == all_rows.size == a + b
    assert_allclose(one.mean, all_rows.mean, atol=1e-12)
    assert_allclose(one.scatter, all_rows.scatter, atol=1e-9)


def test_merging_is_stable_at_ten_to_the_thirteen():
    big = 10**13
    one = Moments(big, np.full((1, 1), 1e8), np.full((1, 1, 1), float(big)))
    two = Moments(big, np.full((1, 1), 1e8 + 1), np.full((1, 1, 1), float(big)))
    both = one.merge(two)
    # Two unit-variance halves one apart: variance 1 + 1/4, which a sum of squares at a mean of 1e8 would lose.
    assert both.size == 2 * big
    assert_allclose(both.scatter / both.size, 1.25, rtol=1e-12)
    assert_allclose(both.mean, 1e8 + 0.5, rtol=1e-15)


def test_merging_leaves_its_arguments_alone():
    one, two = Moments.of(rows(1)), Moments.of(rows(2))
    before = one.scatter.copy(), two.scatter.copy()
    one.merge(two)
    assert_allclose(one.scatter, before[0], rtol=0)
    assert_allclose(two.scatter, before[1], rtol=0)


@pytest.mark.parametrize("k", [1, 7, 20])
def test_taken_rows_are_distinct_rows_of_the_batch(k):
    batch = Rows(np.arange(60, dtype=float).reshape(3, 20, 1))
    taken = batch.take(k, np.random.default_rng(0)).values
    assert taken.shape == (3, k, 1)
    for run in range(3):
        assert len(set(taken[run].ravel())) == k
        assert set(taken[run].ravel()) <= set(batch.values[run].ravel())


@pytest.mark.parametrize("k", [0, 21])
def test_taking_too_many_is_an_error_that_says_so(k):
    for batch in (rows(1), Moments.of(rows(1))):
        with pytest.raises(ValueError, match=f"k={k} .*between 1 and 20"):
            batch.take(k, np.random.default_rng(0))


def test_a_subset_of_moments_fits_inside_the_whole():
    whole = Moments.of(rows(3))
    part = whole.take(8, np.random.default_rng(0))
    assert part.size == 8
    # What the subset and its mean contribute cannot exceed the scatter of all samples in any direction.
    gap = part.mean - whole.mean
    used = part.scatter + 8 * 20 / 12 * gap[:, :, None] * gap[:, None, :]
    assert np.linalg.eigvalsh(whole.scatter - used).min() > -1e-9


def test_a_subset_of_moments_in_more_dimensions_than_samples_keeps_its_rank():
    few = Moments.of(rows(3, size=6, d=10))
    part = few.take(4, np.random.default_rng(0))
    assert np.linalg.matrix_rank(part.scatter[0], hermitian=True) == 3


@pytest.mark.parametrize(("degrees", "columns"), [(0, 0), (2, 2), (5, 5), (9, 5)])
def test_bartlett_has_the_rank_of_its_degrees_of_freedom(degrees, columns):
    factor = bartlett(np.random.default_rng(0), 2, 5, degrees)
    assert factor.shape == (2, 5, columns)
    assert_allclose(factor, np.tril(factor))


def test_the_first_runs_do_not_depend_on_how_many_there_are():
    for d, degrees in ((1, 4), (6, 3), (6, 50)):
        few = bartlett(np.random.default_rng(5), 2, d, degrees)
        many = bartlett(np.random.default_rng(5), 9, d, degrees)
        assert (few == many[:2]).all()


def counted(rows):
    return Counts(rows.shape[1], np.array([np.bincount(run, minlength=4) for run in rows]))


def counts(seed=0, runs=3, size=50):
    return counted(np.random.default_rng(seed).integers(4, size=(runs, size)))


def test_merged_counts_are_the_counts_of_all_rows():
    one, two = counts(1), counts(2, size=7)
    both = one.merge(two)
    assert both.size == 57
    assert (both.values == one.values + two.values).all()
    huge = Counts(10**18, np.array([[10**18]]))
    assert huge.merge(huge).values.tolist() == [[2 * 10**18]]


@pytest.mark.parametrize("k", [1, 20, 50])
def test_taken_counts_are_a_part_of_the_whole(k):
    whole = counts()
    part = whole.take(k, np.random.default_rng(0))
    assert part.size == k
    assert (part.values.sum(axis=1) == k).all()
    assert ((part.values >= 0) & (part.values <= whole.values)).all()


def test_counts_can_be_taken_from_counts_again_and_the_first_runs_stay():
    few = counts(runs=3).take(30, np.random.default_rng(4)).take(10, np.random.default_rng(5))
    both = np.concatenate([np.random.default_rng(0).integers(4, size=(3, 50)), np.ones((2, 50), dtype=int)])
    many = counted(both).take(30, np.random.default_rng(4)).take(10, np.random.default_rng(5))
    assert few.values.sum(axis=1).tolist() == [10] * 3
    assert (
        counted(both).take(30, np.random.default_rng(4)).values[:3].tolist()
        == counts().take(30, np.random.default_rng(4)).values.tolist()
    )
    assert many.values[3:].tolist() == [[0, 10, 0, 0]] * 2


def test_subsets_of_too_many_counts_are_an_error_that_names_the_limit():
    huge = Counts(10**9, np.array([[10**9 - 1, 1]]))
    with refused("k", 5):
        huge.take(5, np.random.default_rng(0))
    assert huge.take(10**9, np.random.default_rng(0)) is huge
    with refused("k", 51):
        counts().take(51, np.random.default_rng(0))


def test_rows_that_grow_in_place_leave_older_batches_alone():
    rng = np.random.default_rng(5)
    batches = [Rows(rng.standard_normal((2, k, 3))) for k in (4, 1, 3, 5, 2)]
    grown = [batches[0]]
    for batch in batches[1:]:
        grown.append(grown[-1].merge(batch))
    for k, union in enumerate(grown):
        np.testing.assert_array_equal(union.values, np.concatenate([b.values for b in batches[: k + 1]], axis=1))
    # Merging again from an older one starts an array of its own.
    other = grown[2].merge(batches[0])
    np.testing.assert_array_equal(grown[3].values, np.concatenate([b.values for b in batches[:4]], axis=1))
    np.testing.assert_array_equal(other.values, np.concatenate([grown[2].values, batches[0].values], axis=1))


def test_rows_of_two_kinds_merge_into_the_wider_one():
    union = Rows(np.ones((1, 2), dtype=np.float32)).merge(Rows(np.full((1, 1), 1e-12)))
    assert union.values.dtype == np.float64 and union.values[0, 2] == 1e-12
