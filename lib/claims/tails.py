"""Claims of chapter 3: discrete distributions, their rare states, and the words of a real text.

*Lost*: the model gives the state probability 0. *Missing mass*: the true probability of all lost states. Judges compare counts
with the exact chain, or two regimes within a run, so that a verdict does not hang on how long the chapter was run.
"""

from __future__ import annotations

from lib import intervals
from lib.claims import LEVEL, LIMITED, NOT_SUPPORTED, SUPPORTED, Claim, Finding, verdict
from lib.theory import discrete

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
    """Of the states that the first fit has: those expected at most once in a set, against the others."""
    data = results["tail"]
    n, early = data.attrs["n"], min(EARLY, data.sizes["generation"])
    there = data["present"].sel(regime="Replace").astype(bool)
    start, then = there.sel(generation=1).values, there.sel(generation=early).values
    rare = data["truth"].values <= 1 / n

    def lost(states):
        had = start[:, states]
        return (had & ~then[:, states]).sum(axis=1) / had.sum(axis=1).clip(1)

    found = intervals.difference(lost(rare), lost(~rare), LEVEL)
    return Finding(
        verdict(found, above=0),
        f"of the states that the first fit has, {lost(rare).mean():.0%} of those with q ≤ 1/M are lost by generation {early}, and {lost(~rare).mean():.0%} of "
        f"the others; {1 - start[:, rare].mean():.0%} of the rare ones were never in the real sample",
        found,
        "A paired difference whose interval contains 0.",
    )


def _preserved(results):
    replaced, kept, accumulated = (_last(results, "missing_mass", r) for r in ("Replace", "Keep(0.1)", "Accumulate"))
    found = intervals.difference(replaced, kept, LEVEL)
    behind = intervals.difference(kept, accumulated, LEVEL)
    word = LIMITED if behind.low > 0 else SUPPORTED
    return Finding(
        verdict(found, above=0, holds=word),
        f"a tenth of the original data lowers the missing mass of the words by {found.estimate:.3f} against none; it stays {behind.estimate:.3f} above "
        "that of keeping everything",
        found,
        "No gain from the tenth; or, for a verdict without limits, as little missing as with everything kept.",
    )


def _no_collapse(results):
    kept, first = _last(results, "missing_mass", "Accumulate"), _first(results, "missing_mass")
    behind = intervals.difference(kept, _last(results, "missing_mass", "RealOnly"), LEVEL)
    lost_more = intervals.difference(_last(results, "missing_mass", "Replace"), first, LEVEL)
    words = results["words"]
    t = words.sizes["generation"]
    if (kept > first).any():
        word = NOT_SUPPORTED
    else:
        word = LIMITED if behind.low > 0 else SUPPORTED
    return Finding(
        word,
        f"no run loses a word after generation 1 (under Replace {lost_more.estimate:.3f} of the true probability goes by generation {t}); what the first sample "
        f"missed stays missing, {behind.estimate:.3f} more than real data of the same size would leave",
        behind,
        "A single word lost after generation 1; or, for a verdict without limits, no more missing than with real data of the same size.",
    )


def _gap(results, regime):
    """Share of the gap in missing mass between Replace and Accumulate that a regime closes at the last generation."""
    mean = {r: _last(results, "missing_mass", r).mean() for r in ("Replace", "Accumulate", regime)}
    return (mean["Replace"] - mean[regime]) / (mean["Replace"] - mean["Accumulate"])


def _cause(results):
    replaced = _last(results, "missing_mass", "Replace")
    kept = intervals.difference(replaced, _last(results, "missing_mass", "AccumulateSubsample"), LEVEL)
    grown = intervals.difference(replaced, _last(results, "missing_mass", "ReplaceGrown"), LEVEL)
    if kept.low <= 0:
        word = NOT_SUPPORTED
    else:
        word = LIMITED if grown.low > 0 else SUPPORTED
    return Finding(
        word,
        f"old data kept at constant size close {_gap(results, 'AccumulateSubsample'):.0%} of the gap in missing mass at generation "
        f"{results['words'].sizes['generation']}, but a grown set of newest samples alone closes {_gap(results, 'ReplaceGrown'):.0%}",
        kept,
        "No gain from old data at constant size; or, for a verdict without limits, none from a larger set alone.",
    )


def _grown(results):
    found = intervals.difference(
        _last(results, "missing_mass", "ReplaceGrown"), _last(results, "missing_mass", "Accumulate"), LEVEL
    )
    share = _gap(results, "ReplaceGrown")
    return Finding(
        verdict(found, above=0, holds=LIMITED if share > MOST else SUPPORTED),
        f"a grown set without old data misses {found.estimate:.3f} more of the true probability than accumulating, and closes {share:.0%} of the gap to Replace",
        found,
        f"No difference from accumulating; or, for a verdict without limits, a gap closed by less than {MOST:.0%}.",
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
        "To keep the tails, access to the original data has to be preserved.",
        "stated without a number",
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
        "thread, 7/N",
        "What loses the words is that all earlier data are thrown away.",
        "“all prior data is thrown away”",
        _cause,
    ),
    Claim(
        "colm-size-tails",
        3,
        "Gerstgrasser et al. 2024",
        "A larger set alone is not the remedy for lost words either.",
        "language models, Table 2",
        _grown,
    ),
)
