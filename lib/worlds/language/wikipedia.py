"""The embedded text: pages of the English Wikipedia that gensim carries with its tests, as prose."""

import bz2
import re
import unicodedata
from collections import Counter
from functools import cache

# A word: letters, and apostrophes inside it. What is left out are word characters that are numbers, such as ² and ½.
LETTERS = r"[^\W\d_²³¹¼-¾]+"
WORD = re.compile(f"{LETTERS}(?:['’]{LETTERS})*")
LEAST_WORDS = 6  # a line with fewer is a table cell, a heading or a label, and no prose

DUMP = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
# Sections of titles and links; all else is what the article says.
BACK_MATTER = re.compile(
    r"(?:see also|references?|notes?(?: and references)?|footnotes|citations|sources|works cited|bibliography"
    r"|(?:further|additional) reading|external links|literature|gallery)",
    re.IGNORECASE,
)
HEADING = re.compile(r"(=+)\s*(.*?)\s*=+\s*")
# A line of a gallery, or one with what is left of a table's or a picture's settings.
MARKUP = re.compile(r"^\W*(?:file|image):|\||\b(?:style|width|align|alt|colspan)=", re.IGNORECASE)


@cache
def wikipedia_articles() -> tuple[str, ...]:
    """The articles of the embedded dump as plain prose, in the dump's order, redirects left out; 3.1 MB, read in
    seconds.

    ModuleNotFoundError, saying what to install, without gensim.
    """
    try:
        from gensim.corpora.wikicorpus import extract_pages, filter_wiki
        from gensim.test.utils import datapath
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the Wikipedia text comes with gensim, which cannot be imported ({error}): pip install gensim"
        ) from error
    with bz2.open(datapath(DUMP), "rt", encoding="utf-8") as dump:
        texts = [filter_wiki(text) for _, text, _ in extract_pages(dump, ("0",))]
    return tuple(text for text in texts if not text.lstrip().upper().startswith("#REDIRECT"))


@cache
def word_counts() -> dict[str, int]:
    """How often each word of the embedded Wikipedia text occurs, most frequent first, ties in alphabetical order.

    Words are lower-cased runs of letters. About 467 000 of them, 35 000 distinct, nearly half of those seen once.
    """
    counts = Counter(word for text in wikipedia_articles() for word in WORD.findall(text.lower()))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def cleaned(article: str) -> str:
    """The prose of a Wikipedia page, a paragraph on each line.

    Left out are headings, sections of links and references, pictures, and lines of fewer than six words: cells of
    tables and one-word lists. Marks of bold, italic and lists go, and so does what a removed template leaves inside
    brackets, "(; , from".
    """
    kept, level = [], 0  # level of the heading of the back matter that we are in; 0: in none
    for line in unicodedata.normalize("NFC", article).splitlines():
        heading = HEADING.fullmatch(line.strip())
        if heading:
            depth = len(heading[1])
            if not level or depth <= level:
                level = depth if BACK_MATTER.fullmatch(heading[2]) else 0
        elif not level and not MARKUP.search(line):
            line = _plain(line)
            if len(WORD.findall(line)) >= LEAST_WORDS:
                kept.append(line)
    return "\n".join(kept)


def _plain(line: str) -> str:
    line = re.sub(r"^\s*[*#:;!]+|__[A-Z]+__|[\u200b-\u200f\ufeff\u00ad]", "", line)
    line = re.sub(r"(?<=\w)'''(?=s\b)", "'", line)  # an italic title in the genitive
    line = re.sub(r"''+", "", line)
    line = re.sub(r"\s+", " ", line).strip()
    line = re.sub(r"\(\s*(?:[;,:]\s*)*", "(", line)
    line = re.sub(r"(?:\s*[;,])+\s*(?=[;,)])", "", line)
    line = re.sub(r"\(\s*(?:or|and)?\s*\)", "", line)
    return re.sub(r" +(?=[ ,.;:)])", "", line).strip(" ,;")
