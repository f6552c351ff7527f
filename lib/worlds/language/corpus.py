"""Texts, split by article, and what language models see of them: blocks of tokens.

"wikipedia-sample" is embedded: a shortened dump of the English Wikipedia that gensim carries with its tests, 107 pages,
CC BY-SA, by the authors of Wikipedia. "wikitext-2" (Merity et al. 2017) and "tinystories" (Eldan and Li 2023) come
through `datasets` where the network allows, and "file:PATH" is any text file.
"""

import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lib.errors import refuse, whole
from lib.worlds.language.tokenizer import Tokenizer, learned
from lib.worlds.language.wikipedia import cleaned, wikipedia_articles

SPLIT_SEED = 0
HELD_OUT = 0.1  # share of the characters in the validation part, and again in the test part
LEAST_ARTICLES = 10
TITLE = re.compile("= [^=].* =")  # of an article of wikitext; headings inside have more signs
PARTS = ("test", "validation", "train")  # the order in which articles are dealt out


@dataclass(frozen=True, eq=False)
class Text:
    """Articles in three disjoint parts: no article, and no copy of one, is in two of them.

    `digest` is the SHA-256 of the cleaned parts, `source` says where the text is from and under which licence.
    """

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    digest: str
    source: str


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text as blocks of token ids: `train`, `validation` and `test` have shape (count, block), int32, read-only.

    The articles of a part are written one after the other, an end-of-text token after each but the last, and cut into
    consecutive blocks that do not overlap; what does not fill a block is dropped. `lengths`, shape of `test`, holds the
    UTF-8 bytes that each test token stands for.
    """

    text: Text
    tokenizer: Tokenizer
    block: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    lengths: np.ndarray

    def bits_per_byte(self, nats: np.ndarray) -> np.ndarray:
        """Bits for each byte of text, from −ln P of the predicted tokens of the first blocks of the test part: (...,
        blocks, block − 1) to (...).

        With "bpe" this is the length of a lossless code, and does not depend on the vocabulary. With "words" it codes
        the lower-cased words with a blank after each: an unknown word costs what the model takes for `<unk>` and 8 bits
        for every byte of its spelling and blank. End-of-text tokens are paid for and add no bytes.
        """
        blocks = nats.shape[-2]
        lengths = self.lengths[:blocks, 1:]
        spelled = 0
        if self.tokenizer.unknown is not None:
            spelled = 8 * int(lengths[self.test[:blocks, 1:] == self.tokenizer.unknown].sum())
        return (nats.sum(axis=(-2, -1)) / math.log(2) + spelled) / int(lengths.sum())


def text(name: str) -> Text:
    """The text of that name, read once.

    "wikipedia-sample" and "file:PATH" are split by article: about 80% of the characters to train on, 10% to validate,
    10% to test. The order in which articles are dealt out is that of a hash of their content, so it depends on nothing
    else. In a file articles are separated by blank lines; without any, every line is one; a file that begins with a
    title " = Title = ", as those of wikitext do, has an article from one title to the next. "wikitext-2" keeps its
    published split; of "tinystories" the published validation part is halved into validation and test.

    ValueError for an unknown name or an unusable file; ConnectionError or ModuleNotFoundError, saying what to do and
    what works offline, for a text that cannot be had.
    """
    if isinstance(name, str) and name.startswith("file:"):
        path = Path(name.removeprefix("file:")).expanduser()
        if not path.is_file():
            found = "this is a folder" if path.is_dir() else "there is no such file"
            refuse("text", name, f"file:PATH of a text file; {found}")
        status = path.stat()
        return _file(name, path, status.st_mtime_ns, status.st_size)
    if name not in TEXTS:
        refuse("text", name, "one of " + ", ".join(map(repr, TEXTS)) + " or 'file:PATH'")
    return TEXTS[name]()


def corpus(name: str, tokenizer: str, vocabulary: int | str | None, block: int) -> Corpus:
    """The text of that name in blocks of `block` tokens, with a tokenizer of `vocabulary` entries trained on its
    training part; made once. See `text` and `lib.worlds.language.tokenizer.learned`; a block has at least 2 tokens, and
    each part must fill one."""
    content, block = text(name), whole("block", block, 2)
    return corpus_with(content, _tokenizer(content, tokenizer, vocabulary), block)


@cache
def _tokenizer(content: Text, kind: str, vocabulary: int | str | None) -> Tokenizer:
    return learned(kind, content.train, vocabulary)


@cache
def corpus_with(content: Text, tokenizer: Tokenizer, block: int) -> Corpus:
    """A text in blocks of `block` tokens of any tokenizer; made once."""
    parts = {}
    for part in ("train", "validation", "test"):
        articles = getattr(content, part)
        parts[part] = _blocks([tokenizer.encode(a) for a in articles], tokenizer.end, block, part, content.name)
    lengths = _blocks([tokenizer.lengths(a) for a in content.test], 0, block, "test", content.name)
    return Corpus(content, tokenizer, block, **parts, lengths=lengths)


def _blocks(articles: list[np.ndarray], end: int, block: int, part: str, name: str) -> np.ndarray:
    separator = np.array([end], dtype=np.int32)
    stream = np.concatenate([a for article in articles for a in (article, separator)][:-1])
    if stream.size < block:
        refuse("block", block, f"at most {stream.size}, the tokens in the {part} part of {name!r}")
    blocks = stream[: stream.size // block * block].reshape(-1, block)
    blocks.setflags(write=False)
    return blocks


def split_articles(name: str, articles: Iterable[str], source: str) -> Text:
    """Articles, each once, dealt out by the order of their hashes: to the test part until it holds a tenth of the
    characters, then as many to the validation part, the rest to the training part. Within a part they keep their
    order."""
    articles = [article for article in dict.fromkeys(articles) if article]
    if len(articles) < LEAST_ARTICLES:
        allowed = f"at least {LEAST_ARTICLES} different articles, separated by blank lines; it has {len(articles)}"
        refuse("text", name, allowed)
    order = sorted(range(len(articles)), key=lambda k: hashlib.sha256(f"{SPLIT_SEED}\n{articles[k]}".encode()).digest())
    wanted = HELD_OUT * sum(map(len, articles))
    places, place, held = {}, 0, 0
    for k in order:
        places[k] = PARTS[place]
        held += len(articles[k])
        if place < 2 and held >= wanted:
            place, held = place + 1, 0
    dealt = {part: tuple(a for k, a in enumerate(articles) if places[k] == part) for part in PARTS}
    if sum(map(len, dealt["train"])) < sum(map(len, articles)) / 2:
        refuse("text", name, "articles of which no single one holds a large part of the text")
    return _text(name, *(dealt[part] for part in reversed(PARTS)), source=source)


def _text(name: str, train: Iterable[str], validation: Iterable[str], test: Iterable[str], source: str) -> Text:
    """The text of three parts. An article that occurs again is dropped from the later part."""
    seen: set[str] = set()
    kept = []
    for part in (train, validation, test):
        articles = tuple(a for a in dict.fromkeys(part) if a and a not in seen)
        seen.update(articles)
        kept.append(articles)
    digest = hashlib.sha256()
    for part in kept:
        for article in part:
            digest.update(article.encode() + b"\0")
        digest.update(b"\1")
    return Text(name, *kept, digest=digest.hexdigest(), source=source)


@cache
def _wikipedia() -> Text:
    source = "English Wikipedia, a shortened dump carried by gensim; by the authors of Wikipedia, CC BY-SA 3.0"
    return split_articles("wikipedia-sample", map(cleaned, wikipedia_articles()), source)


@cache
def _file(name: str, path: Path, modified: int, size: int) -> Text:
    """A text file. Time and size are part of the key: a file that was changed is read again."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        refuse("text", name, f"a file in UTF-8; this one is not, at byte {error.start}")
    content = unicodedata.normalize("NFC", content).strip()
    lines = content.splitlines()
    if not lines:
        refuse("text", name, "a file with text in it; this one is empty")
    if TITLE.fullmatch(lines[0].strip()):
        return split_articles(name, _wikitext_articles(lines), f"the file {path.name}")
    blocks = re.split(r"\n\s*\n", content)
    if len(blocks) == 1:
        blocks = lines
    lines = ("\n".join(" ".join(line.split()) for line in block.splitlines()) for block in blocks)
    return split_articles(name, lines, f"the file {path.name}")


@cache
def _wikitext() -> Text:
    stored = _hub("Salesforce/wikitext", "wikitext-2-raw-v1", "wikitext-2")
    found = [_wikitext_articles(stored[part]["text"]) for part in ("train", "validation", "test")]
    source = "wikitext-2-raw-v1 (Merity et al. 2017), from articles of the English Wikipedia, CC BY-SA 3.0"
    return _text("wikitext-2", *found, source=source)


def _wikitext_articles(lines: Iterable[str]) -> list[str]:
    """Lines as published, blanks at their ends and empty lines left out, an article from one title " = Title = " to the
    next."""
    articles: list[list[str]] = []
    for line in map(str.strip, lines):
        if not articles or TITLE.fullmatch(line):
            articles.append([])
        if line:
            articles[-1].append(line)
    return ["\n".join(article) for article in articles]


@cache
def _tinystories() -> Text:
    stored = _hub("roneneldan/TinyStories", None, "tinystories")
    train, held_out = ([" ".join(story.split()) for story in stored[part]["text"]] for part in ("train", "validation"))
    source = "TinyStories (Eldan and Li 2023), stories written by language models, CDLA-Sharing-1.0"
    return _text("tinystories", train, held_out[::2], held_out[1::2], source)


def _hub(repository: str, configuration: str | None, name: str) -> dict:
    """A data set of the Hugging Face hub, or an error that says how to do without."""
    offline = "'wikipedia-sample' and 'file:PATH' work offline"
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"text={name!r} comes through the package datasets, which cannot be imported ({error}): "
            f"pip install datasets; {offline}"
        ) from error
    try:
        return datasets.load_dataset(repository, configuration)
    except Exception as error:  # what it raises without a network differs from version to version
        raise ConnectionError(
            f"text={name!r} is loaded from the Hugging Face hub ({repository}), which failed "
            f"({type(error).__name__}: {error}). Connect to the network once, after which it is cached; {offline}"
        ) from error


TEXTS: dict[str, Callable[[], Text]] = {
    "wikipedia-sample": _wikipedia,
    "wikitext-2": _wikitext,
    "tinystories": _tinystories,
}
