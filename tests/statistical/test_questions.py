"""The four questions on trajectories made to order, of which the answer is known."""

import numpy as np
import pytest
import xarray as xr
from judged import SHAPES, answers_to_order, made_to_order, wrong
from scipy import stats

from lib import records, theory
from lib.ledger import questions as q
from lib.ledger.questions import QUESTIONS, as_data, asked, collapses, table

WORSE, UNBOUNDED, VARIETY, RARE = QUESTIONS
ALARM = 1e-4  # false-alarm rate of each test here


def test_at_most_one_answer_in_a_hundred_is_wrong():
    """The seed was fixed before anything was counted. Were 1% of the answers wrong, a count above this would come up
    once in 10,000 times."""
    errors, of = wrong(answers_to_order(many=300, seed=31))
    assert of == 300 * len(SHAPES) * 4
    assert errors <= stats.binom.isf(ALARM, of, 0.01)


def test_more_runs_decide_more():
    found = answers_to_order(many=100, seed=32)
    for shape in SHAPES:
        shares = [found[shape, runs]["undecided"] for runs in (4, 30, 100)]
        assert shares[0] >= shares[1] >= shares[2] and shares[0] > shares[2], shape


def test_noise_alone_is_not_worse():
    data = records.summary(made_to_order("noise alone", 10, 400, np.random.default_rng(33)))
    yes = sum(WORSE.ask(data, r).word == "yes" for r in data["regime"].values)
    assert yes <= stats.binom.isf(ALARM, 400, 0.005)
    risen = records.summary(made_to_order("grows like ln t", 10, 50, np.random.default_rng(34)))
    assert {WORSE.ask(risen, r).word for r in risen["regime"].values} == {"yes"}


def one(score, kind, values, units="", worse="more"):
    """A data set of one regime, Replace, from values (generation, run)."""
    about = {"kind": kind, "worse": worse, "units": units}
    coords = {"regime": ["Replace"], "generation": np.arange(1, len(values) + 1)}
    return xr.Dataset({score: (("regime", "generation", "run"), np.asarray(values, float)[None], about)}, coords)


def runs(mean, spread=0.01, count=6, seed=5):
    return np.asarray(mean)[:, None] * (1 + spread * np.random.default_rng(seed).normal(size=(1, count)))


T = np.arange(1, 33)


@pytest.mark.parametrize(
    ("mean", "word"),
    [(0.5**T, "yes"), (1 + 1 / T, "no"), (np.where(T < 9, 1.0, 0.0), "yes"), (T**-0.5, "yes")],
    ids=["dies", "levels off", "nothing left", "falls on"],
)
def test_variety(mean, word):
    assert VARIETY.ask(one("trace_ratio", "variance", runs(mean)), "Replace").word == word


@pytest.mark.parametrize(("last", "word"), [(0.85, "yes"), (0.95, "no")])
def test_rare_things(last, word):
    mean = np.linspace(1, last, 8)
    assert RARE.ask(one("smallest_mode", "tail", runs(mean, 0.001), worse="less"), "Replace").word == word


def test_a_law_decides_before_runs_do():
    data = one("excess_risk", "excess risk", runs(1.0 + 0 * T))
    far = np.arange(1, 2049)
    for law, word, said in (
        (np.cumsum(1 / far**2), "no", "tends to 1.64 times the first fit's"),
        (np.log(far) + 1, "yes", "has no bound"),
        (1.0 * far, "yes", "has no bound"),
    ):
        answer = UNBOUNDED.ask(data, "Replace", {"excess_risk": {"Replace": law}})
        assert (answer.word, answer.said, answer.by) == (word, said, "law")
    assert UNBOUNDED.ask(data, "Replace").by == "runs"
    bounded = {"excess_risk": {"Replace": np.nan}}
    assert UNBOUNDED.ask(data, "Replace", bounded) is None
    assert WORSE.ask(data, "Replace", bounded).by == "runs"


def test_a_limit_is_found_from_a_long_law():
    far = np.arange(1.0, 2**14 + 1)
    assert theory.limit(np.cumsum(1 / far**2)) == pytest.approx(np.pi**2 / 6, rel=1e-6)
    assert theory.limit(3 - 1 / far) == pytest.approx(3, rel=1e-9)
    assert theory.limit(1 / far) == pytest.approx(0, abs=1e-9)
    assert theory.limit(np.ones(2000)) == 1
    for endless in (np.log(far), far**0.01, far):
        assert theory.limit(endless) == np.inf
    with pytest.raises(ValueError, match="1024"):
        theory.limit(far[:100])


def test_a_mean_that_rare_runs_carry_decides_nothing():
    values = np.ones((32, 60))
    values[8:, 0] = 1e4 * T[8:]
    answer = UNBOUNDED.ask(one("excess_risk", "excess risk", values), "Replace")
    assert answer.word == "undecided" and "rare runs" in answer.said


def test_answers_lie_side_by_side_in_a_table():
    data = one("excess_risk", "excess risk", runs(1.0 * T))
    answers = [*asked("a world", data), *asked("another", one("support", "tail", runs(1 / T, 0.001), worse="less"))]
    lines = table(answers).splitlines()
    assert lines[0] == "|  | Replace |" and lines[2].startswith("| *a world, 32 fits*")
    assert "| Is it worse at all? | **yes**: 32 times the first fit's |" in lines
    found = as_data(answers)
    assert collapses(found, "another", "Replace") is True
    assert found["word"].sel(world="another", question="worse", regime="Replace") == ""


def test_what_cannot_be_asked_is_refused():
    data = one("excess_risk", "excess risk", runs(1.0 * T))
    with pytest.raises(ValueError, match="regime"):
        WORSE.ask(data, "Accumulate")
    with pytest.raises(ValueError, match="one setting"):
        WORSE.ask(xr.concat([data, data], xr.Variable("n", [1, 2])), "Replace")
    with pytest.raises(ValueError, match="with runs"):
        asked("no world", xr.Dataset({"x": ("regime", [1.0])}, {"regime": ["Replace"]}))
    assert VARIETY.ask(data, "Replace") is None and q.LEFT < 1
