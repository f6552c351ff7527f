"""The embedded images and their split."""

import sys

import numpy as np
import pytest

from lib.errors import Refused
from lib.worlds.images.data import digits, images, split
from lib.worlds.language import wikipedia
from lib.worlds.language.wikipedia import wikipedia_articles, word_counts


def test_digits_are_grey_images_in_two_parts():
    data = digits()
    assert data.train.shape == (1200, 8, 8) and data.test.shape == (597, 8, 8) and data.shape == (8, 8)
    for values in (data.train, data.test):
        assert values.dtype == np.float32 and values.min() == 0 and values.max() == 1
        np.testing.assert_array_equal(values * (data.levels - 1), np.round(values * 16))
    assert data.names == tuple("0123456789")


def test_parts_are_disjoint_and_complete():
    from sklearn.datasets import load_digits

    labels = load_digits().target
    train, test = split(labels, 1200)
    assert train.size == 1200
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(labels.size))


def test_every_class_has_its_share_in_both_parts():
    data = digits()
    train, test = np.bincount(data.train_labels), np.bincount(data.test_labels)
    expected = (train + test) * 1200 / 1797
    assert np.abs(train - expected).max() <= 1


def test_split_is_always_the_same_and_depends_on_labels_only():
    labels = np.tile(np.arange(5), 20)
    first, second = split(labels, 30), split(labels.copy(), 30)
    np.testing.assert_array_equal(first[0], second[0])
    assert np.bincount(labels[first[0]]).tolist() == [6] * 5


def test_images_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        digits().train[0] = 0


def test_unknown_data_names_what_is_known():
    with pytest.raises(Refused, match="'digits'"):
        images("cats")


def test_words_of_the_wikipedia_text():
    counts = word_counts()
    values = np.array(list(counts.values()))
    assert len(wikipedia_articles()) == 107
    assert list(counts)[:3] == ["the", "of", "and"]
    assert (np.diff(values) <= 0).all()
    assert 460_000 < values.sum() < 475_000 and 30_000 < values.size < 40_000
    assert 0.4 < (values == 1).mean() < 0.5
    assert all(word == word.lower() and word.strip("'’").replace("'", "").replace("’", "").isalpha() for word in counts)


def test_without_gensim_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.corpora.wikicorpus", None)
    with pytest.raises(ModuleNotFoundError, match="Wikipedia text comes with gensim.*pip install gensim"):
        wikipedia.wikipedia_articles.__wrapped__()
