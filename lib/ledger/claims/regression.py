"""Claims of chapter 5: least squares on labels that the model before has given.

Judges ask whether a simulation agrees with its exact law and what the law says, so that a verdict does not hang on how long the
chapter was run. Errors are excess risks in units of the first fit's, and w* has length 1 in every data set, so that predicting zero
has an excess risk of 1. The ridge data sets are on inputs for which XᵀX is the identity times the rows.
"""

from __future__ import annotations

import json

from lib import intervals, theory
from lib.ledger import LEVEL, LIMITED, NOT_SUPPORTED, SUPPORTED, Claim, Finding
from lib.ledger.measured import agrees
from lib.regimes import Accumulate, Replace, ReplaceGrown
from lib.theory import regression as laws


def _risk(data, regime="Accumulate", generation=-1):
    """Excess risk of each run in units of the first fit's mean."""
    first = laws.first_fit_risk(data.attrs["n"], data.attrs["dimension"], data.attrs["noise"])
    return data["excess_risk"].sel(regime=regime).isel(generation=generation).values / first


def _law(data, regime):
    """What the law says at every generation, in the same units."""
    n, d, noise = (data.attrs[name] for name in ("n", "dimension", "noise"))
    law = laws.expected_excess_risk(regime, n, data.sizes["generation"], d, noise, data.attrs["design"])
    return law / laws.first_fit_risk(n, d, noise)


def _linear(results):
    data = results["fixed"]
    t = data.sizes["generation"]
    end = intervals.mean(_risk(data, "Replace"), LEVEL)
    late = intervals.difference(_risk(data, "Replace"), _risk(data, "Replace", t // 2 - 1), LEVEL)
    return Finding(
        SUPPORTED if agrees(end, t) and agrees(late, t - t // 2) else NOT_SUPPORTED,
        f"{end.estimate:.1f} first-fit errors at generation {t} (law {t}), of which {late.estimate:.1f} came after generation {t // 2} (law {t - t // 2})",
        end,
        "An error, or a rise over the second half, that does not follow the straight line.",
    )


def _bound(results):
    data = results["fixed"]
    found, law = intervals.mean(_risk(data), LEVEL), _law(data, Accumulate())[-1]
    fresh, fresh_law = intervals.mean(_risk(results["fresh"]), LEVEL), _law(results["fresh"], Accumulate())[-1]
    holds = agrees(found, law) and law <= theory.EULER_SUM
    if not holds:
        word = NOT_SUPPORTED
    else:
        word = SUPPORTED if agrees(fresh, fresh_law) and fresh_law <= theory.EULER_SUM else LIMITED
    return Finding(
        word,
        f"the exact law, a partial sum of Σ1/i², is {law:.3f} < {theory.EULER_SUM:.3f} at generation {data.sizes['generation']}, and the simulation agrees with it: {found.estimate:.3f} first-fit "
        f"errors on average over runs; on new inputs {fresh.estimate:.3f} (law {fresh_law:.3f})",
        found,
        "A simulated error off its law, or a law above π²/6; for a limit, either of them on new inputs.",
    )


def _meaning(results):
    """Within least squares: whether the bound that no number of fits exceeds is an error with which a model is worth having."""
    data = results["fixed"]
    first = laws.first_fit_risk(data.attrs["n"], data.attrs["dimension"], data.attrs["noise"])
    found, law = intervals.mean(_risk(data), LEVEL), _law(data, Accumulate())[-1]
    if not (agrees(found, law) and law <= theory.EULER_SUM):
        word = NOT_SUPPORTED
    else:
        word = SUPPORTED if theory.EULER_SUM * first < 1 else LIMITED
    return Finding(
        word,
        f"for least squares, yes: the error follows a law with the bound π²/6 of the first fit's, which is {theory.EULER_SUM * first:.2f} where predicting zero has 1",
        found,
        "Least squares off its law; for a limit, a bound above the error of predicting zero.",
    )


def _bounded(results):
    """What a bound alone says of a model that is not unbiased: ridge regression with its labels replaced."""
    ridge = results["ridge_fixed"]
    kept, t = _ridge(ridge), ridge.sizes["generation"]
    left = intervals.mean(_left(ridge, "Replace"), LEVEL)
    follows = kept < 1 and agrees(left, laws.ridge_shrinkage(Replace(), kept, t, ridge.attrs["penalty"])[-1])
    # All of w* is lost in the limit, and the noise that stays is a geometric sum.
    variance = ridge.attrs["noise"] ** 2 / ridge.attrs["n"] * kept**2 / (1 - kept**2) if kept < 1 else 0.0
    level = 1 + ridge.attrs["dimension"] * variance
    return Finding(
        NOT_SUPPORTED if follows else SUPPORTED,
        f"with a ridge penalty the error under Replace is bounded as well, and tends to {level:.2f} where predicting zero has 1; of the coefficient "
        f"{intervals.number(round(left.estimate, 2) + 0.0, '.2f')} is left after {t} fits",
        left,
        "Labels that are replaced under a penalty, and a coefficient that does not follow its law to zero.",
    )


def _grown(results):
    data = results["fixed"]
    t = data.sizes["generation"]
    grown, accumulated = (_risk(data, r) for r in ("ReplaceGrown", "Accumulate"))
    found = intervals.difference(grown, accumulated, LEVEL)
    law = _law(data, ReplaceGrown())[-1]
    if found.low <= 0:
        word = NOT_SUPPORTED
    else:
        word = SUPPORTED if agrees(intervals.mean(grown, LEVEL), law) else LIMITED
    return Finding(
        word,
        f"at generation {t} a grown set has {grown.mean() / accumulated.mean():.1f} times the error of an accumulated one, {found.estimate:.2f} first-fit errors more, and by its law the ratio "
        "rises like ln t without bound",
        found,
        "No difference from accumulating; for a limit, an error off the law that has no bound.",
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
        follows += agrees(intervals.mean(risk, level), law) and law <= theory.EULER_SUM
        if found is None or risk.mean() > found.estimate:
            found = intervals.mean(risk, LEVEL)
    return Finding(
        SUPPORTED if follows == data.sizes["regime"] else NOT_SUPPORTED,
        f"in {follows} of {data.sizes['regime']} shapes, on the same and on new inputs, it agrees with a law that is at most π²/6; the largest simulated error is {found.estimate:.2f} first-fit errors. "
        "Least squares only: of their class of estimators no other is tried here",
        found,
        "One shape off its law, at intervals that all hold together with 99%, or one law above π²/6.",
    )


def _efficiency(results):
    data = results["fixed"]
    risk, law = intervals.mean(_risk(data), LEVEL), _law(data, Accumulate())[-1]
    found = intervals.Interval(1 / risk.estimate, 1 / risk.high, 1 / risk.low, LEVEL)
    holds = agrees(found, 1 / law) and 1 / law >= laws.ASYMPTOTIC_EFFICIENCY
    return Finding(
        SUPPORTED if holds else NOT_SUPPORTED,
        f"it keeps {found.estimate:.3f} at generation {data.sizes['generation']} (law {1 / law:.3f}, limit {laws.ASYMPTOTIC_EFFICIENCY:.3f}); against as many real rows as the set holds, what is kept "
        "tends to 0. Least squares only: a penalty per row lies outside the conditions of the theorem",
        found,
        "An error off its law, or a law that keeps less than 6/π².",
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
    decays = _signal_is_lost(ridge)
    left = intervals.mean(_left(ridge, "Accumulate"), LEVEL)
    if not agrees(end, law):
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
    """Whether Accumulate follows the law by which its coefficient tends to 0."""
    kept, t = _ridge(data), data.sizes["generation"]
    law = laws.ridge_shrinkage(Accumulate(), kept, t, data.attrs["penalty"])[-1]
    return (
        data.attrs["penalty"] == "per_row"
        and kept < 1
        and agrees(intervals.mean(_left(data, "Accumulate"), LEVEL), law)
    )


CLAIMS = (
    Claim(
        "colm-linear",
        5,
        "Gerstgrasser et al. 2024; Dohmatob et al. 2024",
        "If labels are replaced, the test error of least squares grows in proportion to the number of fits.",
        "σ²d/(n−d−1) · t, for n rows and t fits",
        _linear,
    ),
    Claim(
        "colm-bound",
        5,
        "Gerstgrasser et al. 2024",
        "If labels are accumulated, it stays below π²/6 of the first fit's.",
        "σ²d/(n−d−1) · π²/6",
        _bound,
    ),
    Claim(
        "colm-meaning",
        5,
        "Gerstgrasser et al. 2024, abstract",
        "For least squares, the bound means that there is no collapse: the model stays worth having, however long the loop.",
        "“meaning model collapse no longer occurs”",
        _meaning,
    ),
    Claim(
        "book-bounded-error",
        5,
        "a question of this book",
        "A bounded error is enough to say that a model has not collapsed, whatever the estimator.",
        "asked of ridge regression; the reply says it of least squares only",
        _bounded,
    ),
    Claim(
        "colm-size-regression",
        5,
        "Gerstgrasser et al. 2024, our transfer to regression",
        "In regression too, replaced sets grown to the same size do worse than accumulated ones.",
        "their control for the size of the set, run on language models",
        _grown,
    ),
    Claim(
        "dey-donoho-universal",
        5,
        "Dey and Donoho 2024",
        "For least squares the bound π²/6 is no accident of one dimension, size or design.",
        "universal for a wide class of estimators",
        _universal,
    ),
    Claim(
        "dey-donoho-efficiency",
        5,
        "Dey and Donoho 2024",
        "Least squares on data accumulated for ever keeps at least 6/π² of the worth of the real data it began with.",
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
