"""Claims of chapter 11: where accumulating is not enough.

A verdict answers the claim as its author states it; how other regimes fare is in what was measured. Where a claim is
algebra and the simulation only checks the code, or where its size hangs on a number that nobody has measured, the
verdict is "not testable here".
"""

import itertools

from lib import theory
from lib.intervals import number
from lib.ledger import NOT_TESTABLE, Finding, claim, ladder
from lib.ledger.predicates import agrees, all_hold, at, difference, gap, mean, near, proportion, together
from lib.regimes import Accumulate, AccumulateSubsample
from lib.theory import limits

STEPS = 10  # fits that are looked at one by one for an error that recurs
SLOW = 1.25  # a variance that grows by less than this factor when the fits double grows slowly
REGIMES = ("Replace", "Accumulate")
RARELY = 0.02  # a share of runs below this counts as none


@claim("dohmatob-strong", "Dohmatob et al. 2025", "$p_2^2c^2$, “as little as 1%”")
def _strong(results):
    """A fixed share of synthetic data with a bias, however small, sets a floor under the error that more data never
    remove; tested down to 1%."""
    data = results["strong"]
    shares, sizes = data["synthetic"].values.tolist(), data["n"].values.tolist()
    level, ends, floored = together(len(shares) * len(sizes)), [], []
    for share in shares:
        values = data["excess_risk"].sel(synthetic=share, shift=1).transpose("n", "run").values
        law = limits.strong_collapse_risk(sizes, int(data.attrs["dimension"]), float(data.attrs["noise"]), share, 1.0)
        ends.append(mean(values[-1]))
        on_law = all_hold([mean(v, level=level) for v in values], law.tolist())
        floored.append(on_law and 0.9 * share**2 < ends[-1].low and ends[-1].high < 1.1 * share**2)
    plain = data["excess_risk"].sel(synthetic=max(shares), shift=0, n=sizes[-1]).values.mean()
    said = ", ".join(
        f"{number(end.estimate, '.3g')} with {share:.0%} (floor {number(share**2, '.3g')})"
        for share, end in zip(shares, ends, strict=True)
    )
    return Finding(
        ladder(all(floored), any(floored)),
        f"on {number(sizes[-1], '.0e')} rows the excess risk, in units of $c^2$, is {said}. It is a statement about a "
        f"generator with a bias: at $c=0$ their formula has no floor, and {max(shares):.0%} of such rows leave "
        f"{number(plain, '.1g')}",
        ends[0],
        "A risk that falls below the floor: at some of the shares for a verdict with limits, at all for none. Shown "
        "is the risk at the smallest share.",
    )


@claim(
    "nature-functional-error",
    "Shumailov et al. 2024, the third of three errors",
    "“arising in the limit of infinite data and perfect expressivity at each generation”",
)
def _functional(results):
    """Functional approximation error recurs at every generation, also in the limit of infinite data.

    Each of the first fits must move the quantity, in one direction, and without a bias nothing may move.
    """
    data = results["functional"]
    tempered, plain = data.sel(temperature=data["temperature"].min()), data.sel(temperature=1.0)
    level, moved, total = together(6 * (STEPS - 1)), 0, 0
    for biased, score in ((tempered, "trace_ratio"), (results["ridge"], "shrinkage"), (results["shift"], "shrinkage")):
        for regime in REGIMES:
            values = at(biased.transpose("generation", ...), score, regime, slice(STEPS))
            found = [difference(after, before, level=level) for before, after in itertools.pairwise(values)]
            total += len(found)
            moved += max(sum(f.low > 0 for f in found), sum(f.high < 0 for f in found))
    replaced, kept = (mean(at(tempered, "trace_ratio", r)) for r in REGIMES)
    still = [mean(at(plain, "trace_ratio", r)) for r in REGIMES]
    quiet = all(near(f, 1.0) for f in still)
    return Finding(
        ladder(moved == total and quiet, moved > total / 2 and quiet),
        f"with sets so large that sampling noise is nothing, {moved} of {total} steps between the first {STEPS} fits "
        "go further in the same direction: of a variance (temperature), a coefficient (ridge) and a bias of labels, "
        f"under Replace and under Accumulate. After {int(data['generation'][-1])} fits {kept.estimate:.2f} of the "
        f"variance is left under Accumulate and {number(replaced.estimate, '.1g')} under Replace; without a bias, "
        f"{still[1].estimate:.3f}",
        kept,
        "Steps that come to an end, in one of the three for a verdict with limits; or a variance that moves as much "
        "without a bias.",
    )


@claim(
    "thread-no-collapse-bias",
    "this book's extension of thread, 10/N",
    "“no model collapse”, of the reply's experiments",
)
def _recurring(results):
    """With accumulating data there is no model collapse, also where each model adds a bias of its own. The extension to
    biased generators is this book's."""
    tempered, ridge, shift = results["temperature"], results["ridge"], results["shift"]
    t, n = tempered.sizes["generation"], int(tempered.attrs["n"])
    degree, factor = float(tempered["temperature"].max()), float(ridge.attrs["factor"])
    variance = mean(at(tempered.sel(temperature=degree), "trace_ratio", "Accumulate"))
    kept, bias = mean(at(ridge, "shrinkage", "Accumulate")), mean(at(shift, "shrinkage", "Accumulate") - 1)
    steady = [variance.low > 0.9, kept.low > 0.9 * factor, bias.high < 0.5]
    by_algebra = (
        agrees(variance, limits.tempered_variance(Accumulate(), n, t, degree)[-1])
        and agrees(kept, factor * limits.recurring_factor(Accumulate(), factor, int(ridge["generation"][-1]))[-1])
        and near(bias, limits.recurring_shift(Accumulate(), int(shift["generation"][-1]))[-1])
    )
    weak = limits.recurring_factor(Accumulate(), 0.98, t)[-1]
    return Finding(
        NOT_TESTABLE if by_algebra else ladder(all(steady), any(steady)),
        f"by algebra, which the simulation confirms, $t^{{-(1-h)}}$ of a quantity is left if each generation leaves a "
        f"factor $h$ by itself: at $h={degree:g}$ {variance.estimate:.2f} of a variance and "
        f"{kept.estimate / factor:.2f} of a ridge coefficient after {t} fits. Both tend to 0; a bias of labels grows "
        f"like $\\ln t$, to {bias.estimate:.1f} times itself. The $h$ of a real model is not measured: near 1 the law "
        f"is too slow to matter ({weak:.2f} left at $h=0.98$)",
        variance,
        "A variance, a coefficient and a bias off their laws that level off near the first fit's; or a measured $h$.",
    )


@claim("barzilai-theorem-5", "Barzilai and Shamir 2025, Theorem 5.1", "with a probability that does not depend on n")
def _spike(results):
    """There are families, consistent on real data, that collapse at generation 2 although data accumulate."""
    data = results["counterexample"]
    sizes, runs = data["n"].values.tolist(), data.sizes["run"]
    level = together(len(sizes))
    hits = [int(at(data.sel(n=n), "collapsed", "Accumulate", 1).sum()) for n in sizes]
    found = [proportion(h, runs, level=level) for h in hits]
    control = int(at(data, "collapsed", "RealOnly", 1).sum())
    first = [at(data.sel(n=n), "total_variation", "Accumulate", 0).mean() for n in (sizes[0], sizes[-1])]
    consistent = first[1] < first[0] * (sizes[0] / sizes[-1]) ** 0.5 and control == 0
    long = results["counterexample_long"]
    return Finding(
        ladder(consistent and min(f.low for f in found) > 0.1),
        f"total variation above 0.1 at generation 2 in {min(h / runs for h in hits):.3f} to "
        f"{max(h / runs for h in hits):.3f} of runs at n = {sizes[0]:g} to {sizes[-1]:g}, while the first fit gets "
        f"better with n, and in {control} runs on real data. Existence is all that is claimed. (In a variant with a "
        f"narrower spike, {long.sizes['generation']} fits on, the share under Replace is higher by "
        f"{gap(long, 'collapsed', *REGIMES).ends('.2f')})",
        proportion(hits[-1], runs),
        "A frequency that falls with n, a first fit that does not get better with n, or runs on real data that end as "
        "badly.",
    )


@claim("barzilai-theorem-4", "Barzilai and Shamir 2025, Theorem 4.1", "n polylogarithmic in the generations")
def _smooth(results):
    """In smooth families, of which the Gaussian is one, accumulating stays consistent over many generations."""
    data = results["smooth"]
    sizes, epsilon, runs = data["n"].values.tolist(), float(data.attrs["epsilon"]), data.sizes["run"]
    level, far, found = together(2 * len(sizes)), {}, {}
    for name in ("mean", "variance"):
        far[name] = (data[name].sel(regime="Accumulate") >= epsilon).sum("run").sel(n=sizes).values.tolist()
        found[name] = [proportion(h, runs, level=level) for h in far[name]]
    bounds = [limits.maximal_error_bound(int(n), epsilon) for n in sizes]
    below = all(f.low <= bound for f, bound in zip(found["mean"], bounds, strict=True))
    holds = below and all(f[-1].high < f[0].low for f in found.values())
    said = " and ".join(f"{h[0] / runs:.0%} to {h[-1] / runs:.1%} ({name})" for name, h in far.items())
    return Finding(
        ladder(holds and all(f[-1].high < RARELY for f in found.values()), holds),
        f"for the Gaussian, one smooth family, the runs that are ever {epsilon:g} off within {int(data.attrs['fits'])} "
        f"fits fall from {said} as n goes from {sizes[0]:g} to {sizes[-1]:g}; for the mean a bound holds for any "
        "number of fits. The theorem's condition on n is not put to the test",
        proportion(far["mean"][-1], runs),
        "A share of runs above the bound, or one that does not fall with n; with limits, one that is not below "
        f"{RARELY:.0%} at the largest n. Shown is the share there, for the mean.",
    )


@claim("kazdan-plateau", "Kazdan et al. 2025", "“slow and gradual rather than explosive”")
def _plateau(results):
    """A fit to a fixed-size part of the accumulated pool gets worse slowly, or levels off."""
    data = results["subsample"]
    t, n = data.sizes["generation"], int(data.attrs["n"])
    pair = ("mle", "unbiased")
    mle, unbiased = found = [mean(at(data.sel(estimator=e), "trace_ratio", "AccumulateSubsample")) for e in pair]
    law, grown = laws = [theory.expected_variance(AccumulateSubsample(), n, 100 * t, e) for e in pair]
    # Over two further decades a law that levels off changes by little, t^{1/n} by a factor of 100^{1/n}.
    holds = all_hold(found, [values[t - 1] for values in laws]) and abs(law[-1] / law[t - 1] - 1) < 0.05
    error, plain = (1000 * theory.expected_error(r, 1000, 100 * t)[-1] for r in (AccumulateSubsample(), Accumulate()))
    return Finding(
        ladder(holds and grown[-1] / grown[100 * t // 2 - 1] < SLOW, holds),
        f"with the divisor n, which they use, the variance levels off: {mle.estimate:.2f} at generation {t} (law "
        f"{law[t - 1]:.2f}), {law[-1]:.2f} at {100 * t}, here with n = {n}. With n − 1 it grows without bound, as "
        f"slowly as $t^{{1/n}}$: {unbiased.estimate:.2f} (law {grown[t - 1]:.2f}), then {grown[-1]:.2f}. The error of "
        f"the mean ends at {error:.2f}/n, that of Accumulate at {plain:.2f}/n (laws, n = 1000)",
        mle,
        "A variance off its law, or one that does not level off with the divisor n; with limits, one that grows by a "
        f"factor of {SLOW:g} or more with n − 1 when the fits double.",
    )
