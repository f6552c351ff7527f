"""Claims of chapter 2: the Gaussian of Theorem 3.1, replaced and accumulated.

Judges ask whether a simulation agrees with the exact law and what the law says, so that a verdict does not hang on how
long the chapter was run.
"""

import numpy as np

from lib import theory
from lib.intervals import number
from lib.ledger import Finding, claim, ladder
from lib.ledger.predicates import agrees, at, change, difference, gap, mean, quantile, share_closed
from lib.regimes import Accumulate, AccumulateSubsample, Replace

HALF = 0.5  # a run has kept its variance if more than half of it is left
MOST = 0.5  # a change of one thing that closes more than half of a gap is a remedy, if not the whole one
ERROR = "squared_mean_error"


def _size(data):
    """Samples of a fit, and generations."""
    return data.attrs["n"], data.sizes["generation"]


def _accumulated(data):
    """The error under Accumulate in first-fit errors at the last generation, and its law."""
    n, t = _size(data)
    law = n * theory.expected_error(Accumulate(), n, t, "unbiased")[-1]
    return mean(n * at(data, ERROR, "Accumulate")), law


@claim("nature-variance", "Shumailov et al. 2024, Theorem 3.1", "Σ → 0 almost surely")
def _variance_dies(results):
    """Refitted to its own samples, with everything older discarded, a Gaussian loses its variance."""
    n, t = _size(results["unbiased"])
    left = at(results["unbiased"], "trace_ratio", "Replace")
    found, law = mean(np.log(left)), t * theory.log_drift(n)
    return Finding(
        ladder(found.high < 0 and agrees(found, law)),
        f"the log variance falls by {number(-found.estimate)} in {t} generations (exact: {number(-law)}); the median "
        f"variance is then {number(np.median(left), '.2g')} of the truth",
        found,
        "A mean log variance that does not fall, or does not follow its exact drift.",
    )


@claim("nature-distance", "Shumailov et al. 2024, Theorem 3.1", "E[W₂²] → ∞")
def _distance_diverges(results):
    """Under the unbiased estimator its expected distance from the truth diverges."""
    n, _ = _size(results["unbiased"])
    early, late = n // 4, n // 2  # beyond n/2 generations an average over runs misleads
    found = difference(*(at(results["unbiased"], "w2_squared", "Replace", t - 1) for t in (late, early)))
    exact = theory.expected_w2_replace(n, late)
    law = exact[late - 1] - exact[early - 1]
    return Finding(
        ladder(found.low > 0 and agrees(found, law)),
        f"the mean of W₂² rises by {found.estimate:.2g} from generation {early} to {late} (exact: {law:.2g}), and its "
        "law t/n + … has no bound",
        found,
        "A mean that does not rise, or does not follow the exact law.",
    )


@claim("nature-far", "Shumailov et al. 2024, on Theorem 3.1", "“arbitrarily far”")
def _arbitrarily_far(results):
    """The approximation moves arbitrarily far from the truth."""
    n, t = _size(results["mle"])
    found = mean(at(results["mle"], "w2_squared", "Replace"))
    unbiased = theory.expected_w2_replace(n, t)[-1]
    return Finding(
        ladder(found.high >= unbiased, True),
        f"of the unbiased estimator's mean over runs; by maximum likelihood the mean of W₂² is {found.estimate:.2f} at "
        f"generation {t}, where the unbiased law is at {unbiased:.3g}, and its law stays below 2",
        found,
        "For a verdict without limits, a mean under maximum likelihood as large as under the unbiased estimator.",
    )


@claim("thread-gaussian", "thread, 12/N", "“Data accumulated -> Avoided”")
def _accumulate_keeps(results):
    """If new samples are added to the old, the collapse of the variance is avoided."""
    data = results["unbiased"]
    kept, lost = (quantile(at(data, "trace_ratio", r), 0.05) for r in ("Accumulate", "Replace"))
    return Finding(
        ladder(kept.low > HALF),
        f"19 of 20 runs keep more than {kept.estimate:.2f} of the variance for {data.sizes['generation']} generations; "
        f"under Replace more than {number(lost.estimate, '.1g')}",
        kept,
        f"A 5% quantile of the variance ratio whose interval reaches {HALF}.",
    )


@claim("thread-cause", "thread, 7/N", "“all prior data is thrown away”")
def _cause(results):
    """What collapses the Gaussian is that all earlier data are thrown away."""
    data = results["regimes"].assign(log_variance=np.log(results["regimes"]["trace_ratio"]))
    kept, grown = (gap(data, "log_variance", r, "Replace") for r in ("AccumulateSubsample", "ReplaceGrown"))
    return Finding(
        ladder(kept.low > 0 >= grown.low, kept.low > 0),
        f"old data kept at constant size raise the log variance by {kept.estimate:.2g} at generation "
        f"{data.sizes['generation']}, but so does a grown set of newest samples alone, by {grown.estimate:.2g}",
        kept,
        "No gain from old data at constant size; or, for a verdict without limits, none from a larger set alone.",
    )


@claim("thread-no-collapse", "thread, 10/N", "“no model collapse”")
def _no_collapse(results):
    """With accumulating data there is no model collapse."""
    data = results["unbiased"]
    found, law = _accumulated(data)
    holds = agrees(found, law)
    return Finding(
        ladder(holds and change(data, ERROR, "Accumulate").low <= 0, holds),
        f"if collapse is an error without bound, none: {found.estimate:.2f} first-fit errors at generation "
        f"{data.sizes['generation']} (exact: {law:.3f}); if it is any rise of the error, this is one",
        found,
        "An error off its law, which is bounded; or, for a verdict without limits, no rise at all.",
    )


@claim("pi-squared-sixth", "Gerstgrasser et al. 2024; Dey and Donoho 2024", "π²/6, for regression and beyond")
def _pathway(results):
    """Accumulating holds the error within π²/6 of the first fit's."""
    found, law = _accumulated(results["unbiased"])
    return Finding(
        ladder(law <= theory.EULER_SUM and agrees(found, law)),
        f"{found.estimate:.2f} first-fit errors at generation {results['unbiased'].sizes['generation']}; exact there "
        f"{law:.3f}, at most π²/6 = {theory.EULER_SUM:.3f} for ever",
        found,
        "An error off its exact law, or a law above π²/6.",
    )


@claim("colm-size", "Gerstgrasser et al. 2024", "language models, Table 2")
def _grown(results):
    """A larger set alone is not the remedy: replaced data grown to the same size still do worse."""
    n, t = _size(results["regimes"])
    found = gap(results["regimes"], ERROR, "ReplaceGrown", "Accumulate").scaled(n)
    share = share_closed(results["regimes"], ERROR, "ReplaceGrown")
    return Finding(
        ladder(found.low > 0 and share <= MOST, found.low > 0),
        f"a grown set leaves {found.estimate:.2g} first-fit errors more than accumulating at generation {t}, and "
        f"closes {share:.0%} of the gap to Replace; its error keeps rising like ln t",
        found,
        f"No difference from accumulating; or, for a verdict without limits, a gap closed by less than {MOST:.0%}.",
    )


@claim("kazdan-between", "Kazdan et al. 2025", "between the two")
def _between(results):
    """A fixed-size part of the accumulated pool does worse than all of it, and better than replacing."""
    n, t = _size(results["regimes"])
    above = gap(results["regimes"], ERROR, "AccumulateSubsample", "Accumulate").scaled(n)
    below = gap(results["regimes"], ERROR, "Replace", "AccumulateSubsample").scaled(n)
    exact = [n * theory.expected_error(r, n, t)[-1] for r in (Accumulate(), AccumulateSubsample(), Replace())]
    return Finding(
        ladder(above.low > 0 and below.low > 0),
        f"{above.estimate:.2g} first-fit errors above Accumulate, {below:.2g} below Replace (exact errors at "
        f"generation {t}: {exact[0]:.2f}, {exact[1]:.2f}, {exact[2]:.1f})",
        above,
        "Either paired difference with an interval that contains 0.",
    )


@claim("kazdan-slow", "Kazdan et al. 2025", "“slow and gradual rather than explosive”")
def _slow(results):
    """Trained on such a part, models degrade slowly rather than explosively."""
    n, t = _size(results["regimes"])
    half = t // 2
    changes = (change(results["regimes"], ERROR, r, half - 1) for r in ("AccumulateSubsample", "Replace"))
    found, replaced = (interval.scaled(n) for interval in changes)
    law = n * theory.expected_error(AccumulateSubsample(), n, 100 * t)[[half - 1, t - 1, -1]]
    return Finding(
        ladder(found.high < replaced.low),
        f"from generation {half} to {t} it gains {found.estimate:.2g} first-fit errors, Replace "
        f"{replaced.estimate:.2g}; by maximum likelihood it even levels off (exact: {law[0]:.2f}, {law[1]:.2f}, and "
        f"{law[2]:.2f} at generation {100 * t})",
        found,
        "A rise that is not separated from Replace's.",
    )
