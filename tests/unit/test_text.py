"""Texts: cleaning, the split by article, tokenizers that see the training part only, blocks and bytes."""

import contextlib
import dataclasses
import math
import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import Refused
from lib.worlds.language import corpus as module
from lib.worlds.language import tokenizer as tokenizers
from lib.worlds.language.corpus import corpus, split_articles, text
from lib.worlds.language.tokenizer import END, learned
from lib.worlds.language.wikipedia import WORD, cleaned

ARTICLES = tuple(f"The {k}th article is about number {k} and the numbers near {k}." for k in range(100))
WORDS = learned("words", ("the cat sat. The dog sat,", "the end"), None)
PAIRS = learned("bpe", ARTICLES, 300)


@contextlib.contextmanager
def refused(setting, value):
    with pytest.raises(Refused) as found:
        yield
    assert (found.value.setting, found.value.value) == (setting, value)


def file(tmp_path, content, name="some.txt"):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return f"file:{path}"


def articles_of(found):
    return [*found.train, *found.validation, *found.test]


# The split


def test_embedded_text_is_split_by_article():
    found = text("wikipedia-sample")
    parts = found.train, found.validation, found.test
    sizes = np.array([sum(map(len, part)) for part in parts])
    assert len(set(articles_of(found))) == sum(map(len, parts)) > 100
    assert 2.5e6 < sizes.sum() < 3e6
    # The last article that goes in may carry a held-out part beyond its tenth, by no more than its own share.
    longest = max(map(len, articles_of(found))) / sizes.sum()
    assert (sizes[1:] / sizes.sum() >= 0.1).all() and (sizes[1:] / sizes.sum() < 0.1 + longest).all()
    assert "CC BY-SA" in found.source and "Wikipedia" in found.source


def test_embedded_text_is_clean():
    joined = "\n".join(articles_of(text("wikipedia-sample")))
    for left in ("''", "==", "[[", "{{", "|", "\xa0", "  ", "\n\n", "( ", " )", " ,", "\t", "File:"):
        assert left not in joined, left
    assert all(len(WORD.findall(line)) >= 6 and line == line.strip() for line in joined.splitlines())


def test_cleaning_of_a_page():
    page = """
'''Achilles''' (; , ''Akhilleus'', ) was a hero of the ''Iliad'''s\xa0war  and others .
== Life ==
* He had a son () and many good friends.
* Scyros
 12
Image:some.jpg|A picture of him with some of his friends
He is said to have had a profile: image of a god.
== See also ==
* A list of other heroes of the Trojan war
=== And more ===
* Another list of heroes of the same war
== Death ==
Nobody knows who it was that shot him|alt=x
It was Paris, who shot him in the heel.
"""
    assert cleaned(page).splitlines() == [
        "Achilles (Akhilleus) was a hero of the Iliad's war and others.",
        "He had a son and many good friends.",
        "He is said to have had a profile: image of a god.",
        "It was Paris, who shot him in the heel.",
    ]


def test_equal_articles_are_dealt_out_in_tenths_whatever_their_order():
    same = tuple(f"article {k:03d}" for k in range(100))
    found = split_articles("x", same, "")
    assert [len(part) for part in (found.train, found.validation, found.test)] == [80, 10, 10]
    other = split_articles("x", reversed(same), "")
    for part in ("train", "validation", "test"):
        assert set(getattr(found, part)) == set(getattr(other, part))
    assert found.train == tuple(sorted(found.train)) and found.train != same[:80]
    assert found.digest == split_articles("y", same, "").digest != other.digest


def test_copies_are_in_one_part_only():
    found = split_articles("x", [*ARTICLES, *ARTICLES, ""], "")
    assert sorted(articles_of(found)) == sorted(ARTICLES)
    kept = module._text("x", ["a", "b", "a"], ["b", "c"], ["c", "a", "d"], "")
    assert (kept.train, kept.validation, kept.test) == (("a", "b"), ("c",), ("d",))


def test_articles_that_cannot_be_split():
    for articles in (["a"] * 50, [*(f"{k}" for k in range(20)), *(f"{k}" * 10**4 for k in "ab")]):
        with refused("text", "x"):
            split_articles("x", articles, "")


# Texts by name


def test_unknown_text_names_what_is_known():
    with pytest.raises(Refused, match="'wikipedia-sample'"):
        text("news")


def test_a_file_of_articles_between_blank_lines(tmp_path):
    found = text(file(tmp_path, "\r\n \r\n".join(a.replace(" is", "\r\n   is") for a in ARTICLES) + "\n"))
    assert sorted(articles_of(found)) == sorted(a.replace(" is", "\nis") for a in ARTICLES)
    assert found.source == "the file some.txt"


def test_a_file_of_one_block_is_cut_into_lines(tmp_path):
    found = text(file(tmp_path, "\ufeff" + "\n".join(ARTICLES)))
    assert sorted(articles_of(found)) == sorted(ARTICLES)


def test_a_file_is_read_once_and_again_when_it_was_changed(tmp_path):
    name = file(tmp_path, "\n".join(ARTICLES))
    first = text(name)
    assert text(name) is first
    file(tmp_path, "\n".join((*ARTICLES, "One more.")))
    assert text(name).digest != first.digest and "One more." in articles_of(text(name))


@pytest.mark.parametrize(
    "content", [b"", b" \n\n \t\n", b"All is said in one line.", "Größe".encode("latin-1")], ids=range(4)
)
def test_files_that_cannot_be_used(tmp_path, content):
    path = tmp_path / "some.txt"
    path.write_bytes(content)
    with refused("text", f"file:{path}"):
        text(f"file:{path}")


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    for path, said in ((tmp_path / "none.txt", "no such file"), (tmp_path, "this is a folder")):
        with pytest.raises(Refused, match=said):
            text(f"file:{path}")


def test_a_file_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file(tmp_path, "\n".join(ARTICLES))
    assert text("file:~/some.txt").digest == text(f"file:{tmp_path}/some.txt").digest


def test_a_file_like_wikitext_is_split_at_titles_only(tmp_path):
    made = [f"= Title {k} =\nIt begins .\n= = Part = =\nIt has @-@ and ends with {k} ." for k in range(20)]
    found = text(file(tmp_path, " \n " + " \n \n ".join("\n".join(made).splitlines()) + " \n"))
    assert sorted(articles_of(found)) == sorted(made)


def hub(monkeypatch, load):
    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load))


def test_wikitext_keeps_its_published_split(monkeypatch):
    lines = {
        "train": [
            "",
            " = A = \n",
            "",
            " First . \n",
            " = = Part = = \n",
            " Second . \n",
            " = B = \n",
            " Third @-@ one . \n",
        ],
        "validation": [" = C = \n", " Fourth . \n"],
        "test": [" = D = \n", " Fifth . \n", " = B = \n", " Third @-@ one . \n"],
    }
    asked = []
    hub(monkeypatch, lambda *names: asked.append(names) or {part: {"text": v} for part, v in lines.items()})
    found = module._wikitext.__wrapped__()
    assert asked == [("Salesforce/wikitext", "wikitext-2-raw-v1")]
    assert found.train == ("= A =\nFirst .\n= = Part = =\nSecond .", "= B =\nThird @-@ one .")
    assert found.validation == ("= C =\nFourth .",) and found.test == ("= D =\nFifth .",)


def test_tinystories_are_split_by_story(monkeypatch):
    stories = {"train": ["One day\n\nTom ran.", "The end."], "validation": ["a", "b", "One day Tom ran.", "c"]}
    hub(monkeypatch, lambda *names: {part: {"text": v} for part, v in stories.items()})
    found = module._tinystories.__wrapped__()
    assert (found.train, found.validation, found.test) == (("One day Tom ran.", "The end."), ("a",), ("b", "c"))


@pytest.mark.parametrize("name", ["wikitext-2", "tinystories"])
def test_without_the_network_the_error_says_what_works(monkeypatch, name):
    def load(*names):
        raise OSError("no route")

    hub(monkeypatch, load)
    with pytest.raises(
        ConnectionError, match=f"text='{name}'.*no route.*'wikipedia-sample' and 'file:PATH' work offline"
    ):
        text(name)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match=f"text='{name}'.*pip install datasets; 'wikipedia-sample'"):
        text(name)


# Tokenizers


def test_words_are_lower_cased_and_by_frequency():
    assert entries(WORDS) == ["<unk>", "the", "sat", ",", ".", "cat", "dog", "end", END]
    assert WORDS.size == 9 and WORDS.end == 8 and WORDS.unknown == 0
    ids = WORDS.encode("The  cat's end, I say.")
    assert ids.dtype == np.int32 and ids.tolist() == [1, 0, 7, 3, 0, 0, 4]
    assert WORDS.decode([1, 0, 7, 3, 8, 4]) == f"the <unk> end , {END} ."


def entries(tokenizer):
    return [tokenizer.stored.id_to_token(k) for k in range(tokenizer.size)]


def test_pieces_of_a_sentence():
    sentence = "In 1,234.5 m² the dogs’ owner's well-known (old) naïve_x 50%."
    assert pieces(sentence) == [
        *("in", "1,234.5", "m", "²", "the", "dogs", "’", "owner's", "well", "-", "known"),
        *("(", "old", ")", "naïve", "_", "x", "50", "%", "."),
    ]
    assert pieces("a <unk> 1 @,@ 2 well @-@ known") == ["a", "<unk>", "1", "@,@", "2", "well", "@-@", "known"]
    assert WORDS.encode("the <unk> cat").tolist() == [1, 0, 5]
    assert WORDS.encode(END).tolist() == [0] * 5  # spelled out, no end of text


def pieces(sentence):
    """In a vocabulary of its own, a sentence is all of its pieces."""
    own = learned("words", (sentence,), None)
    found = own.stored.encode(sentence.lower())
    return [sentence.lower()[a:b] for a, b in found.offsets]


def test_the_most_frequent_words_make_a_smaller_vocabulary():
    small = learned("words", ("b b a a c", "c d"), 4)
    assert entries(small) == ["<unk>", "a", "b", END]
    assert small.encode("a b c d").tolist() == [1, 2, 0, 0]


def test_a_vocabulary_follows_the_text(monkeypatch):
    assert entries(learned("words", ("b b a a c", "c d <unk> <unk>"), "auto")) == ["<unk>", "a", "b", "c", END]
    assert learned("bpe", ARTICLES, "auto").size < 512
    monkeypatch.setattr(tokenizers, "USUAL", {"words": 4, "bpe": 300})
    assert entries(learned("words", ("b b a a c", "c d"), "auto")) == ["<unk>", "a", "b", END]
    assert learned("bpe", ARTICLES, "auto").digest == PAIRS.digest


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_byte_pairs_lose_nothing(content):
    ids = PAIRS.encode(content)
    assert PAIRS.decode(ids) == content
    assert not (ids == PAIRS.end).any()
    assert PAIRS.lengths(content).sum() == len(content.encode())


def test_byte_pairs_of_known_texts():
    assert PAIRS.size == 300 and PAIRS.end == 299 and PAIRS.unknown is None
    assert PAIRS.encode("The article").size < len("The article") / 2
    assert PAIRS.encode(END).size > 5  # spelled out, no end of text
    assert PAIRS.decode([*PAIRS.encode("a"), PAIRS.end, *PAIRS.encode("b"), PAIRS.end]) == f"a{END}b{END}"
    assert PAIRS.encode("").shape == (0,) and PAIRS.decode([]) == ""


def test_training_is_always_the_same():
    for kind, size in (("bpe", 300), ("words", 50)):
        first, again = (learned(kind, ARTICLES, size) for _ in range(2))
        assert first.digest == again.digest != learned(kind, ARTICLES[1:], size - 1).digest
    assert len({t.digest for t in (WORDS, PAIRS)}) == 2


@pytest.mark.parametrize(("kind", "size"), [("bpe", 280), ("words", 20), ("words", None)])
def test_a_tokenizer_has_not_seen_what_is_held_out(tmp_path, kind, size):
    found = text(file(tmp_path, "\n".join(ARTICLES)))
    other = dataclasses.replace(found, validation=("Zyzzyva zyzzyva!",) * 9, test=("Quixotic zephyrs?",) * 9)
    trained_on = dataclasses.replace(found, train=("Zyzzyva zyzzyva zyzzyva!", *found.train[60:]))
    first, held_out, train = (module._tokenizer(t, kind, size).digest for t in (found, other, trained_on))
    assert first == held_out != train


@pytest.mark.parametrize(
    ("kind", "vocabulary"),
    [("bpe", None), ("bpe", 256), ("bpe", 10**6), ("words", 2), ("words", 2.5), ("words", 10**6)],
)
def test_tokenizers_that_cannot_be_made(kind, vocabulary):
    with refused("vocabulary", vocabulary):
        learned(kind, ARTICLES, vocabulary)


def test_an_unknown_kind_of_tokenizer():
    with refused("tokenizer", "letters"):
        learned("letters", ARTICLES, 300)


@pytest.mark.parametrize("tokenizer", [WORDS, PAIRS], ids=["words", "bpe"])
@pytest.mark.parametrize("bad", [-1, 10**6])
def test_ids_outside_of_the_vocabulary(tokenizer, bad):
    with refused("ids", bad):
        tokenizer.decode([0, bad])


# Blocks and bytes


@pytest.mark.parametrize(("kind", "vocabulary"), [("bpe", 300), ("words", None), ("words", 20)])
def test_blocks_are_the_articles_one_after_the_other(tmp_path, kind, vocabulary):
    name = file(tmp_path, "\n".join(ARTICLES))
    found = corpus(name, kind, vocabulary, 7)
    assert corpus(name, kind, vocabulary, 7) is found
    tokenizer = found.tokenizer
    for part in ("train", "validation", "test"):
        blocks, wanted = getattr(found, part), []
        for article in getattr(found.text, part):
            wanted += [*tokenizer.encode(article), tokenizer.end]
        wanted = wanted[:-1]
        assert blocks.dtype == np.int32 and blocks.shape == (len(wanted) // 7, 7)
        assert blocks.ravel().tolist() == wanted[: blocks.size]
        with pytest.raises(ValueError, match="read-only"):
            blocks[0, 0] = 1


def tiny(tokenizer, articles, block):
    content = module.Text("tiny", ("the cat sat. The dog sat, the end",), ("the end.",), articles, "", "")
    encoded, lengths = ([f(a) for a in articles] for f in (tokenizer.encode, tokenizer.lengths))
    blocks = module._blocks(encoded, tokenizer.end, block, "test", "tiny")
    return module.Corpus(
        content, tokenizer, block, blocks, blocks, blocks, module._blocks(lengths, 0, block, "test", "tiny")
    )


def test_bytes_of_predicted_tokens():
    # "the", "größe" (unknown, 7 bytes), end of text | "sat", ".", "cat" | dropped
    found = tiny(WORDS, ("The Größe", "sat . Cat the"), 3)
    assert found.test.tolist() == [[1, 0, 8], [2, 4, 5]]
    assert found.lengths.tolist() == [[4, 8, 0], [4, 2, 4]]
    # Four tokens of 3 bits, and 8 bits for each of the 8 bytes that spell the unknown word and end it.
    nats = np.full((5, 2, 2), 3 * math.log(2))
    np.testing.assert_allclose(found.bits_per_byte(nats), np.full(5, (4 * 3 + 8 * 8) / 14))
    np.testing.assert_allclose(found.bits_per_byte(nats[:, :1]), (2 * 3 + 8 * 8) / 8)


def test_bytes_of_byte_pairs():
    content = "The article is about Größe and numbers"
    found = tiny(PAIRS, (content,), PAIRS.encode(content).size)
    predicted = len(content.encode()) - len(PAIRS.decode(found.test[0, :1]).encode())
    # The uniform model over the 300 entries.
    nats = np.full((1, *found.test[:, 1:].shape), math.log(300))
    np.testing.assert_allclose(found.bits_per_byte(nats), found.test[:, 1:].size * math.log2(300) / predicted)


def test_blocks_that_cannot_be_cut(tmp_path):
    name = file(tmp_path, "\n".join(ARTICLES))
    articles = text(name).validation
    own = learned("words", text(name).train, None)
    tokens = sum(own.encode(article).size for article in articles) + len(articles) - 1
    assert corpus(name, "words", None, tokens).validation.shape == (1, tokens)
    for block in (tokens + 1, 0, 1, 2.5, -3):
        with refused("block", block):
            corpus(name, "words", None, block)
