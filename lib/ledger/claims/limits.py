"""Claims of chapter 11: where accumulating is not enough."""

import itertools

import numpy as np

from lib import theory
from lib.ledger import LAW, THEIRS, UNDECIDED, Finding, claim, word
from lib.ledger.predicates import (
    above,
    altered,
    at,
    below,
    change,
    difference,
    every,
    mean,
    near,
    on_law,
    proportion,
    still,
    swapped,
    together,
)
from lib.regimes import Accumulate, AccumulateSubsample
from lib.theory import limits

STEPS = 10  # fits that are looked at one by one for an error that recurs
REGIMES = ("Replace", "Accumulate")
FAR = 2**15  # generations to which laws are followed for what they tend to


@claim(
    "dohmatob-strong",
    "Dohmatob et al. 2025",
    "p₂²c², “as little as 1%”",
    reach=LAW,
    says="on {rows:.0e} rows the excess risk at a share of {share:.0%} is {found:.3g} in units of c², and the floor "
    "{floor:.3g}; without a bias {share_plain:.0%} of such rows leave {plain:.1g} and no floor",
    control=altered(
        "the excess risk without its floor", "strong", lambda d: d.assign(excess_risk=d["excess_risk"] / d["n"])
    ),
)
def _strong(results):
    """A fixed share of synthetic data with a bias, however small the share, sets a floor under the error of least
    squares that more data never remove: at 1%, at 10% and at the largest share tried.

    A risk off its exact law at one of the shares or sizes.
    """
    data = results["strong"]
    shares, sizes = data["synthetic"].values.tolist(), data["n"].values.tolist()
    level, agree = together(len(shares) * len(sizes)), []
    for share in shares:
        values = data["excess_risk"].sel(synthetic=share, shift=1).transpose("n", "run").values
        law = limits.strong_collapse_risk(sizes, int(data.attrs["dimension"]), float(data.attrs["noise"]), share, 1.0)
        agree += [on_law(mean(v, level=level), x) for v, x in zip(values, law, strict=True)]
    smallest, largest = shares[0], shares[-1]
    found = mean(data["excess_risk"].sel(synthetic=smallest, shift=1, n=sizes[-1]).values)
    plain = data["excess_risk"].sel(synthetic=largest, shift=0, n=sizes[-1]).values.mean()
    numbers = {"rows": sizes[-1], "share": smallest, "found": found.estimate, "floor": smallest**2}
    return Finding(word(every(*agree)), numbers | {"share_plain": largest, "plain": plain})


@claim(
    "nature-functional-error",
    "Shumailov et al. 2024, the third of three errors",
    "“arising in the limit of infinite data and perfect expressivity at each generation”",
    reach=LAW,
    says="with sets so large that sampling noise is nothing, {moved} of {steps} steps between the first fits go "
    "further in the same direction, of a variance, a coefficient and a bias of labels, under both regimes; "
    "{kept:.2f} of the variance is left under Accumulate and {lost:.1g} under Replace, and {plain:.3f} where nothing "
    "is biased",
    control=still(),
)
def _functional(results):
    """Functional approximation error recurs at every generation, also in the limit of infinite data, under Replace and
    under Accumulate.

    One of the first ten steps that does not go further; or a variance that moves without a bias.
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
    lost, kept = (mean(at(tempered, "trace_ratio", r)).estimate for r in REGIMES)
    quiet = every(*(near(mean(at(plain, "trace_ratio", r)), 1.0) for r in REGIMES))
    numbers = {"moved": moved, "steps": total, "kept": kept, "lost": lost}
    numbers |= {"plain": mean(at(plain, "trace_ratio", "Accumulate")).estimate}
    return Finding(word(every(moved == total, quiet)), numbers)


@claim(
    "book-no-collapse-bias",
    "this book, on thread, 10/N",
    "“no model collapse” is said of experiments; that it holds for biased models too is nobody's claim",
    reach=LAW,
    says="by law t^(h−1) of a quantity is left if each generation leaves a factor h: after {t} fits {variance:.2f} "
    "of a variance at a temperature of {degree:.2g} (law {law:.2f}) and {kept:.2f} of a ridge coefficient, and a "
    "bias of labels has grown to {bias:.1f} times itself; at h = 0.98 {weak:.2f} would be left",
    control=still("Accumulate"),
)
def _recurring(results):
    """If data accumulate there is no collapse, also where each model adds a bias of its own: temperature, a penalty or
    labels that are off.

    A variance, a coefficient or a bias off the laws by which the first two tend to 0 and the third has no bound.
    """
    tempered, ridge, shift = results["temperature"], results["ridge"], results["shift"]
    t, n = tempered.sizes["generation"], int(tempered.attrs["n"])
    degree, factor = float(tempered["temperature"].max()), float(ridge.attrs["factor"])
    variance = mean(at(tempered.sel(temperature=degree), "trace_ratio", "Accumulate"))
    kept, bias = mean(at(ridge, "shrinkage", "Accumulate")), mean(at(shift, "shrinkage", "Accumulate") - 1)
    law = limits.tempered_variance(Accumulate(), n, FAR, degree)
    left = factor * limits.recurring_factor(Accumulate(), factor, int(ridge["generation"][-1]))[-1]
    agree = every(
        on_law(variance, law[t - 1]),
        on_law(kept, left),
        near(bias, limits.recurring_shift(Accumulate(), int(shift["generation"][-1]))[-1]),
    )
    numbers = {"t": t, "degree": degree, "variance": variance.estimate, "law": law[t - 1]}
    numbers |= {"kept": kept.estimate / factor, "bias": bias.estimate}
    numbers |= {"weak": limits.recurring_factor(Accumulate(), 0.98, t)[-1]}
    return Finding(word(not degree < 1) if agree else UNDECIDED, numbers)


@claim(
    "barzilai-theorem-5",
    "Barzilai and Shamir 2025, Theorem 5.1",
    "with a probability that does not depend on n",
    reach=THEIRS,
    says="total variation above 0.1 at generation 2 in {least:.3f} to {most:.3f} of runs at n = {small} to {large}, "
    "while the first fit gets better with n, and in {control} runs on real data",
    control=swapped("Accumulate", "RealOnly"),
)
def _spike(results):
    """There is a family of models, consistent on real data, that collapses at generation 2 although data accumulate,
    with a probability above 0.1 at every n tried.

    A frequency at or below 0.1 at one n, a first fit that does not get better with n, or runs on real data that end so.
    """
    data = results["counterexample"]
    sizes, runs = data["n"].values.tolist(), data.sizes["run"]
    hits = [int(at(data.sel(n=n), "collapsed", "Accumulate", 1).sum()) for n in sizes]
    found = [proportion(h, runs, level=together(len(sizes))) for h in hits]
    control = int(at(data, "collapsed", "RealOnly", 1).sum())
    first = [at(data.sel(n=n), "total_variation", "Accumulate", 0).mean() for n in (sizes[0], sizes[-1])]
    better = bool(first[1] < first[0] * (sizes[0] / sizes[-1]) ** 0.5)
    least = min(found, key=lambda f: f.low)
    numbers = {"least": min(hits) / runs, "most": max(hits) / runs, "small": sizes[0], "large": sizes[-1]}
    holds = every(*(above(f, 0.1) for f in found), better, control == 0 or None)
    return Finding(word(holds), numbers | {"control": control}, least, 0.1)


@claim(
    "barzilai-theorem-4",
    "Barzilai and Shamir 2025, Theorem 4.1",
    "n polylogarithmic in the generations",
    reach=LAW,
    says="for the Gaussian's mean the probability to be ever {epsilon:.2g} off is at most {bound:.1%} at n = "
    "{large}, for any number of generations; in {fits} fits {mean:.1%} of runs are, and {variance:.1%} for the "
    "variance, where n = {small} has {mean_small:.0%} and {variance_small:.0%}",
    control=altered(
        "runs at the largest n in place of the smallest",
        "smooth",
        lambda d: d.isel(n=slice(None, None, -1)).assign_coords(n=d["n"]),
    ),
)
def _smooth(results):
    """In smooth families accumulating stays consistent for as many generations as one likes, if n is large enough: for
    the Gaussian's mean by a law, for its variance in the runs.

    A share of runs above the bound, or one that does not fall with n.
    """
    data = results["smooth"]
    sizes, epsilon, runs = data["n"].values.tolist(), float(data.attrs["epsilon"]), data.sizes["run"]
    numbers, answers = {"epsilon": epsilon, "large": sizes[-1], "small": sizes[0], "fits": int(data.attrs["fits"])}, []
    for name in ("mean", "variance"):
        far = (data[name].sel(regime="Accumulate") >= epsilon).sum("run").sel(n=sizes).values.tolist()
        found = [proportion(h, runs, level=together(2 * len(sizes))) for h in far]
        answers.append(below(found[-1], found[0].low))
        if name == "mean":
            bounds = [limits.maximal_error_bound(int(n), epsilon) for n in sizes]
            answers += [f.low <= bound or None for f, bound in zip(found, bounds, strict=True)]
        numbers |= {name: far[-1] / runs, f"{name}_small": far[0] / runs}
    return Finding(word(every(*answers)), numbers | {"bound": limits.maximal_error_bound(int(sizes[-1]), epsilon)})


@claim(
    "kazdan-plateau",
    "Kazdan et al. 2025",
    "“slow and gradual rather than explosive”",
    reach=LAW,
    says="with the divisor n, which they use, the variance levels off, {mle:.2f} at generation {t} (law {law:.2f}) "
    "and {far:.2f} in the limit, with n = {n}; with n − 1, which they do not, it stands at {unbiased:.2f} (law "
    "{grown:.2f}) and grows without bound, as slowly as t^(1/n)",
    control=altered(
        "the estimators exchanged", "subsample", lambda d: d.assign_coords(estimator=d["estimator"][::-1].values)
    ),
)
def _plateau(results):
    """A Gaussian that is fitted, by maximum likelihood, to a part of constant size of the accumulated pool does not
    explode: its variance levels off.

    A variance off its law, or a law without a limit.
    """
    data = results["subsample"]
    t, n = data.sizes["generation"], int(data.attrs["n"])
    found = {e: mean(at(data.sel(estimator=e), "trace_ratio", "AccumulateSubsample")) for e in ("mle", "unbiased")}
    laws = {e: theory.expected_variance(AccumulateSubsample(), n, FAR, e) for e in found}
    ends = {e: theory.limit(law) for e, law in laws.items()}
    numbers = {"t": t, "n": n, "law": laws["mle"][t - 1], "far": ends["mle"], "grown": laws["unbiased"][t - 1]}
    numbers |= {e: f.estimate for e, f in found.items()}
    if not every(*(on_law(found[e], laws[e][t - 1]) for e in found)):
        return Finding(UNDECIDED, numbers)
    return Finding(word(ends["mle"] < np.inf), numbers)


@claim(
    "nature-irreversible",
    "Shumailov et al. 2024, abstract",
    "“irreversible defects”",
    reach=LAW,
    condition="old data are thrown away and no new real data come in",
    says="the share of running words that a model cannot write goes from {first:.3f} to {replaced:.3f} in {t} fits "
    "under Replace, and no word comes back; where a fifth of the new data is real and all is kept, it falls to "
    "{fresh:.3f}",
    control=swapped("Accumulate(0.2 fresh)"),
)
def _irreversible(results):
    """The defects that collapse leaves are irreversible.

    A loss under Replace that is none; for plain *holds*, words that stay lost although new real data come in.
    """
    data = results["unseen"]
    lost, back = (change(data, "missing_mass", r) for r in ("Replace", "Accumulate(0.2 fresh)"))
    numbers = {"first": at(data, "missing_mass", "Replace", 0).mean(), "t": int(data["generation"][-1])}
    numbers |= {"replaced": at(data, "missing_mass", "Replace").mean()}
    numbers |= {"fresh": at(data, "missing_mass", "Accumulate(0.2 fresh)").mean()}
    returns = below(back)
    return Finding(word(every(above(lost), None if returns is None else not returns), above(lost)), numbers, lost, 0.0)


@claim(
    "nature-human-data",
    "Shumailov et al. 2024, abstract",
    "“increasingly valuable”",
    reach=LAW,
    condition="worth is counted against what the same batch would add to a pool of real data",
    says="one more real batch takes {early:.2f} first-fit errors off a Gaussian's mean after {t_early} accumulated "
    "fits and {late:.3f} after {t_late}; that is {times_early:.0f} and {times_late:.0f} times what it takes off an "
    "all-real pool as large (laws; the pool's error is {found:.3f}, exact {law:.3f})",
    control=swapped("Accumulate"),
)
def _human(results):
    """New data from people gain in worth as generated data fill the pool.

    A pool's error off its law; for plain *holds*, a gain that rises with the number of fits by itself.
    """
    data = results["worth"]
    n, t = int(data.attrs["n"]), int(data["generation"][-1])
    law = n * theory.expected_error(Accumulate(), n, t, "unbiased")
    fits = np.array([max(t // 10, 1), t])
    # The pool's mean takes t/(t+1) of its error and 1/(t+1) of that of n real samples.
    gain = law[fits - 1] - (fits**2 * law[fits - 1] + 1) / (fits + 1) ** 2
    times = gain * fits * (fits + 1)
    found = mean(n * at(data, "squared_mean_error", "Accumulate"))
    numbers = {"early": gain[0], "late": gain[1], "t_early": int(fits[0]), "t_late": int(fits[1])}
    numbers |= {"times_early": times[0], "times_late": times[1], "found": found.estimate, "law": law[-1]}
    if on_law(found, law[-1]) is None:
        return Finding(UNDECIDED, numbers)
    return Finding(word(bool(gain[1] > gain[0]), bool(times[1] > times[0])), numbers)
