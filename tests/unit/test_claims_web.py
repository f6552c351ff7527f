"""Chapter 12's verdicts follow from the numbers: what the theory has, and numbers that turn each of them."""

import numpy as np
import pytest
import xarray as xr

from lib import claims, theory
from lib.claims import LIMITED, NOT_SUPPORTED, SUPPORTED
from lib.regimes import Accumulate, Replace

N = 10**12
RUNS = 200
INFLOW = "Accumulate(0.1 fresh)"


def schedule(growth):
    return lambda t: int(N * growth ** (t - 1))


def errors(growth, generations, **change):
    """Errors on their exact laws, or as `change` has them: a function of the generation, in first-fit errors."""
    sizes = schedule(growth)
    laws = {str(r): N * theory.expected_error(r, sizes, generations) for r in (Replace(), Accumulate())}
    laws[INFLOW] = N * theory.expected_error(Accumulate(0.1), sizes, generations)
    laws |= {name: np.array([of(t) for t in range(1, generations + 1)]) for name, of in change.items()}
    noise = 1 + 0.01 * np.random.default_rng(2).normal(size=RUNS)
    noise += 1 - noise.mean()
    values = np.array([law[:, None] * noise for law in laws.values()]) / N
    return xr.Dataset(
        {
            "squared_mean_error": (("regime", "generation", "run"), values),
            "size": ("generation", np.array([sizes(t) for t in range(1, generations + 1)], dtype=float)),
        },
        {"regime": list(laws)},
    )


def rare(**change):
    """Shares of states expected once and ten times that are known at the last generation."""
    share = {"Replace": (0.02, 0.2), "Accumulate": (0.6, 1.0), INFLOW: (1.0, 1.0)} | change
    rng = np.random.default_rng(3)
    expected = np.repeat([1.0, 10.0], 50)
    first = rng.random((RUNS, 100)) < np.where(expected == 1, 0.63, 1.0)
    present = np.empty((len(share), 2, RUNS, 100), dtype=bool)
    for k, (once, tenfold) in enumerate(share.values()):
        late = rng.random((RUNS, 100)) < np.where(expected == 1, once, tenfold)
        present[k] = first, late
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
        "inflow": errors(1.0, 40),
        "rare": rare(),
    } | change


def verdicts(**change):
    return {name: found.verdict for name, found in claims.judge(12, results(**change)).items()}


def test_verdicts_when_everything_is_as_the_theory_has_it():
    assert verdicts() == {
        "thread-growth-web": SUPPORTED,
        "thread-no-collapse-web": LIMITED,
        "nature-tails-web": LIMITED,
        "mad-fresh-web": LIMITED,
        "thread-no-threat-web": LIMITED,
    }


@pytest.mark.parametrize("generations", [16, 40, 400])
def test_verdicts_do_not_hang_on_the_number_of_generations(generations):
    long = errors(1.0, generations)
    assert verdicts(constant=long, inflow=long) == verdicts()


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        ("thread-growth-web", {"growing": errors(1.0, 12)}, NOT_SUPPORTED),
        ("thread-growth-web", {"growing": errors(3.0, 12, Replace=lambda t: 1.0 * t)}, NOT_SUPPORTED),
        ("thread-no-collapse-web", {"constant": errors(1.0, 40, Accumulate=lambda t: 1 + 0.1 * t)}, NOT_SUPPORTED),
        ("thread-no-collapse-web", {"constant": errors(1.0, 2, Accumulate=lambda t: 1.25)}, SUPPORTED),
        ("nature-tails-web", {"rare": rare(Replace=(0.6, 1.0))}, NOT_SUPPORTED),
        ("nature-tails-web", {"rare": rare(Accumulate=(0.6, 0.9))}, SUPPORTED),
        ("mad-fresh-web", {"constant": errors(1.0, 40, Replace=lambda t: 1.0)}, NOT_SUPPORTED),
        ("mad-fresh-web", {"constant": errors(1.0, 40, Accumulate=lambda t: 1.0 * t)}, SUPPORTED),
        ("thread-no-threat-web", {"inflow": errors(1.0, 40, **{INFLOW: lambda t: 1.0 * t})}, NOT_SUPPORTED),
        ("thread-no-threat-web", {"inflow": errors(1.0, 40, **{INFLOW: lambda t: 1 / t})}, SUPPORTED),
        ("thread-no-threat-web", {"rare": rare(**{INFLOW: (0.5, 1.0)})}, NOT_SUPPORTED),
    ],
)
def test_other_numbers_give_other_verdicts(claim, change, expected):
    assert verdicts(**change)[claim] == expected
