"""Claims of chapter 2: the Gaussian of Theorem 3.1, replaced and accumulated.

Judges ask whether a simulation agrees with the exact law and what the law says, so that a verdict does not hang on how long the
chapter was run. Where an exact value is known it stands beside the simulated one.
"""

from __future__ import annotations

import numpy as np

from lib import intervals, theory
from lib import ledger as claims
from lib.intervals import number
from lib.ledger import LEVEL, LIMITED, NOT_SUPPORTED, SUPPORTED, Claim, Finding
from lib.regimes import Accumulate, AccumulateSubsample, Replace

HALF = 0.5  # a run has kept its variance if more than half of it is left
MOST = 0.5  # a change of one thing that closes more than half of a gap is a remedy, if not the whole one


def _last(data, regime, score):
    return data[score].sel(regime=regime).isel(generation=-1).values


def _variance_dies(results):
    data = results["unbiased"]
    t = data.sizes["generation"]
    found = intervals.mean(np.log(_last(data, "Replace", "trace_ratio")), LEVEL)
    law = t * theory.log_drift(data.attrs["n"])
    median = np.median(_last(data, "Replace", "trace_ratio"))
    return Finding(
        SUPPORTED if found.high < 0 and found.low <= law <= found.high else NOT_SUPPORTED,
        f"the log variance falls by {number(-found.estimate)} in {t} generations (exact: {number(-law)}); the median variance is then "
        f"{number(median, '.2g')} of the truth",
        found,
        "A mean log variance that does not fall, or does not follow its exact drift.",
    )


def _distance_diverges(results):
    data = results["unbiased"]
    n = data.attrs["n"]
    # Up to n/2 generations an average over runs can follow the mean; beyond that it misleads.
    early, late = n // 4, n // 2
    w2 = data["w2_squared"].sel(regime="Replace")
    found = intervals.difference(w2.sel(generation=late), w2.sel(generation=early), LEVEL)
    exact = theory.expected_w2_replace(n, late)
    law = exact[late - 1] - exact[early - 1]
    return Finding(
        SUPPORTED if found.low > 0 and found.low <= law <= found.high else NOT_SUPPORTED,
        f"the mean of W₂² rises by {found.estimate:.2g} from generation {early} to {late} (exact: {law:.2g}), and its law t/n + … has no bound",
        found,
        "A mean that does not rise, or does not follow the exact law.",
    )


def _arbitrarily_far(results):
    data = results["mle"]
    t, n = data.sizes["generation"], data.attrs["n"]
    found = intervals.mean(_last(data, "Replace", "w2_squared"), LEVEL)
    unbiased = theory.expected_w2_replace(n, t)[-1]
    bounded = found.high < unbiased
    return Finding(
        LIMITED if bounded else SUPPORTED,
        f"of the unbiased estimator's mean over runs; by maximum likelihood the mean of W₂² is {found.estimate:.2f} at generation {t}, where the "
        f"unbiased law is at {unbiased:.3g}, and its law stays below 2",
        found,
        "For a verdict without limits, a mean under maximum likelihood as large as under the unbiased estimator.",
    )


def _accumulate_keeps(results):
    data = results["unbiased"]
    kept, lost = (intervals.quantile(_last(data, r, "trace_ratio"), 0.05, LEVEL) for r in ("Accumulate", "Replace"))
    return Finding(
        claims.verdict(kept, above=HALF),
        f"19 of 20 runs keep more than {kept.estimate:.2f} of the variance for {data.sizes['generation']} generations; under Replace more than "
        f"{number(lost.estimate, '.1g')}",
        kept,
        f"A 5% quantile of the variance ratio whose interval reaches {HALF}.",
    )


def _closed(data, regime):
    """Share of the gap in mean squared error between Replace and Accumulate that a regime closes at the last generation."""
    error = {r: _last(data, r, "squared_mean_error").mean() for r in ("Replace", "Accumulate", regime)}
    return (error["Replace"] - error[regime]) / (error["Replace"] - error["Accumulate"])


def _cause(results):
    data = results["regimes"]
    logs = {r: np.log(_last(data, r, "trace_ratio")) for r in ("Replace", "ReplaceGrown", "AccumulateSubsample")}
    kept = intervals.difference(logs["AccumulateSubsample"], logs["Replace"], LEVEL)
    grown = intervals.difference(logs["ReplaceGrown"], logs["Replace"], LEVEL)
    if kept.low <= 0:
        word = NOT_SUPPORTED
    else:
        word = LIMITED if grown.low > 0 else SUPPORTED
    return Finding(
        word,
        f"old data kept at constant size raise the log variance by {kept.estimate:.2g} at generation {data.sizes['generation']}, but so does a "
        f"grown set of newest samples alone, by {grown.estimate:.2g}",
        kept,
        "No gain from old data at constant size; or, for a verdict without limits, none from a larger set alone.",
    )


def _no_collapse(results):
    data = results["unbiased"]
    n, t = data.attrs["n"], data.sizes["generation"]
    error = data["squared_mean_error"].sel(regime="Accumulate")
    found = _scaled(intervals.mean(error.isel(generation=-1).values, LEVEL), n)
    law = n * theory.expected_error(Accumulate(), n, t, "unbiased")[-1]
    rise = intervals.difference(error.isel(generation=-1), error.isel(generation=0), LEVEL)
    if not found.low <= law <= found.high:
        word = NOT_SUPPORTED
    else:
        word = LIMITED if rise.low > 0 else SUPPORTED
    return Finding(
        word,
        f"if collapse is an error without bound, none: {found.estimate:.2f} first-fit errors at generation {t} (exact: {law:.3f}); if it is any rise "
        "of the error, this is one",
        found,
        "An error off its law, which is bounded; or, for a verdict without limits, no rise at all.",
    )


def _pathway(results):
    data = results["unbiased"]
    n, t = data.attrs["n"], data.sizes["generation"]
    found = _scaled(intervals.mean(_last(data, "Accumulate", "squared_mean_error"), LEVEL), n)
    law = n * theory.expected_error(Accumulate(), n, t, "unbiased")[-1]
    return Finding(
        SUPPORTED if law <= theory.EULER_SUM and found.low <= law <= found.high else NOT_SUPPORTED,
        f"{found.estimate:.2f} first-fit errors at generation {t}; exact there {law:.3f}, at most π²/6 = {theory.EULER_SUM:.3f} for ever",
        found,
        "An error off its exact law, or a law above π²/6.",
    )


def _grown(results):
    data = results["regimes"]
    n = data.attrs["n"]
    grown, accumulated = (_last(data, r, "squared_mean_error") for r in ("ReplaceGrown", "Accumulate"))
    found = _scaled(intervals.difference(grown, accumulated, LEVEL), n)
    share = _closed(data, "ReplaceGrown")
    if found.low <= 0:
        word = NOT_SUPPORTED
    else:
        word = LIMITED if share > MOST else SUPPORTED
    return Finding(
        word,
        f"a grown set leaves {found.estimate:.2g} first-fit errors more than accumulating at generation {data.sizes['generation']}, and closes "
        f"{share:.0%} of the gap to Replace; its error keeps rising like ln t",
        found,
        f"No difference from accumulating; or, for a verdict without limits, a gap closed by less than {MOST:.0%}.",
    )


def _between(results):
    data = results["regimes"]
    n, t = data.attrs["n"], data.sizes["generation"]
    middle = _last(data, "AccumulateSubsample", "squared_mean_error")
    above = _scaled(intervals.difference(middle, _last(data, "Accumulate", "squared_mean_error"), LEVEL), n)
    below = _scaled(intervals.difference(_last(data, "Replace", "squared_mean_error"), middle, LEVEL), n)
    exact = {
        type(r).__name__: n * theory.expected_error(r, n, t)[-1]
        for r in (Accumulate(), AccumulateSubsample(), Replace())
    }
    return Finding(
        SUPPORTED if above.low > 0 and below.low > 0 else NOT_SUPPORTED,
        f"{above.estimate:.2g} first-fit errors above Accumulate, {below:.2g} below Replace (exact errors at generation {t}: "
        f"{exact['Accumulate']:.2f}, {exact['AccumulateSubsample']:.2f}, {exact['Replace']:.1f})",
        above,
        "Either paired difference with an interval that contains 0.",
    )


def _slow(results):
    data = results["regimes"]
    n, t = data.attrs["n"], data.sizes["generation"]
    error = data["squared_mean_error"]

    def late(regime):
        of = error.sel(regime=regime)
        return _scaled(intervals.difference(of.isel(generation=-1), of.isel(generation=t // 2 - 1), LEVEL), n)

    found, replaced = late("AccumulateSubsample"), late("Replace")
    law = n * theory.expected_error(AccumulateSubsample(), n, 100 * t)[[t // 2 - 1, t - 1, -1]]
    return Finding(
        SUPPORTED if found.high < replaced.low else NOT_SUPPORTED,
        f"from generation {t // 2} to {t} it gains {found.estimate:.2g} first-fit errors, Replace {replaced.estimate:.2g}; by maximum likelihood it even "
        f"levels off (exact: {law[0]:.2f}, {law[1]:.2f}, and {law[2]:.2f} at generation {100 * t})",
        found,
        "A rise that is not separated from Replace's.",
    )


def _scaled(interval, n):
    """An interval of a squared error in units of the first fit's, 1/n."""
    return intervals.Interval(n * interval.estimate, n * interval.low, n * interval.high, interval.level)


CLAIMS = (
    Claim(
        "nature-variance",
        2,
        "Shumailov et al. 2024, Theorem 3.1",
        "Refitted to its own samples, with everything older discarded, a Gaussian loses its variance.",
        "Σ → 0 almost surely",
        _variance_dies,
    ),
    Claim(
        "nature-distance",
        2,
        "Shumailov et al. 2024, Theorem 3.1",
        "Under the unbiased estimator its expected distance from the truth diverges.",
        "E[W₂²] → ∞",
        _distance_diverges,
    ),
    Claim(
        "nature-far",
        2,
        "Shumailov et al. 2024, on Theorem 3.1",
        "The approximation moves arbitrarily far from the truth.",
        "“arbitrarily far”",
        _arbitrarily_far,
    ),
    Claim(
        "thread-gaussian",
        2,
        "thread, 12/N",
        "If new samples are added to the old, the collapse of the variance is avoided.",
        "“Data accumulated -> Avoided”",
        _accumulate_keeps,
    ),
    Claim(
        "thread-cause",
        2,
        "thread, 7/N",
        "What collapses the Gaussian is that all earlier data are thrown away.",
        "“all prior data is thrown away”",
        _cause,
    ),
    Claim(
        "thread-no-collapse",
        2,
        "thread, 10/N",
        "With accumulating data there is no model collapse.",
        "“no model collapse”",
        _no_collapse,
    ),
    Claim(
        "pi-squared-sixth",
        2,
        "Gerstgrasser et al. 2024; Dey and Donoho 2024",
        "Accumulating holds the error within π²/6 of the first fit's.",
        "π²/6, for regression and beyond",
        _pathway,
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
    Claim(
        "kazdan-slow",
        2,
        "Kazdan et al. 2025",
        "Trained on such a part, models degrade slowly rather than explosively.",
        "“slow and gradual rather than explosive”",
        _slow,
    ),
)
