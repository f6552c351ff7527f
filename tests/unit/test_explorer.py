"""The explorer's Python side: regimes as the module knows them, settings refused by name, words, the page."""

import json
import re

import explorer_page
import pytest

from lib import regimes
from lib.chapter import explorer, looks
from lib.chapter.explorer import Explorer, as_plain, as_regime, word_table
from lib.errors import Refused
from lib.regimes import Accumulate, FreshReal, Keep, Mixture, Regime, Replace
from lib.worlds.images.data import word_counts


class Mine(Regime):
    """A regime that the explorer has not."""


@pytest.mark.parametrize(
    "regime",
    [
        *(look.start for look in looks.LOOKS.values()),
        *(Accumulate(fresh=0.3, kept=0), Keep(0.25, redraw=False), FreshReal(0.05), Mixture(0.5, 0, 0.5, fresh=True)),
    ],
    ids=str,
)
def test_a_regime_goes_to_the_module_and_comes_back(regime):
    assert as_regime(json.loads(json.dumps(as_plain(regime)))) == regime
    assert looks.LOOKS[regime.family].start.family == regime.family


def test_the_figure_starts_with_its_defaults_and_takes_regimes():
    figure = Explorer()
    assert (figure.panel, figure.a, figure.b, figure.estimator) == ("gaussian", Replace(), Accumulate(), "mle")
    assert (figure.n, figure.runs, figure.generations, figure.seed, figure.t) == (100, 1000, 200, 1, 200)
    assert figure.words is None
    figure = Explorer(a=Keep(0.1, redraw=False), b="none", n=1e4, generations=50)
    assert (figure.b, figure.n, figure.t) == ("none", 10_000, 50)
    assert figure.get_state()["a"] == {"family": "Keep, fixed", "share": 0.1}
    figure.set_state({"a": {"family": "Mixture", "beta": 0.3, "gamma": 0.1}})  # as the controls do
    assert figure.a == Mixture(0.6, 0.3, 0.1)


@pytest.mark.parametrize(
    ("wrong", "setting"),
    [
        ({"panel": "images"}, "panel"),
        ({"size": 3}, "setting"),
        ({"n": 9}, "n"),
        ({"n": 10**7}, "n"),
        ({"panel": "words", "runs": 501}, "runs"),
        ({"runs": 0.5}, "runs"),
        ({"generations": 501}, "generations"),
        ({"seed": -1}, "seed"),
        ({"t": 0}, "t"),
        ({"t": 300}, "t"),
        ({"estimator": "map"}, "estimator"),
        ({"a": "none"}, "a"),
        ({"a": "Keep(0.1)"}, "a"),
        ({"b": Mine()}, "b"),
        ({"b": FreshReal(0.1, weight=0.5)}, "b"),
        ({"a": Keep(0.01), "n": 10}, "share"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(wrong, setting):
    with pytest.raises(Refused) as told:
        Explorer(**wrong)
    assert told.value.setting == setting


def test_a_trait_that_is_set_wrong_keeps_its_value():
    figure = Explorer(n=50)
    for name, value in {"n": 3, "estimator": "x", "a": "Nothing", "t": 501}.items():
        with pytest.raises(Refused):
            setattr(figure, name, value)
    assert (figure.n, figure.estimator, figure.a, figure.t) == (50, "mle", Replace(), 200)


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
    for name in ("a", "b", *explorer.RANGES["words"], "t"):
        json.dumps(state[name])
    assert state["_esm"] == explorer.module() and state["words"] == word_table()


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
    text = explorer_page.fill((root / explorer_page.PAGE).read_text(encoding="utf-8"), tmp_path)
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


@pytest.mark.parametrize(
    "settings", [{}, {"panel": "words", "n": 50}, {"a": Keep(0.1), "b": "none", "estimator": "unbiased", "t": 7}]
)
def test_where_widgets_are_not_shown_the_call_is(settings):
    widget = explorer.Explorer(**settings)
    again = eval(repr(widget), {"Explorer": explorer.Explorer, **vars(regimes)})
    assert repr(again) == repr(widget) and again.a == widget.a
    assert repr(widget) in str(widget._repr_mimebundle_())
