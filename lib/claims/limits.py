"""Claims of chapter 11: where accumulating is not enough.

Judges ask whether a simulation agrees with its law and what the law says, so that a verdict does not hang on how long the chapter was run.
*Collapse* here is, where nothing else is said, the loss of a quantity without bound: a variance, a coefficient, a share that tends to 0.
"""

from __future__ import annotations

import numpy as np

from lib import intervals, theory
from lib.claims import LEVEL, LIMITED, NOT_SUPPORTED, SUPPORTED, Claim, Finding
from lib.definitions import LEVELLING
from lib.discrete import Discrete
from lib.regimes import Accumulate, AccumulateSubsample, Replace
from lib.theory import limits

CLOSE = 0.03  # of itself, or 0.003: how far a large set may lie from a law for infinitely large ones


def _at(data, score, regime, generation=-1):
    return data[score].sel(regime=regime).isel(generation=generation).values


def _holds(interval, law):
    return interval.low <= law <= interval.high


def _near(interval, law):
    """Whether an interval, widened by what a law for n → ∞ may be off, holds it."""
    slack = max(CLOSE * abs(law), 0.003)
    return interval.low - slack <= law <= interval.high + slack


def _all_hold(found: list, law: list) -> bool:
    return all(_holds(interval, value) for interval, value in zip(found, law, strict=True))


def _list(data, name):
    return np.atleast_1d(data.attrs[name]).tolist()


def _together(count: int) -> float:
    """The level at which `count` intervals all hold together with 99%."""
    return 1 - (1 - LEVEL) / count


def _strong(results):
    data = results["strong"]
    share, sizes = float(data.attrs["synthetic"]), _list(data, "sizes")
    biased, plain = (
        [data["excess_risk"].sel(regime=f"FreshReal({1 - share:g}), shift {s}, n = {n}").values for n in sizes]
        for s in (1, 0)
    )
    law = limits.strong_collapse_risk(sizes, int(data.attrs["dimension"]), float(data.attrs["noise"]), share, 1.0)
    level = _together(len(sizes))
    on_law = _all_hold([intervals.mean(v, level) for v in biased], law.tolist())
    floor, end, plain = share**2, intervals.mean(biased[-1], LEVEL), intervals.mean(plain[-1], LEVEL)
    if not (on_law and end.low > 0.9 * floor):
        word = NOT_SUPPORTED
    else:
        word = LIMITED if plain.high < floor / 2 else SUPPORTED
    return Finding(
        word,
        f"with {share:.0%} of {sizes[-1]} rows labelled with a bias the excess risk is {end.estimate:.4f}, the floor {floor:.4f}; with unbiased synthetic labels in the same share it is "
        f"{intervals.number(plain.estimate, '.2g')} and falls on: the floor belongs to the bias, not to synthetic data as such",
        end,
        "A risk that falls below the floor; for a verdict without limits, a floor for unbiased synthetic labels too.",
    )


def _recurring(results):
    """Three biases of the same size, each of which a bound of sampling noise knows nothing of."""
    tempered, ridge, shift = results["temperature"], results["ridge"], results["shift"]
    t, n = tempered.sizes["generation"], int(tempered.attrs["n"])
    degree = max(_list(tempered, "temperatures"))
    variance = intervals.mean(_at(tempered, "trace_ratio", f"Accumulate, T = {degree:g}"), LEVEL)
    law = limits.tempered_variance(Accumulate(), n, t, degree)[-1]
    factor = float(ridge.attrs["factor"])
    kept = intervals.mean(ridge["shrinkage"].sel(regime="Accumulate").values, LEVEL)
    kept_law = factor * limits.recurring_factor(Accumulate(), factor, int(ridge.attrs["fits"]))[-1]
    bias = intervals.mean(_at(shift, "shrinkage", "Accumulate") - 1, LEVEL)
    bias_law = limits.recurring_shift(Accumulate(), int(shift["generation"][-1]))[-1]
    replaced = limits.tempered_variance(Replace(), n, t, degree)[-1]
    on_law = [_holds(variance, law), _holds(kept, kept_law), _near(bias, bias_law)]
    decays = degree < 1 or factor < 1
    if all(on_law) and decays:
        word = NOT_SUPPORTED
    else:
        # Off the law the numbers speak for themselves: most of each is left, or not.
        steady = variance.low > 0.9 and kept.low > 0.9 * factor and bias.high < 0.5
        word = SUPPORTED if steady else LIMITED
    return Finding(
        word,
        f"at temperature {degree:g} a variance of {variance.estimate:.2f} is left after {t} fits (law {law:.2f}; Replace {intervals.number(replaced, '.1g')}), with a ridge penalty per row "
        f"{kept.estimate:.2f} of a coefficient (law {kept_law:.2f}), and a bias of labels grows to {bias.estimate:.1f} times itself (law {bias_law:.1f}); none of the three has a bound",
        variance,
        "A variance, a coefficient and a bias that level off near the first fit's.",
    )


def _spike(results):
    data = results["counterexample"]
    sizes, runs = _list(data, "sizes"), data.sizes["run"]
    level = _together(len(sizes))
    hits = [int(_at(data, "collapsed", f"Accumulate, n = {n}", 1).sum()) for n in sizes]
    found = [intervals.proportion(h, runs, level) for h in hits]
    control = sum(int(_at(data, "collapsed", f"RealOnly, n = {n}", 1).sum()) for n in sizes)
    first = [_at(data, "total_variation", f"Accumulate, n = {n}", 0).mean() for n in (sizes[0], sizes[-1])]
    consistent = first[1] < first[0] * (sizes[0] / sizes[-1]) ** 0.5 and control == 0
    constant = min(f.low for f in found) > 0.1
    long = results["counterexample_long"]
    worse = intervals.difference(_at(long, "collapsed", "Replace"), _at(long, "collapsed", "Accumulate"), LEVEL)
    if not (consistent and constant):
        word = NOT_SUPPORTED
    else:
        word = LIMITED if worse.low > 0 else SUPPORTED
    shown = intervals.proportion(hits[-1], runs, LEVEL)
    return Finding(
        word,
        f"collapsed at generation 2 with frequency {min(h / runs for h in hits):.3f} to {max(h / runs for h in hits):.3f} at n = {sizes[0]:g} to {sizes[-1]:g}, while the first fit gets better with n and "
        f"{control} runs on real data collapse; after {long.sizes['generation']} fits {worse.estimate:.0%} more runs have collapsed under Replace",
        shown,
        "A frequency that falls with n, or collapse on real data; for a verdict without limits, a Replace that does not do worse.",
    )


def _smooth(results):
    data = results["smooth"]
    sizes, epsilon, runs = _list(data, "sizes"), float(data.attrs["epsilon"]), data.sizes["run"]
    level = _together(len(sizes))
    far = [int((data["farthest"].sel(regime=f"Accumulate, n = {n}") >= epsilon**2).sum()) for n in sizes]
    found = [intervals.proportion(h, runs, level) for h in far]
    below = all(f.low <= limits.maximal_error_bound(int(n), epsilon) for f, n in zip(found, sizes, strict=True))
    falls = found[-1].high < found[0].low
    return Finding(
        LIMITED if below and falls else NOT_SUPPORTED,
        f"for the Gaussian, which meets the conditions, runs that are ever {epsilon:g} standard deviations off fall from {far[0] / runs:.0%} at n = {sizes[0]:g} to "
        f"{far[-1] / runs:.1%} at n = {sizes[-1]:g}, within a bound that holds for any number of fits; other families are not tested",
        intervals.proportion(far[0], runs, LEVEL),
        "A share of runs above the bound, or one that does not fall with n.",
    )


def _plateau(results):
    data = results["subsample"]
    t, n = data.sizes["generation"], int(data.attrs["n"])
    found, law = {}, {}
    for name in ("mle", "unbiased"):
        found[name] = intervals.mean(_at(data, "trace_ratio", f"AccumulateSubsample, {name}"), LEVEL)
        law[name] = theory.expected_variance(AccumulateSubsample(), n, 100 * t, name)
    on_law = all(_holds(found[name], law[name][t - 1]) for name in found)
    # Over two further decades a law that levels off changes by little, t^{1/n} by a factor of 100^{1/n}.
    steady = {name: abs(law[name][-1] / law[name][t - 1] - 1) < 0.05 for name in found}
    if not (on_law and steady["mle"]):
        word = NOT_SUPPORTED
    else:
        word = SUPPORTED if steady["unbiased"] else LIMITED
    return Finding(
        word,
        f"by maximum likelihood the variance levels off ({found['mle'].estimate:.2f} at generation {t}, law {law['mle'][t - 1]:.2f}, later {law['mle'][-1]:.2f}); under the unbiased estimator it grows without bound "
        f"({found['unbiased'].estimate:.2f}, law {law['unbiased'][t - 1]:.2f}, later {law['unbiased'][-1]:.2f}), though slowly: like t^(1/n), here with n = {n}",
        found["mle"],
        "A variance off its law, or a law that does not level off; for a verdict without limits, one that does under either estimator.",
    )


def _breakdown(results):
    data = results["breakdown"]
    point = limits.breakdown(float(data.attrs["right"]), float(data.attrs["wrong"]))
    errors = _list(data, "errors")
    level = _together(len(errors))
    kept = [
        intervals.mean(data["probabilities"].sel(regime=f"Replace, wrong = {p:.3g}").isel(generation=1, state=1), level)
        for p in errors
    ]
    sides = [found.high < 0.5 if p < point else found.low > 0.5 for p, found in zip(errors, kept, strict=True)]
    below = max(p for p in errors if p < point)
    return Finding(
        LIMITED if all(sides) else NOT_SUPPORTED,
        f"of the labels that are kept, most are right up to a share of wrong ones of {below:.2f}, and most are wrong from {min(p for p in errors if p > point):.2f} on; p* is {point:.2f}. Tested on labels "
        "alone, not on the paper's classifiers and language models",
        kept[errors.index(below)],
        "A majority on the other side of p*.",
    )


def _belief(results):
    data = results["verified"]
    truth, kept = _list(data, "truth"), float(data.attrs["kept"])
    accept = np.reshape(_list(data, "accept"), (3, 3))[1]
    t = data.sizes["generation"]
    found = {
        r: intervals.mean(data["probabilities"].sel(regime=f"{r}, with a taste").isel(generation=-1, state=1), LEVEL)
        for r in ("Replace", "Accumulate")
    }
    law = {
        str(r): limits.mean_field(r, truth, t, limits.tilted(accept), kept)[-1, 1] for r in (Replace(), Accumulate())
    }
    on_law = all(_near(found[r], law[r]) for r in found)
    gone = found["Replace"].high < 0.1 * truth[1]
    falls = found["Accumulate"].high < truth[1]
    return Finding(
        SUPPORTED if on_law and gone and falls else NOT_SUPPORTED,
        f"good answers that the verifier likes less fall from {truth[1]:.0%} to {found['Replace'].estimate:.1%} after {t} fits under Replace and to {found['Accumulate'].estimate:.0%} under Accumulate (laws "
        f"{law['Replace']:.1%} and {law['Accumulate']:.0%})",
        found["Accumulate"],
        "A share that stays, or does not follow the verifier's preferences.",
    )


def _quality(results):
    data = results["verified"]
    truth = _list(data, "truth")
    wrong = {
        v: intervals.mean(data["probabilities"].sel(regime=f"Accumulate, {v}").isel(generation=-1, state=2), LEVEL)
        for v in ("honest", "fooled")
    }
    liked = intervals.mean(
        data["probabilities"].sel(regime="Accumulate, with a taste").isel(generation=-1, state=1), LEVEL
    )
    if wrong["honest"].high >= truth[2]:
        word = NOT_SUPPORTED
    else:
        word = LIMITED if liked.high < truth[1] or wrong["fooled"].low > truth[2] else SUPPORTED
    return Finding(
        word,
        f"an honest filter takes wrong answers from {truth[2]:.0%} to {wrong['honest'].estimate:.1%} where data accumulate, better than the real data; one that is fooled takes them to {wrong['fooled'].estimate:.0%}, "
        f"and one with a taste takes good answers that it likes less from {truth[1]:.0%} to {liked.estimate:.0%}",
        wrong["honest"],
        "No gain from an honest filter; for a verdict without limits, no loss from the other two. Which filter is in use is a question about practice.",
    )


def _golden(results):
    data = results["weighted"]
    weights, n = _list(data, "weights"), int(data.attrs["n"]) // 2
    labels = [str(r) for r in data["regime"].values if "weight" in str(r)]
    values = [n * data["squared_mean_error"].sel(regime=label).values for label in labels]
    level = _together(len(weights))
    found = [intervals.mean(v, level) for v in values]
    on_law = _all_hold(found, limits.weighted_error(np.array(weights)).tolist())
    best = int(np.abs(np.array(weights) - limits.GOLDEN).argmin())
    equal = int(np.abs(np.array(weights) - 0.5).argmin())
    gain = intervals.difference(values[equal], values[best], LEVEL)
    everything = intervals.mean(n * data["squared_mean_error"].sel(regime="Accumulate(0.5 fresh)").values, LEVEL)
    if not (on_law and gain.low > 0):
        word = NOT_SUPPORTED
    else:
        word = LIMITED if everything.high < found[best].low else SUPPORTED
    return Finding(
        word,
        f"in a loop that forgets, the error is {values[best].mean():.3f}/n at a weight of {weights[best]:.3f} and {values[equal].mean():.3f}/n at equal weights (law {limits.weighted_error(weights[best]):.3f} and "
        f"{limits.weighted_error(0.5):.3f}); a set that keeps all old data has {everything.estimate:.3f}/n and needs no weight",
        intervals.mean(values[best], LEVEL),
        "An error off its law, or none gained over equal weights; for a verdict without limits, no better result by keeping everything.",
    )


def _small_sample(results):
    data = results["unseen"]
    d, n = int(data.attrs["dimension"]), int(data.attrs["n"])
    ranks = _at(data, "rank", "Accumulate")
    first = _at(data, "rank", "Accumulate", 0)
    found = intervals.mean(_at(data, "missing_mass", "Accumulate"), LEVEL)
    law = theory.discrete.expected_missing_mass(
        Discrete("words").probabilities, int(data.attrs["words"]), 1, "accumulate"
    )[-1]
    if (ranks < first).any() or not _holds(found, law):
        word = NOT_SUPPORTED
    else:
        word = SUPPORTED if (ranks == d).all() else LIMITED
    return Finding(
        word,
        f"nothing that the first sample had is lost, and nothing that it missed returns: {int(ranks.max())} of {d} directions from n = {n} points, after {data.sizes['generation']} fits as after the first; of a text's running words "
        f"{found.estimate:.1%} stay missing (law {law:.1%})",
        found,
        "A direction or a word that is lost later; for a verdict without limits, full rank.",
    )


def _text(results):
    """Language models of another kind than the reply's, whose fits are biased by smoothing."""
    loss = np.log(results["ngram"]["test_perplexity"])
    t = loss["generation"].values
    late, middle, early = (int(np.abs(t - t[-1] / k).argmin()) for k in (1, 2, 4))
    own = loss.sel(regime="Accumulate").values
    found = intervals.difference(own[late], own[0], LEVEL)
    before, after = own[middle] - own[early], own[late] - own[middle]
    shrinks = intervals.mean(after - LEVELLING * before, LEVEL).high < 0
    gap = intervals.difference(loss.sel(regime="Replace").values[late], own[late], LEVEL)
    if found.low <= 0:
        word = SUPPORTED
    else:
        word = LIMITED if shrinks else NOT_SUPPORTED
    return Finding(
        word,
        f"in smoothed word 3-grams the loss rises by {found.estimate:.2f} nats a word over {t[-1]} accumulated fits, by {before.mean():.3f} from {t[early]} to {t[middle]} and {after.mean():.3f} from {t[middle]} to {t[late]}: as a rise that does not level off, a collapse, seen over "
        f"these generations only; Replace ends {gap.estimate:.2f} nats above it",
        found,
        f"For a verdict without limits, no rise; with limits, a last doubling with less than {LEVELLING:g} of the rise of the one before.",
    )


CLAIMS = (
    Claim(
        "dohmatob-strong",
        11,
        "Dohmatob et al. 2025",
        "A fixed share of synthetic data, however small, sets a floor under the error that more data never remove.",
        "p₂²c², “strong model collapse”",
        _strong,
    ),
    Claim(
        "thread-no-collapse-bias",
        11,
        "thread, 10/N",
        "With accumulating data there is no model collapse, also where each model adds a bias of its own.",
        "“no model collapse”, said without conditions",
        _recurring,
    ),
    Claim(
        "barzilai-theorem-5",
        11,
        "Barzilai and Shamir 2025, Theorem 5.1",
        "There are families, consistent on real data, that collapse at generation 2 although data accumulate.",
        "with a probability that does not depend on n",
        _spike,
    ),
    Claim(
        "barzilai-theorem-4",
        11,
        "Barzilai and Shamir 2025, Theorem 4.1",
        "In smooth families accumulating stays consistent, over any number of generations that n can serve.",
        "n polylogarithmic in the generations",
        _smooth,
    ),
    Claim(
        "kazdan-plateau",
        11,
        "Kazdan et al. 2025",
        "A fit to a fixed-size part of the accumulated pool gets worse slowly, or levels off.",
        "“slow and gradual rather than explosive”",
        _plateau,
    ),
    Claim(
        "feng-breakdown",
        11,
        "Feng et al. 2024",
        "Verified labels are mostly right up to a breakdown point that the verifier's keep rates give.",
        "p* = 1/(1 + ψ/φ)",
        _breakdown,
    ),
    Claim(
        "yi-belief",
        11,
        "Yi et al. 2025",
        "Training on verified output tends to what the verifier believes.",
        "the verifier's “knowledge center”",
        _belief,
    ),
    Claim(
        "thread-quality-filters",
        11,
        "thread, 4/N",
        "Users who share better outputs, and better filters, make synthetic data better for the next model.",
        "implied: quality rises",
        _quality,
    ),
    Claim(
        "he-golden",
        11,
        "He et al. 2025",
        "Fresh real data are best weighted by the reciprocal of the golden ratio.",
        "0.618, for equal numbers of real and synthetic samples",
        _golden,
    ),
    Claim(
        "thread-avoided-small",
        11,
        "thread, 12/N",
        "Accumulated data avoid the collapse in the setting of Theorem 3.1, also with fewer samples than dimensions.",
        "“Data accumulated -> Avoided”",
        _small_sample,
    ),
    Claim(
        "thread-no-collapse-smoothing",
        11,
        "thread, 10/N",
        "With accumulating text a smoothed language model does not collapse.",
        "“no model collapse”",
        _text,
    ),
)
