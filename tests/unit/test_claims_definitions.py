"""Chapter 10's verdicts follow from the answers of the eight definitions."""

import numpy as np
import pytest
import xarray as xr

from lib.ledger import LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED
from lib.ledger.definitions import DEFINITIONS

from .judging import verdict

NAMES = [d.id for d in DEFINITIONS]


def answers(accumulate, replace, count=20):
    """`count` trajectories of each regime with the given answers, {definition: answer}; all others are undecided."""
    rows = [[of.get(name, -1) for name in NAMES] for of in (accumulate, replace) for _ in range(count)]
    regimes = ["Accumulate"] * count + ["Replace"] * count
    return {
        "answers": xr.Dataset(
            {"answer": (("case", "definition"), np.array(rows, dtype=np.int8))},
            {"definition": NAMES, "case": np.arange(2 * count), "regime_of": ("case", regimes)},
        )
    }


MIXED = {"increase": 1, "scaling": 1, "catastrophic": 0, "divergence": 0, "variance": 0, "tails": 1}
ALL = dict.fromkeys(NAMES, 1)
NONE = dict.fromkeys(NAMES, 0)


@pytest.mark.parametrize(
    ("claim", "accumulate", "replace", "expected"),
    [
        ("schaeffer-eight", MIXED, MIXED, SUPPORTED),
        ("schaeffer-eight", NONE, ALL, NOT_SUPPORTED),
        ("schaeffer-eight", {}, {}, NOT_TESTABLE),
        ("schaeffer-risk", MIXED, ALL, SUPPORTED),
        ("schaeffer-risk", ALL, ALL, NOT_SUPPORTED),
        ("schaeffer-risk", {"increase": 1}, ALL, NOT_TESTABLE),
        ("schaeffer-tails-scaling", MIXED, ALL, SUPPORTED),
        ("schaeffer-tails-scaling", NONE, ALL, NOT_SUPPORTED),
        ("schaeffer-tails-scaling", MIXED | {"tails": 0}, ALL, LIMITED),
        ("schaeffer-tails-scaling", {"tails": 1}, ALL, NOT_TESTABLE),
        ("thread-no-collapse-definitions", NONE, ALL, SUPPORTED),
        ("thread-no-collapse-definitions", ALL, ALL, NOT_SUPPORTED),
        ("thread-no-collapse-definitions", NONE | {"increase": 1}, ALL, LIMITED),
        ("thread-no-collapse-definitions", {}, ALL, NOT_TESTABLE),
    ],
)
def test_answers_give_verdicts(claim, accumulate, replace, expected):
    assert verdict(10, claim, answers(accumulate, replace)) == expected


def test_fewer_cases_than_under_replace_are_a_limit():
    data = answers({"divergence": 0}, {"divergence": 1})
    data["answers"]["answer"][0, NAMES.index("divergence")] = 1
    assert verdict(10, "schaeffer-risk", data) == LIMITED
