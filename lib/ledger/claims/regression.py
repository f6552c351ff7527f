"""Claims of chapter 5: least squares on labels that the model before has given.

Judges ask whether a simulation agrees with its exact law and what the law says, so that a verdict does not hang on how
long the chapter was run. Errors are excess risks in units of the first fit's; predicting zero has an excess risk of 1.
In the ridge data sets XᵀX is the identity times the rows.
"""

from lib import intervals, theory
from lib.ledger import LEVEL, Finding, claim, ladder
from lib.ledger.predicates import agrees, at, difference, gap, mean, together
from lib.regimes import Accumulate, Replace, ReplaceGrown
from lib.theory import regression as laws


def _risk(data, regime="Accumulate", generation=-1):
    """Excess risk of each run in units of the first fit's mean."""
    return at(data, "excess_risk", regime, generation) / _first(data)


def _first(data):
    return laws.first_fit_risk(data.attrs["n"], data.attrs["dimension"], data.attrs["noise"])


def _error(data, regime):
    """Interval of the last error in these units, what its law says, and whether they agree."""
    n, d, noise, design = (data.attrs[name] for name in ("n", "dimension", "noise", "design"))
    found = mean(_risk(data, regime))
    law = laws.expected_excess_risk(regime, n, data.sizes["generation"], d, noise, design)[-1] / _first(data)
    return found, law, agrees(found, law)


def _accumulated(data):
    """The same of Accumulate, and whether the law is at most π²/6 as well."""
    found, law, on_law = _error(data, Accumulate())
    return found, law, on_law and law <= theory.EULER_SUM


def _coefficient(data, regime):
    """Interval of what is left of it, the share that the first fit keeps, and whether its law holds and tends to 0."""
    rows, penalty = data.attrs["n"], data.attrs["penalty"]
    kept = rows / (rows + data.attrs["ridge"] * (rows if penalty == "per_row" else 1))
    left = mean(at(data, "shrinkage", regime))
    law = laws.ridge_shrinkage(regime, kept, data.sizes["generation"], penalty)[-1]
    return left, kept, kept < 1 and agrees(left, law)


@claim("colm-linear", "Gerstgrasser et al. 2024; Dohmatob et al. 2024", "σ²d/(n−d−1) · t, for n rows and t fits")
def _linear(results):
    """If labels are replaced, the test error of least squares grows in proportion to the number of fits."""
    data = results["fixed"]
    t = data.sizes["generation"]
    end = mean(_risk(data, "Replace"))
    late = difference(_risk(data, "Replace"), _risk(data, "Replace", t // 2 - 1))
    return Finding(
        ladder(agrees(end, t) and agrees(late, t - t // 2)),
        f"{end.estimate:.1f} first-fit errors at generation {t} (law {t}), of which {late.estimate:.1f} came after "
        f"generation {t // 2} (law {t - t // 2})",
        end,
        "An error, or a rise over the second half, that does not follow the straight line.",
    )


@claim("colm-bound", "Gerstgrasser et al. 2024", "σ²d/(n−d−1) · π²/6")
def _bound(results):
    """If labels are accumulated, it stays below π²/6 of the first fit's."""
    data = results["fixed"]
    (found, law, holds), (fresh, fresh_law, too) = (_accumulated(results[x]) for x in ("fixed", "fresh"))
    return Finding(
        ladder(holds and too, holds),
        f"the exact law, a partial sum of Σ1/i², is {law:.3f} < {theory.EULER_SUM:.3f} at generation "
        f"{data.sizes['generation']}, and the simulation agrees with it: {found.estimate:.3f} first-fit errors on "
        f"average over runs; on new inputs {fresh.estimate:.3f} (law {fresh_law:.3f})",
        found,
        "A simulated error off its law, or a law above π²/6; for a limit, either of them on new inputs.",
    )


@claim("colm-meaning", "Gerstgrasser et al. 2024, abstract", "“meaning model collapse no longer occurs”")
def _meaning(results):
    """For least squares, the bound means that there is no collapse: the model stays worth having, however long the
    loop."""
    found, _, holds = _accumulated(results["fixed"])
    bound = theory.EULER_SUM * _first(results["fixed"])
    return Finding(
        ladder(holds and bound < 1, holds),
        "for least squares, yes: the error follows a law with the bound π²/6 of the first fit's, which is "
        f"{bound:.2f} where predicting zero has 1",
        found,
        "Least squares off its law; for a limit, a bound above the error of predicting zero.",
    )


@claim(
    "book-bounded-error",
    "a question of this book",
    "asked of ridge regression; the reply says it of least squares only",
)
def _bounded(results):
    """A bounded error is enough to say that a model has not collapsed, whatever the estimator."""
    ridge = results["ridge_fixed"]
    left, kept, follows = _coefficient(ridge, Replace())
    # All of w* is lost in the limit, and the noise that stays is a geometric sum.
    variance = ridge.attrs["noise"] ** 2 / ridge.attrs["n"] * kept**2 / (1 - kept**2) if kept < 1 else 0.0
    return Finding(
        ladder(not follows),
        f"with a ridge penalty the error under Replace is bounded as well, and tends to "
        f"{1 + ridge.attrs['dimension'] * variance:.2f} where predicting zero has 1; of the coefficient "
        f"{intervals.number(round(left.estimate, 2) + 0.0, '.2f')} is left after {ridge.sizes['generation']} fits",
        left,
        "Labels that are replaced under a penalty, and a coefficient that does not follow its law to zero.",
    )


@claim(
    "colm-size-regression",
    "Gerstgrasser et al. 2024, our transfer to regression",
    "their control for the size of the set, run on language models",
)
def _grown(results):
    """In regression too, replaced sets grown to the same size do worse than accumulated ones."""
    data = results["fixed"]
    grown, accumulated = (_risk(data, r) for r in ("ReplaceGrown", "Accumulate"))
    found, (*_, on_law) = difference(grown, accumulated), _error(data, ReplaceGrown())
    return Finding(
        ladder(found.low > 0 and on_law, found.low > 0),
        f"at generation {data.sizes['generation']} a grown set has {grown.mean() / accumulated.mean():.1f} times the "
        f"error of an accumulated one, {found.estimate:.2f} first-fit errors more, and by its law the ratio "
        "rises like ln t without bound",
        found,
        "No difference from accumulating; for a limit, an error off the law that has no bound.",
    )


@claim("dey-donoho-universal", "Dey and Donoho 2024", "universal for a wide class of estimators")
def _universal(results):
    """For least squares the bound π²/6 is no accident of one dimension, size or design."""
    data = results["shapes"]
    noise, t, level = data.attrs["noise"], int(data["generation"][-1]), together(data.sizes["regime"])
    follows, ends = 0, []
    for _, cell in data.groupby("regime", squeeze=False):
        d, n, design = (cell[name].item() for name in ("dimension", "size", "design"))
        first = laws.first_fit_risk(n, d, noise)
        risk = cell["excess_risk"].isel(generation=-1).values / first
        law = laws.expected_excess_risk(Accumulate(), n, t, d, noise, design)[-1] / first
        follows += agrees(mean(risk, level=level), law) and law <= theory.EULER_SUM
        ends.append(mean(risk))
    found = max(ends, key=lambda end: end.estimate)
    return Finding(
        ladder(follows == data.sizes["regime"]),
        f"in {follows} of {data.sizes['regime']} shapes, on the same and on new inputs, it agrees with a law that is "
        f"at most π²/6; the largest simulated error is {found.estimate:.2f} first-fit errors. Least squares only: of "
        "their class of estimators no other is tried here",
        found,
        "One shape off its law, at intervals that all hold together with 99%, or one law above π²/6.",
    )


@claim("dey-donoho-efficiency", "Dey and Donoho 2024", "6/π² ≈ 0.608, with many samples")
def _efficiency(results):
    """Least squares on data accumulated for ever keeps at least 6/π² of the worth of the real data it began with."""
    data = results["fixed"]
    risk, law, holds = _accumulated(data)
    found = intervals.Interval(1 / risk.estimate, 1 / risk.high, 1 / risk.low, LEVEL)
    return Finding(
        ladder(holds),
        f"it keeps {found.estimate:.3f} at generation {data.sizes['generation']} (law {1 / law:.3f}, limit "
        f"{laws.ASYMPTOTIC_EFFICIENCY:.3f}); against as many real rows as the set holds, what is kept tends to 0. "
        "Least squares only: a penalty per row lies outside the conditions of the theorem",
        found,
        "An error off its law, or a law that keeps less than 6/π².",
    )


@claim("thread-regression", "thread, 11/N", "“We also prove this analytically in linear regression”")
def _mitigated(results):
    """In linear regression it is proved that adding synthetic to real data mitigates the collapse."""
    gaps = {x: difference(_risk(results[x], "Replace"), _risk(results[x])) for x in ("fixed", "fresh")}
    ridge = results["ridge_per_row"]
    signal = gap(ridge, "shrinkage", "Accumulate", "Replace")
    holds = min(found.low for found in gaps.values()) > 0
    return Finding(
        ladder(holds and signal.low > 0, holds),
        f"at generation {results['fixed'].sizes['generation']} Accumulate is {gaps['fixed'].estimate:.1f} first-fit "
        f"errors below Replace, {gaps['fresh'].estimate:.1f} on new inputs; with a penalty per row it keeps "
        f"{signal.estimate:.2f} more of the coefficient at generation {ridge.sizes['generation']}",
        gaps["fixed"],
        "No difference from Replace; for a limit, none with a penalty.",
    )


@claim("thread-no-collapse-regression", "thread, 10/N", "“no model collapse”")
def _no_collapse(results):
    """With accumulating labels there is no model collapse."""
    data, ridge = results["fixed"], results["ridge_per_row"]
    rise = difference(_risk(data), _risk(data, generation=0))
    (*_, holds), (left, _, lost) = _accumulated(data), _coefficient(ridge, Accumulate())
    return Finding(
        ladder(holds and rise.low <= 0 and not lost, holds),
        f"if collapse is an error without bound, none; if it is any rise of the error, one, by {rise.estimate:.2f} "
        "first-fit errors; if it is the loss of the signal, none by least squares, and one with a penalty per row "
        f"({left.estimate:.2f} of the coefficient left at generation {ridge.sizes['generation']}, 0 in the limit)",
        rise,
        "An error off its bounded law; or, for a verdict without limits, no rise at all and no loss with a penalty.",
    )
