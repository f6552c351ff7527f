"""The explorer's Python side: regimes as the module knows them, settings refused by name, words, the page."""

import re

import explorer_page
import pytest

from lib.chapter import explorer, looks
from lib.chapter.explorer import word_table
from lib.worlds.language.wikipedia import word_counts


def test_the_module_imports_nothing_and_has_a_colour_for_each_family():
    source = explorer.module()
    assert re.findall(r"^\s*import\b", source, re.MULTILINE) == []
    for family, look in looks.table().items():
        for colour in (look["color"], look["dark"]):
            assert f"--{re.sub('[, ]+', '-', family)}: {colour};" in source


def test_the_table_gives_every_frequency():
    table, counts = word_table(), word_counts()
    assert table["total"] == sum(counts.values()) == sum(count * words for count, words in table["classes"])
    spread = [count for count, words in table["classes"] for _ in range(words)]
    assert spread == list(counts.values())
    words = list(counts)
    assert len(table["shown"]) == explorer.SHOWN and all(words[rank] == word for rank, word in table["shown"])
    ranks = [rank for rank, _ in table["shown"]]
    assert ranks == sorted(set(ranks)) and counts[words[ranks[-1]]] == 1 and ranks[0] == 0


def test_the_page_holds_a_figure_a_table_and_the_module(root, tmp_path):
    text = explorer_page.fill((root / explorer_page.PAGES[0]).read_text(encoding="utf-8"), tmp_path)
    for name in ("gaussian", "words"):
        assert (tmp_path / f"explorer-{name}.png").read_bytes().startswith(b"\x89PNG")
        place = re.search(rf"^::::\{{div\}} explorer-{name}\n(.*?)^::::$", text, re.DOTALL | re.MULTILINE).group(1)
        assert f"_static/explorer-{name}.png" in place and len(re.findall(r"^\| \d", place, re.MULTILINE)) == 10
    assert explorer.module() in text
    assert not any(mark in text for mark in explorer_page.MARKS.values())


def test_a_page_without_a_marker_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"needs a line <!-- explorer: gaussian -->"):
        explorer_page.fill("# The explorer\n", tmp_path)


def test_a_module_that_would_end_its_script_is_refused(monkeypatch):
    monkeypatch.setattr(explorer, "module", lambda: 'const x = "</script>";')
    with pytest.raises(ValueError, match="</script"):
        explorer_page.module()
