"""Claims of chapter 3: discrete distributions, their rare states, and the words of a real text.

*Lost*: the model gives the state probability 0. *Missing mass*: the true probability of all lost states. Judges compare counts
with the exact chain, or two regimes within a run; where a verdict could hang on how long the chapter was run, they read the exact
laws at longer horizons (`laws`, with dims regime and horizon) and a longer run (`far`).
"""

from __future__ import annotations

import numpy as np

from lib import intervals
from lib.claims import LEVEL, LIMITED, NOT_SUPPORTED, SUPPORTED, Claim, Finding, verdict
from lib.intervals import number
from lib.theory import EULER_SUM, discrete

BOUND = float(np.sqrt(EULER_SUM))  # squared errors of frequencies rise to at most π²/6 times, so distances to its root
MOST = 0.5  # a change of one thing that closes more than half of a gap is a remedy, if not the whole one
EARLY = 10  # fits; "early" is long before the set size, at which the variance starts to go
LATE = 30  # in set sizes: by then the chain is within 10⁻¹² of its limit


def _last(results, score, regime):
    return results["words"][score].sel(regime=regime).isel(generation=-1).values


def _first(results, score):
    return results["words"][score].sel(regime="Accumulate").isel(generation=0).values


def _absorbed(results):
    data = results["chain"]
    n, t = data.attrs["n"], data.sizes["generation"]
    alone = data["support"].sel(regime="Replace").isel(generation=-1).values == 1
    found = intervals.proportion(alone.sum(), alone.size, LEVEL)
    law = discrete.fixation(data["truth"].values, n, max(t, LATE * n)).sum(axis=1)
    agrees = found.low <= law[t - 1] <= found.high
    return Finding(
        SUPPORTED if agrees and law[-1] > 0.999 else NOT_SUPPORTED,
        f"{found.estimate:.1%} of the runs are in a constant state at generation {t} of {n} samples (exact: {law[t - 1]:.1%}, and in the limit all); under "
        f"Accumulate {(data['support'].sel(regime='Accumulate').isel(generation=-1).values == 1).mean():.0%}",
        found,
        "A share off the exact law of the chain.",
    )


def _one_minus_q(results):
    data = results["chain"]
    n, t = data.attrs["n"], data.sizes["generation"]
    state = int(data["truth"].values.argmax())
    q = data["truth"].values[state]
    gone = ~data["present"].sel(regime="Replace").isel(generation=-1, state=state).values.astype(bool)
    found = intervals.proportion(gone.sum(), gone.size, LEVEL)
    law = discrete.lost(q, n, max(t, LATE * n))
    agrees = found.low <= law[t - 1] <= found.high
    return Finding(
        SUPPORTED if agrees and abs(law[-1] - (1 - q)) < 1e-3 else NOT_SUPPORTED,
        f"the most frequent state, of probability {q:.3f}, is lost in {found.estimate:.1%} of the runs by generation {t} (exact: {law[t - 1]:.1%}, and "
        f"{1 - q:.1%} in the limit)",
        found,
        "A share off the exact law, or a law that tends to something else.",
    )


def _tails_first(results):
    """States expected at most once in a set, against the others: lost at any sampling, the first one from real data included."""
    data = results["tail"]
    n, early = data.attrs["n"], min(EARLY, data.sizes["generation"])
    there = data["present"].sel(regime="Replace").astype(bool)
    start, then = there.sel(generation=1).values, there.sel(generation=early).values
    rare = data["truth"].values <= 1 / n

    def lost(states):
        had = start[:, states]
        return (had & ~then[:, states]).sum(axis=1) / had.sum(axis=1).clip(1)

    def missing(states, present):
        return 1 - present[:, states].mean(axis=1)

    found = intervals.difference(missing(rare, then), missing(~rare, then), LEVEL)
    return Finding(
        verdict(found, above=0),
        f"by generation {early}, {missing(rare, then).mean():.0%} of the states with q ≤ 1/M are lost, and {missing(~rare, then).mean():.0%} of the others; "
        f"the first sample, which is real, misses {missing(rare, start).mean():.0%} and {missing(~rare, start).mean():.0%}; of those that it has, "
        f"{lost(rare).mean():.0%} and {lost(~rare).mean():.0%} are lost after it",
        found,
        "A paired difference whose interval contains 0.",
    )


def _preserved(results):
    """The paper's two conditions: the original source is preserved, and real data go on coming in."""
    t, n = results["words"].sizes["generation"], results["words"].attrs["n"]
    missing = {
        r: _last(results, "missing_mass", r)
        for r in ("Replace", "Accumulate", "Keep(0.1)", "FreshReal(0.1)", "RealOnly")
    }
    kept = intervals.difference(missing["Replace"], missing["Accumulate"], LEVEL)
    further = [
        intervals.difference(missing["Replace"], missing["FreshReal(0.1)"], LEVEL),
        intervals.difference(missing["Accumulate"], missing["RealOnly"], LEVEL),
    ]
    conditions = (kept.low > 0, min(f.low for f in further) > 0)
    mean = {r: values.mean() for r, values in missing.items()}
    return Finding(
        SUPPORTED if all(conditions) else LIMITED if any(conditions) else NOT_SUPPORTED,
        f"missing mass after {t} fits: {mean['Replace']:.3f} without either; with the source preserved and all kept, {mean['Accumulate']:.3f} (sets of up to "
        f"{t} × {n}); with a tenth of a set of {n} original, the share of the paper's experiment, {mean['Keep(0.1)']:.3f}, or newly real, "
        f"{mean['FreshReal(0.1)']:.3f}; with real data only (up to {t} × {n}), {mean['RealOnly']:.3f}",
        kept,
        "No gain from preserving the source, or none from further real data: each alone would leave a verdict with limits.",
    )


def _no_collapse(results):
    kept, first = _last(results, "missing_mass", "Accumulate"), _first(results, "missing_mass")
    far, near = _last(results, "total_variation", "Accumulate"), _first(results, "total_variation")
    rise = intervals.difference(far, near, LEVEL)
    ratio = intervals.mean(far / near, LEVEL)
    replaced = intervals.difference(_last(results, "total_variation", "Replace"), far, LEVEL)
    t = results["words"].sizes["generation"]
    if (kept > first).any() or ratio.high > BOUND or replaced.low <= 0:
        word = NOT_SUPPORTED
    else:
        word = LIMITED if rise.low > 0 else SUPPORTED
    return Finding(
        word,
        f"half of it is a theorem: a table that counts everything loses no word it has had. What can vary is the distance from the real frequencies: its total "
        f"variation rises to {ratio:.3g} times that of the first fit by generation {t}, Replace's to "
        f"{number((_last(results, 'total_variation', 'Replace') / near).mean(), '.3g')} times",
        rise,
        f"A rise above {BOUND:.2f} times, what π²/6 for squared errors leaves room for, or a distance not below Replace's; for a verdict without limits, "
        "no rise at all.",
    )


def _law(results, regime):
    """Exact expected missing mass at the chapter's horizons, of a regime whose law is known."""
    return results["laws"]["expected_missing_mass"].sel(regime=regime).values


def _shares(results, regime):
    """Share of the gap between the exact laws of Replace and Accumulate that a regime closes, by horizon."""
    replaced = _law(results, "Replace")
    return (replaced - _law(results, regime)) / (replaced - _law(results, "Accumulate"))


def _listed(values, spec):
    return ", ".join(number(float(v), spec) for v in values)


def _cause(results):
    t = results["words"].sizes["generation"]
    replaced = _last(results, "missing_mass", "Replace")
    kept = intervals.difference(replaced, _last(results, "missing_mass", "AccumulateSubsample"), LEVEL)
    grown = intervals.difference(replaced, _last(results, "missing_mass", "ReplaceGrown"), LEVEL)
    causes = (kept.low > 0, grown.low > 0)
    far = results["far"]["missing_mass"].sel(regime="AccumulateSubsample").isel(generation=-1)
    return Finding(
        SUPPORTED if all(causes) else LIMITED if any(causes) else NOT_SUPPORTED,
        f"either change alone lowers the missing mass at generation {t} from {replaced.mean():.3f}: fits of constant size to a growing pool to "
        f"{_last(results, 'missing_mass', 'AccumulateSubsample').mean():.3f}, a grown set of newest samples to "
        f"{_last(results, 'missing_mass', 'ReplaceGrown').mean():.3f}. Only keeping the old lasts: at generation {int(far['generation'])} it is "
        f"{float(far.mean()):.3f} in the one, and in the other the law has {_listed(_law(results, 'ReplaceGrown')[-1:], '.3f')} and rising",
        kept,
        "No gain from one of the two changes, for a verdict with limits; from neither, for not supported.",
    )


def _grown(results):
    found = intervals.difference(
        _last(results, "missing_mass", "ReplaceGrown"), _last(results, "missing_mass", "Accumulate"), LEVEL
    )
    shares, ahead = _shares(results, "ReplaceGrown"), _law(results, "ReplaceGrown") - _law(results, "Accumulate")
    return Finding(
        verdict(found, above=0, holds=LIMITED if shares.max() > MOST else SUPPORTED)
        if (np.diff(ahead) > 0).all()
        else NOT_SUPPORTED,
        f"a grown set without old data misses {_listed(ahead, '.3f')} more of the true probability than accumulating at generations "
        f"{_listed(results['laws']['horizon'].values, '.0f')} (exact laws), and loses words for ever; but that closes "
        f"{', '.join(f'{v:.0%}' for v in shares)} of the gap between Replace and Accumulate",
        found,
        f"No difference from accumulating, or one that does not grow with the generation; for a verdict without limits, less than {MOST:.0%} of the gap closed "
        "at every horizon.",
    )


CLAIMS = (
    Claim(
        "nature-absorbed",
        3,
        "Shumailov et al. 2024, discrete distributions",
        "Replaced at fixed size, a discrete distribution ends in a constant state.",
        "“guaranteed to end up in a constant state”",
        _absorbed,
    ),
    Claim(
        "nature-one-minus-q",
        3,
        "Shumailov et al. 2024, discrete distributions",
        "A state of probability q is then lost with probability 1 − q.",
        "“equal to 1 − q”",
        _one_minus_q,
    ),
    Claim(
        "nature-tails-first",
        3,
        "Shumailov et al. 2024, discrete distributions",
        "Rare states, with q ≤ 1/M, are lost first.",
        "early collapse: the tails go first",
        _tails_first,
    ),
    Claim(
        "nature-preserve-tails",
        3,
        "Shumailov et al. 2024, conclusion",
        "To sustain learning, the original data have to stay accessible and data not made by models have to remain available.",
        "“access to the original data source is preserved and that further data not generated by LLMs remain available over time”",
        _preserved,
    ),
    Claim(
        "thread-no-collapse-tails",
        3,
        "thread, 10/N",
        "With accumulating words there is no model collapse.",
        "“no model collapse”",
        _no_collapse,
    ),
    Claim(
        "thread-cause-tails",
        3,
        "thread, 7/N and 8/N",
        "What loses the words is that earlier data are thrown away and that the size of the set is fixed.",
        "“all prior data is thrown away”; “uses fixed dataset size”",
        _cause,
    ),
    Claim(
        "colm-size-tails",
        3,
        "Gerstgrasser et al. 2024, Table 2; our transfer to words",
        "A larger set alone is not the remedy: their control for language models, here for a table of words.",
        "a grown set lies between Replace and Accumulate",
        _grown,
    ),
)
