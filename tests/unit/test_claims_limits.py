"""Chapter 11's verdicts follow from the numbers: what the laws have, and numbers that turn each of them."""

import numpy as np
import pytest
import xarray as xr

from lib import claims, theory
from lib.claims import LIMITED, NOT_SUPPORTED, SUPPORTED
from lib.discrete import Discrete
from lib.regimes import Accumulate, AccumulateSubsample, Replace
from lib.theory import limits

RUNS = 400
NOISE = np.random.default_rng(11).normal(size=RUNS)
NOISE = (NOISE - NOISE.mean()) / NOISE.std()


def runs(center, width=0.005):
    """Values whose mean is exactly `center`, spread by `width` of it or of 1."""
    return center + width * max(abs(center), 0.01) * NOISE


def dataset(attrs, **scores):
    """{score: {regime: course}} as a data set with runs about each course."""
    labels = list(next(iter(scores.values())))
    values = {
        name: (("regime", "generation", "run"), np.array([[runs(v) for v in of[r]] for r in labels]))
        for name, of in scores.items()
    }
    t = len(next(iter(next(iter(scores.values())).values())))
    return xr.Dataset(values, {"regime": labels, "generation": np.arange(1, t + 1)}, attrs)


def ends(attrs, score, of):
    """{label: value} as a data set without generations."""
    return xr.Dataset(
        {score: (("regime", "run"), np.array([runs(v) for v in of.values()]))}, {"regime": list(of)}, attrs
    )


def hits(share):
    return (np.arange(RUNS) < share * RUNS).astype(float)


SIZES, BIG = [100, 400, 1600], [25, 100, 400]


def strong(floor=True, plain=True):
    law = {s: limits.strong_collapse_risk(SIZES, 10, 0.5, 0.3, s) for s in (0, 1)}
    cells = {}
    for k, n in enumerate(SIZES):
        cells[f"FreshReal(0.7), shift 1, n = {n}"] = law[1][k] if floor else law[0][k]
        cells[f"FreshReal(0.7), shift 0, n = {n}"] = law[0][k] if plain else law[1][k]
    return ends({"synthetic": 0.3, "sizes": SIZES, "dimension": 10, "noise": 0.5}, "excess_risk", cells)


def biases(steady=False):
    t = 50
    variance = np.ones(t) if steady else limits.tempered_variance(Accumulate(), 100, t, 0.8)
    left = 0.8 if steady else 0.8 * limits.recurring_factor(Accumulate(), 0.8, t)[-1]
    shift = np.full(t, 1.1) if steady else 1 + limits.recurring_shift(Accumulate(), t)
    return {
        "temperature": dataset({"n": 100, "temperatures": [0.8, 0.0]}, trace_ratio={"Accumulate, T = 0.8": variance}),
        "ridge": ends({"factor": 0.8, "fits": t}, "shrinkage", {"Accumulate": left}),
        "shift": dataset({}, shrinkage={"Accumulate": shift}),
    }


def counterexample(second=(0.25, 0.25, 0.25), control=0.0, rate=1.0, later=(0.72, 1.0)):
    collapsed, distance = {}, {}
    for n, share in zip(SIZES, second, strict=True):
        collapsed[f"Accumulate, n = {n}"], collapsed[f"RealOnly, n = {n}"] = share, control
        distance[f"Accumulate, n = {n}"] = distance[f"RealOnly, n = {n}"] = 0.7 * n**-rate
    data = xr.Dataset(
        {
            "collapsed": (("regime", "generation", "run"), np.array([[hits(0), hits(s)] for s in collapsed.values()])),
            "total_variation": (("regime", "generation", "run"), np.array([[runs(d)] * 2 for d in distance.values()])),
        },
        {"regime": list(collapsed), "generation": [1, 2]},
        {"sizes": SIZES},
    )
    order = np.random.default_rng(1).permutation(RUNS)
    long = np.array([[hits(0), hits(later[0])[order]], [hits(0), hits(later[1])]])
    long = xr.Dataset(
        {"collapsed": (("regime", "generation", "run"), long)},
        {"regime": ["Accumulate", "Replace"], "generation": [1, 20]},
    )
    return {"counterexample": data, "counterexample_long": long}


def smooth(shares=(0.45, 0.07, 0.0)):
    far = {f"Accumulate, n = {n}": np.where(hits(s) > 0, 0.1, 0.01) for n, s in zip(BIG, shares, strict=True)}
    data = xr.Dataset({"farthest": (("regime", "run"), np.array(list(far.values())))}, {"regime": list(far)})
    return data.assign_attrs(sizes=BIG, epsilon=0.25)


def subsample(n=10, **change):
    law = {
        f"AccumulateSubsample, {e}": theory.expected_variance(AccumulateSubsample(), n, 40, e)
        for e in ("mle", "unbiased")
    }
    law |= {f"AccumulateSubsample, {name}": np.full(40, value) for name, value in change.items()}
    return dataset({"n": n}, trace_ratio=law)


def shares_of(attrs, of, generations):
    values = np.array([[np.stack([runs(p, 1e-3) for p in row], axis=1) for row in course] for course in of.values()])
    dims = ("regime", "generation", "run", "state")
    return xr.Dataset(
        {"probabilities": (dims, values)}, {"regime": list(of), "generation": np.arange(1, generations + 1)}, attrs
    )


TRUTH, ACCEPT = (
    [0.45, 0.35, 0.2],
    {"honest": (0.9, 0.9, 0.3), "with a taste": (0.9, 0.6, 0.3), "fooled": (0.3, 0.3, 0.9)},
)


def verified(used=ACCEPT):
    of = {
        f"{r}, {name}": limits.mean_field(r, TRUTH, 30, limits.tilted(used[name]), 0.25)
        for r in (Replace(), Accumulate())
        for name in used
    }
    return shares_of({"truth": TRUTH, "kept": 0.25, "accept": np.ravel(list(ACCEPT.values()))}, of, 30)


def breakdown(shift=0.0):
    of = {}
    for p in (0.55, 0.7, 0.8, 0.95):
        kept = limits.tilted((0.9, 0.3))(np.array([1 - p, p])) + np.array([-shift, shift])
        of[f"Replace, wrong = {p:.3g}"] = [[1 - p, p], kept]
    return shares_of({"right": 0.9, "wrong": 0.3, "errors": [0.55, 0.7, 0.8, 0.95]}, of, 2)


def weighted(everything=0.06, best=None):
    weights = [0.2, 0.5, float(limits.GOLDEN), 0.9]
    law = {f"FreshReal(0.5, weight {w:.3g})": limits.weighted_error(w) / 100 for w in weights}
    if best is not None:
        law["FreshReal(0.5, weight 0.618)"] = best / 100
    return ends({"weights": weights, "n": 200}, "squared_mean_error", law | {"Accumulate(0.5 fresh)": everything / 100})


def unseen(rank=(5, 5), missing=None):
    law = theory.discrete.expected_missing_mass(Discrete("words").probabilities, 20_000, 1, "accumulate")[-1]
    data = dataset({"dimension": 10, "n": 6, "words": 20_000}, missing_mass={"Accumulate": [law, missing or law]})
    ranks = np.array([[[r] * RUNS for r in rank]])
    return data.assign(rank=(("regime", "generation", "run"), ranks))


def ngram(course=np.log):
    t = np.arange(1, 17)
    return dataset(
        {}, test_perplexity={"Accumulate": np.exp(6 + 0.3 * course(t)), "Replace": np.exp(6.2 + 0.3 * np.log(t))}
    )


def results(**change):
    known = {
        "strong": strong(),
        "smooth": smooth(),
        "subsample": subsample(),
        "verified": verified(),
        "breakdown": breakdown(),
    }
    known |= {"weighted": weighted(), "unseen": unseen(), "ngram": ngram()}
    return known | biases() | counterexample() | change


def verdicts(**change):
    return {name: found.verdict for name, found in claims.judge(11, results(**change)).items()}


def test_verdicts_when_everything_is_as_the_laws_have_it():
    assert verdicts() == {
        "dohmatob-strong": LIMITED,
        "thread-no-collapse-bias": NOT_SUPPORTED,
        "barzilai-theorem-5": LIMITED,
        "barzilai-theorem-4": LIMITED,
        "kazdan-plateau": LIMITED,
        "feng-breakdown": LIMITED,
        "yi-belief": SUPPORTED,
        "thread-quality-filters": LIMITED,
        "he-golden": LIMITED,
        "thread-avoided-small": LIMITED,
        "thread-no-collapse-smoothing": NOT_SUPPORTED,
    }


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        ("dohmatob-strong", {"strong": strong(floor=False)}, NOT_SUPPORTED),
        ("dohmatob-strong", {"strong": strong(plain=False)}, SUPPORTED),
        ("thread-no-collapse-bias", biases(steady=True), SUPPORTED),
        ("thread-no-collapse-bias", {"shift": biases(steady=True)["shift"]}, LIMITED),
        ("barzilai-theorem-5", counterexample(second=(0.25, 0.12, 0.05)), NOT_SUPPORTED),
        ("barzilai-theorem-5", counterexample(control=0.1), NOT_SUPPORTED),
        ("barzilai-theorem-5", counterexample(rate=0.1), NOT_SUPPORTED),
        ("barzilai-theorem-5", counterexample(later=(0.9, 0.5)), SUPPORTED),
        ("barzilai-theorem-4", {"smooth": smooth((0.45, 0.45, 0.45))}, NOT_SUPPORTED),
        ("barzilai-theorem-4", {"smooth": smooth((0.9, 0.7, 0.3))}, NOT_SUPPORTED),
        ("kazdan-plateau", {"subsample": subsample(mle=0.2)}, NOT_SUPPORTED),
        ("kazdan-plateau", {"subsample": subsample(n=1000)}, SUPPORTED),
        ("feng-breakdown", {"breakdown": breakdown(0.2)}, NOT_SUPPORTED),
        ("yi-belief", {"verified": verified(ACCEPT | {"with a taste": (0.9, 0.9, 0.3)})}, NOT_SUPPORTED),
        ("thread-quality-filters", {"verified": verified(ACCEPT | {"honest": (0.3, 0.3, 0.9)})}, NOT_SUPPORTED),
        (
            "thread-quality-filters",
            {"verified": verified(dict.fromkeys(ACCEPT, (0.9, 0.9, 0.3)))},
            SUPPORTED,
        ),
        ("he-golden", {"weighted": weighted(best=0.7)}, NOT_SUPPORTED),
        ("he-golden", {"weighted": weighted(everything=0.9)}, SUPPORTED),
        ("thread-avoided-small", {"unseen": unseen((5, 3))}, NOT_SUPPORTED),
        ("thread-avoided-small", {"unseen": unseen(missing=0.6)}, NOT_SUPPORTED),
        ("thread-avoided-small", {"unseen": unseen((10, 10))}, SUPPORTED),
        ("thread-no-collapse-smoothing", {"ngram": ngram(lambda t: 0 * t)}, SUPPORTED),
        ("thread-no-collapse-smoothing", {"ngram": ngram(lambda t: 1 - 1 / t)}, LIMITED),
    ],
)
def test_other_numbers_give_other_verdicts(claim, change, expected):
    assert verdicts(**change)[claim] == expected
