"""Claims of chapter 2: the Gaussian of Theorem 3.1, replaced and accumulated.

The laws decide, and simulations say that they are those of the code, so that no word hangs on how long was run.
"""

import numpy as np

from lib import theory
from lib.ledger import LAW, UNDECIDED, Finding, claim, word
from lib.ledger.predicates import (
    BOUNDED,
    above,
    at,
    below,
    difference,
    every,
    gap,
    mean,
    median,
    on_law,
    stands,
    swapped,
)
from lib.ledger.questions import LEFT
from lib.regimes import Accumulate, AccumulateSubsample, Replace, ReplaceGrown

ERROR = "squared_mean_error"
FAR = 2**15  # generations to which laws are followed for what they tend to


def _size(data):
    """Samples of a fit, and generations."""
    return data.attrs["n"], data.sizes["generation"]


def _tends(regime, n, estimator="mle"):
    """What the exact error tends to, in first-fit errors."""
    return n * theory.limit(theory.expected_error(regime, n, FAR, estimator))


@claim(
    "nature-variance",
    "Shumailov et al. 2024, Theorem 3.1; thread, 6/N",
    "Σ → 0 almost surely; “causes fit covariance to collapse to 0”",
    reach=LAW,
    says="the log variance falls by {fall:.3g} in {t} generations (exact: {law:.3g}), and by {drift:.2g} with every "
    "later fit; the median variance is {left:.1g} of the truth",
    control=swapped("Accumulate"),
)
def _variance_dies(results):
    """A Gaussian that is refitted to n samples of itself, with everything older discarded, loses its variance almost
    surely, whatever n.

    A mean log variance that does not fall, or does not follow its exact drift.
    """
    n, t = _size(results["unbiased"])
    left = at(results["unbiased"], "trace_ratio", "Replace")
    found, drift = mean(np.log(left)), theory.log_drift(n)
    numbers = {"fall": -found.estimate, "t": t, "law": -t * drift, "drift": -drift, "left": float(np.median(left))}
    return Finding(word(every(below(found), on_law(found, t * drift))), numbers, found, 0.0)


@claim(
    "nature-distance",
    "Shumailov et al. 2024, Theorem 3.1",
    "E[W₂²] → ∞; “arbitrarily far”",
    reach=LAW,
    says="the mean of W₂² rises by {rise:.2g} from generation {early} to {late} (exact: {law:.2g}), and by its law "
    "without bound; by maximum likelihood, which the theorem leaves out, it stays below 2",
    control=swapped("Accumulate"),
)
def _distance_diverges(results):
    """If the covariance is estimated without bias, the expected squared distance of the model from the truth grows
    without bound under Replace.

    A mean that does not rise, or does not follow the exact law.
    """
    n, _ = _size(results["unbiased"])
    early, late = n // 4, n // 2  # beyond n/2 generations an average over runs misleads
    found = difference(*(at(results["unbiased"], "w2_squared", "Replace", t - 1) for t in (late, early)))
    exact = theory.expected_w2_replace(n, late)
    law = float(exact[late - 1] - exact[early - 1])
    numbers = {"rise": found.estimate, "early": early, "late": late, "law": law}
    return Finding(word(every(above(found), on_law(found, law))), numbers, found, 0.0)


@claim(
    "thread-gaussian",
    "thread, 12/N",
    "“Data accumulated -> Avoided”",
    reach=LAW,
    says="after {t} generations a typical run has {left:.2f} of its first fit's variance (the expectation tends to "
    "{law:.3f} of it); under Replace {lost:.1g}",
    control=swapped("Accumulate"),
)
def _accumulate_keeps(results):
    """If new samples are added to the old ones in the setting of Theorem 3.1, the collapse of the variance is avoided.

    A variance off its law, or a law that leaves less than a tenth of it.
    """
    data = results["unbiased"]
    n, t = _size(data)
    found, lost = (
        median(at(data, "trace_ratio", r) / at(data, "trace_ratio", r, 0)) for r in ("Accumulate", "Replace")
    )
    law = theory.expected_variance(Accumulate(), n, FAR, "unbiased")
    agrees = on_law(mean(at(data, "trace_ratio", "Accumulate")), law[t - 1])
    numbers = {"t": t, "left": found.estimate, "law": theory.limit(law), "lost": lost.estimate}
    return Finding(word(every(above(found, LEFT), theory.limit(law) > LEFT, agrees)), numbers, found, LEFT)


@claim(
    "thread-cause",
    "thread, 7/N and 8/N; Gerstgrasser et al. 2024",
    "“all prior data is thrown away”; their control: replaced sets as large as accumulated ones",
    reach=LAW,
    condition="the variance is estimated with the divisor n, and not as in Theorem 3.1",
    says="with the divisor n, fits to a part of constant size of everything tend to {kept:.2f} first-fit errors, "
    "while a set of newest samples that grows by equal batches has an error without bound; at generation {t} the two "
    "stand at {kept_now:.2f} and {grown_now:.2f}. With n − 1 the kept part has no bound either, and grows as slowly "
    "as t^(1/n)",
    control=swapped("AccumulateSubsample", "ReplaceGrown"),
)
def _cause(results):
    """What makes a Gaussian's error grow is that old data are thrown away: a part of constant size of all data is
    enough to bound it, and a larger set of the newest, grown by equal batches, is not.

    Either error off its law, or a bound for the grown set; for plain *holds*, one for the kept part with n − 1 too.
    """
    data = results["regimes"]
    n, t = _size(data)
    regimes = {"kept": AccumulateSubsample(), "grown": ReplaceGrown()}
    found = {name: mean(n * at(data, ERROR, regime)) for name, regime in regimes.items()}
    tends = {name: _tends(regime, n) for name, regime in regimes.items()}
    agree = every(*(on_law(found[k], n * theory.expected_error(r, n, t)[-1]) for k, r in regimes.items()))
    numbers = {"t": t, "kept": tends["kept"], "kept_now": found["kept"].estimate, "grown_now": found["grown"].estimate}
    holds = tends["kept"] < np.inf and tends["grown"] == np.inf
    unbiased = _tends(AccumulateSubsample(), n, "unbiased") < np.inf
    return Finding(word(holds and unbiased, holds) if agree else UNDECIDED, numbers)


@claim(
    "thread-no-collapse",
    "thread, 10/N",
    "“If we do this, i.e. data accumulate (right) no model collapse”",
    reach=LAW,
    condition=BOUNDED,
    says="{found}",
    control=swapped("Accumulate"),
)
def _no_collapse(results):
    """If data accumulate, a Gaussian does not collapse.

    A law without bound for its error, or one by which its variance goes; for plain *holds*, no rise of the error.
    """
    return stands(results, "a Gaussian, unbiased fits")


@claim(
    "pi-squared-sixth",
    "Gerstgrasser et al. 2024; Dey and Donoho 2024",
    "π²/6, for regression and beyond",
    reach=LAW,
    says="{found:.2f} first-fit errors at generation {t}; the law stands at {law:.3f} there and tends to {end:.4f}, "
    "where π²/6 is {bound:.4f}",
    control=swapped("Accumulate"),
)
def _pathway(results):
    """If data accumulate, the error of a Gaussian's mean stays within π²/6 of the first fit's for ever.

    An error off its exact law, or a law that passes π²/6.
    """
    n, t = _size(results["unbiased"])
    found = mean(n * at(results["unbiased"], ERROR, "Accumulate"))
    law = n * theory.expected_error(Accumulate(), n, t, "unbiased")[-1]
    end = _tends(Accumulate(), n, "unbiased")
    numbers = {"found": found.estimate, "t": t, "law": law, "end": end, "bound": theory.EULER_SUM}
    return Finding(UNDECIDED if on_law(found, law) is None else word(end <= theory.EULER_SUM), numbers)


@claim(
    "kazdan-between",
    "Kazdan et al. 2025",
    "Accumulate-Subsample lies between the two",
    reach=LAW,
    says="{above:.2g} first-fit errors above Accumulate and {below:.3g} below Replace at generation {t}; in the "
    "limit {kept:.2f}, {part:.2f} and {replaced:.3g} by maximum likelihood",
    control=swapped("AccumulateSubsample"),
)
def _between(results):
    """A Gaussian that is fitted to a part of constant size of the accumulated pool does worse than on all of it and
    better than on the newest samples alone.

    Either paired difference at or below 0.
    """
    n, t = _size(results["regimes"])
    over = gap(results["regimes"], ERROR, "AccumulateSubsample", "Accumulate").scaled(n)
    under = gap(results["regimes"], ERROR, "Replace", "AccumulateSubsample").scaled(n)
    kept, part, replaced = (_tends(r, n) for r in (Accumulate(), AccumulateSubsample(), Replace()))
    numbers = {
        "above": over.estimate,
        "below": under.estimate,
        "t": t,
        "kept": kept,
        "part": part,
        "replaced": replaced,
    }
    nearer = min((over, under), key=lambda interval: interval.low)
    return Finding(word(every(above(over), above(under), kept < part < replaced)), numbers, nearer, 0.0)
