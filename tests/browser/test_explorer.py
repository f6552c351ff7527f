"""The explorer: its numbers against lib.theory and against lib's own samplers, then what a reader does with it.

Seeds were fixed before the first look. Laws of the Gaussian: 5000 runs, |z| < 4 for each mean, about 1000 of them and many strongly
correlated; laws of the words about 320 more. One z exceeds 4 by chance with probability 6·10⁻⁵, so for a fresh choice of seeds
a correct module fails somewhere with probability below 8%. Two-sample and sampler tests: about 280 p-values, each above 10⁻⁵: below
3·10⁻³.
"""

import base64
import json
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from scipy import stats

from lib import theory
from lib.chapter.explorer import MODULE, word_table
from lib.recursion import recurse
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
from lib.theory import discrete
from lib.worlds.discrete import Discrete
from lib.worlds.gaussian import Gaussian

from .conftest import HTML

pytestmark = [pytest.mark.browser]

SEED = 20240724
N, T, RUNS = 20, 10, 5000
PAGE = "book/explorer.html"
REGIMES = [
    Replace(),
    ReplaceGrown(),
    Accumulate(),
    Accumulate(fresh=0.3),
    Accumulate(kept=0.3),
    Accumulate(kept=0),
    Accumulate(fresh=0.3, kept=0.5),
    AccumulateSubsample(),
    Keep(0.1),
    Keep(0.3),
    Keep(0.7),
    Keep(1.0),
    Keep(0.3, redraw=False),
    FreshReal(0.1),
    FreshReal(0.5),
    RealOnly(),
    RealOnly(grow=False),
    Mixture(0.5, 0.5, 0),
    Mixture(0.5, 0.3, 0.2),
    Mixture(0.2, 0.8, 0),
    Mixture(0, 0.5, 0.5),
    Mixture(0.7, 0, 0.3, fresh=True),
    Mixture(0.7, 0, 0.3),
]
NO_LAW = [Mixture(0.5, 0.2, 0.3, fresh=True)]  # of the variance, in closed form
# A text of 150 words, 39 of them distinct: small enough for lib to sample the same chain explicitly.
SMALL = {"total": 150, "classes": [[50, 1], [20, 2], [5, 6], [1, 30]], "shown": [[0, "the"], [38, "rare"]]}
SMALL_TRUTH = np.repeat([count for count, _ in SMALL["classes"]], [words for _, words in SMALL["classes"]]) / 150

CALL = """async ([name, ...given]) => {
  const plain = (x) => {
    if (!(x instanceof Float64Array)) return x;
    const bytes = new Uint8Array(x.buffer, x.byteOffset, x.byteLength);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return { floats: btoa(text) };
  };
  try { return JSON.stringify(await window.explorer[name](...given), (_, x) => plain(x)); }
  catch (error) { return JSON.stringify({ refused: error.message }); }
}"""


def arrays(found):
    return np.frombuffer(base64.b64decode(found["floats"])) if found.keys() == {"floats"} else found


@pytest.fixture(scope="module")
def module(browser):
    """Call what the module exports; typed arrays come back as numpy's."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    code = base64.b64encode(MODULE.read_bytes()).decode()
    page.evaluate("async (code) => { window.explorer = await import('data:text/javascript;base64,' + code); }", code)

    def call(name, *given):
        return json.loads(page.evaluate(CALL, [name, *given]), object_hook=arrays)

    call.page = page
    yield call
    context.close()


def simulate(module, regimes, **options):
    """One entry for each regime; results of shape (generations, runs)."""
    found = module("simulate", {"regimes": [str(regime) for regime in regimes], **options})
    assert "refused" not in found, found
    for entry in found["results"]:
        for name, values in entry.items():
            if name in ("variance", "mean", "support", "diversity"):
                entry[name] = values.reshape(-1, entry["runs"])
    return found["results"]


def z_scores(values, law):
    """(mean − law) in standard errors for values (generations, runs); 0 where there is no spread and no difference."""
    gap = values.mean(axis=1) - law
    error = values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
    return np.where(abs(gap) < 1e-12, 0.0, gap / np.where(error > 0, error, 1e-300))


# ---------------------------------------------------------------- the laws


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
def test_the_laws_are_those_of_the_library(module, estimator):
    for n in (20, 37, 1000, 10**6):
        for regime in REGIMES:
            found = module("law", module("parse", "a", str(regime)), n, 300, estimator)
            for name, law in (("variance", theory.expected_variance), ("error", theory.expected_error)):
                np.testing.assert_allclose(
                    found[name], law(regime, n, 300, estimator), rtol=1e-9, err_msg=f"{regime} {n}"
                )
        typical = module("law", module("parse", "a", "Replace"), n, 300, estimator)["typical"]
        drift = theory.log_drift(n, 1, estimator)
        np.testing.assert_allclose(np.log(typical), drift * np.arange(1, 301), rtol=1e-9)
    for regime in NO_LAW:
        assert module("law", module("parse", "a", str(regime)), 20, 5, estimator)["variance"] is None


@pytest.mark.parametrize(("n", "generations"), [(12, 40), (30, 60), (1000, 40), (3000, 100), (100_000, 30)])
def test_the_expected_number_of_words_is_that_of_the_library(module, n, generations):
    for table, truth in ((SMALL, SMALL_TRUTH), (word_table(), Discrete("words").probabilities)):
        for regime in (Replace(), Accumulate()):
            found = module("supportLaw", module("parse", "a", str(regime)), table, n, generations)
            law = discrete.expected_support(truth, n, generations, str(regime).lower())
            np.testing.assert_allclose(found, law, rtol=1e-9)
        real = module("supportLaw", module("parse", "a", "RealOnly"), table, n, 3)
        missed = [discrete.first_sample_miss(truth, n * t) for t in (1, 2, 3)]
        np.testing.assert_allclose(real, [(1 - lost).sum() for lost in missed], rtol=1e-9)
    assert module("supportLaw", module("parse", "a", "Keep(0.3)"), SMALL, n, 3) is None


# ---------------------------------------------------------------- the samples


def test_samplers_follow_their_laws(module):
    size = 200_000
    uniform, normal = (module("draws", name, size, SEED) for name in ("uniform", "normal"))
    assert stats.kstest(uniform, "uniform").pvalue > 1e-5
    assert stats.kstest(normal, "norm").pvalue > 1e-5
    # The last layer of the ziggurat, in which the tail begins, and a run of draws together.
    beyond = (abs(normal) > 3.442619855899).sum()
    assert stats.binomtest(int(beyond), size, 2 * stats.norm.sf(3.442619855899)).pvalue > 1e-5
    tail = abs(normal[abs(normal) > 3])
    assert stats.kstest(stats.norm.sf(tail) / stats.norm.sf(3), "uniform").pvalue > 1e-5
    assert stats.kstest((normal.reshape(-1, 10) ** 2).sum(axis=1), "chi2", args=(10,)).pvalue > 1e-5
    assert abs(np.corrcoef(normal[:-1], normal[1:])[0, 1]) * np.sqrt(size) < 4.4
    for degrees in (1, 2, 3, 9, 99, 10**6):
        drawn = module("draws", "chiSquare", size, SEED, degrees)
        assert stats.kstest(drawn, "chi2", args=(degrees,)).pvalue > 1e-5, degrees
    between = np.random.default_rng(SEED).random(size)  # spreads each count over its step of the distribution function
    for n, p in ((1, 0.3), (30, 0.2), (30, 0.9), (1000, 0.009), (1000, 0.02), (10**6, 0.4), (10**6, 2e-6), (45, 0.5)):
        drawn, law = module("draws", "binomial", size, SEED, n, p), stats.binom(n, p)
        assert drawn.min() >= 0 and drawn.max() <= n
        assert stats.kstest(law.cdf(drawn - 1) + between * law.pmf(drawn), "uniform").pvalue > 1e-5, (n, p)


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
@pytest.mark.parametrize("regime", REGIMES, ids=str)
def test_means_follow_the_laws(module, regime, estimator):
    (found,) = simulate(module, [regime], n=N, generations=T, runs=RUNS, seed=SEED, estimator=estimator)
    assert found["runs"] == RUNS
    assert abs(z_scores(found["variance"], theory.expected_variance(regime, N, T, estimator))).max() < 4
    assert abs(z_scores(found["mean"] ** 2, theory.expected_error(regime, N, T, estimator))).max() < 4


@pytest.mark.parametrize(
    "regime", [Replace(), ReplaceGrown(), Accumulate(kept=0.4), Keep(0.1, redraw=False), RealOnly()], ids=str
)
def test_means_follow_the_laws_for_a_million_samples(module, regime):
    (found,) = simulate(module, [regime], n=10**6, generations=4, runs=RUNS, seed=SEED)
    assert abs(z_scores(found["variance"], theory.expected_variance(regime, 10**6, 4))).max() < 4
    assert abs(z_scores(found["mean"] ** 2, theory.expected_error(regime, 10**6, 4))).max() < 4


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
def test_distributions_are_those_of_the_library(module, estimator):
    """Variance and mean at the last generation, and how both moved since the second: the law of a run, not of its ends alone."""
    regimes = REGIMES + NO_LAW
    if estimator == "unbiased":
        regimes = [Replace(), Keep(0.3), Mixture(0.5, 0.3, 0.2), AccumulateSubsample()]
    world = Gaussian(1, estimator, "explicit")
    own = {"scores": ("trace_ratio",), "keep": ("mean",), "progress": False}
    data = recurse(world, regimes, n=N, generations=T, runs=RUNS, seed=SEED + 1, **own)
    for regime in regimes:
        (found,) = simulate(module, [regime], n=N, generations=T, runs=RUNS, seed=SEED, estimator=estimator)
        variance = np.log(data["trace_ratio"].sel(regime=str(regime)).values)
        mean = data["mean"].sel(regime=str(regime)).squeeze("i").values
        ours, theirs = np.log(found["variance"]), variance
        pairs = {"variance": (ours[-1], theirs[-1]), "mean": (found["mean"][-1], mean[-1])}
        if str(regime) != "Keep(1)" and str(regime) != "RealOnly(refit)":  # which do not move
            pairs["change of variance"] = (ours[-1] - ours[1], theirs[-1] - theirs[1])
            pairs["change of mean"] = (found["mean"][-1] - found["mean"][1], mean[-1] - mean[1])
        for name, pair in pairs.items():
            assert stats.ks_2samp(*pair).pvalue > 1e-5, (str(regime), name)


@pytest.mark.parametrize("regime", REGIMES + NO_LAW, ids=str)
def test_words_follow_laws_and_library(module, regime):
    n, generations, runs = 30, 8, 500
    given = {"n": n, "generations": generations, "runs": runs}
    (found,) = simulate(module, [regime], panel="words", words=SMALL, seed=SEED, **given)
    if regime not in NO_LAW:
        law = discrete.expected_heterozygosity(regime, n, generations)
        assert abs(z_scores(found["diversity"], law)).max() < 4
    if str(regime) in ("Replace", "Accumulate"):
        law = discrete.expected_support(SMALL_TRUTH, n, generations, str(regime).lower())
        assert abs(z_scores(found["support"], law)).max() < 4
    scores = ("support", "heterozygosity_ratio")
    data = recurse(Discrete(SMALL_TRUTH), [regime], seed=SEED + 1, scores=scores, progress=False, **given).isel(
        regime=0
    )
    for ours, theirs in (("support", "support"), ("diversity", "heterozygosity_ratio")):
        assert stats.ks_2samp(found[ours][-1], data[theirs].values[-1]).pvalue > 1e-5, ours
    lost = found["support"] - SMALL_TRUTH.size
    assert lost.max() <= 0


@pytest.mark.parametrize(
    "regime", [Replace(), ReplaceGrown(), Accumulate(), Accumulate(kept=0.5), FreshReal(0.2), Keep(0.2)], ids=str
)
def test_the_texts_own_words_follow_the_laws(module, regime):
    """At sizes at which counts are drawn by rejection, and real words by their counts."""
    truth = Discrete("words").probabilities
    for n, runs in ((2000, 200), (100_000, 40)):
        if (regime == Keep(0.2)) and n > 2000:
            continue  # it draws every word by itself
        given = {"panel": "words", "words": word_table(), "n": n, "generations": 4, "runs": runs, "seed": SEED}
        (found,) = simulate(module, [regime], **given)
        assert found["runs"] == runs
        assert abs(z_scores(found["diversity"], discrete.expected_heterozygosity(regime, n, 4))).max() < 4
        first = discrete.expected_support(truth, n, 1)
        assert abs(z_scores(found["support"][:1], first)).max() < 4
        if str(regime) in ("Replace", "Accumulate"):
            law = discrete.expected_support(truth, n, 4, str(regime).lower())
            assert abs(z_scores(found["support"], law)).max() < 4


def test_a_word_that_is_shown_is_there_as_often_as_the_law_says(module):
    table = word_table()
    first = np.zeros(len(table["shown"]))
    repeats = 300
    for seed in range(repeats):
        found = module(
            "simulate",
            {
                "panel": "words",
                "words": table,
                "regimes": ["Replace"],
                "n": 1000,
                "runs": 2,
                "generations": 2,
                "seed": seed,
            },
        )
        present = found["results"][0]["present"]
        first += [present[str(k)] for k in range(first.size)]
    rank_count = np.repeat([c for c, _ in table["classes"]], [w for _, w in table["classes"]])
    q = np.array([rank_count[rank] for rank, _ in table["shown"]]) / table["total"]
    chance = 1 - discrete.first_sample_miss(q, 1000)
    p = [stats.binomtest(int(k), repeats, c).pvalue for k, c in zip(first, np.clip(chance, 0, 1), strict=True)]
    assert min(p) > 1e-5


def test_regimes_share_their_real_data_and_more_changes_nothing(module):
    given = {"n": 50, "generations": 20, "runs": 30, "seed": 4}
    first, second = simulate(module, [Replace(), Keep(0.2)], **given)
    np.testing.assert_array_equal(first["variance"][0], second["variance"][0])
    (more,) = simulate(module, [Keep(0.2)], **given | {"generations": 40, "runs": 60})
    np.testing.assert_array_equal(more["variance"][:20, :30], second["variance"])
    (other,) = simulate(module, [Keep(0.2)], **given | {"seed": 5})
    assert (other["variance"] != second["variance"]).all()
    (equal,) = simulate(module, [Mixture(1, 0, 0)], **given)
    np.testing.assert_array_equal(equal["variance"], first["variance"])


def test_summaries_are_numpys(module):
    (found,) = simulate(module, [Replace()], n=10, generations=30, runs=333, seed=1)
    packed = """([values, runs]) => {
      const s = window.explorer.summary(Float64Array.from(values), runs);
      return Object.fromEntries(Object.entries(s).map(([name, line]) => [name, [...line]])); }"""
    for runs in (333, 2, 3):
        values = found["variance"][:, :runs]
        told = module.page.evaluate(packed, [values.ravel().tolist(), runs])
        low, median, high = np.quantile(values, [0.05, 0.5, 0.95], axis=1)
        for name, wanted in {"low": low, "median": median, "high": high, "average": values.mean(axis=1)}.items():
            np.testing.assert_allclose(told[name], wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"n": 9}, "n=9 is not allowed: a whole number from 10 to 1000000"),
        ({"n": "many"}, "n='many' is not allowed: a whole number"),
        ({"estimator": "map"}, "estimator='map' is not allowed: one of 'mle', 'unbiased'"),
        ({"panel": "images"}, "panel='images' is not allowed: one of 'gaussian', 'words'"),
        ({"size": 3}, "setting='size' is not allowed: one of 'a', 'b', 'estimator', 'n'"),
        ({"t": 11, "generations": 10}, "t=11 is not allowed: a whole number from 1 to 10"),
        ({"regimes": ["Retain(0.1)"]}, "a='Retain(0.1)' is not allowed: a regime, such as Replace"),
        ({"regimes": ["Keep(1.5)"]}, "share=1.5 is not allowed: a share between 0 and 1"),
        ({"regimes": ["Mixture(0.5, 0.6, 0.1)"]}, "alpha + beta + gamma=1.2"),
        ({"regimes": ["Keep(0.01)"], "n": 10}, "share=0.01 is not allowed: a share that is at least one sample"),
        ({"regimes": ["AccumulateSubsample"], "n": 1000000}, "n=1000000 is not allowed: fewer samples"),
        ({"panel": "words"}, "words=null is not allowed: a table of frequencies"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(module, wrong, told):
    found = module("simulate", wrong)
    assert told in found.get("refused", ""), found


@pytest.mark.parametrize("regime", REGIMES + NO_LAW, ids=str)
def test_labels_are_those_of_the_library(module, regime):
    assert module("label", module("parse", "a", str(regime))) == str(regime)


# ---------------------------------------------------------------- the page


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
    panel.locator("select").nth(1).select_option("Keep")
    panel.get_by_label("drawn anew at each generation").uncheck()
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
        "a": "Mixture(0.6, 0.3, 0.1)", "b": "Keep(0.1, fixed)", "estimator": "unbiased", "n": 20, "runs": 1000,
        "generations": 200, "seed": 78, "t": 33,
    }  # fmt: skip
    link = panel.get_by_role("link", name="Link to this state").get_attribute("href")
    told = parse_qs(urlsplit(link).fragment)
    assert told["a"] == ["Mixture(0.6, 0.3, 0.1)"] and told["words.b"] == ["none"] and told["seed"] == ["78"]
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
    assert (state(second)["a"], state(second)["b"], state(second)["n"]) == ("RealOnly", "none", 10)


def test_an_anchor_of_the_page_is_no_state(open_explorer):
    page = open_explorer("#words")
    assert page.locator(".explorer-gaussian .message").text_content() == ""
    assert page.evaluate("location.hash") == "#words"


def test_wrong_values_in_a_link_get_defaults_and_a_message(open_explorer):
    page = open_explorer("#a=Retain&n=7&runs=1e9&estimator=map&t=900&colour=red&seed=-1&generations=50&words.n=x")
    settle(page)
    found = state(page)
    assert found | {"a": "Replace", "n": 100, "runs": 1000, "estimator": "mle", "seed": 1} == found
    assert (found["generations"], found["t"]) == (50, 50)
    told = page.locator(".explorer-gaussian .message").text_content()
    for part in (
        "a='Retain' is not allowed: a regime, such as Replace",
        "n='7' is not allowed: a whole number from 10 to 1000000. 100 is used.",
        "runs='1e9' is not allowed",
        "estimator='map' is not allowed: one of 'mle', 'unbiased'. mle is used.",
        "seed='-1' is not allowed",
        "t='900' is not allowed: a whole number from 1 to 50. 50 is used.",
        "setting='colour' is not allowed",
    ):
        assert part in told
    assert "n='x' is not allowed" in page.locator(".explorer-words .message").text_content()


def test_a_regime_that_cannot_be_is_named_and_the_other_drawn(open_explorer):
    page = open_explorer("#a=Keep(0.01)&n=10")
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
        "[...document.querySelectorAll('.explorer-gaussian :is(select, input, button, a, summary)')].map(e => e.tabIndex)"
    )
    assert len(order) > 12 and set(order) == {0}
    page.locator(".explorer-gaussian select").first.focus()
    page.keyboard.press("ArrowDown")  # from Replace to ReplaceGrown
    settle(page)
    assert state(page)["a"] == "ReplaceGrown"
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "(document.activeElement.labels?.[0] ?? document.activeElement).textContent || document.activeElement.ariaLabel"
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
    page = open_explorer("#a=Mixture(0.6, 0.3, 0.1)&b=Accumulate")
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
           new MutationObserver(() => { const t = Number(input.value); if (window.seen.at(-1) !== t) window.seen.push(t); })
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
        "#a=Mixture(0.6, 0.3, 0.1)&b=Accumulate(0.1 fresh)&estimator=unbiased&n=1000000&runs=5000&generations=5",
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


def test_a_thousand_runs_of_two_hundred_generations_are_redrawn_in_a_tenth_of_a_second(open_explorer):
    """Computing, drawing and laying out two regimes. What other programs do at the same time can only add to it, so the best of
    20 redraws is taken, and the twenty are repeated, five times at most, while the machine is too busy to show a good one."""
    page = open_explorer("#runs=1000&generations=200&n=100&a=Replace&b=Accumulate")
    took = []
    for _ in range(5):
        took += page.evaluate(
            """async () => { const handle = document.querySelector('.explorer-gaussian').explorer, took = [];
                 for (let k = 0; k < 20; k++) {
                   const began = performance.now();
                   handle.set({ seed: 100 + k });
                   document.body.getBoundingClientRect();
                   took.push(performance.now() - began);
                   await new Promise(done => setTimeout(done, 30));
                 }
                 return took; }"""
        )
        if min(took) < 100:
            break
    assert min(took) < 100, took


def test_what_is_known_is_not_computed_again(open_explorer):
    page = open_explorer("#a=Replace&b=AccumulateSubsample&n=100")
    settle(page)

    def computed(change):
        found = page.evaluate(
            """(change) => { const handle = document.querySelector('.explorer-gaussian').explorer;
                 handle.set(change); return handle.timing.computed; }""",
            change,
        )
        settle(page)
        return found

    assert computed({"a": "ReplaceGrown"}) == ["ReplaceGrown"]
    assert computed({"a": "AccumulateSubsample", "b": "ReplaceGrown"}) == []
    assert computed({"seed": 9}) == ["AccumulateSubsample", "ReplaceGrown"]


# A stand-in for what anywidget hands over; each widget of a notebook has its own copy of the module, hence the number.
WIDGET = """async ([code, number, values]) => {
  const heard = {}, saved = [];
  const model = { get: (name) => values[name], save_changes: () => saved.push({ ...values }),
    set(name, value) { const old = values[name]; values[name] = value; if (old !== value) (heard[name] ?? []).forEach(f => f()); },
    on(event, f) { (heard[event.slice(7)] ??= []).push(f); },
    off(event, f) { heard[event.slice(7)] = heard[event.slice(7)].filter(g => g !== f); } };
  const { default: module } = await import(`data:text/javascript;base64,${code}#${number}`);
  const el = document.createElement('div');
  document.body.append(el);
  (window.widgets ??= [])[number] = { model, heard, saved, el, end: module.render({ model, el }) };
}"""
SHOWN = {"panel": "words", "a": "Replace", "b": "none", "n": 50, "runs": 5, "generations": 20, "seed": 3, "t": 20}


@pytest.fixture
def widget(browser):
    """Show a widget of a small text with these settings; its place on the page, and the page."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    code = base64.b64encode(MODULE.read_bytes()).decode()

    def show(number=0, **settings):
        page.evaluate(WIDGET, [code, number, SHOWN | {"words": SMALL} | settings])
        settle(page)
        return page.locator(".explorer").nth(number), page

    yield show
    context.close()


def test_as_a_widget_settings_go_both_ways(widget):
    place, page = widget()
    said = place.locator(".said")
    assert said.text_content().startswith("Generation 20, n = 50. Replace: a model can still say")
    page.evaluate("['a', 'generations', 't'].forEach((name, k) => widgets[0].model.set(name, ['RealOnly', 10, 4][k]))")
    settle(page)
    assert said.text_content().startswith("Generation 4, n = 50. RealOnly:")
    place.get_by_role("button", name="Draw again").click()
    settle(page)
    assert page.evaluate("[widgets[0].model.get('seed'), widgets[0].saved.length > 0]") == [4, True]
    assert place.locator(".share").count() == 0  # a widget has no address of its own
    page.evaluate("widgets[0].end()")
    left = page.evaluate("[widgets[0].el.childElementCount, ...Object.values(widgets[0].heard).map(l => l.length)]")
    assert left == [0] * 8


def test_in_a_widget_fewer_generations_are_no_wrong_setting(widget):
    """The kernel sets one trait at a time, and the model announces what the reader changed one trait at a time."""
    place, page = widget()
    slider = place.get_by_label("generations", exact=True)
    slider.focus()
    slider.press("ArrowLeft")
    settle(page)
    assert place.locator(".message").text_content() == ""
    assert page.evaluate("widgets[0].saved.map(({ generations, t }) => [generations, t])") == [[10, 10]]
    page.evaluate("widgets[0].model.set('generations', 5)")
    settle(page)
    assert place.locator(".message").text_content() == ""
    assert page.evaluate("['generations', 't'].map(name => widgets[0].model.get(name))") == [5, 5]


def test_two_widgets_share_no_name(widget):
    (first, page), (second, _) = widget(0), widget(1, t=5)
    names = page.evaluate("[...document.querySelectorAll('.explorer [id]')].map(e => e.id)")
    assert len(names) > 20 and len(set(names)) == len(names)
    second.get_by_text("samples n", exact=True).click()
    assert second.evaluate("e => e.contains(document.activeElement)")
    # What has happened up to the generation that is looked at is drawn in full, in each widget up to its own.
    full = "e => e.querySelector(e.querySelectorAll('svg[role=img] > g')[1].getAttribute('clip-path').slice(4, -1) + ' rect').width.baseVal.value"
    assert second.evaluate(full) < first.evaluate(full) / 2


def test_keys_meant_for_a_widget_are_no_commands_of_the_notebook(widget):
    place, page = widget()
    page.evaluate(
        """window.commands = [];
           for (const early of [true, false]) document.addEventListener('keydown', (e) => commands.push(e.key), early);"""
    )
    slider, seed = place.get_by_label("samples n"), place.locator(".seed")
    before = slider.input_value()
    for key in ("ArrowRight", "ArrowUp", "d", "d"):
        slider.press(key)
    assert int(slider.input_value()) == int(before) + 2
    seed.press("ControlOrMeta+a")
    assert [key.lower() for key in page.evaluate("commands.splice(0)")][-1] == "a"  # saving, say, stays the notebook's
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    place.get_by_role("button", name="Draw again").press("Space")
    settle(page)
    assert page.evaluate("[widgets[0].model.get('seed'), ...commands]") == [8]
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("b")
    page.evaluate("widgets[0].end()")
    page.evaluate("widgets[0].el.tabIndex = 0; widgets[0].el.focus()")
    page.keyboard.press("x")
    assert page.evaluate("commands") == ["b", "b", "x", "x"]


def test_a_widget_leaves_the_table_of_words_as_it_was(widget):
    """It is part of the state that a notebook saves, and comes back from there."""
    _, page = widget()
    assert page.evaluate("widgets[0].model.get('words')") == SMALL
