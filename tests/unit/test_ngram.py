"""N-gram models against dictionaries, by enumeration, and as a world."""

import dataclasses
import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest

import lib.worlds.language.ngram as module
from lib.pool import Part, Rows
from lib.recursion import recurse
from lib.regimes import (
    Accumulate,
    AccumulateSubsample,
    Keep,
    Replace,
)
from lib.worlds.language.ngram import NGram
from lib.worlds.language.ngram_counts import counted, entropies, probabilities, suffixes
from tests.unit.every import every as regimes

SMOOTHINGS = ("witten-bell", "kneser-ney")
ORDERS = (1, 2, 3, 4)
VOCABULARY = 4
# Two runs of six blocks of five tokens; token 3 never occurs, and the second run has no token but 0 in its last blocks.
BLOCKS = np.random.default_rng(0).integers(0, VOCABULARY - 1, size=(2, 6, 5))
BLOCKS[1, 3:] = 0


def stream(key=0):
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(0, spawn_key=(key,))))


def reference(blocks, order, smoothing):
    """P(token | history) by dictionaries and the formulas of Chen and Goodman, for one run; nothing shared with the
    code."""
    counts = [Counter() for _ in range(order + 1)]
    before = [defaultdict(set) for _ in range(order + 1)]
    for block in blocks.tolist():
        for m in range(1, order + 1):
            for end in range(m, len(block) + 1):
                gram = tuple(block[end - m : end])
                counts[m][gram] += 1
                if end > m:
                    before[m][gram].add(block[end - m - 1])

    def p(token, history, longest=True):
        m = len(history) + 1
        table = counts[m]
        if smoothing == "kneser-ney" and not longest:
            table = {gram: len(tokens) for gram, tokens in before[m].items()}
        lower = p(token, history[1:], False) if history else 1 / VOCABULARY
        followers = {gram[-1]: count for gram, count in table.items() if gram[:-1] == history}
        if not followers:
            return lower
        total, types = sum(followers.values()), len(followers)
        if smoothing == "witten-bell":
            return (followers.get(token, 0) + types * lower) / (total + types)
        once, twice = (sum(count == k for count in table.values()) for k in (1, 2))
        discount = once / (once + 2 * twice) if once else 0.5
        return max(followers.get(token, 0) - discount, 0) / total + discount * types / total * lower

    return p


def every(length):
    """All blocks of that length: (1, vocabulary^length, length)."""
    return np.array(list(itertools.product(range(VOCABULARY), repeat=length)))[None]


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", ORDERS)
def test_probabilities_are_those_of_dictionaries(order, smoothing):
    model = counted(BLOCKS, order, VOCABULARY, smoothing)
    blocks = np.broadcast_to(every(5), (2, VOCABULARY**5, 5))
    found = probabilities(model, blocks)
    for run in range(2):
        p = reference(BLOCKS[run], order, smoothing)
        for block, values in zip(blocks[run].tolist(), found[run], strict=True):
            wanted = [p(block[k], tuple(block[max(0, k - order + 1) : k])) for k in range(5)]
            np.testing.assert_allclose(values, wanted, rtol=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", ORDERS)
def test_probabilities_sum_to_one_after_every_history(order, smoothing):
    model = counted(BLOCKS, order, VOCABULARY, smoothing)
    for length in range(5):
        blocks = np.broadcast_to(every(length + 1), (2, VOCABULARY ** (length + 1), length + 1))
        # Histories of up to order − 1 tokens, seen and unseen, and the next token as the last of a block.
        p = probabilities(model, blocks)[:, :, -1]
        assert (p > 0).all()
        np.testing.assert_allclose(p.reshape(2, -1, VOCABULARY).sum(axis=2), 1, rtol=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", ORDERS)
def test_entropies_are_those_of_all_probabilities(order, smoothing):
    model = counted(BLOCKS, order, VOCABULARY, smoothing)
    for length in range(order):
        blocks = np.broadcast_to(every(length + 1), (2, VOCABULARY ** (length + 1), length + 1))
        p = probabilities(model, blocks)[:, :, -1].reshape(-1, VOCABULARY)
        # Numbers of the histories, one block for each of them.
        numbers = suffixes(model, blocks[:, ::VOCABULARY])
        histories = [n[:, :, max(length - 1, 0)].ravel() for n in numbers[: length + 1]]
        np.testing.assert_allclose(entropies(model, length + 1, histories), -(p * np.log(p)).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", ORDERS)
def test_a_model_without_counts_is_uniform(order, smoothing):
    model = counted(np.zeros((2, 0, 5), dtype=np.int32), order, VOCABULARY, smoothing)
    blocks = np.broadcast_to(every(5), (2, VOCABULARY**5, 5))
    np.testing.assert_allclose(np.exp(-np.log(probabilities(model, blocks)).mean(axis=(1, 2))), VOCABULARY)
    histories = [n[:, :, 3].ravel() for n in suffixes(model, blocks)]
    np.testing.assert_allclose(entropies(model, order, histories), math.log(VOCABULARY))


def test_a_world_without_counts_has_the_vocabulary_as_its_perplexity(tiny):
    size = tiny.corpus.tokenizer.size
    model = counted(np.zeros((2, 0, 8), dtype=np.int32), 3, size, "kneser-ney")
    found = tiny.score(model, stream(1), tiny.scores)
    np.testing.assert_allclose(found["test_perplexity"], size)
    np.testing.assert_allclose(found["next_entropy"], math.log(size))
    np.testing.assert_allclose(found["generated_perplexity"], size)
    drawn = tiny.sample(model, 2000, None, stream(2)).values
    # 32 000 draws from about 25 words: each within 5 standard errors, false-alarm rate 3e-5.
    shares = np.bincount(drawn.ravel(), minlength=size) / drawn.size
    np.testing.assert_allclose(shares, 1 / size, atol=5 * math.sqrt(1 / size / drawn.size))


def test_witten_bell_by_hand():
    # One run, one block: a a b. c(a) = 2, c(b) = 1, two types; after a: a once, b once.
    model = counted(np.array([[[0, 0, 1]]]), 2, 4, "witten-bell")
    a, b, unseen = (2 + 2 / 4) / 5, (1 + 2 / 4) / 5, (2 / 4) / 5
    found = probabilities(model, np.array([[[0, 0, 1], [2, 1, 3]]]))
    np.testing.assert_allclose(found[0, 0], [a, (1 + 2 * a) / 4, (1 + 2 * b) / 4])
    np.testing.assert_allclose(found[0, 1], [unseen, b, unseen])  # nothing is known of what follows c or b


def test_kneser_ney_by_hand():
    # One run, two blocks: a a b | c a b. Bigrams aa 1, ab 2, ca 1: D = 2 / (2 + 2·1) = ½. Before a: a and c; before b:
    # a.
    model = counted(np.array([[[0, 0, 1], [2, 0, 1]]]), 2, 4, "kneser-ney")
    # Unigrams by what is before them: a 2, b 1, of 3; D = 1 / (1 + 2·1) = 1/3, two types.
    lower = np.array([2 - 1 / 3, 1 - 1 / 3, 0, 0]) / 3 + (1 / 3) * (2 / 3) / 4
    found = probabilities(model, np.array([[[0, 0, 1], [1, 2, 0]]]))
    np.testing.assert_allclose(found[0, 0, 1:], np.array([0.5, 1.5]) / 3 + 0.5 * (2 / 3) * lower[:2])
    np.testing.assert_allclose(found[0, 1, 1:], [lower[2], 0.5 / 1 + 0.5 * lower[0]])
    # The first token by how often it occurs: a 3, b 2, c 1; D = 1 / (1 + 2·1), three types.
    np.testing.assert_allclose(found[0, :, 0], [(3 - 1 / 3) / 6 + (1 / 6) / 4, (2 - 1 / 3) / 6 + (1 / 6) / 4])


# As a world


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "some.txt"
    rng = np.random.default_rng(1)
    words = np.array("the a cat dog bird saw ran to from of and green old house tree sun , . we they".split())
    # Two words in three are followed by a word of their own, so that there is something to learn.
    chance = 1 / np.arange(1, words.size + 1) / (1 / np.arange(1, words.size + 1)).sum()
    after, lines = rng.permutation(words.size), []
    for _ in range(120):
        line = [rng.choice(words.size, p=chance)]
        while len(line) < 30:
            line.append(after[line[-1]] if rng.random() < 2 / 3 else rng.choice(words.size, p=chance))
        lines.append(" ".join(words[line]))
    path.write_text("\n".join(lines))
    return NGram(data=f"file:{path}", vocabulary=None, block=8, test_blocks=10, score_samples=12, shown=2)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", ORDERS)
def test_log_probabilities_and_entropy_of_blocks(tiny, order, smoothing, monkeypatch):
    world = dataclasses.replace(tiny, order=order, smoothing=smoothing)
    model = world.fit((Part(world.real(2, 20, stream(1), 0), 1.0),), None).model
    tokens = np.stack([world.real(2, 9, stream(2), 0).values[0]] * 2)
    found = world.log_probabilities(model, tokens)
    assert found.shape == (2, 9, 7)
    np.testing.assert_array_equal(found, np.log(probabilities(model, tokens))[:, :, 1:])
    monkeypatch.setattr(module, "CHUNK", 40)
    np.testing.assert_array_equal(found, world.log_probabilities(model, tokens))
    # Every token of the vocabulary after every history of the blocks.
    size = model.vocabulary
    wanted = np.zeros(2)
    for place in range(1, 8):
        each = np.repeat(tokens[:, :, : place + 1], size, axis=1)
        each[:, :, place] = np.tile(np.arange(size), 9)
        p = probabilities(model, each)[:, :, place]
        wanted -= (p * np.log(p)).sum(axis=1)
    np.testing.assert_allclose(world.next_entropy(model, tokens), wanted / (9 * 7), rtol=1e-12)


def test_fit_takes_every_part_and_counts_tokens(tiny):
    batch = tiny.real(2, 20, stream(1), 0)
    parts = tuple(Part(Rows(batch.values[:, k]), 1.0) for k in (slice(0, 7), slice(7, 20)))
    whole, split = tiny.fit((Part(batch, 1.0),), None), tiny.fit(parts, None)
    assert whole.steps == 1 and whole.examples == 20 * 8
    for name, keys in whole.model.keys.items():
        np.testing.assert_array_equal(keys, split.model.keys[name])


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_a_stored_model_is_the_same(tiny, smoothing, tmp_path):
    world = dataclasses.replace(tiny, smoothing=smoothing)
    model = world.fit((Part(world.real(2, 20, stream(1), 0), 1.0),), None).model
    world.save(model, tmp_path / "model")
    loaded = world.load(tmp_path / "model")
    first, second = (world.sample(m, 30, None, stream(3)).values for m in (model, loaded))
    np.testing.assert_array_equal(first, second)
    assert not list((tmp_path / "model").glob("*.pkl"))
    for name, value in world.score(model, stream(4), world.scores).items():
        np.testing.assert_array_equal(value, world.score(loaded, stream(4), world.scores)[name])


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_samples_are_blocks_and_follow_prompts(tiny, smoothing):
    world = dataclasses.replace(tiny, smoothing=smoothing, order=3)
    # Blocks in which a token is followed by the next one: 0 1 2 …, 1 2 3 …
    start = np.arange(200) % 10
    train = Rows(np.broadcast_to((start[:, None] + np.arange(8)).astype(np.int32), (3, 200, 8)))
    model = world.fit((Part(train, 1.0),), None).model
    free = world.sample(model, 50, None, stream(1)).values
    assert free.shape == (3, 50, 8) and free.dtype == np.int32
    assert 0 <= free.min() and free.max() < model.vocabulary
    prompts = Rows(train.values[:, :50])
    prompted = world.sample(model, 50, prompts, stream(1)).values
    p = (prompted[:, :, 0] == prompts.values[:, :, -1] + 1).mean()
    # The last two tokens were seen with their continuation 20 to 140 times and with no other: P above 0.9, 150 draws.
    known = prompts.values[:, :, -1] < 16
    assert (
        (prompted[:, :, 0] == prompts.values[:, :, -1] + 1)[known].mean()
        > 0.75
        > (free[:, :, 0] == free[0, 0, 0]).mean()
    )
    assert 0 < p
    # A prompt is seen as far back as order − 1 tokens and no further.
    longer = Rows(np.concatenate([np.zeros_like(prompts.values), prompts.values], axis=2))
    np.testing.assert_array_equal(world.sample(model, 50, longer, stream(1)).values, prompted)
    last = Rows(prompts.values[:, :, -2:])
    np.testing.assert_array_equal(world.sample(model, 50, last, stream(1)).values, prompted)


def test_every_regime_runs(tiny):
    data = recurse(tiny, regimes(0.5), n=12, generations=4, runs=3, seed=1)
    for name in tiny.scores:
        assert np.isfinite(data[name]).all(), name
    assert (data.test_perplexity > 1).all() and (data.steps == 1).all()
    np.testing.assert_array_equal(data.examples, 8 * data.train_size)
    first = data.test_perplexity.sel(generation=1)
    assert (first == first.isel(regime=0)).all()
    assert (data.test_perplexity.sel(regime="RealOnly", generation=4) < first.isel(regime=0)).all()
    assert (data.test_perplexity.sel(regime="Replace", generation=4) > first.isel(regime=0)).all()


@pytest.mark.parametrize("regime", [Replace(), Accumulate(), Keep(0.25)], ids=str)
def test_a_killed_run_goes_on_exactly(tiny, regime, tmp_path, monkeypatch):
    settings = {"n": 12, "runs": 2, "seed": 4, "generations": 4}
    whole = recurse(tiny, regime, **settings)
    fit, calls = NGram.fit, []

    def killed(self, train, rng):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(self, train, rng)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(NGram, "fit", killed)
        recurse(tiny, regime, checkpoint=tmp_path, **settings)
    resumed = recurse(tiny, regime, checkpoint=tmp_path, **settings)
    for name in whole.data_vars:
        np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_more_runs_change_no_number_of_the_first(tiny, smoothing):
    world = dataclasses.replace(tiny, smoothing=smoothing)
    regimes = [Replace(), AccumulateSubsample(), Keep(0.25)]
    few, many = (recurse(world, regimes, n=12, generations=3, runs=runs, seed=2) for runs in (2, 5))
    for name in world.scores:
        np.testing.assert_array_equal(few[name], many[name].isel(run=slice(2)), err_msg=name)
    assert not np.array_equal(few.test_perplexity.isel(run=0), few.test_perplexity.isel(run=1))


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("order", 0, "at least 1"),
        ("order", 2.5, "whole number"),
        ("order", 9, "at most the 8 tokens of a block"),
        ("smoothing", "laplace", "'witten-bell', 'kneser-ney'"),
        ("data", "news", "'wikipedia-sample'"),
        ("block", 1, "at least 2"),
        ("block", 10**6, "at most"),
        ("vocabulary", 1, "at least 3"),
    ],
)
def test_wrong_settings_are_named(tiny, setting, value, says):
    with pytest.raises(ValueError, match=rf"{'text' if setting == 'data' else setting}=.*{says}"):
        dataclasses.replace(tiny, **{setting: value})


def test_another_text_under_the_same_name_is_another_checkpoint(tmp_path):
    lines = [f"Line {k} of {k % 7} in a short text." for k in range(60)]
    path = tmp_path / "some.txt"
    path.write_text("\n".join(lines))
    world = NGram(data=f"file:{path}", vocabulary=None, block=8, test_blocks=4, score_samples=4)
    recurse(world, Replace(), n=4, generations=2, runs=1, seed=1, checkpoint=tmp_path / "kept")
    path.write_text("\n".join([*lines, "Another line."]))
    with pytest.raises(ValueError, match="text_digest=.*the setting of checkpoint"):
        recurse(world, Replace(), n=4, generations=2, runs=1, seed=1, checkpoint=tmp_path / "kept")


def test_more_real_text_than_there_is_is_refused(tiny):
    with pytest.raises(ValueError, match="n=10000.*needs 10000 real rows"):
        recurse(tiny, Replace(), n=10000, generations=1, runs=1, seed=1)
