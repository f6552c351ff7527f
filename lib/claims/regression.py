"""Claims of chapter 5: least squares on labels that the model before has given.

Judges ask whether a simulation agrees with its exact law and what the law says, so that a verdict does not hang on how long the
chapter was run. Errors are excess risks in units of the first fit's. The ridge data sets are on inputs for which XᵀX is the
identity times the rows, with w* of length 1.
"""

from __future__ import annotations

import json

from lib import intervals, theory
from lib.claims import LEVEL, LIMITED, NOT_SUPPORTED, SUPPORTED, Claim, Finding
from lib.regimes import Accumulate, Replace
from lib.theory import regression as laws

MOST = 0.5  # a change of one thing that closes more than half of a gap is a remedy, if not the whole one


def _risk(data, regime="Accumulate", generation=-1):
    """Excess risk of each run in units of the first fit's mean."""
    first = laws.first_fit_risk(data.attrs["n"], data.attrs["dimension"], data.attrs["noise"])
    return data["excess_risk"].sel(regime=regime).isel(generation=generation).values / first


def _law(data, regime):
    """What the law says at every generation, in the same units."""
    n, d, noise = (data.attrs[name] for name in ("n", "dimension", "noise"))
    law = laws.expected_excess_risk(regime, n, data.sizes["generation"], d, noise, data.attrs["design"])
    return law / laws.first_fit_risk(n, d, noise)


def _holds(interval, law):
    return interval.low <= law <= interval.high


def _linear(results):
    data = results["fixed"]
    t = data.sizes["generation"]
    end = intervals.mean(_risk(data, "Replace"), LEVEL)
    late = intervals.difference(_risk(data, "Replace"), _risk(data, "Replace", t // 2 - 1), LEVEL)
    return Finding(
        SUPPORTED if _holds(end, t) and _holds(late, t - t // 2) else NOT_SUPPORTED,
        f"{end.estimate:.1f} first-fit errors at generation {t} (law {t}), of which {late.estimate:.1f} came after generation {t // 2} (law {t - t // 2})",
        end,
        "An error, or a rise over the second half, that does not follow the straight line.",
    )


def _bound(results):
    data = results["fixed"]
    found, law = intervals.mean(_risk(data), LEVEL), _law(data, Accumulate())[-1]
    fresh, fresh_law = intervals.mean(_risk(results["fresh"]), LEVEL), _law(results["fresh"], Accumulate())[-1]
    holds = _holds(found, law) and law <= theory.EULER_SUM
    if not holds:
        word = NOT_SUPPORTED
    else:
        word = SUPPORTED if _holds(fresh, fresh_law) and fresh_law <= theory.EULER_SUM else LIMITED
    return Finding(
        word,
        f"on average over runs, {found.estimate:.3f} first-fit errors at generation {data.sizes['generation']} (law {law:.3f}, bound {theory.EULER_SUM:.3f}); "
        f"on new inputs {fresh.estimate:.3f} (law {fresh_law:.3f})",
        found,
        "An error off its exact law, or a law above π²/6; for a limit, either of them on new inputs.",
    )


def _meaning(results):
    """What a bound that no number of fits exceeds is worth as a definition of collapse."""
    data, ridge = results["fixed"], results["ridge_fixed"]
    found = intervals.mean(_risk(data), LEVEL)
    kept, coefficient = _ridge(ridge), intervals.mean(_left(ridge, "Replace"), LEVEL)
    shrinks = kept < 1 and _holds(coefficient, kept ** ridge.sizes["generation"])
    # Where the ridge error of Replace tends to: all of w* is lost, and the noise that stays is a geometric sum.
    variance = ridge.attrs["noise"] ** 2 / ridge.attrs["n"] * kept**2 / (1 - kept**2) if shrinks else 0.0
    level = 1 + ridge.attrs["dimension"] * variance
    if not _holds(found, _law(data, Accumulate())[-1]):
        word = NOT_SUPPORTED
    else:
        word = LIMITED if shrinks else SUPPORTED
    return Finding(
        word,
        f"for least squares, yes, with a bound near the first error; as a definition, no: with a ridge penalty Replace is bounded as well, at {level:.2f} where predicting zero "
        "has 1, and loses the whole coefficient",
        found,
        "For a verdict without limits, no bounded case in which the signal is lost; for none, least squares off its law.",
    )


def _grown(results):
    data = results["fixed"]
    t = data.sizes["generation"]
    ends = {r: _risk(data, r) for r in ("Replace", "ReplaceGrown", "Accumulate")}
    found = intervals.difference(ends["ReplaceGrown"], ends["Accumulate"], LEVEL)
    gap = ends["Replace"].mean() - ends["Accumulate"].mean()
    share = (ends["Replace"].mean() - ends["ReplaceGrown"].mean()) / gap
    if found.low <= 0:
        word = NOT_SUPPORTED
    else:
        word = LIMITED if share > MOST else SUPPORTED
    return Finding(
        word,
        f"a grown set ends {found.estimate:.2f} first-fit errors above accumulating at generation {t} and rises like ln t without bound, but closes {share:.0%} of the gap to Replace",
        found,
        f"No difference from accumulating; or, for a verdict without limits, a gap closed by less than {MOST:.0%}.",
    )


def _universal(results):
    """Every shape that the chapter ran, each interval at a level at which all of them hold together with 99%."""
    data = results["shapes"]
    noise, t = data.attrs["noise"], int(data["generation"][-1])
    level = 1 - (1 - LEVEL) / data.sizes["regime"]
    follows, found = 0, None
    for _, cell in data.groupby("regime", squeeze=False):
        d, n, design = (cell[name].item() for name in ("dimension", "size", "design"))
        first = laws.first_fit_risk(n, d, noise)
        risk = cell["excess_risk"].isel(generation=-1).values / first
        law = laws.expected_excess_risk(Accumulate(), n, t, d, noise, design)[-1] / first
        follows += _holds(intervals.mean(risk, level), law) and law <= theory.EULER_SUM
        if found is None or risk.mean() > found.estimate:
            found = intervals.mean(risk, LEVEL)
    return Finding(
        SUPPORTED if follows == data.sizes["regime"] else NOT_SUPPORTED,
        f"least squares in {follows} of {data.sizes['regime']} shapes, on the same and on new inputs, agrees with a law that is at most π²/6; the largest error is {found.estimate:.2f} first-fit "
        "errors",
        found,
        "One shape off its law, at intervals that all hold together with 99%, or one law above π²/6.",
    )


def _efficiency(results):
    data, ridge = results["fixed"], results["ridge_per_row"]
    risk, law = intervals.mean(_risk(data), LEVEL), _law(data, Accumulate())[-1]
    found = intervals.Interval(1 / risk.estimate, 1 / risk.high, 1 / risk.low, LEVEL)
    decays, worst = _signal_is_lost(ridge)
    if not (_holds(found, 1 / law) and 1 / law >= laws.ASYMPTOTIC_EFFICIENCY):
        word = NOT_SUPPORTED
    else:
        word = LIMITED if decays and worst < laws.ASYMPTOTIC_EFFICIENCY else SUPPORTED
    return Finding(
        word,
        f"least squares keeps {found.estimate:.3f} at generation {data.sizes['generation']} (law {1 / law:.3f}, limit {laws.ASYMPTOTIC_EFFICIENCY:.3f}); a ridge fit with a penalty per row "
        f"tends to {worst:.2f}. Against as many real rows as the set holds, what is kept tends to 0 in either case",
        found,
        "Least squares off its law or below 6/π²; for a verdict without limits, a biased fit that keeps as much.",
    )


def _mitigated(results):
    gaps = {x: intervals.difference(_risk(results[x], "Replace"), _risk(results[x]), LEVEL) for x in ("fixed", "fresh")}
    ridge = results["ridge_per_row"]
    signal = intervals.difference(_left(ridge, "Accumulate"), _left(ridge, "Replace"), LEVEL)
    if min(gap.low for gap in gaps.values()) <= 0:
        word = NOT_SUPPORTED
    else:
        word = SUPPORTED if signal.low > 0 else LIMITED
    return Finding(
        word,
        f"at generation {results['fixed'].sizes['generation']} Accumulate is {gaps['fixed'].estimate:.1f} first-fit errors below Replace, {gaps['fresh'].estimate:.1f} on new inputs; with a "
        f"penalty per row it keeps {signal.estimate:.2f} more of the coefficient at generation {ridge.sizes['generation']}",
        gaps["fixed"],
        "No difference from Replace; for a limit, none with a penalty.",
    )


def _no_collapse(results):
    data, ridge = results["fixed"], results["ridge_per_row"]
    rise = intervals.difference(_risk(data), _risk(data, generation=0), LEVEL)
    end, law = intervals.mean(_risk(data), LEVEL), _law(data, Accumulate())[-1]
    decays, _ = _signal_is_lost(ridge)
    left = intervals.mean(_left(ridge, "Accumulate"), LEVEL)
    if not _holds(end, law):
        word = NOT_SUPPORTED
    else:
        word = LIMITED if rise.low > 0 or decays else SUPPORTED
    return Finding(
        word,
        f"if collapse is an error without bound, none; if it is any rise of the error, one, by {rise.estimate:.2f} first-fit errors; if it is the loss of the signal, none by least squares, and "
        f"one with a penalty per row ({left.estimate:.2f} of the coefficient left at generation {ridge.sizes['generation']}, 0 in the limit)",
        rise,
        "An error off its bounded law; or, for a verdict without limits, no rise at all and no loss with a penalty.",
    )


def _left(data, regime):
    """Share of the coefficient that each run has left at the last generation."""
    return data["shrinkage"].sel(regime=regime).isel(generation=-1).values


def _ridge(data):
    """h, the share of the coefficient that the first fit keeps."""
    rows = data.attrs["n"]
    assert json.loads(data.attrs["design"]), "a given design"
    return rows / (rows + data.attrs["ridge"] * (rows if data.attrs["penalty"] == "per_row" else 1))


def _signal_is_lost(data):
    """Whether Accumulate follows the law by which its coefficient tends to 0, and the first fit's error over the error it tends to,
    which is then that of predicting zero: |w*|² = 1."""
    kept, t = _ridge(data), data.sizes["generation"]
    law = laws.ridge_shrinkage(Accumulate(), kept, t, data.attrs["penalty"])[-1]
    found = intervals.mean(_left(data, "Accumulate"), LEVEL)
    d, rows = data.attrs["dimension"], data.attrs["n"]
    first = laws.ridge_excess_risk(
        Replace(), [float(rows)] * d, [d**-0.5] * d, rows * (1 / kept - 1), 1, data.attrs["noise"]
    )[0]
    return data.attrs["penalty"] == "per_row" and kept < 1 and _holds(found, law), first


CLAIMS = (
    Claim(
        "colm-linear",
        5,
        "Gerstgrasser et al. 2024; Dohmatob et al. 2024",
        "If labels are replaced, the test error of least squares grows in proportion to the number of fits.",
        "σ²d/(T−d−1) · n",
        _linear,
    ),
    Claim(
        "colm-bound",
        5,
        "Gerstgrasser et al. 2024",
        "If labels are accumulated, it stays below π²/6 of the first fit's.",
        "σ²d/(T−d−1) · π²/6",
        _bound,
    ),
    Claim(
        "colm-meaning",
        5,
        "Gerstgrasser et al. 2024, abstract",
        "A finite bound on the test error means that there is no model collapse.",
        "“meaning model collapse no longer occurs”",
        _meaning,
    ),
    Claim(
        "colm-size-regression",
        5,
        "Gerstgrasser et al. 2024",
        "In regression too, replaced sets grown to the same size do worse than accumulated ones.",
        "their control for the size of the set",
        _grown,
    ),
    Claim(
        "dey-donoho-universal",
        5,
        "Dey and Donoho 2024",
        "The bound π²/6 is no accident of one dimension, size or design.",
        "universal for a wide class of estimators",
        _universal,
    ),
    Claim(
        "dey-donoho-efficiency",
        5,
        "Dey and Donoho 2024",
        "Accumulated for ever, data keep at least 6/π² of the worth of the real data they began with.",
        "6/π² ≈ 0.608, with many samples",
        _efficiency,
    ),
    Claim(
        "thread-regression",
        5,
        "thread, 11/N",
        "In linear regression it is proved that adding synthetic to real data mitigates the collapse.",
        "“We also prove this analytically in linear regression”",
        _mitigated,
    ),
    Claim(
        "thread-no-collapse-regression",
        5,
        "thread, 10/N",
        "With accumulating labels there is no model collapse.",
        "“no model collapse”",
        _no_collapse,
    ),
)
