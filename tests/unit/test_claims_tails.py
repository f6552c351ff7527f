"""Chapter 3's verdicts follow from the numbers: what the theory has, and numbers that turn each of them."""

import functools

import numpy as np
import pytest
import xarray as xr

from lib import ledger as claims
from lib.ledger import LIMITED, NOT_SUPPORTED, SUPPORTED
from lib.recursion import recurse
from lib.regimes import Accumulate, Replace
from lib.worlds.discrete import Discrete

from .judging import verdict

BOTH = [Replace(), Accumulate()]
RUNS = 12
MISSING = {
    "Replace": 0.21,
    "ReplaceGrown": 0.107,
    "Accumulate": 0.076,
    "AccumulateSubsample": 0.113,
    "Keep(0.1)": 0.145,
    "FreshReal(0.1)": 0.14,
    "RealOnly": 0.005,
}


VARIATION = {"Replace": 0.1, "Accumulate": 0.02}  # rises; the other regimes are not judged by it


def later(grown=0.17):
    """The exact laws long after the run."""
    values = {"Replace": 0.67, "ReplaceGrown": grown, "Accumulate": 0.076}
    return xr.Dataset(
        {"expected_missing_mass": (("regime", "horizon"), [[0.4, v] for v in values.values()])},
        {"regime": list(values), "horizon": [100, 1000]},
    )


def far():
    """A longer run of one regime."""
    values = np.full((1, 3, 4), 0.118)
    return xr.Dataset(
        {"missing_mass": (("regime", "generation", "run"), values)},
        {"regime": ["AccumulateSubsample"], "generation": [1, 2, 1000]},
    )


def words(start=0.076, variation=VARIATION, **change):
    """Missing mass and total variation at generations 1 and 2, the same real sample in every regime."""
    noise = np.random.default_rng(1).normal(0, 1e-4, size=(len(MISSING), RUNS))
    first = start + 1e-4 * np.arange(RUNS)
    end = MISSING | change
    late = np.array([end[r] - start + first + (0 if r == "Accumulate" else noise[k]) for k, r in enumerate(end)])
    values = np.stack([np.broadcast_to(first, late.shape), late], axis=1)
    rises = np.array([(VARIATION | variation).get(r, 0.05) for r in end])[:, None]
    distance = np.stack([np.broadcast_to(0.1 + first, late.shape), 0.1 + first + rises + noise], axis=1)
    dims = ("regime", "generation", "run")
    return xr.Dataset(
        {"missing_mass": (dims, values), "total_variation": (dims, distance)}, {"regime": list(end)}, {"n": 1000}
    )


def chain(regimes=BOTH, generations=60):
    world = Discrete("zipf", states=4)
    data = recurse(world, regimes, n=20, generations=generations, runs=400, seed=5, scores="support", keep="present")
    return data.assign(truth=("state", world.probabilities))


def tail():
    world = Discrete("zipf", states=60)
    data = recurse(world, BOTH, n=50, generations=12, runs=60, seed=3, scores="support", keep="present")
    return data.assign(truth=("state", world.probabilities))


@functools.cache
def usual():
    return {"chain": chain(), "tail": tail(), "words": words(), "later": later(), "far": far()}


def results(**change):
    return usual() | change


def verdicts(**change):
    return {name: found.verdict for name, found in claims.judge(3, results(**change)).items()}


def test_verdicts_when_everything_is_as_the_theory_has_it():
    assert verdicts() == {
        "nature-absorbed": SUPPORTED,
        "nature-one-minus-q": SUPPORTED,
        "nature-tails-first": SUPPORTED,
        "nature-preserve-tails": SUPPORTED,
        "thread-no-collapse-tails": LIMITED,
        "thread-cause-tails": SUPPORTED,
        "colm-size-tails": LIMITED,
    }


@pytest.mark.parametrize("generations", [20, 60, 200])
def test_verdicts_on_the_chain_do_not_hang_on_its_length(generations):
    changed = results(chain=chain(generations=generations))
    assert verdict(3, "nature-absorbed", changed) == verdict(3, "nature-one-minus-q", changed) == SUPPORTED


def test_a_chain_that_keeps_its_states_refutes_its_laws():
    kept = chain({"Replace": Accumulate(), "Accumulate": Accumulate()})
    changed = results(chain=kept)
    assert verdict(3, "nature-absorbed", changed) == verdict(3, "nature-one-minus-q", changed) == NOT_SUPPORTED


def test_tails_that_go_with_the_rest_are_not_first():
    data = usual()["tail"]
    turned = data.assign(truth=("state", data["truth"].values[::-1]))
    assert verdict(3, "nature-tails-first", results(tail=turned)) == NOT_SUPPORTED


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        ("nature-preserve-tails", {"FreshReal(0.1)": 0.21}, LIMITED),
        ("nature-preserve-tails", {"FreshReal(0.1)": 0.21, "Accumulate": 0.21}, NOT_SUPPORTED),
        ("thread-no-collapse-tails", {"variation": {"Accumulate": 0.1}}, NOT_SUPPORTED),
        ("thread-no-collapse-tails", {"variation": {"Accumulate": 0.0}}, SUPPORTED),
        ("thread-cause-tails", {"AccumulateSubsample": 0.21}, LIMITED),
        ("thread-cause-tails", {"AccumulateSubsample": 0.21, "ReplaceGrown": 0.21}, NOT_SUPPORTED),
        ("colm-size-tails", {"ReplaceGrown": 0.076}, NOT_SUPPORTED),
    ],
)
def test_other_numbers_give_other_verdicts(claim, change, expected):
    assert verdict(3, claim, results(words=words(**change))) == expected


def test_a_grown_set_that_closes_little_of_the_gap_in_the_end_is_no_remedy():
    assert verdict(3, "colm-size-tails", results(later=later(grown=0.6))) == SUPPORTED
