"""Tokenizers: byte pairs or whole words, learned from the training part of a text and from nothing else, or a model's
own."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from lib.errors import among, refuse, whole

END = "<|endoftext|>"
UNKNOWN = "<unk>"
BYTES = 256
AUTO = "auto"
USUAL = {"bpe": 512, "words": 16000}  # entries of a vocabulary that follows the text, where it has as many
# Letters of any script, and apostrophes inside a word: "don't" is one word, the quotes of '\'\'bold\'\'' are none of
# it.
LETTERS = r"[\p{L}\p{Nl}]+"
# The signs of wikitext for a rare word and inside a word or number, words, numbers such as 1,234.5, any other sign by
# itself.
PIECE = rf"<unk>|@[-.,]@|{LETTERS}(?:['’]{LETTERS})*|\d+(?:[.,]\d+)*|\S"


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Turns text into token ids and back. Ids run from 0 to `size` − 1; `end` stands between articles.

    - "bpe": byte-level byte-pair encoding (Sennrich et al. 2016, over bytes as in Radford et al. 2019). Every text is
      encoded without loss.
    - "words": words, numbers and punctuation marks, all *lower-cased*, or a model that counts words would see "The" and
      "the" as unrelated. What the training part does not hold becomes `<unk>`, whose id is `unknown`; white space is
      forgotten.
    - "own": the tokenizer that came with a model. `size` counts the rows of the model's embedding: ids that belong to
      no token decode to nothing.

    `stored` is what the tokenizers library made, `digest` the SHA-256 of what was learned. No text can be mistaken for
    the end of an article.
    """

    kind: str
    stored: tokenizers.Tokenizer
    size: int
    end: int
    unknown: int | None
    digest: str

    def encode(self, text: str) -> np.ndarray:
        """The tokens of a text, int32; no special token is added."""
        return np.array(self._encoded(text).ids, dtype=np.int32)

    def _encoded(self, text: str) -> tokenizers.Encoding:
        return self.stored.encode(text.lower() if self.kind == "words" else text, add_special_tokens=False)

    def lengths(self, text: str) -> np.ndarray:
        """UTF-8 bytes of the text that each token of `encode(text)` stands for, int32; they add up to those of the
        text.

        Of a model's own tokens, what none covers, such as white space that is dropped, is counted with the one that
        follows, and a sign of several bytes that is cut into several tokens with the first. For "words" a piece counts
        its lower-cased spelling and one separating blank, also where it is unknown.
        """
        found = self._encoded(text)
        if self.kind == "words":
            text = text.lower()
            return np.array([len(text[a:b].encode()) + 1 for a, b in found.offsets], dtype=np.int32)
        if self.kind == "bpe":  # a token is spelled with one sign for each byte
            return np.array([len(token) for token in found.tokens], dtype=np.int32)
        signs = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        before = np.concatenate([[0], np.cumsum(1 + (signs >= 0x80) + (signs >= 0x800) + (signs >= 0x10000))])
        reached = np.maximum.accumulate(before[[end for _, end in found.offsets]].astype(np.int64))
        if reached.size:
            reached[-1] = before[-1]
        return np.diff(reached, prepend=0).astype(np.int32)

    def decode(self, ids: np.ndarray) -> str:
        """The text of token ids, shape (count,); what stands between articles shows as `<|endoftext|>`.

        The inverse of `encode` for "bpe" (tokens that are no valid UTF-8 together show as �). For "words" the pieces
        are joined by blanks.
        """
        ids = np.asarray(ids).ravel()
        if ids.size and not (0 <= ids.min() and ids.max() < self.size):
            refuse("ids", int(ids.max() if ids.min() >= 0 else ids.min()), f"token ids from 0 to {self.size - 1}")
        if self.kind == "words":
            return " ".join(map(self.stored.id_to_token, ids.tolist()))
        parts = np.split(ids, np.flatnonzero(ids == self.end))
        texts = [self.stored.decode(part[part != self.end].tolist(), skip_special_tokens=False) for part in parts]
        return END.join(texts)


def learned(kind: str, articles: tuple[str, ...], vocabulary: int | str | None) -> Tokenizer:
    """A tokenizer learned from `articles`, the same one in every call.

    `vocabulary` counts all entries; "auto" takes as many as are USUAL, of a smaller text all pairs, or the words that
    occur at least twice. "bpe" takes the 256 bytes, end of text and as many merges as fit. "words" takes
    `<unk>`, end of text and the most frequent words, ties in alphabetical order; None takes every word, and then
    `<unk>` never occurs in training and has only the probability that a model gives to what it has not seen.

    Refused: an unknown kind, too small a vocabulary, or one that these articles cannot fill.
    """
    among("tokenizer", kind, ("bpe", "words"))
    return _words(articles, vocabulary) if kind == "words" else _byte_pairs(articles, vocabulary)


def _words(articles: tuple[str, ...], vocabulary: int | str | None) -> Tokenizer:
    stored = tokenizers.Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    stored.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(PIECE), "removed", invert=True)
    trainer = trainers.WordLevelTrainer(vocab_size=2**32, special_tokens=[], show_progress=False)
    stored.train_from_iterator((article.lower() for article in articles), trainer)
    found = stored.get_vocab()
    words = [word for word in sorted(found, key=found.get) if word != UNKNOWN]
    if vocabulary == AUTO:
        if len(words) < USUAL["words"] - 2:
            counts = Counter(number for article in articles for number in stored.encode(article.lower()).ids)
            words = [word for word in words if counts[found[word]] > 1]
        words = words[: USUAL["words"] - 2]
    elif vocabulary is not None:
        vocabulary = whole("vocabulary", vocabulary, 3)
        if vocabulary - 2 > len(words):
            refuse("vocabulary", vocabulary, f"at most {len(words) + 2}: the training part has {len(words)} words")
        words = words[: vocabulary - 2]
    entries = [UNKNOWN, *words, END]
    stored.model = models.WordLevel({word: k for k, word in enumerate(entries)}, UNKNOWN)
    state = json.dumps(entries[:-1], ensure_ascii=False)
    return Tokenizer("words", stored, len(entries), len(entries) - 1, 0, _digest("words", state))


def _byte_pairs(articles: tuple[str, ...], vocabulary: int | str | None) -> Tokenizer:
    if vocabulary is None:
        refuse("vocabulary", None, f'a number of entries for tokenizer="bpe", at least {BYTES + 1}')
    most = USUAL["bpe"] if vocabulary == AUTO else whole("vocabulary", vocabulary, BYTES + 1)
    stored = tokenizers.Tokenizer(models.BPE())
    stored.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    stored.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=most - 1, initial_alphabet=alphabet, special_tokens=[], show_progress=False
    )
    stored.train_from_iterator(articles, trainer)
    size = 1 + stored.get_vocab_size()
    if size != most and vocabulary != AUTO:
        refuse("vocabulary", vocabulary, f"at most {size}: the training part has no more byte pairs to merge")
    return Tokenizer("bpe", stored, size, size - 1, None, _digest("bpe", stored.to_str()))


def of_a_model(stored: tokenizers.Tokenizer, size: int, end: int, unknown: int | None) -> Tokenizer:
    """A model's own tokenizer, to which special tokens that a text spells out are text."""
    stored.no_truncation()
    stored.no_padding()
    stored.encode_special_tokens = True
    return Tokenizer("own", stored, size, end, unknown, _digest(size, end, stored.to_str()))


def _digest(*parts) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
