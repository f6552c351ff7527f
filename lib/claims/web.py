"""Claims of chapter 12: the recursion at the size of the web.

Errors are squared errors of a fitted mean in units of the first fit's, 1/n₁. *Lost*: of the states that the first fit has, those to
which the last one gives probability 0. Judges ask whether a simulation agrees with the exact law and what the law says.
"""

from __future__ import annotations

import numpy as np

from lib import intervals, theory
from lib.claims import LEVEL, LIMITED, NOT_SUPPORTED, SUPPORTED, Claim, Finding
from lib.regimes import Accumulate, Replace

BOUND = 2.0  # first-fit errors: no schedule of batch sizes takes Accumulate beyond (Σ n_k/N_k² ≤ 2/n₁ − 1/N_t)
NEAR = 2.0  # an error within twice that of real data only is as good as that
RARE = 10  # expected count in the first set of the states that the claim about tails is judged on


def _sizes(data):
    """The schedule n_1, n_2, … of a data set."""
    sizes = np.atleast_1d(data["size"].values).astype(float)
    return lambda t: int(sizes[t - 1])


def _error(data, regime, generation=-1):
    """Interval of the mean error at a generation, and its exact value, both in first-fit errors."""
    n = data["size"].values[0]
    values = data["squared_mean_error"].sel(regime=str(regime)).isel(generation=generation).values * n
    law = n * theory.expected_error(regime, _sizes(data), data.sizes["generation"])[generation]
    return intervals.mean(values, LEVEL), float(law)


def _rise(data, regime, since=0):
    values = data["squared_mean_error"].sel(regime=regime) * data["size"].values[0]
    return intervals.difference(values.isel(generation=-1), values.isel(generation=since), LEVEL)


def _holds(interval, law):
    return interval.low <= law <= interval.high


def _growth(results):
    t = min(results[name].sizes["generation"] for name in ("growing", "constant"))
    grown, law = _error(results["growing"], Replace(), t - 1)
    constant, level = _error(results["constant"], Replace(), t - 1)
    agree = _holds(grown, law) and _holds(constant, level)
    accumulated, _ = _error(results["growing"], Accumulate(), t - 1)
    return Finding(
        SUPPORTED if agree and grown.high < constant.low else NOT_SUPPORTED,
        f"without any old data, {constant.estimate:.1f} first-fit errors at generation {t} where sets stay equal (exact: {level:.1f}), {grown.estimate:.2f} where they "
        f"grow as published (exact: {law:.2f}); with old data {accumulated.estimate:.2f}",
        grown,
        "An error at growing size that is not below that at constant size, or either off its exact law.",
    )


def _no_collapse(results):
    found, law = _error(results["constant"], Accumulate())
    other, other_law = _error(results["growing"], Accumulate())
    rise = _rise(results["constant"], "Accumulate")
    if not (_holds(found, law) and _holds(other, other_law) and max(found.high, other.high) < BOUND):
        word = NOT_SUPPORTED
    else:
        word = LIMITED if rise.low > 0 else SUPPORTED
    return Finding(
        word,
        f"{found.estimate:.2f} first-fit errors after {results['constant'].sizes['generation']} equal sets (exact: {law:.2f}), {other.estimate:.2f} with published growth "
        f"(exact: {other_law:.2f}), under {BOUND:g} for every schedule; if any rise of the error is collapse, this is one",
        found,
        f"An error off its law, or {BOUND:g} first-fit errors or more; for a verdict without limits, no rise at all.",
    )


def _tails(results):
    data = results["rare"]
    chosen = np.isclose(data["expected"].values, RARE)
    present = data["present"].astype(bool).isel(state=np.flatnonzero(chosen))

    def lost(regime):
        start, end = (present.sel(regime=regime).isel(generation=g).values for g in (0, -1))
        return 1 - (start & end).sum(axis=1) / start.sum(axis=1)

    found = intervals.mean(lost("Replace"), LEVEL)
    kept = intervals.mean(lost("Accumulate"), LEVEL)
    t = data.sizes["generation"]
    if found.low <= 0:
        word = NOT_SUPPORTED
    else:
        word = SUPPORTED if kept.low > 0 else LIMITED
    return Finding(
        word,
        f"of the states expected {RARE} times in {float(data['size'].values[0]) / 1e12:g}·10¹² samples, {found.estimate:.0%} are lost by generation {t} if old data are "
        f"discarded and sets stay equal, {kept.estimate:.0%} if data accumulate",
        found,
        "No loss under Replace; or, for a verdict without limits, a loss under Accumulate too.",
    )


def _fresh(results):
    data = results["constant"]
    t = data.sizes["generation"]
    found, level = _error(data, Replace())
    accumulated, law = _error(data, Accumulate())
    rises = _rise(data, "Replace", t // 2).low > 0
    bounded = _holds(accumulated, law) and accumulated.high < BOUND
    if not (rises and _holds(found, level)):
        word = NOT_SUPPORTED
    else:
        word = LIMITED if bounded else SUPPORTED
    return Finding(
        word,
        f"without fresh data the error reaches {found.estimate:.0f} first-fit errors at generation {t} under Replace and goes on (exact: {level:.0f}); where data "
        f"accumulate it levels off at {accumulated.estimate:.2f} without any fresh data",
        found,
        "An error under Replace that stops rising; or, for a verdict without limits, an error without bound under Accumulate too.",
    )


def _practice(results):
    """Everything kept, and a tenth of each new batch real: the fit should get better from some point on, and rare states known."""
    data, rare, regime = results["inflow"], results["rare"], "Accumulate(0.1 fresh)"
    t = data.sizes["generation"]
    found = _rise(data, regime, t // 2 - 1)
    last = float(data["squared_mean_error"].sel(regime=regime).isel(generation=-1).mean() * data["size"].values[0])
    known = rare["present"].astype(float).sel(regime=regime).isel(state=rare["expected"].values == 1).mean("state")
    gained = intervals.difference(known.isel(generation=-1), known.isel(generation=0), LEVEL)
    if not (found.high < 0 and gained.low > 0):
        word = NOT_SUPPORTED
    else:
        word = LIMITED if last > NEAR / t else SUPPORTED
    return Finding(
        word,
        f"with a tenth of each new batch real and everything kept the error falls by {-found.estimate:.2f} first-fit errors from generation {t // 2} to {t}, to {last:.2f}, "
        f"and {known.isel(generation=-1).mean().item():.0%} of the states expected once are known; with only real data it would be {1 / t:.2f}",
        found,
        f"An error that does not fall, or rare states that do not return; for a verdict without limits, an error within {NEAR:g} times that of real data only.",
    )


CLAIMS = (
    Claim(
        "thread-growth-web",
        12,
        "thread, 3/N and 8/N",
        "Experiments at a fixed size of the data set overstate the decay, because data grow.",
        "1.4T, 2T, 15T tokens",
        _growth,
    ),
    Claim(
        "thread-no-collapse-web",
        12,
        "thread, 10/N",
        "At the size of the web, too, there is no collapse while data accumulate.",
        "“no model collapse”",
        _no_collapse,
    ),
    Claim(
        "nature-tails-web",
        12,
        "Shumailov et al. 2024",
        "In data of the size of the web, rare content disappears.",
        "tails lost, in theory at a fixed size",
        _tails,
    ),
    Claim(
        "mad-fresh-web",
        12,
        "Alemohammad et al. 2024",
        "Without enough fresh real data in each generation, models get worse and worse.",
        "images, several loops",
        _fresh,
    ),
    Claim(
        "thread-no-threat-web",
        12,
        "thread, 5/N and 13/N",
        "Under the conditions of practice, in which everything is kept and people go on writing, collapse is no threat.",
        "“Based on the evidence I’ve seen, it isn’t”",
        _practice,
    ),
)
