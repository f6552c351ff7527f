"""Claims of chapter 2: the Gaussian of Theorem 3.1, replaced and accumulated."""

from __future__ import annotations

import numpy as np

from lib import claims, intervals, theory
from lib.claims import LEVEL, LIMITED, NOT_SUPPORTED, Claim, Finding, verdict
from lib.intervals import number
from lib.regimes import Accumulate

DEAD = 0.01  # a variance below a hundredth of the truth counts as lost
TENTH = 0.1  # a mean variance within a tenth of the truth counts as kept


def _last(data, regime, score):
    return data[score].sel(regime=regime).isel(generation=-1).values


def _variance_dies(results):
    data = results["unbiased"]
    found = intervals.median(_last(data, "Replace", "trace_ratio"), LEVEL)
    return Finding(
        verdict(found, below=DEAD),
        f"median of the variance ratio {number(found.estimate, '.2g')} after {data.sizes['generation']} generations of {data.attrs['n']} samples",
        found,
        f"A median whose interval reaches {DEAD} at that generation.",
    )


def _distance_diverges(results):
    unbiased, mle = results["unbiased"], results["mle"]
    n = unbiased.attrs["n"]
    early, late = n // 4, n // 2
    w2 = unbiased["w2_squared"].sel(regime="Replace")
    rise = intervals.difference(w2.sel(generation=late), w2.sel(generation=early), LEVEL)
    bounded = intervals.mean(_last(mle, "Replace", "w2_squared"), LEVEL)
    exact = theory.expected_w2_replace(n, unbiased.sizes["generation"])
    law = exact[late - 1] - exact[early - 1]
    grows = rise.low > 0 and rise.low <= law <= rise.high
    # The bound of 2 is exact; what a simulation can show is that the mean is far from where divergence would have it.
    if grows and bounded.high < exact[-1] / 2:
        word = LIMITED
    else:
        word = claims.SUPPORTED if grows else NOT_SUPPORTED
    return Finding(
        word,
        f"true of the mean under the unbiased estimator (it rises by {rise.estimate:.2g} from generation {early} to {late}, the law says "
        f"{law:.2g}, and {exact[-1]:.3g} at generation {mle.sizes['generation']}); under maximum likelihood it is {bounded.estimate:.2g} there, "
        "and its law never exceeds 2",
        rise,
        "No rise under the unbiased estimator; or, for a verdict without limits, a rise under maximum likelihood too.",
    )


def _accumulate_keeps(results):
    data = results["unbiased"]
    found = intervals.mean(_last(data, "Accumulate", "trace_ratio"), LEVEL)
    limit = theory.expected_variance(Accumulate(), data.attrs["n"], data.sizes["generation"], "unbiased")[-1]
    return Finding(
        verdict(found, above=1 - TENTH, below=1 + TENTH),
        f"mean variance ratio {found.estimate:.3f} after {data.sizes['generation']} generations (exact: {limit:.4f})",
        found,
        f"A mean variance further than {TENTH:.0%} from the truth.",
    )


def _cause(results):
    data = results["unbiased"]
    logs = [np.log(_last(data, regime, "trace_ratio")) for regime in ("Accumulate", "Replace")]
    found = intervals.difference(*logs, LEVEL)
    return Finding(
        verdict(found, above=0),
        f"the log variance of the two regimes differs by {found.estimate:.3g} in the mean; nothing else differs between them",
        found,
        "A paired difference whose interval contains 0.",
    )


def _no_collapse(results):
    data = results["regimes"]
    errors = {r: _last(data, r, "squared_mean_error") for r in ("Accumulate", "RealOnly")}
    first = data["squared_mean_error"].sel(regime="Accumulate").isel(generation=0).values
    against_first = intervals.mean(errors["Accumulate"] / first.mean(), LEVEL)
    against_real = intervals.mean(errors["Accumulate"] / errors["RealOnly"].mean(), LEVEL)
    bounded, harmless = against_first.high < 2, against_real.low <= 1
    word = (claims.SUPPORTED if harmless else LIMITED) if bounded else NOT_SUPPORTED
    return Finding(
        word,
        f"the error stays at {against_first.estimate:.2f} times that of the first fit, but is {against_real.estimate:.0f} times that of as "
        "much real data",
        against_first,
        "An error of more than twice the first fit's; or one no larger than real data would leave.",
    )


def _grown(results):
    data = results["regimes"]
    found = intervals.difference(
        _last(data, "ReplaceGrown", "squared_mean_error"), _last(data, "Accumulate", "squared_mean_error"), LEVEL
    )
    return Finding(
        verdict(found, above=0),
        f"a grown set of the newest samples leaves {found.estimate:.2g} more squared error than the accumulated set of the same size",
        found,
        "A paired difference whose interval contains 0.",
    )


def _between(results):
    data = results["regimes"]
    middle = _last(data, "AccumulateSubsample", "squared_mean_error")
    above = intervals.difference(middle, _last(data, "Accumulate", "squared_mean_error"), LEVEL)
    below = intervals.difference(_last(data, "Replace", "squared_mean_error"), middle, LEVEL)
    return Finding(
        claims.SUPPORTED if above.low > 0 and below.low > 0 else NOT_SUPPORTED,
        f"its squared error is {above.estimate:.2g} above Accumulate's and {below.estimate:.2g} below Replace's",
        above,
        "Either paired difference with an interval that contains 0.",
    )


CLAIMS = (
    Claim(
        "nature-variance",
        2,
        "Shumailov et al. 2024, Theorem 3.1",
        "Refitted to its own samples, a Gaussian loses its variance.",
        "Σₙ → 0 almost surely",
        _variance_dies,
    ),
    Claim(
        "nature-distance",
        2,
        "Shumailov et al. 2024, Theorem 3.1",
        "Its expected distance from the truth diverges.",
        "E[W₂²] → ∞",
        _distance_diverges,
    ),
    Claim(
        "thread-gaussian",
        2,
        "thread, tweet 11",
        "If new samples are added to the old, the collapse is avoided.",
        "“Data accumulated -> Avoided”",
        _accumulate_keeps,
    ),
    Claim(
        "thread-cause",
        2,
        "thread, tweet 6",
        "What collapses the Gaussian is that all earlier data are thrown away.",
        "stated without a number",
        _cause,
    ),
    Claim(
        "thread-no-collapse",
        2,
        "thread, tweet 9",
        "With accumulating data there is no model collapse.",
        "“no model collapse”",
        _no_collapse,
    ),
    Claim(
        "colm-size",
        2,
        "Gerstgrasser et al. 2024",
        "A larger set alone is not the remedy: replaced data grown to the same size still do worse.",
        "language models, Table 2",
        _grown,
    ),
    Claim(
        "kazdan-between",
        2,
        "Kazdan et al. 2025",
        "A fixed-size part of the accumulated pool does worse than all of it, and better than replacing.",
        "between the two",
        _between,
    ),
)
