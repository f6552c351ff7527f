"""Chapter 11's verdicts follow from the numbers: what the laws have, and numbers that turn each of them."""

import numpy as np
import pytest
import xarray as xr

from lib import ledger as claims
from lib import theory
from lib.ledger import LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED
from lib.regimes import Accumulate, AccumulateSubsample, Replace
from lib.theory import limits

from .judging import verdict

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


SIZES, BIG, SHARES = [100, 400, 1600], [25, 100, 400], [0.01, 0.3]
LARGE = [10**4, 10**6]


def strong(floors=SHARES):
    law = [
        [limits.strong_collapse_risk(LARGE, 10, 0.5, p, shift if p in floors else 0) for shift in (0, 1)]
        for p in SHARES
    ]
    return xr.Dataset(
        {"excess_risk": (("synthetic", "shift", "n", "run"), np.array(law)[..., None] * (1 + 0.005 * NOISE))},
        {"synthetic": SHARES, "shift": [0, 1], "n": LARGE},
        {"dimension": 10, "noise": 0.5},
    )


def along(setting, cells):
    """{value of a setting: data set} as one data set with a dim for that setting."""
    return xr.concat(cells.values(), xr.Variable(setting, list(cells)), combine_attrs="override")


def courses(attrs, score, of):
    """`dataset` with runs spread by a millionth, as in sets so large that sampling noise is nothing."""
    values = np.array([np.outer(course, 1 + 1e-6 * NOISE) for course in of.values()])
    t = values.shape[1]
    return xr.Dataset(
        {score: (("regime", "generation", "run"), values)},
        {"regime": list(of), "generation": np.arange(1, t + 1)},
        attrs,
    )


FITS = 50


def biases(steady=False, off=False, still=1.0, ends_at=None):
    """Temperature, ridge and shift by their laws, or without effect; `ends_at`: from this fit on nothing moves any
    more."""
    t, both = FITS, (Replace(), Accumulate())
    h = {str(r): limits.recurring_factor(r, 0.8, t) for r in both}
    shift = {str(r): 1 + limits.recurring_shift(r, t) for r in both}
    variance = limits.tempered_variance(Accumulate(), 100, t, 0.8)
    if steady:
        h, variance = {r: np.ones(t) for r in h}, np.ones(t)
        shift = {r: np.full(t, 1.1) for r in shift}
    if off:
        variance, h, shift = variance**3, {r: v**3 for r, v in h.items()}, {r: 4 * v for r, v in shift.items()}
    if ends_at:
        h = {r: v[np.minimum(np.arange(t), ends_at)] for r, v in h.items()}
    functional = {0.8: courses({}, "trace_ratio", h)}
    functional[1.0] = courses({}, "trace_ratio", {r: np.linspace(1, still, t) for r in h})
    tempered = {
        T: dataset({"n": 100}, trace_ratio={"Accumulate": v}) for T, v in ((0.8, variance), (0.0, 0 * variance))
    }
    return {
        "temperature": along("temperature", tempered),
        "ridge": courses({"factor": 0.8}, "shrinkage", {r: 0.8 * v for r, v in h.items()}),
        "shift": courses({}, "shrinkage", shift),
        "functional": along("temperature", functional),
    }


def counterexample(second=(0.25, 0.25, 0.25), control=0.0, rate=1.0, later=(0.72, 1.0)):
    dims = ("n", "regime", "generation", "run")
    collapsed = np.array([[[hits(0), hits(share)] for share in (accumulated, control)] for accumulated in second])
    distance = np.array([[[runs(0.7 * n**-rate)] * 2] * 2 for n in SIZES])
    data = xr.Dataset(
        {"collapsed": (dims, collapsed), "total_variation": (dims, distance)},
        {"n": SIZES, "regime": ["Accumulate", "RealOnly"], "generation": [1, 2]},
    )
    order = np.random.default_rng(1).permutation(RUNS)
    long = np.array([[hits(0), hits(later[0])[order]], [hits(0), hits(later[1])]])
    long = xr.Dataset(
        {"collapsed": (("regime", "generation", "run"), long)},
        {"regime": ["Accumulate", "Replace"], "generation": [1, 20]},
    )
    return {"counterexample": data, "counterexample_long": long}


def smooth(mean=(0.45, 0.07, 0.0), variance=(0.9, 0.3, 0.0)):
    far = {
        name: (("n", "regime", "run"), np.array([[np.where(hits(s) > 0, 0.3, 0.01)] for s in shares]))
        for name, shares in (("mean", mean), ("variance", variance))
    }
    return xr.Dataset(far, {"n": BIG, "regime": ["Accumulate"]}, {"epsilon": 0.25, "fits": 200})


def subsample(n=10, **change):
    law = {e: theory.expected_variance(AccumulateSubsample(), n, 40, e) for e in ("mle", "unbiased")}
    law |= {name: np.full(40, value) for name, value in change.items()}
    cells = {e: dataset({"n": n}, trace_ratio={"AccumulateSubsample": v}) for e, v in law.items()}
    return along("estimator", cells)


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


def verified(used=ACCEPT, fits=30):
    attrs = {"truth": TRUTH, "kept": 0.25, "accept": np.ravel(list(ACCEPT.values()))}
    cells = {}
    for name, accept in used.items():
        of = {str(r): limits.mean_field(r, TRUTH, fits, limits.tilted(accept), 0.25) for r in (Replace(), Accumulate())}
        cells[name] = shares_of(attrs, of, fits)
    return along("verifier", cells)


def breakdown(shift=0.0):
    cells = {}
    for p in (0.55, 0.7, 0.8, 0.95):
        kept = limits.tilted((0.9, 0.3))(np.array([1 - p, p])) + np.array([-shift, shift])
        cells[p] = shares_of({"right": 0.9, "wrong": 0.3}, {"Replace": [[1 - p, p], kept]}, 2)
    return along("error", cells)


def weighted(best=None, equal=None):
    weights = [0.2, 0.5, float(limits.GOLDEN), 0.9]
    law = {f"FreshReal(0.5, weight {w:.3g})": limits.weighted_error(w) / 100 for w in weights}
    for label, value in (("0.618", best), ("0.5", equal)):
        if value is not None:
            law[f"FreshReal(0.5, weight {label})"] = value / 100
    rest = {"Accumulate(0.5 fresh)": 0.06 / 100, "RealOnly": 0.0244 / 100}
    data = ends({"n": 200}, "squared_mean_error", law | rest)
    return data.assign_coords(weight=("regime", [*weights, np.nan, np.nan]))


def unseen(left=(0.9, 1e-4), rank=9, own=0.2, fresh=0.08):
    of = {"Accumulate": left[0], "Replace": left[1], "RealOnly(refit)": 1.0, "Accumulate(0.2 fresh)": 1.0}
    missing = {"Accumulate": own, "Replace": 0.4, "RealOnly(refit)": 0.2, "Accumulate(0.2 fresh)": fresh}
    ranks = {"Accumulate": rank, "Replace": 1, "RealOnly(refit)": 9, "Accumulate(0.2 fresh)": 31}
    data = dataset(
        {"dimension": 31, "n": 10, "words": 20_000},
        trace_ratio={r: [1.0, v] for r, v in of.items()},
        missing_mass={r: [0.2, v] for r, v in missing.items()},
    )
    ranks = np.array([[[9] * RUNS, [ranks[r]] * RUNS] for r in of])
    return data.assign(rank=(("regime", "generation", "run"), ranks))


def ngram(own=np.log, copied=np.log, part=lambda t: 1 - 1 / t):
    t = np.arange(1, 17)
    of = {"Accumulate": own, "Accumulate, copied": copied, "AccumulateSubsample": part}
    return dataset(
        {"blocks": 160, "words": 64}, test_perplexity={r: np.exp(6 + 0.3 * course(t)) for r, course in of.items()}
    )


def results():
    known = {
        "strong": strong(),
        "smooth": smooth(),
        "subsample": subsample(),
        "verified": verified(),
        "breakdown": breakdown(),
    }
    known |= {"weighted": weighted(), "unseen": unseen(), "ngram": ngram()}
    return known | biases() | counterexample()


UNCHANGED = results()


def verdicts(**change):
    return {name: found.verdict for name, found in claims.judge(11, UNCHANGED | change).items()}


def test_verdicts_when_everything_is_as_the_laws_have_it():
    assert verdicts() == {
        "dohmatob-strong": SUPPORTED,
        "nature-functional-error": SUPPORTED,
        "thread-no-collapse-bias": NOT_TESTABLE,
        "barzilai-theorem-5": SUPPORTED,
        "barzilai-theorem-4": SUPPORTED,
        "kazdan-plateau": SUPPORTED,
        "feng-breakdown": NOT_TESTABLE,
        "yi-belief": LIMITED,
        "thread-quality-filters": LIMITED,
        "he-golden": SUPPORTED,
        "thread-avoided-small": SUPPORTED,
        "book-unseen-words": SUPPORTED,
        "thread-no-collapse-smoothing": LIMITED,
    }


@pytest.mark.parametrize(
    ("claim", "change", "expected"),
    [
        ("dohmatob-strong", {"strong": strong(floors=[])}, NOT_SUPPORTED),
        ("dohmatob-strong", {"strong": strong(floors=[0.3])}, LIMITED),
        ("nature-functional-error", biases(steady=True), NOT_SUPPORTED),
        ("nature-functional-error", biases(ends_at=6), LIMITED),
        ("nature-functional-error", biases(still=0.5), NOT_SUPPORTED),
        ("thread-no-collapse-bias", biases(steady=True), SUPPORTED),
        ("thread-no-collapse-bias", biases() | {"shift": biases(steady=True)["shift"]}, LIMITED),
        ("thread-no-collapse-bias", biases(off=True), NOT_SUPPORTED),
        ("barzilai-theorem-5", counterexample(second=(0.25, 0.12, 0.05)), NOT_SUPPORTED),
        ("barzilai-theorem-5", counterexample(control=0.1), NOT_SUPPORTED),
        ("barzilai-theorem-5", counterexample(rate=0.1), NOT_SUPPORTED),
        ("barzilai-theorem-5", counterexample(later=(0.9, 0.5)), SUPPORTED),
        ("barzilai-theorem-4", {"smooth": smooth((0.45, 0.45, 0.45))}, NOT_SUPPORTED),
        ("barzilai-theorem-4", {"smooth": smooth((0.9, 0.7, 0.3))}, NOT_SUPPORTED),
        ("barzilai-theorem-4", {"smooth": smooth(variance=(0.9, 0.5, 0.1))}, LIMITED),
        ("kazdan-plateau", {"subsample": subsample(mle=0.2)}, NOT_SUPPORTED),
        ("kazdan-plateau", {"subsample": subsample(n=1000)}, SUPPORTED),
        ("kazdan-plateau", {"subsample": subsample(n=3)}, LIMITED),
        ("feng-breakdown", {"breakdown": breakdown(0.2)}, NOT_SUPPORTED),
        ("yi-belief", {"verified": verified(ACCEPT | {"with a taste": (0.9, 0.9, 0.3)})}, NOT_SUPPORTED),
        ("yi-belief", {"verified": verified(fits=3000)}, SUPPORTED),
        ("thread-quality-filters", {"verified": verified(ACCEPT | {"honest": (0.3, 0.3, 0.9)})}, NOT_SUPPORTED),
        ("thread-quality-filters", {"verified": verified(dict.fromkeys(ACCEPT, (0.9, 0.9, 0.3)))}, SUPPORTED),
        ("he-golden", {"weighted": weighted(best=0.7)}, NOT_SUPPORTED),
        ("he-golden", {"weighted": weighted(equal=0.6)}, NOT_SUPPORTED),
        ("thread-avoided-small", {"unseen": unseen((0.2, 1e-4))}, NOT_SUPPORTED),
        ("thread-avoided-small", {"unseen": unseen(rank=3)}, LIMITED),
        ("thread-avoided-small", {"unseen": unseen((0.9, 0.5))}, NOT_TESTABLE),
        ("book-unseen-words", {"unseen": unseen(own=0.3)}, NOT_SUPPORTED),
        ("book-unseen-words", {"unseen": unseen(fresh=0.2)}, NOT_SUPPORTED),
        ("book-unseen-words", {"unseen": unseen(fresh=0.15)}, LIMITED),
        ("thread-no-collapse-smoothing", {"ngram": ngram(lambda t: 0 * t)}, SUPPORTED),
        ("thread-no-collapse-smoothing", {"ngram": ngram(lambda t: 1 - 1 / t)}, SUPPORTED),
        ("thread-no-collapse-smoothing", {"ngram": ngram(copied=lambda t: 0 * t)}, NOT_SUPPORTED),
        ("thread-no-collapse-smoothing", {"ngram": ngram(part=np.log)}, NOT_SUPPORTED),
    ],
)
def test_other_numbers_give_other_verdicts(claim, change, expected):
    assert verdict(11, claim, UNCHANGED | change) == expected
