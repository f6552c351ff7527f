"""The explorer's engine, under node: its laws against lib.theory, its numbers against lib's own samplers.

Seeds were fixed before the first look. Laws of the Gaussian: 5000 runs, |z| < 4 for each mean, about 1100 of them and
many strongly correlated; laws of the words about 350 more. One z exceeds 4 by chance with probability 6·10⁻⁵, so for a
fresh choice of seeds a correct engine fails somewhere with probability below 10%. Two-sample and sampler tests: about
280 p-values, each above 10⁻⁵: below 3·10⁻³.
"""

import base64
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from scipy import stats

from lib import theory
from lib.chapter import explorer
from lib.chapter.explorer import as_plain as plain
from lib.chapter.explorer import word_table
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
from tests.unit.every import WITH_LAWS

SEED = 20240724
N, T, RUNS = 20, 10, 5000
NO_LAW = Mixture(0.5, 0.2, 0.3, fresh=True)  # of the variance, in closed form
# A text of 150 words, 39 of them distinct: small enough for lib to sample the same chain explicitly.
SMALL = {"total": 150, "classes": [[50, 1], [20, 2], [5, 6], [1, 30]], "shown": [[0, "the"], [38, "rare"]]}
SMALL_TRUTH = np.repeat([count for count, _ in SMALL["classes"]], [words for _, words in SMALL["classes"]]) / 150

RUNNER = """
import { createInterface } from "node:readline";
const module = await import(process.argv[2]);
const text = (x) => Buffer.from(Float64Array.from(x).buffer).toString("base64");
const out = (_, x) => ArrayBuffer.isView(x) ? { floats: text(x) } : x;
const into = (_, x) => x?.floats ? new Float64Array(Uint8Array.from(Buffer.from(x.floats, "base64")).buffer) : x;
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...given] = JSON.parse(line, into);
  let answer;
  try { answer = module[name](...given); } catch (error) { answer = { refused: error.setting ?? `${error}` }; }
  console.log(JSON.stringify(answer, out));
}
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Call what the module exports; typed arrays go and come as numpy's."""
    if shutil.which("node") is None and os.environ.get("REQUIRE_BROWSER") != "1":
        pytest.skip("node was not found")
    folder = tmp_path_factory.mktemp("engine")
    (folder / "module.mjs").write_text(explorer.module(), encoding="utf-8")
    (folder / "runner.mjs").write_text(RUNNER, encoding="utf-8")
    command = ["node", folder / "runner.mjs", (folder / "module.mjs").as_uri()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as node:

        def call(name, *given):
            node.stdin.write(json.dumps([name, *given], default=packed) + "\n")
            node.stdin.flush()
            return json.loads(node.stdout.readline(), object_hook=unpacked)

        yield call
        node.stdin.close()


def packed(values):
    return {"floats": base64.b64encode(np.asarray(values, dtype=float).tobytes()).decode()}


def unpacked(found):
    return np.frombuffer(base64.b64decode(found["floats"])) if found.keys() == {"floats"} else found


def simulate(engine, regimes, **options):
    """One entry for each regime; results of shape (generations, runs)."""
    found = engine("simulate", {"regimes": [plain(regime) for regime in regimes], **options})
    assert "refused" not in found, found
    for entry in found["results"]:
        for name in {"variance", "mean", "support", "diversity"} & entry.keys():
            entry[name] = entry[name].reshape(-1, entry["runs"])
    return found["results"]


def z_scores(values, law):
    """(mean − law) in standard errors for values (generations, runs); 0 where there is no spread and no difference."""
    gap = values.mean(axis=1) - law
    error = values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
    return np.where(abs(gap) < 1e-12, 0.0, gap / np.where(error > 0, error, 1e-300))


# ---------------------------------------------------------------- the laws


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
def test_the_laws_are_those_of_the_library(engine, estimator):
    for n in (20, 37, 1000, 10**6):
        for regime in WITH_LAWS:
            found = engine("law", plain(regime), n, 300, estimator)
            for name, law in (("variance", theory.expected_variance), ("error", theory.expected_error)):
                exact = law(regime, n, 300, estimator)
                np.testing.assert_allclose(found[name], exact, rtol=1e-9, err_msg=f"{regime} {n}")
        typical = engine("law", plain(Replace()), n, 300, estimator)["typical"]
        drift = theory.log_drift(n, 1, estimator)
        np.testing.assert_allclose(np.log(typical), drift * np.arange(1, 301), rtol=1e-9)
    assert engine("law", plain(NO_LAW), 20, 5, estimator)["variance"] is None


@pytest.mark.parametrize(("n", "generations"), [(12, 40), (30, 60), (1000, 40), (3000, 100), (100_000, 30)])
def test_the_expected_number_of_words_is_that_of_the_library(engine, n, generations):
    for table, truth in ((SMALL, SMALL_TRUTH), (word_table(), Discrete("words").probabilities)):
        for regime in (Replace(), Accumulate()):
            found = engine("supportLaw", plain(regime), table, n, generations)
            law = discrete.expected_support(truth, n, generations, str(regime).lower())
            np.testing.assert_allclose(found, law, rtol=1e-9)
        real = engine("supportLaw", plain(RealOnly()), table, n, 3)
        missed = [discrete.first_sample_miss(truth, n * t) for t in (1, 2, 3)]
        np.testing.assert_allclose(real, [(1 - lost).sum() for lost in missed], rtol=1e-9)
    assert engine("supportLaw", plain(Keep(0.3)), SMALL, n, 3) is None


# ---------------------------------------------------------------- the samples


def test_samplers_follow_their_laws(engine):
    size = 200_000
    uniform, normal = (engine("draws", name, size, SEED) for name in ("uniform", "normal"))
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
        drawn = engine("draws", "chiSquare", size, SEED, degrees)
        assert stats.kstest(drawn, "chi2", args=(degrees,)).pvalue > 1e-5, degrees
    between = np.random.default_rng(SEED).random(size)  # spreads each count over its step of the distribution function
    for n, p in ((1, 0.3), (30, 0.2), (30, 0.9), (1000, 0.009), (1000, 0.02), (10**6, 0.4), (10**6, 2e-6), (45, 0.5)):
        drawn, law = engine("draws", "binomial", size, SEED, n, p), stats.binom(n, p)
        assert drawn.min() >= 0 and drawn.max() <= n
        assert stats.kstest(law.cdf(drawn - 1) + between * law.pmf(drawn), "uniform").pvalue > 1e-5, (n, p)


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
@pytest.mark.parametrize("regime", WITH_LAWS, ids=str)
def test_means_follow_the_laws(engine, regime, estimator):
    (found,) = simulate(engine, [regime], n=N, generations=T, runs=RUNS, seed=SEED, estimator=estimator)
    assert found["runs"] == RUNS
    assert abs(z_scores(found["variance"], theory.expected_variance(regime, N, T, estimator))).max() < 4
    assert abs(z_scores(found["mean"] ** 2, theory.expected_error(regime, N, T, estimator))).max() < 4


@pytest.mark.parametrize(
    "regime", [Replace(), ReplaceGrown(), Accumulate(kept=0.4), Keep(0.1, redraw=False), RealOnly()], ids=str
)
def test_means_follow_the_laws_for_a_million_samples(engine, regime):
    (found,) = simulate(engine, [regime], n=10**6, generations=4, runs=RUNS, seed=SEED)
    assert abs(z_scores(found["variance"], theory.expected_variance(regime, 10**6, 4))).max() < 4
    assert abs(z_scores(found["mean"] ** 2, theory.expected_error(regime, 10**6, 4))).max() < 4


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
def test_distributions_are_those_of_the_library(engine, estimator):
    """Variance and mean at the last generation, and how both moved since the second: the law of whole runs."""
    regimes = [*WITH_LAWS, NO_LAW]
    if estimator == "unbiased":
        regimes = [Replace(), Keep(0.3), Mixture(0.5, 0.3, 0.2), AccumulateSubsample()]
    world = Gaussian(1, estimator, "explicit")
    own = {"scores": ("trace_ratio",), "keep": ("mean",), "progress": False}
    data = recurse(world, regimes, n=N, generations=T, runs=RUNS, seed=SEED + 1, **own)
    for regime in regimes:
        (found,) = simulate(engine, [regime], n=N, generations=T, runs=RUNS, seed=SEED, estimator=estimator)
        theirs = data.sel(regime=str(regime))
        for name, ours, values in (
            ("variance", np.log(found["variance"]), np.log(theirs["trace_ratio"].values)),
            ("mean", found["mean"], theirs["mean"].squeeze("i").values),
        ):
            assert stats.ks_2samp(ours[-1], values[-1]).pvalue > 1e-5, (str(regime), name)
            if regime not in (Keep(1.0), RealOnly(grow=False)):  # which do not move
                moved = ours[-1] - ours[1], values[-1] - values[1]
                assert stats.ks_2samp(*moved).pvalue > 1e-5, (str(regime), "change of", name)


@pytest.mark.parametrize("regime", [*WITH_LAWS, NO_LAW], ids=str)
def test_words_follow_laws_and_library(engine, regime):
    n, generations, runs = 30, 8, 500
    given = {"n": n, "generations": generations, "runs": runs}
    (found,) = simulate(engine, [regime], panel="words", words=SMALL, seed=SEED, **given)
    if regime != NO_LAW:
        law = discrete.expected_heterozygosity(regime, n, generations)
        assert abs(z_scores(found["diversity"], law)).max() < 4
    if regime in (Replace(), Accumulate()):
        law = discrete.expected_support(SMALL_TRUTH, n, generations, str(regime).lower())
        assert abs(z_scores(found["support"], law)).max() < 4
    scores = ("support", "heterozygosity_ratio")
    data = recurse(Discrete(SMALL_TRUTH), [regime], seed=SEED + 1, scores=scores, progress=False, **given)
    for ours, theirs in zip(("support", "diversity"), scores, strict=True):
        assert stats.ks_2samp(found[ours][-1], data[theirs].isel(regime=0).values[-1]).pvalue > 1e-5, ours
    assert found["support"].max() <= SMALL_TRUTH.size


@pytest.mark.parametrize(
    "regime", [Replace(), ReplaceGrown(), Accumulate(), Accumulate(kept=0.5), FreshReal(0.2), Keep(0.2)], ids=str
)
def test_the_texts_own_words_follow_the_laws(engine, regime):
    """At sizes at which counts are drawn by rejection, and real words by their counts."""
    truth = Discrete("words").probabilities
    for n, runs in ((2000, 200), (100_000, 40)):
        if regime == Keep(0.2) and n > 2000:
            continue  # it draws every word by itself
        given = {"panel": "words", "words": word_table(), "n": n, "generations": 4, "runs": runs, "seed": SEED}
        (found,) = simulate(engine, [regime], **given)
        assert found["runs"] == runs
        assert abs(z_scores(found["diversity"], discrete.expected_heterozygosity(regime, n, 4))).max() < 4
        last = 4 if regime in (Replace(), Accumulate()) else 1
        law = discrete.expected_support(truth, n, last, "accumulate" if regime == Accumulate() else "replace")
        assert abs(z_scores(found["support"][:last], law)).max() < 4


def test_a_word_that_is_shown_is_there_as_often_as_the_law_says(engine):
    table, repeats = word_table(), 100
    given = {"panel": "words", "words": table, "n": 1000, "runs": 2, "generations": 2}
    present = [simulate(engine, [Replace()], seed=seed, **given)[0]["present"] for seed in range(repeats)]
    first = np.sum(present, axis=0)[: len(table["shown"])].astype(int)
    counts = np.repeat([c for c, _ in table["classes"]], [w for _, w in table["classes"]])
    q = np.array([counts[rank] for rank, _ in table["shown"]]) / table["total"]
    chance = np.clip(1 - discrete.first_sample_miss(q, 1000), 0, 1)
    assert min(stats.binomtest(k, repeats, c).pvalue for k, c in zip(first, chance, strict=True)) > 1e-5


def test_regimes_share_their_real_data_and_more_changes_nothing(engine):
    given = {"n": 50, "generations": 20, "runs": 30, "seed": 4}
    first, second = simulate(engine, [Replace(), Keep(0.2)], **given)
    np.testing.assert_array_equal(first["variance"][0], second["variance"][0])
    (more,) = simulate(engine, [Keep(0.2)], **given | {"generations": 40, "runs": 60})
    np.testing.assert_array_equal(more["variance"][:20, :30], second["variance"])
    (other,) = simulate(engine, [Keep(0.2)], **given | {"seed": 5})
    assert (other["variance"] != second["variance"]).all()
    (equal,) = simulate(engine, [Mixture(1, 0, 0)], **given)
    np.testing.assert_array_equal(equal["variance"], first["variance"])


def test_summaries_are_numpys(engine):
    (found,) = simulate(engine, [Replace()], n=10, generations=30, runs=333, seed=1)
    for runs in (333, 2, 3):
        values = found["variance"][:, :runs]
        told = engine("summary", values.ravel(), runs)
        low, median, high = np.quantile(values, [0.05, 0.5, 0.95], axis=1)
        for name, wanted in {"low": low, "median": median, "high": high, "average": values.mean(axis=1)}.items():
            np.testing.assert_allclose(told[name], wanted, rtol=1e-12)


# ---------------------------------------------------------------- settings and regimes


@pytest.mark.parametrize(
    ("wrong", "setting"),
    [
        ({"n": 9}, "n"),
        ({"n": "many"}, "n"),
        ({"n": ""}, "n"),
        ({"estimator": "map"}, "estimator"),
        ({"panel": "images"}, "panel"),
        ({"size": 3}, "setting"),
        ({"t": 11, "generations": 10}, "t"),
        ({"regimes": [{"family": "Retain"}]}, "a"),
        ({"regimes": [{"family": "toString"}]}, "a"),
        ({"regimes": [{"family": "Keep", "kept": 0.1}]}, "a"),
        ({"b": "Retain"}, "b"),
        ({"a": "none"}, "a"),
        ({"regimes": [{"family": "Keep", "share": 1.5}]}, "share"),
        ({"regimes": [{"family": "Accumulate, fresh", "fresh": 0}]}, "fresh"),
        ({"regimes": [{"family": "Mixture", "beta": 0.6, "gamma": 0.5}]}, "beta + gamma"),
        ({"regimes": [{"family": "Keep", "share": 0.01}], "n": 10}, "share"),
        ({"regimes": [{"family": "AccumulateSubsample"}], "n": 1000000}, "n"),
        ({"panel": "words"}, "words"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(engine, wrong, setting):
    assert engine("simulate", wrong).get("refused") == setting


@pytest.mark.parametrize("regime", [*WITH_LAWS, NO_LAW], ids=str)
def test_labels_are_those_of_the_library(engine, regime):
    assert engine("label", plain(regime)) == str(regime)
    assert engine("regimeOf", "a", plain(regime)).items() >= plain(regime).items()
