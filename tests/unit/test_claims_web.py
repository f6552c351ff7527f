"""Chapter 12's verdicts follow from the numbers: what the theory has, and numbers that turn each of them."""

import numpy as np
import pytest
import xarray as xr

from lib import ledger as claims
from lib import theory
from lib.ledger import LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED
from lib.regimes import Accumulate, FreshReal, Replace

from .judging import verdict

N = 10**12
RUNS = 200
INFLOW, FRESH = "Accumulate(0.1 fresh)", "FreshReal(0.1)"
SHARES = (0.01, 0.3)
TWO = (Replace(), Accumulate())


def schedule(growth, first=N):
    return lambda t: int(first * growth ** (t - 1))


def errors(growth, generations, regimes=TWO, first=N, published=3, **change):
    """Errors on their exact laws, or as `change` has them: a function of the generation, in first-fit errors."""
    sizes = schedule(growth, first)
    laws = {str(r): first * theory.expected_error(r, sizes, generations, "unbiased") for r in regimes}
    laws |= {name: np.array([of(t) for t in range(1, generations + 1)]) for name, of in change.items()}
    noise = 1 + 0.01 * np.random.default_rng(2).normal(size=RUNS)
    noise += 1 - noise.mean()
    values = np.array([law[:, None] * noise for law in laws.values()]) / first
    return xr.Dataset(
        {
            "squared_mean_error": (("regime", "generation", "run"), values),
            "size": ("generation", np.array([sizes(t) for t in range(1, generations + 1)], dtype=float)),
            "published": ("generation", np.arange(1, generations + 1) <= published),
        },
        {"regime": list(laws)},
        {"estimator": "unbiased"},
    )


def inflow(generations=40, **change):
    return errors(1.0, generations, (Accumulate(), FreshReal(0.1), Accumulate(fresh=0.1)), **change)


def growing_inflow(shares=SHARES, **change):
    data = errors(3.0, 12, [Accumulate(fresh=r) for r in shares], **change)
    return data.assign_coords(fresh=("regime", list(shares)))


def rare(**change):
    """Shares of states expected once and ten times that are known at the last generation. Every state that the first
    fit has and a regime keeps is kept in every run."""
    share = {"Replace": (0.02, 0.2), "Accumulate": (0.0, 1.0), INFLOW: (1.0, 1.0), FRESH: (0.1, 0.8)} | change
    rng = np.random.default_rng(3)
    expected = np.repeat([1.0, 10.0], 50)
    first = rng.random((RUNS, 100)) < np.where(expected == 1, 0.63, 1.0)
    present = np.empty((len(share), 2, RUNS, 100), dtype=bool)
    for k, (name, (once, tenfold)) in enumerate(share.items()):
        late = rng.random((RUNS, 100)) < np.where(expected == 1, once, tenfold)
        present[k] = first, late | first if name == "Accumulate" and tenfold == 1 else late
    return xr.Dataset(
        {
            "present": (("regime", "generation", "run", "state"), present),
            "expected": ("state", expected),
            "size": ("generation", np.full(2, float(N))),
        },
        {"regime": list(share)},
    )


def results(**change):
    return {
        "constant": errors(1.0, 40),
        "growing": errors(3.0, 12),
        "inflow": inflow(),
        "inflow_growing": growing_inflow(),
        "rare": rare(),
    } | change


def verdicts(**change):
    return {name: found.verdict for name, found in claims.judge(12, results(**change)).items()}


def test_verdicts_when_everything_is_as_the_theory_has_it():
    assert verdicts() == {
        "thread-growth-web": LIMITED,
        "thread-no-collapse-web": SUPPORTED,
        "nature-tails-web": LIMITED,
        "nature-access-web": SUPPORTED,
        "mad-fresh-web": NOT_TESTABLE,
        "thread-no-threat-web": LIMITED,
        "thread-practice-web": NOT_TESTABLE,
    }


@pytest.mark.parametrize("generations", [16, 40, 400])
def test_verdicts_do_not_hang_on_the_number_of_generations(generations):
    assert verdicts(constant=errors(1.0, generations), inflow=inflow(generations)) == verdicts()


def test_what_is_not_testable_says_what_was_measured():
    found = claims.judge(12, results())
    assert "40 first-fit errors at generation 40 under Replace" in found["mad-fresh-web"].measured
    assert "for 1 of 2 real shares" in found["thread-practice-web"].measured


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        ("thread-growth-web", {"growing": errors(1.0, 12)}, NOT_SUPPORTED),
        ("thread-growth-web", {"growing": errors(3.0, 12, Replace=lambda t: 1.0 * t)}, NOT_SUPPORTED),
        ("thread-growth-web", {"growing": errors(3.0, 12, published=12)}, SUPPORTED),
        ("thread-no-collapse-web", {"constant": errors(1.0, 40, Accumulate=lambda t: 1 + 0.1 * t)}, NOT_SUPPORTED),
        ("thread-no-collapse-web", {"constant": errors(1.0, 40, first=100)}, LIMITED),
        ("nature-tails-web", {"rare": rare(Replace=(0.6, 1.0))}, NOT_SUPPORTED),
        ("nature-tails-web", {"rare": rare(Accumulate=(0.6, 0.9))}, SUPPORTED),
        ("nature-access-web", {"inflow": inflow(**{INFLOW: lambda t: 1.0})}, NOT_SUPPORTED),
        ("nature-access-web", {"rare": rare(**{INFLOW: (0.5, 1.0)})}, NOT_SUPPORTED),
        ("nature-access-web", {"inflow": inflow(**{FRESH: lambda t: 1 / t})}, SUPPORTED),
        (
            "nature-access-web",
            {"inflow": inflow(**{FRESH: lambda t: 1 / t}), "rare": rare(**{FRESH: (0.9, 1.0)})},
            LIMITED,
        ),
        ("thread-no-threat-web", {"inflow_growing": growing_inflow((0.1, 0.3))}, SUPPORTED),
        ("thread-no-threat-web", {"inflow_growing": growing_inflow((0.01,))}, NOT_SUPPORTED),
        (
            "thread-no-threat-web",
            {"inflow_growing": growing_inflow((0.3,), **{"Accumulate(0.3 fresh)": lambda t: 0.9})},
            NOT_SUPPORTED,
        ),
        ("thread-no-threat-web", {"rare": rare(**{INFLOW: (1.0, 0.9)})}, NOT_SUPPORTED),
    ],
)
def test_other_numbers_give_other_verdicts(claim, change, expected):
    assert verdict(12, claim, results(**change)) == expected


def test_nothing_breaks_the_table_of_claims():
    assert [name for name, finding in claims.judge(12, results()).items() if "|" in finding.measured] == []
