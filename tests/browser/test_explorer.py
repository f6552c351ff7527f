"""The explorer in a browser: what a reader does with it on its page; node tests its numbers."""

from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from lib import theory
from lib.chapter.explorer import word_table
from lib.regimes import Replace

from .conftest import HTML

pytestmark = [pytest.mark.browser]

PAGE = "book/explorer.html"
SMALL = {"total": 150, "classes": [[50, 1], [20, 2], [5, 6], [1, 30]], "shown": [[0, "the"], [38, "rare"]]}


@pytest.fixture
def open_explorer(browser):
    """Open the page from file:// with the network cut; `more` goes to the browser's context."""
    contexts = []

    def start(hash="", width=1280, **more):
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **more)
        contexts.append(context)
        page = context.new_page()
        page.goto((HTML / PAGE).as_uri() + hash, wait_until="load")
        if more.get("java_script_enabled", True):
            page.wait_for_function("document.querySelectorAll('.explorer svg[role=img]').length >= 5")
        return page

    yield start
    for context in contexts:
        context.close()


def state(page, panel="gaussian"):
    return page.evaluate(f"document.querySelector('.explorer-{panel}').explorer.get()")


def sentence(page, panel="gaussian"):
    return page.locator(f".explorer-{panel} .said").text_content()


def settle(page):
    """Wait until what was asked for is drawn and written to the address."""
    # The page's own timers, which come in the order of their times however busy the machine is.
    page.evaluate("new Promise(done => setTimeout(() => requestAnimationFrame(() => setTimeout(done, 0)), 400))")
    page.wait_for_function("!document.querySelector('.explorer[aria-busy]')")
    page.evaluate("new Promise(done => setTimeout(done, 250))")


def test_the_page_shows_both_panels_with_laws_and_words(open_explorer):
    page = open_explorer()
    text = sentence(page)
    assert text.startswith("Generation 200, n = 100. Replace: median variance ") and "exact mean 0.134" in text
    assert "Accumulate: median variance 0.9" in text and "exact mean 0.984" in text
    exact = theory.expected_variance(Replace(), 100, 200)[-1]
    assert round(exact, 3) == 0.134
    words = page.locator(".explorer-words .words ul")
    assert words.count() == 2 and words.first.locator("li").count() == len(word_table()["shown"])
    lost, kept = (words.nth(k).locator("li.lost").count() for k in (0, 1))
    assert lost > kept > 0
    for figure in page.locator(".explorer svg[role=img]").all():
        assert len(figure.get_attribute("aria-label").split()) > 6


def test_a_link_brings_the_same_state_back(open_explorer):
    first = open_explorer()
    panel = first.locator(".explorer-gaussian")
    panel.locator("select").nth(0).select_option("Mixture")
    panel.locator("select").nth(1).select_option("Keep, fixed")
    panel.get_by_label("estimator").select_option("unbiased")
    panel.get_by_label("samples n").fill("2")
    panel.get_by_label("seed").fill("77")
    panel.get_by_label("seed").press("Enter")
    panel.get_by_role("button", name="Draw again").click()
    settle(first)
    panel.get_by_label("generation 200 of 200").fill("33")
    first.locator(".explorer-words").locator("select").nth(1).select_option("none")
    settle(first)
    now = state(first)
    assert now == {
        "a": {"family": "Mixture", "beta": 0.3, "gamma": 0.1}, "b": {"family": "Keep, fixed", "share": 0.1},
        "estimator": "unbiased", "n": 20, "runs": 1000, "generations": 200, "seed": 78, "t": 33,
    }  # fmt: skip
    link = panel.get_by_role("link", name="Link to this state").get_attribute("href")
    told = parse_qs(urlsplit(link).fragment)
    assert told["a"] + told["a.beta"] == ["Mixture", "0.3"]
    assert told["words.b"] == ["none"] and told["seed"] == ["78"]
    assert first.evaluate("location.hash") == link
    second = open_explorer(link)
    for name in ("gaussian", "words"):
        assert state(second, name) == state(first, name)
        assert sentence(second, name) == sentence(first, name)
    drawn = "[...document.querySelectorAll('.explorer .middle')].map(path => path.getAttribute('d'))"
    assert second.evaluate(drawn) == first.evaluate(drawn)
    # The same address in a page that is open already.
    second.evaluate("location.hash = '#a=RealOnly&b=none&n=10'")
    settle(second)
    assert state(second) | {"a": {"family": "RealOnly"}, "b": "none", "n": 10} == state(second)


def test_an_anchor_of_the_page_is_no_state(open_explorer):
    page = open_explorer("#words")
    assert page.locator(".explorer-gaussian .message").text_content() == ""
    assert page.evaluate("location.hash") == "#words"


def test_wrong_values_in_a_link_get_defaults_and_a_message(open_explorer):
    wrong = "#a=Retain&b=Keep&b.share=2&n=7&runs=1e9&estimator=map&t=900&colour=red&seed=-1&generations=50&words.n=x"
    page = open_explorer(wrong)
    settle(page)
    found = state(page)
    right = {"a": {"family": "Replace"}, "b": {"family": "Accumulate"}, "n": 100, "runs": 1000, "estimator": "mle"}
    assert found | right | {"seed": 1, "generations": 50, "t": 50} == found
    told = page.locator(".explorer-gaussian .message").text_content()
    for what in ("a='Retain'", "share='2'", "n='7'", "runs='1e9'", "estimator='map'", "t='900'", "seed='-1'"):
        assert f"{what} is not allowed" in told
    assert "50 is used" in told and "setting='colour' is not allowed" in told
    assert "n='x' is not allowed" in page.locator(".explorer-words .message").text_content()


def test_a_regime_that_cannot_be_is_named_and_the_other_drawn(open_explorer):
    page = open_explorer("#a=Keep&a.share=0.01&n=10")
    settle(page)
    assert (
        "Keep(0.01) is not drawn. share=0.01 is not allowed"
        in page.locator(".explorer-gaussian .message").text_content()
    )
    assert "Accumulate: median variance" in sentence(page) and "Keep" not in sentence(page)
    page = open_explorer("#a=AccumulateSubsample&n=700&generations=150")
    settle(page)
    told = page.locator(".explorer-gaussian .message").text_content()
    assert "AccumulateSubsample draws every sample by itself" in told and "instead of 1000" in told


def test_everything_works_from_the_keyboard(open_explorer):
    page = open_explorer()
    order = page.evaluate(
        """[...document.querySelectorAll('.explorer-gaussian :is(select, input, button, a, summary)')]
             .map(e => e.tabIndex)"""
    )
    assert len(order) > 12 and set(order) == {0}
    page.locator(".explorer-gaussian select").first.focus()
    page.keyboard.press("ArrowDown")  # from Replace to ReplaceGrown
    settle(page)
    assert state(page)["a"] == {"family": "ReplaceGrown"}
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """(document.activeElement.labels?.[0] ?? document.activeElement).textContent
                     || document.activeElement.ariaLabel"""
            )
        )
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
    for name in (
        "samples n",
        "runs",
        "generations",
        "estimator",
        "seed",
        "Draw again",
        "Play",
        "generation 200 of 200",
    ):
        assert name in reached, reached
    page.get_by_label("generation 200 of 200").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert state(page)["t"] == 198 and sentence(page).startswith("Generation 198,")
    page.keyboard.press("Home")
    assert state(page)["t"] == 1
    page.locator(".explorer-gaussian").get_by_role("button", name="One generation on").focus()
    page.keyboard.press("Enter")
    assert state(page)["t"] == 2
    page.locator(".explorer-gaussian summary").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('.explorer-gaussian table tbody tr').length >= 12")


def test_every_control_has_a_name(open_explorer):
    page = open_explorer("#a=Mixture&b=Accumulate")
    bare = page.evaluate(
        """[...document.querySelectorAll('.explorer :is(select, input, button)')].filter(e =>
             !(e.labels?.[0]?.textContent || e.ariaLabel || e.textContent).trim()).map(e => e.outerHTML)"""
    )
    assert bare == []
    assert page.locator(".explorer [aria-live=polite]").count() == 2


@pytest.mark.parametrize(("motion", "jump"), [("reduce", 10), ("no-preference", 1)])
def test_nothing_moves_unasked_and_less_where_less_is_wanted(open_explorer, motion, jump):
    page = open_explorer("#generations=100", reduced_motion=motion)
    panel = page.locator(".explorer-gaussian")
    page.wait_for_timeout(1200)
    assert state(page)["t"] == 100
    page.evaluate(
        """window.seen = []; const input = document.querySelector('.explorer-gaussian .scrub input');
           const note = (t) => { if (window.seen.at(-1) !== t) window.seen.push(t); };
           new MutationObserver(() => note(Number(input.value)))
             .observe(input, { attributes: true, attributeFilter: ['aria-valuetext'] });"""
    )
    panel.get_by_role("button", name="Play").click()
    page.wait_for_function("window.seen.length > 3")
    panel.get_by_role("button", name="Pause").click()
    seen = page.evaluate("window.seen")
    moved = seen[seen.index(1) :]
    assert len(moved) > 2 and {b - a for a, b in pairwise(moved)} == {jump}
    stopped = state(page)["t"]
    page.wait_for_timeout(1200)
    assert state(page)["t"] == stopped == moved[-1]
    assert sentence(page).startswith(f"Generation {stopped},")


def test_without_javascript_a_figure_and_a_table_stand_there(open_explorer):
    page = open_explorer(java_script_enabled=False)
    for name in ("gaussian", "words"):
        place = page.locator(f".explorer-{name}")
        picture = place.locator("img")
        assert picture.is_visible() and picture.bounding_box()["width"] > 300
        assert place.locator("tbody tr").count() == 10
        assert "Accumulate" in place.locator("table").text_content()
    assert page.locator(".explorer").count() == 0


def test_with_javascript_the_figure_gives_way(open_explorer):
    page = open_explorer()
    assert page.locator(".explorer-gaussian img, .explorer-words img").count() == 0


def test_a_phone_shows_all_of_it_without_scrolling_sideways(open_explorer):
    page = open_explorer(
        "#a=Mixture&b=Accumulate, fresh&estimator=unbiased&n=1000000&runs=5000&generations=5",
        width=390,
    )
    page.locator(".explorer-gaussian summary").click()
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    outside = page.evaluate(
        """[...document.querySelectorAll('.explorer *')].filter(e => !e.closest('.scroll') && !e.closest('svg')
             && e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 100))"""
    )
    assert outside == []
    assert page.evaluate("document.querySelector('.explorer .charts > div').clientWidth") > 300


def luminance(color):
    parts = np.array([float(v) for v in color[color.index("(") + 1 : -1].split(",")[:3]]) / 255
    return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_legible(open_explorer, scheme):
    page = open_explorer(color_scheme=scheme)
    look = page.evaluate(
        """(() => { const root = document.querySelector('.explorer'), style = getComputedStyle(root);
             const stroke = [...root.querySelectorAll('.middle')].map(e => getComputedStyle(e).stroke);
             return { ground: style.backgroundColor, ink: style.color, stroke,
                      law: getComputedStyle(root.querySelector('.law')).stroke }; })()"""
    )
    ground = luminance(look["ground"])
    assert (ground > 0.5) == (scheme == "light")

    def contrast(color):
        low, high = sorted([ground, luminance(color)])
        return (high + 0.05) / (low + 0.05)

    assert contrast(look["ink"]) > 7 and contrast(look["law"]) > 7
    assert all(contrast(color) > 3 for color in look["stroke"])


def test_what_is_known_is_not_computed_again(open_explorer):
    page = open_explorer("#a=Replace&b=AccumulateSubsample&n=100")
    settle(page)

    def computed(change):
        found = page.evaluate(
            """(change) => { const handle = document.querySelector('.explorer-gaussian').explorer;
                 handle.set(change); return handle.computed(); }""",
            change,
        )
        settle(page)
        return found

    assert computed({"a": {"family": "ReplaceGrown"}}) == ["ReplaceGrown"]
    assert computed({"a": {"family": "AccumulateSubsample"}, "b": {"family": "ReplaceGrown"}}) == []
    assert computed({"seed": 9}) == ["AccumulateSubsample", "ReplaceGrown"]


def test_a_redraw_takes_nothing_away_from_a_seed_that_is_being_typed(open_explorer):
    page = open_explorer()
    seed = page.locator(".explorer-gaussian .seed")
    seed.fill("7")
    page.evaluate("document.querySelector('.explorer-gaussian').explorer.set({ n: 20 })")
    settle(page)
    assert seed.input_value() == "7"
    seed.press("Enter")
    settle(page)
    assert state(page)["seed"] == 7
    # Typed and taken back is no change, and the field follows again.
    seed.press("Backspace")
    seed.press("7")
    page.locator(".explorer-gaussian").get_by_role("button", name="Draw again").click()
    settle(page)
    assert state(page)["seed"] == int(seed.input_value()) == 8
