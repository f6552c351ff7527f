"""Claims of chapter 12: the recursion at the size of the web.

Errors are squared errors of a fitted mean in units of the first fit's, 1/n₁. Judges ask whether a simulation agrees
with the exact law and what the law says. What a Gaussian or a table cannot stand for is not testable here.
"""

import numpy as np

from lib import intervals, theory
from lib.ledger import LEVEL, Finding, claim, ladder
from lib.ledger.predicates import agrees, at, change, difference, mean, together, untestable
from lib.regimes import Accumulate, Replace

BOUND = 2.0  # first-fit errors: no schedule of batch sizes takes Accumulate beyond (Σ n_k/N_k² ≤ 2/n₁ − 1/N_t)
SEEN = 1e-3  # of the true variance: a smaller rise of the error is none that anybody could see
BOTH, WITHOUT_NEW, WITHOUT_OLD = "Accumulate(0.1 fresh)", "Accumulate", "FreshReal(0.1)"
RARE = 10  # expected count in the first set of the states that the claim about tails is judged on


def _law(data, regime):
    """The exact error at every generation, in first-fit errors."""
    sizes = data["size"].values.astype(float)
    law = theory.expected_error(regime, lambda t: int(sizes[t - 1]), len(sizes), data.attrs["estimator"])
    return sizes[0] * law


def _errors(data, regime, generation=-1):
    return at(data, "squared_mean_error", regime, generation) * data["size"].values[0]


def _error(data, regime, generation=-1, level=LEVEL):
    """Interval of the mean error at a generation, and its exact value, both in first-fit errors."""
    return mean(_errors(data, regime, generation), level=level), float(_law(data, regime)[generation])


def _rise(data, regime, since=0, level=LEVEL):
    return difference(_errors(data, regime), _errors(data, regime, since), level=level)


@claim("thread-growth-web", "thread, 3/N and 8/N", "1.4T, 2T, 15T tokens")
def _growth(results):
    """Experiments at a fixed size of the data set overstate the decay, because data grow."""
    growing, constant = results["growing"], results["constant"]
    end = min(growing.sizes["generation"], constant.sizes["generation"]) - 1
    known = min(int(growing["published"].values.sum()) - 1, end)
    found = [_error(data, Replace(), k) for k in (known, end) for data in (growing, constant)]
    (grown, law), (equal, level), (late, late_law), (late_equal, late_level) = found
    holds = all(agrees(*pair) for pair in found) and grown.high < equal.low and late.high < late_equal.low
    return Finding(
        ladder(holds and known == end, holds),
        f"for the error of a mean, without any old data: at fit {known + 1}, the last whose size is published, "
        f"{equal.estimate:.2f} first-fit errors where sets stay equal (exact: {level:.2f}) and {grown.estimate:.2f} "
        f"where they grow (exact: {law:.2f}); at fit {end + 1}, with the growth extrapolated, "
        f"{late_equal.estimate:.1f} and {late.estimate:.2f} (exact: {late_level:.1f} and {late_law:.2f})",
        grown,
        "An error at growing size that is not below that at constant size, or either off its exact law; for a verdict "
        "without limits, published sizes for every fit.",
    )


@claim("thread-no-collapse-web", "thread, 10/N", "“no model collapse”")
def _no_collapse(results):
    """At the size of the web, too, there is no collapse while data accumulate."""
    data = results["constant"]
    (found, law), (other, other_law) = (_error(results[x], Accumulate()) for x in ("constant", "growing"))
    rise = _rise(data, "Accumulate").scaled(1 / data["size"].values[0])
    holds = agrees(found, law) and agrees(other, other_law) and max(found.high, other.high) < BOUND
    return Finding(
        ladder(holds and rise.high <= SEEN, holds),
        f"for the error of a mean: {found.estimate:.2f} first-fit errors after {data.sizes['generation']} equal sets "
        f"(exact: {law:.2f}), {other.estimate:.2f} with published growth (exact: {other_law:.2f}), under {BOUND:g} for "
        f"every schedule; the rise since the first fit is {intervals.number(rise.estimate, '.1e')} of the variance",
        found,
        f"An error off its law, or {BOUND:g} first-fit errors or more; for a limit, a rise above {SEEN:g} of the "
        "variance.",
    )


def _lost(data, regime, expected=None):
    """Of the states that a run's first fit has (of one expected count, or all), the share that the last has not."""
    chosen = slice(None) if expected is None else np.flatnonzero(np.isclose(data["expected"].values, expected))
    start, end = (at(data, "present", regime, g).astype(bool)[:, chosen] for g in (0, -1))
    return 1 - (start & end).sum(axis=1) / start.sum(axis=1)


@claim("nature-tails-web", "Shumailov et al. 2024", "tails lost, in theory at a fixed size")
def _tails(results):
    """In data of the size of the web, rare content disappears."""
    data = results["rare"]
    found, kept = (mean(_lost(data, r, RARE)) for r in ("Replace", "Accumulate"))
    return Finding(
        ladder(found.low > 0 and kept.low > 0, found.low > 0),
        f"of the states expected {RARE} times in {float(data['size'].values[0]) / 1e12:g}·10¹² samples, "
        f"{found.estimate:.0%} are lost by generation {data.sizes['generation']} if old data are discarded and sets "
        f"stay equal, {kept.estimate:.0%} if data accumulate",
        found,
        "No loss under Replace; or, for a verdict without limits, a loss under Accumulate too.",
    )


@claim(
    "nature-access-web",
    "Shumailov et al. 2024, discussion",
    "“access to the original data source is preserved and … further data not generated by LLMs remain available”",
)
def _access(results):
    """For learning to go on, the original data have to stay accessible and further data not made by models
    available."""
    data, rare = results["inflow"], results["rare"]
    t = data.sizes["generation"]
    late = {r: _rise(data, r, t // 2 - 1) for r in (BOTH, WITHOUT_NEW, WITHOUT_OLD)}
    ends = {r: _errors(data, r).mean() for r in late}
    once = rare["present"].astype(float).isel(state=np.flatnonzero(rare["expected"].values == 1)).mean("state")
    known = once.to_dataset(name="known")
    goes_on = [r for r in late if late[r].high < 0 and change(known, "known", r).low > 0]
    share = {r: f"{at(known, 'known', r).mean():.0%}" for r in late}
    return Finding(
        ladder(goes_on == [BOTH], BOTH in goes_on),
        f"with both, a tenth of each new batch real and everything kept, the error of a mean falls to {ends[BOTH]:.2f} "
        f"first-fit errors by generation {t} and {share[BOTH]} of the states expected once are known; without further "
        f"real data it stays at {ends[WITHOUT_NEW]:.2f} and {share[WITHOUT_NEW]}, with them but without what is older "
        f"at {ends[WITHOUT_OLD]:.1f} and {share[WITHOUT_OLD]}",
        late[BOTH],
        "An error that does not fall from half of the fits to the last, or rare states that do not return, with both; "
        "for a limit, a fall and a return without one of the two. Shown is the change of the error with both.",
    )


@claim(
    "mad-fresh-web",
    "Alemohammad et al. 2024",
    "“doomed to have their quality (precision) or diversity (recall) progressively decrease”",
)
def _images(results):
    """Without enough fresh real data in each generation, the quality or the diversity of image models falls and
    falls."""
    data = results["constant"]
    (found, law), (accumulated, _) = _error(data, Replace()), _error(data, Accumulate())
    return untestable(
        f"no image enters this chapter. For the error of a Gaussian's mean, without fresh data: {found.estimate:.0f} "
        f"first-fit errors at generation {data.sizes['generation']} under Replace (exact: {law:.0f}), and "
        f"{accumulated.estimate:.2f} where data accumulate",
        "Image models in their loops, with precision and recall measured, and everything kept beside their other "
        "loops.",
    )


def _shares(data):
    """For each real share of a batch: whether the error follows its law in the end, and its change; all at 99%."""
    level = together(2 * data.sizes["regime"])
    regimes = {float(share): Accumulate(fresh=float(share)) for share in data["fresh"].values}
    return {s: (agrees(*_error(data, r, level=level)), _rise(data, r, level=level)) for s, r in regimes.items()}


@claim(
    "thread-no-threat-web",
    "thread, 5/N, put to a Gaussian and a table",
    "its conditions: “more data over time”, “(much of) the original data”",
)
def _sampling(results):
    """Sampling error alone is no threat where sets grow as published, everything is kept and people go on writing."""
    data, rare = results["inflow_growing"], results["rare"]
    found = _shares(data)
    falls = [r for r, (_, rise) in found.items() if rise.high < 0]
    lost = max(float(_lost(rare, regime).max()) for regime in ("Accumulate", BOTH))
    holds, least = all(on_law for on_law, _ in found.values()) and falls and not lost, min(found)
    return Finding(
        ladder(holds and len(falls) == len(found), holds),
        f"if a threat is an error above the first fit's after {data.sizes['generation']} fits: none for real shares of "
        f"{', '.join(f'{r:g}' for r in falls) or 'no size'} of each new batch; at {least:g} it changes by "
        f"{intervals.number(found[least][1].estimate, '+.2f')} first-fit errors (highest by the law: "
        f"{_law(data, Accumulate(fresh=least)).max():.2f}), each "
        f"{intervals.number(1 / float(data['size'].values[0]), '.1e')} of the variance; of the rare states that the "
        f"first fit has, {'none is' if not lost else 'some are'} lost",
        _rise(data, Accumulate(fresh=least)),
        "An error off its law, no share at which it falls, or a state lost that was known; for a verdict without "
        "limits, a fall at every share. Shown is the change at the smallest share.",
    )


@claim(
    "thread-practice-web",
    "thread, 5/N and 13/N",
    "of a “real and significant threat”: “Based on the evidence I’ve seen, it isn’t”",
)
def _practice(results):
    """Language models trained on the web are safe as long as data grow and hold much of the original data."""
    data = results["inflow_growing"]
    falls = [r for r, (_, rise) in _shares(data).items() if rise.high < 0]
    return untestable(
        "no language model enters here, and neither what its data hold nor its errors of fit and of decoding have "
        f"been measured. Measured is sampling error: it falls within {data.sizes['generation']} fits for {len(falls)} "
        f"of {data.sizes['regime']} real shares of the new data",
        "An audit of what is kept between models, and models trained on it; sampling error alone decides neither way.",
    )
