"""Chapter 13's verdicts follow from the other chapters' verdicts and effects, and turn with them."""

import numpy as np
import pytest
import xarray as xr

from lib import ledger as claims
from lib.ledger import LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED
from lib.ledger.claims import journalists
from lib.ledger.evidence import ENDS

from .judging import verdict

OTHERS = [c.id for k in claims.CHAPTERS if k != 13 for c in claims.of_chapter(k)]
NO_COLLAPSE = [name for name in OTHERS if "no-collapse" in name]
OPEN = dict.fromkeys(journalists.PREMISES, NOT_TESTABLE)
KNOWN = dict.fromkeys(journalists.PREMISES, SUPPORTED)


def ledger(**verdicts):
    """All verdicts of other chapters: supported, but for what is given and the premises."""
    of = dict.fromkeys(OTHERS, SUPPORTED) | OPEN | {name.replace("_", "-"): v for name, v in verdicts.items()}
    return xr.Dataset({"verdict": ("claim", list(of.values()))}, {"claim": list(of)})


def ends(estimate, width=0.01):
    return [estimate, estimate - width, estimate + width]


def effects(kept=(0.01, 0.02, 0.05), added=(0.6,), rises=None):
    shares = [*kept, *added]
    return xr.Dataset(
        {
            "share": (("experiment", "regime", "end"), np.array([[ends(s)] for s in shares])),
            "rise_low": ("experiment", np.array(rises if rises is not None else [0.5] * len(shares))),
            "kind": ("experiment", ["sample"] * len(kept) + ["added"] * len(added)),
        },
        {
            "experiment": [journalists.GAUSSIAN, *(f"other {k}" for k in range(len(shares) - 1))],
            "regime": ["Accumulate"],
            "end": ENDS,
        },
    )


def collapse(replace=(1, 1, 0, -1), accumulate=(0, 0, 0, 1)):
    return xr.Dataset(
        {
            "answer": (("experiment", "regime"), np.array([replace, accumulate]).T),
            "kind": ("experiment", ["sample"] * (len(replace) - 1) + ["added"]),
        },
        {"experiment": np.arange(len(replace)), "regime": ["Replace", "Accumulate"]},
    )


def covariance(fixed=-10.1, growing=0.0, law=-10.1):
    return xr.Dataset(
        {
            "change": (("sizes", "end"), [ends(fixed, 0.3), ends(growing, 1e-6)]),
            "law": law,
            "fits": ("sizes", [1000, 12]),
            "n": 100,
        },
        {"sizes": ["fixed", "growing"], "end": ENDS},
    )


def sizes(last=1000):
    return xr.Dataset(
        {"train_size": (("regime", "generation"), [[1000, 1000], [1000, last]])}, {"regime": ["Replace", "Keep(0.1)"]}
    )


def returns(replaced=0.3, fresh=-0.1):
    regimes = ["Replace", "Accumulate(0.2 fresh)"]
    return xr.Dataset(
        {"change": (("regime", "end"), [ends(replaced), ends(fresh)])}, {"regime": regimes, "end": ENDS}, {"fits": 20}
    )


def worth(early=14.0, late=160.0):
    return xr.Dataset({"ratio": (("fits", "end"), [ends(early, 1), ends(late, 1)])}, {"fits": [10, 100], "end": ENDS})


def results(**change):
    return {
        "ledger": ledger(),
        "effects": effects(),
        "collapse": collapse(),
        "covariance": covariance(),
        "sizes": sizes(),
        "returns": returns(),
        "worth": worth(),
    } | change


def known(**verdicts):
    return ledger(**{k.replace("-", "_"): v for k, v in KNOWN.items()}, **verdicts)


def replaced():
    return ledger(thread_accumulates=NOT_SUPPORTED, thread_quality=SUPPORTED)


def on(names, word):
    return {name.replace("-", "_"): word for name in names}


HALF = len(NO_COLLAPSE) // 2 + 1
MEASURES = list(journalists.MEASURES.values())
TURNS = [
    ("thread-induced", {}, SUPPORTED),
    ("thread-induced", {"effects": effects(kept=(0.01, 0.02, 0.6))}, LIMITED),
    ("thread-induced", {"effects": effects(kept=(0.01, 0.6, 0.7))}, NOT_SUPPORTED),
    ("thread-induced", {"effects": effects(added=(0.9, 0.9, 0.9, 0.9))}, SUPPORTED),
    ("thread-not-practice", {}, NOT_TESTABLE),
    ("thread-not-practice", {"ledger": known()}, SUPPORTED),
    ("thread-not-practice", {"ledger": known(thread_thrown_away=NOT_SUPPORTED)}, NOT_SUPPORTED),
    (
        "thread-not-practice",
        {"ledger": ledger(thread_accumulates=NOT_SUPPORTED, thread_quality=SUPPORTED)},
        NOT_SUPPORTED,
    ),
    ("thread-compute", {}, NOT_TESTABLE),
    ("thread-covariance", {}, SUPPORTED),
    ("thread-covariance", {"covariance": covariance(fixed=-5.0)}, NOT_SUPPORTED),
    ("thread-covariance", {"covariance": covariance(fixed=0.0, law=0.0)}, NOT_SUPPORTED),
    ("thread-fixed-size", {}, SUPPORTED),
    ("thread-fixed-size", {"sizes": sizes(2000)}, NOT_SUPPORTED),
    ("press-destroy", {}, LIMITED),
    ("press-destroy", {"collapse": collapse(accumulate=(1, 1, 1, 0))}, SUPPORTED),
    ("press-destroy", {"collapse": collapse(replace=(0, 0, 0, 0), accumulate=(0, 0, 0, 0))}, NOT_SUPPORTED),
    ("press-destroy", {"collapse": collapse(replace=(-1,) * 4, accumulate=(-1,) * 4)}, NOT_TESTABLE),
    ("press-avoid", {}, SUPPORTED),
    ("press-avoid", {"ledger": ledger(**on(MEASURES[:1], LIMITED))}, LIMITED),
    ("press-avoid", {"ledger": ledger(**on(MEASURES[:1], NOT_SUPPORTED))}, NOT_SUPPORTED),
    ("press-avoid", {"ledger": ledger(**on(MEASURES, NOT_TESTABLE))}, NOT_TESTABLE),
    ("thread-no-threat", {}, NOT_TESTABLE),
    ("thread-no-threat", {"ledger": known()}, SUPPORTED),
    ("thread-no-threat", {"ledger": known(**on(NO_COLLAPSE[:1], NOT_SUPPORTED))}, LIMITED),
    ("thread-no-threat", {"ledger": known(**on(NO_COLLAPSE[:HALF], NOT_SUPPORTED))}, NOT_SUPPORTED),
    ("nature-serious", {}, NOT_TESTABLE),
    ("nature-serious", {"ledger": known()}, LIMITED),
    ("nature-serious", {"ledger": known(), "collapse": collapse(accumulate=(0, 0, 0, 0))}, NOT_SUPPORTED),
    ("nature-serious", {"ledger": replaced()}, SUPPORTED),
    (
        "nature-serious",
        {"ledger": replaced(), "collapse": collapse((1, 0, 0, 0))},
        LIMITED,
    ),
    (
        "nature-serious",
        {"ledger": replaced(), "collapse": collapse((0, 0, 0, 0))},
        NOT_SUPPORTED,
    ),
    ("nature-ubiquity", {}, SUPPORTED),
    ("nature-ubiquity", {"effects": effects(rises=[0.5, 0.5, -0.1, 0.5])}, LIMITED),
    ("nature-ubiquity", {"effects": effects(rises=[0.5, -0.5, -0.1, 0.5])}, NOT_SUPPORTED),
    ("nature-ubiquity", {"effects": effects(rises=[0.5, 0.5, 0.5, -0.5])}, SUPPORTED),
    ("nature-inevitable", {}, LIMITED),
    ("nature-inevitable", {"ledger": ledger(thread_gaussian=NOT_SUPPORTED)}, SUPPORTED),
    ("nature-inevitable", {"ledger": ledger(nature_variance=NOT_SUPPORTED)}, NOT_SUPPORTED),
    ("nature-irreversible", {}, LIMITED),
    ("nature-irreversible", {"returns": returns(fresh=0.0)}, SUPPORTED),
    ("nature-irreversible", {"returns": returns(replaced=0.0)}, NOT_SUPPORTED),
    ("nature-human-data", {}, LIMITED),
    ("nature-human-data", {"worth": worth(late=14.5)}, NOT_SUPPORTED),
    ("nature-human-data", {"worth": worth(1.0, 1.2)}, NOT_SUPPORTED),
]


@pytest.mark.parametrize(("claim", "change", "expected"), TURNS)
def test_verdicts_follow_from_what_was_found(claim, change, expected):
    assert verdict(13, claim, results(**change)) == expected


def test_both_sides_are_judged_on_practice_by_one_rule():
    """The thread's answer and the paper's warning are open together, as long as nobody has measured practice."""
    for premise in journalists.PREMISES:
        data = results(ledger=ledger(**{k.replace("-", "_"): v for k, v in (KNOWN | {premise: NOT_TESTABLE}).items()}))
        found = claims.judge(13, data)
        assert {found[name].verdict for name in ("thread-no-threat", "thread-not-practice", "nature-serious")} == {
            NOT_TESTABLE
        }


def test_measures_and_premises_name_claims():
    assert {*MEASURES, *journalists.PREMISES} <= set(OTHERS)


def test_an_effect_that_cannot_be_told_is_left_out():
    data = effects()
    data["share"][1] = np.nan
    assert len(journalists.shares({"effects": data})) == 2
    assert len(journalists.shares({"effects": data}, kinds=("added",))) == 1
