"""What a reader's patience is asked for: words a chapter, very short sentences, numbers in a computed sentence."""

import json
import re

import pytest

LONGEST = {"11-limits": 3_900}  # nine questions in one chapter
MOST_WORDS = 2_600  # without tables and claims

FENCED = re.compile(r"```.*?```|:::.*?:::|\$\$.*?\$\$", re.DOTALL)
ASIDE = re.compile(r"\[[^\]]*\]|\{cite\}`[^`]*`|\{prf:ref\}`[^`]*`|\(\d+% interval[^)]*\)|\d+% interval|generation \d+")
NUMBER = re.compile(r"(?<![\w^])[−-]?\d[\d\u202f\u2009,.·⁻⁰¹²³⁴⁵⁶⁷⁸⁹]*")


def sentences(text):
    """Of Markdown: its sentences, without tables, headings, theorems and code."""
    kept = [line for line in FENCED.sub("", text).splitlines() if not line.startswith(("|", "#", "<", "*Recorded"))]
    return [
        s for part in "\n".join(kept).split("\n\n") for s in re.split(r"(?<=[.!?])\s+(?=[A-Z*“])", part.strip()) if s
    ]


def said(chapter):
    """What code has said in sentences: not the claims, which are folded, nor the settings."""
    found = [
        "".join(output.get("data", {}).get("text/markdown", ""))
        for cell in chapter["cells"]
        for output in cell.get("outputs", [])
    ]
    return [text for text in found if not text.startswith(("<details", "Sizes of this run"))]


def written(chapter):
    return ["".join(cell["source"]) for cell in chapter["cells"] if cell["cell_type"] == "markdown"]


def numbers(sentence):
    return len(NUMBER.findall(ASIDE.sub(" ", sentence)))


def test_numbers_are_counted():
    assert numbers("After 100 fits it is 1.61 [1.58, 1.64] (95% interval), and by the law 1.64.") == 3
    assert numbers("It is 4·10⁻⁵ at generation 1000, {cite}`kazdan2025` says.") == 1


@pytest.fixture(scope="module")
def chapters(root):
    paths = sorted((root / "notebooks").glob("*.ipynb"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def test_a_chapter_can_be_read_at_one_sitting(chapters):
    counts = {
        name: sum(len(s.split()) for text in written(chapter) + said(chapter) for s in sentences(text))
        for name, chapter in chapters.items()
    }
    assert {name: count for name, count in counts.items() if count > LONGEST.get(name, MOST_WORDS)} == {}


def test_few_sentences_are_telegrams(chapters):
    every = [
        len(s.split())
        for chapter in chapters.values()
        for text in written(chapter) + said(chapter)
        for s in sentences(text)
    ]
    every = [count for count in every if count >= 3]
    assert len(every) > 1_000 and sum(count <= 7 for count in every) < 0.1 * len(every)


def test_computed_sentences_carry_few_numbers(chapters):
    every = [s for chapter in chapters.values() for text in said(chapter) for s in sentences(text)]
    crowded = [s for s in every if numbers(s) > 4]
    assert len(every) > 200 and len(crowded) < 0.02 * len(every), crowded
