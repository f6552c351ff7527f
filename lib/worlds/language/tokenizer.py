"""Tokenizers, trained on the training part of a text and on nothing else: byte pairs or whole words."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import among, refuse, whole

END = "<|endoftext|>"
UNKNOWN = "<unk>"
KINDS = ("bpe", "words")
BYTES = 256
# A letter of any script; what is left out are word characters that are numbers, such as ² and ½.
LETTER = r"[^\W\d_²³¹¼-¾]"
# Apostrophes belong to a word inside it: "don't" is one word, the quotes of '\'\'bold\'\'' are none of it.
WORD = re.compile(f"{LETTER}+(?:['’]{LETTER}+)*")
# Words, numbers such as 1,234.5, and any other sign by itself.
PIECE = re.compile(rf"{WORD.pattern}|\d+(?:[.,]\d+)*|\S")


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Turns text into token ids and back. Ids run from 0 to `size` − 1; the last one, `end`, ends an article.

    `kind` is "bpe" or "words". `state` is what was learned: for "bpe" the vocabulary and merges as the `tokenizers`
    library writes them (JSON), for "words" the JSON list of the words by id, `<unk>` first. The end-of-text token is no
    part of it: no text can be mistaken for it.

    - "bpe": byte-level byte-pair encoding (Sennrich et al. 2016, over bytes as in Radford et al. 2019). Every text is
      encoded without loss.
    - "words": words, numbers and punctuation marks, all *lower-cased*: of the 0.4 million words of the embedded text
      every sixth is capitalised, and a model that counts words would see "The" and "the" as unrelated. What the
      training part does not hold becomes `<unk>`; white space is forgotten. Both are lost.
    """

    kind: str
    state: str

    @cached_property
    def _learned(self) -> Any:
        return _library().Tokenizer.from_str(self.state) if self.kind == "bpe" else json.loads(self.state)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self._learned)}

    @cached_property
    def size(self) -> int:
        """Entries of the vocabulary, end of text included."""
        return 1 + (self._learned.get_vocab_size() if self.kind == "bpe" else len(self._learned))

    @property
    def end(self) -> int:
        """The id of the end-of-text token."""
        return self.size - 1

    @property
    def unknown(self) -> int | None:
        """The id of `<unk>`; None for "bpe", to which nothing is unknown."""
        return 0 if self.kind == "words" else None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what was learned."""
        return hashlib.sha256(f"{self.kind}\n{self.state}".encode()).hexdigest()

    def encode(self, text: str) -> np.ndarray:
        """The tokens of a text, int32; no end-of-text token is added."""
        if self.kind == "bpe":
            return np.array(self._learned.encode(text, add_special_tokens=False).ids, dtype=np.int32)
        ids = self._ids
        return np.array([ids.get(piece, 0) for piece in PIECE.findall(text.lower())], dtype=np.int32)

    def lengths(self, text: str) -> np.ndarray:
        """UTF-8 bytes that each token of `encode(text)` stands for, int32.

        For "words" a piece counts its lower-cased spelling and one separating blank, also where it is unknown.
        """
        if self.kind == "bpe":
            return self.token_bytes[self.encode(text)]
        return np.array([len(piece.encode()) + 1 for piece in PIECE.findall(text.lower())], dtype=np.int32)

    @cached_property
    def token_bytes(self) -> np.ndarray:
        """UTF-8 bytes of each token of the vocabulary, int32 of shape (size,); end of text is no text and counts 0. For
        "words" the separating blank is counted, and `<unk>` as these five signs."""
        if self.kind == "bpe":
            # A byte-level token is spelled with one sign for each byte.
            counts = [len(self._learned.id_to_token(number)) for number in range(self.end)]
        else:
            counts = [len(word.encode()) + 1 for word in self._learned]
        return np.array([*counts, 0], dtype=np.int32)

    def decode(self, ids: np.ndarray) -> str:
        """The text of token ids, shape (count,); end of text shows as `<|endoftext|>`.

        The inverse of `encode` for "bpe" (tokens that are no valid UTF-8 together show as �). For "words" the pieces
        are joined by blanks.
        """
        ids = np.asarray(ids).ravel()
        if ids.size and not (0 <= ids.min() and ids.max() < self.size):
            refuse("ids", int(ids.max() if ids.min() >= 0 else ids.min()), f"token ids from 0 to {self.size - 1}")
        if self.kind == "words":
            return " ".join(END if number == self.end else self._learned[number] for number in ids)
        parts = np.split(ids, np.flatnonzero(ids == self.end))
        texts = [self._learned.decode(part[part != self.end].tolist(), skip_special_tokens=False) for part in parts]
        return END.join(texts)

    def save(self, path: str | Path) -> None:
        """Write the tokenizer as JSON: aside, then renamed into place."""
        path = Path(path)
        stored = {"kind": self.kind, "size": self.size, "digest": self.digest, "state": self.state}
        aside = path.with_name(f".{path.name}-{os.getpid()}")
        aside.write_text(json.dumps(stored, ensure_ascii=False), encoding="utf-8")
        aside.replace(path)

    @classmethod
    def load(cls, path: str | Path, expected: Tokenizer | None = None) -> Tokenizer:
        """What `save` wrote. ValueError, naming the file, if it is no tokenizer, was changed, or is not the `expected`
        one: ids of another vocabulary mean other words."""
        try:
            stored = json.loads(Path(path).read_text(encoding="utf-8"))
            found = cls(stored["kind"], stored["state"])
            size, digest = stored["size"], stored["digest"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"tokenizer={str(path)!r} is not allowed: a file that Tokenizer.save has written"
            ) from error
        if found.digest != digest:
            refuse("tokenizer", str(path), "an unchanged file: what it holds does not have the digest it states")
        if expected is not None and expected.digest != digest:
            refuse(
                "tokenizer",
                str(path),
                f"the one with {expected.size} entries and digest {expected.digest[:12]}; found {size} entries, digest {digest[:12]}",
            )
        return found


def trained(kind: str, articles: tuple[str, ...], vocabulary: int | None) -> Tokenizer:
    """A tokenizer learned from `articles`, the same one in every call.

    `vocabulary` counts all entries. "bpe" takes the 256 bytes, end of text and as many merges as fit. "words" takes
    `<unk>`, end of text and the most frequent words, ties in alphabetical order; None takes every word, and then
    `<unk>` never occurs in training and has only the probability that a model gives to what it has not seen.

    ValueError for an unknown kind, too small a vocabulary, or one that these articles cannot fill.
    """
    among("tokenizer", kind, KINDS)
    if kind == "words":
        counts = Counter(piece for article in articles for piece in PIECE.findall(article.lower()))
        words = sorted(counts, key=lambda word: (-counts[word], word))
        if vocabulary is not None:
            vocabulary = whole("vocabulary", vocabulary, 3)
            if vocabulary - 2 > len(words):
                refuse("vocabulary", vocabulary, f"at most {len(words) + 2}: the training part has {len(words)} words")
            words = words[: vocabulary - 2]
        return Tokenizer(kind, json.dumps([UNKNOWN, *words], ensure_ascii=False))
    if vocabulary is None:
        refuse("vocabulary", None, f'a number of entries for tokenizer="bpe", at least {BYTES + 1}')
    vocabulary = whole("vocabulary", vocabulary, BYTES + 1)
    library = _library()
    learned = library.Tokenizer(library.models.BPE())
    learned.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    learned.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary - 1,
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[],
        show_progress=False,
    )
    learned.train_from_iterator(articles, trainer)
    found = Tokenizer(kind, learned.to_str())
    if found.size != vocabulary:
        refuse("vocabulary", vocabulary, f"at most {found.size}: the training part has no more byte pairs to merge")
    return found


def _library() -> Any:
    try:
        import tokenizers
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'tokenizer="bpe" takes the package tokenizers, which cannot be imported ({error}): pip install tokenizers'
        ) from error
    return tokenizers
