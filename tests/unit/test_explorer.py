"""The explorer's Python side: labels read back, settings refused by name, traits, the table of words, and what the page is given."""

import json
import re

import explorer_page
import pytest

from lib.chapter import explorer, figures
from lib.chapter.explorer import Explorer, regime_of, word_table
from lib.regimes import (
    Accumulate,
    AccumulateSubsample,
    FreshReal,
    Keep,
    Mixture,
    RealOnly,
    Replace,
    ReplaceGrown,
)
from lib.worlds.language.wikipedia import word_counts

REGIMES = [
    Replace(),
    ReplaceGrown(),
    Accumulate(),
    Accumulate(fresh=0.3),
    Accumulate(kept=0.25),
    Accumulate(fresh=0.1, kept=0),
    AccumulateSubsample(),
    Keep(0.1),
    Keep(0.1, redraw=False),
    FreshReal(0.05),
    RealOnly(),
    RealOnly(grow=False),
    Mixture(0.6, 0.3, 0.1),
    Mixture(0.5, 0, 0.5, fresh=True),
]


@pytest.mark.parametrize("regime", REGIMES, ids=str)
def test_a_label_is_read_back_as_its_regime(regime):
    assert regime_of(str(regime)) == regime


@pytest.mark.parametrize(
    "label",
    (
        *(
            "replace",
            "Keep",
            "Keep()",
            "Keep(0.1, new)",
            "Keep(0.1",
            "Mixture(0.5, 0.5)",
            "Accumulate(0.1)",
            "Replace(1)",
        ),
        *("FreshReal(0.1, weight 0.5)", "", "Accumulate(0.1 fresh, 0.2 new)"),
    ),
)
def test_what_is_no_label_is_refused(label):
    with pytest.raises(ValueError, match=r"^regime=.* is not allowed: Replace, .*FreshReal") as told:
        regime_of(label)
    assert repr(label) in str(told.value)


def test_a_share_that_cannot_be_is_refused_by_the_regime():
    with pytest.raises(ValueError, match=r"^share=2.0 is not allowed"):
        regime_of("Keep(2)")
    with pytest.raises(ValueError, match=r"^alpha \+ beta \+ gamma="):
        regime_of("Mixture(0.5, 0.6, 0.1)")


def test_the_figure_starts_with_its_defaults_and_takes_regimes():
    figure = Explorer()
    assert (figure.panel, figure.a, figure.b, figure.estimator) == ("gaussian", "Replace", "Accumulate", "mle")
    assert (figure.n, figure.runs, figure.generations, figure.seed, figure.t) == (100, 1000, 200, 1, 200)
    assert figure.words is None
    figure = Explorer(a=Keep(0.1, redraw=False), b="none", n=1e4, generations=50)
    assert (figure.a, figure.b, figure.n, figure.t) == ("Keep(0.1, fixed)", "none", 10_000, 50)
    figure.b = Mixture(0.6, 0.3, 0.1)
    assert figure.b == "Mixture(0.6, 0.3, 0.1)"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"panel": "images"}, r"panel='images' is not allowed: one of 'gaussian', 'words'"),
        ({"size": 3}, r"setting='size' is not allowed: one of 'a', 'b', 'estimator', 'n'"),
        ({"n": 9}, r"n=9 is not allowed: a whole number, at least 10"),
        ({"n": 10**7}, r"n=10000000 is not allowed: a whole number from 10 to 1000000"),
        ({"panel": "words", "runs": 501}, r"runs=501 is not allowed: a whole number from 2 to 500"),
        ({"runs": 0.5}, r"runs=0.5 is not allowed"),
        ({"generations": 501}, r"generations=501 is not allowed: a whole number from 2 to 500"),
        ({"seed": -1}, r"seed=-1 is not allowed"),
        ({"t": 0}, r"t=0 is not allowed"),
        ({"t": 300}, r"t=300 is not allowed: a whole number from 1 to 200"),
        ({"estimator": "map"}, r"estimator='map' is not allowed: one of 'mle', 'unbiased'"),
        ({"a": "none"}, r"regime='none' is not allowed"),
        ({"a": 3}, r"a=3 is not allowed: a regime of lib.regimes or its label"),
        ({"a": "Keep(0.01)", "n": 10}, r"share=0.01 is not allowed: a share that is at least one sample"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(wrong, told):
    with pytest.raises(ValueError, match=rf"^{told}"):
        Explorer(**wrong)


def test_a_trait_that_is_set_wrong_keeps_its_value():
    figure = Explorer(n=50)
    for name, value in {"n": 3, "estimator": "x", "a": "Nothing", "t": 501}.items():
        with pytest.raises(ValueError, match="is not allowed"):
            setattr(figure, name, value)
    assert (figure.n, figure.estimator, figure.a, figure.t) == (50, "mle", "Replace", 200)


def test_a_figure_that_is_not_shown_looks_at_no_generation_beyond_its_last():
    figure = Explorer(generations=100)
    figure.generations = 50
    assert (figure.generations, figure.t) == (50, 50)
    figure.set_state({"generations": 80, "t": 20})  # as the controls do
    assert (figure.generations, figure.t) == (80, 20)
    figure.generations = 60
    assert (figure.generations, figure.t) == (60, 20)


def test_the_state_that_travels_is_what_the_module_reads():
    state = Explorer(panel="words", a=Keep(0.2)).get_state()
    source = explorer.MODULE.read_text(encoding="utf-8")
    names = re.search(r"  words: \{\n(.*?)\n  \},\n\};", source, re.DOTALL).group(1)
    for name in re.findall(r"^    (\w+):", names, re.MULTILINE):
        json.dumps(state[name])
    assert state["_esm"] == source and state["words"] == word_table()


def test_the_table_gives_every_frequency():
    table, counts = word_table(), word_counts()
    assert table["total"] == sum(counts.values()) == sum(count * words for count, words in table["classes"])
    spread = [count for count, words in table["classes"] for _ in range(words)]
    assert spread == list(counts.values())
    words = list(counts)
    assert len(table["shown"]) == explorer.SHOWN and all(words[rank] == word for rank, word in table["shown"])
    ranks = [rank for rank, _ in table["shown"]]
    assert ranks == sorted(set(ranks)) and counts[words[ranks[-1]]] == 1 and ranks[0] == 0


def module_table(name):
    """A table of plain values in the module, as text by key."""
    source = explorer.MODULE.read_text(encoding="utf-8")
    return dict(re.findall(r"^  (\w+): \{ (.*) \},$", source.split(f"const {name} = {{")[1].split("\n};")[0], re.M))


def test_a_regime_looks_as_in_every_figure_of_the_book():
    looks = module_table("STYLES")
    assert looks.keys() == figures._STYLES.keys()
    for name, text in looks.items():
        color, marker, line = figures._STYLES[name]
        found = dict(re.findall(r'(\w+): "([^"]*)"', text))
        assert (found["color"], found["marker"]) == (color, marker)
        # Dashes have one look for each line style: none, long, short, and long and short in turn.
        assert len(found["dash"].split()) == {"-": 0, "--": 2, ":": 2, "-.": 4}[line], name
        assert (line == ":") == found["dash"].startswith("2")


def test_ranges_and_defaults_are_the_modules():
    source = explorer.MODULE.read_text(encoding="utf-8")
    for panel, ranges in explorer.RANGES.items():
        text = re.search(rf"^  {panel}: \{{\n(.*?)^  \}},", source, re.DOTALL | re.M).group(1)
        for name, limits in ranges.items():
            least, most, start = re.search(
                rf"^    {name}: \{{ least: (.*), most: (.*), start: (.*) \}}", text, re.M
            ).groups()
            assert tuple(int(eval(number)) for number in (least, most, start)) == limits, (panel, name)


def test_the_page_holds_a_figure_a_table_and_the_module(root, tmp_path):
    text = explorer_page.fill((root / explorer_page.PAGE).read_text(encoding="utf-8"), tmp_path)
    for name in ("gaussian", "words"):
        assert (tmp_path / f"explorer-{name}.png").read_bytes().startswith(b"\x89PNG")
        place = re.search(rf"^::::\{{div\}} explorer-{name}\n(.*?)^::::$", text, re.DOTALL | re.MULTILINE).group(1)
        assert f"_static/explorer-{name}.png" in place and len(re.findall(r"^\| \d", place, re.MULTILINE)) == 10
    assert explorer.MODULE.read_text(encoding="utf-8") in text
    assert not any(mark in text for mark in explorer_page.MARKS.values())


def test_a_page_without_a_marker_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"needs a line <!-- explorer: gaussian -->"):
        explorer_page.fill("# The explorer\n", tmp_path)


def test_a_module_that_would_end_its_script_is_refused(tmp_path, monkeypatch):
    broken = tmp_path / "explorer.js"
    broken.write_text('const x = "</script>";', encoding="utf-8")
    monkeypatch.setattr(explorer, "MODULE", broken)
    with pytest.raises(ValueError, match="cannot stand in a page: it contains </script"):
        explorer_page.module()


@pytest.mark.parametrize(
    "settings", [{}, {"panel": "words", "n": 50}, {"a": Keep(0.1), "b": "none", "estimator": "unbiased", "t": 7}]
)
def test_where_widgets_are_not_shown_the_call_is(settings):
    widget = explorer.Explorer(**settings)
    again = eval(repr(widget), {"Explorer": explorer.Explorer})
    assert repr(again) == repr(widget) and again.trait_values(sync=True)["a"] == widget.a
    assert repr(widget) in str(widget._repr_mimebundle_())
