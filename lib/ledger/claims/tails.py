"""Claims of chapter 3: discrete distributions, their rare states, and the words of a real text.

*Lost*: the model gives the state probability 0. *Missing mass*: the true probability of all lost states. Judges compare counts
with the exact chain, or two regimes within a run, so that a verdict does not hang on how long the chapter was run.
"""

from __future__ import annotations

from lib import intervals
from lib.ledger import LEVEL, LIMITED, NOT_SUPPORTED, SUPPORTED, Claim, Finding, verdict
from lib.theory import discrete

MOST = 0.5  # a change of one thing that closes more than half of a gap is a remedy, if not the whole one
EARLY = 10  # fits; "early" is long before the set size, at which the variance starts to go
LATE = 30  # in set sizes: by then the chain is within 10⁻¹² of its limit


def _last(results, score, regime):
    return results["words"][score].sel(regime=regime).isel(generation=-1).values


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
    """States expected at most once in a set, against the others: lost at any sampling, the first included."""
    data = results["tail"]
    n, early = data.attrs["n"], min(EARLY, data.sizes["generation"])
    there = data["present"].sel(regime="Replace").astype(bool)
    start, then = there.sel(generation=1).values, there.sel(generation=early).values
    rare = data["truth"].values <= 1 / n

    def lost(states):
        return 1 - then[:, states].mean(axis=1)

    def lost_later(states):
        had = start[:, states]
        return ((had & ~then[:, states]).sum(axis=1) / had.sum(axis=1).clip(1)).mean()

    found = intervals.difference(lost(rare), lost(~rare), LEVEL)
    return Finding(
        verdict(found, above=0),
        f"by generation {early}, {lost(rare).mean():.0%} of the states with q ≤ 1/M are lost and {lost(~rare).mean():.0%} of the others; of those that the first "
        f"sample held, {lost_later(rare):.0%} and {lost_later(~rare):.0%}",
        found,
        "A paired difference whose interval contains 0.",
    )


def _preserved(results):
    """Both halves of the paper's sentence: the original data stay accessible, and further real data come in."""
    replaced = _last(results, "missing_mass", "Replace")
    gain = {
        r: intervals.difference(replaced, _last(results, "missing_mass", r), LEVEL)
        for r in ("Accumulate", "FreshReal(0.1)", "Keep(0.1)")
    }
    halves = [gain["Accumulate"].low > 0, gain["FreshReal(0.1)"].low > 0]
    return Finding(
        SUPPORTED if all(halves) else LIMITED if any(halves) else NOT_SUPPORTED,
        f"against none of either, the missing mass of the words falls by {gain['Accumulate'].estimate:.3f} if the original data are kept with all that follows, by "
        f"{gain['FreshReal(0.1)'].estimate:.3f} if a tenth of every set is new real text, and by {gain['Keep(0.1)'].estimate:.3f} if a tenth is drawn from the original set, the share of the "
        f"paper's experiment; the set that keeps everything is {results['words'].sizes['generation']} times as large as these in the end",
        gain["Accumulate"],
        "No gain from kept data and none from new ones; a gain from one of them alone would be a limit.",
    )


def _no_collapse(results):
    """That no word is lost is a theorem about counts; what can vary is how far the kept frequencies drift."""
    rise = {
        r: intervals.difference(
            _last(results, "total_variation", r),
            results["words"]["total_variation"].sel(regime=r).isel(generation=0).values,
            LEVEL,
        )
        for r in ("Accumulate", "Replace")
    }
    found, other = rise["Accumulate"], rise["Replace"]
    word = SUPPORTED if found.low <= 0 else LIMITED if found.high < other.low else NOT_SUPPORTED
    return Finding(
        word,
        f"no word can be lost after generation 1, since a count only grows; the total variation from the truth rises by {found.estimate:.3f} in "
        f"{results['words'].sizes['generation']} generations, and by {other.estimate:.3f} under Replace. What the first sample missed stays missing",
        found,
        "A rise as large as under Replace; for a verdict without limits, none.",
    )


def _gap(missing, regime):
    """Share of the gap in missing mass between Replace and Accumulate that a regime closes."""
    return (missing["Replace"] - missing[regime]) / (missing["Replace"] - missing["Accumulate"])


def _means(results):
    return {str(r): _last(results, "missing_mass", r).mean() for r in results["words"]["regime"].values}


def _later(results):
    """The share that a grown set closes by the exact laws, long after the run, and the last generation of the laws."""
    laws = results["later"]["expected_missing_mass"].isel(horizon=-1)
    return _gap({str(r): float(laws.sel(regime=r)) for r in laws["regime"].values}, "ReplaceGrown"), int(
        laws["horizon"]
    )


def _cause(results):
    replaced, means = _last(results, "missing_mass", "Replace"), _means(results)
    kept = intervals.difference(replaced, _last(results, "missing_mass", "AccumulateSubsample"), LEVEL)
    grown = intervals.difference(replaced, _last(results, "missing_mass", "ReplaceGrown"), LEVEL)
    helped = [kept.low > 0, grown.low > 0]
    far = results["far"]["missing_mass"].sel(regime="AccumulateSubsample").isel(generation=-1)
    law = results["later"]["expected_missing_mass"].sel(regime="ReplaceGrown").isel(horizon=-1)
    return Finding(
        SUPPORTED if all(helped) else LIMITED if any(helped) else NOT_SUPPORTED,
        f"at generation {results['words'].sizes['generation']}, fits of constant size to a pool that keeps old data close {_gap(means, 'AccumulateSubsample'):.0%} of the gap in missing "
        f"mass between Replace and Accumulate, and a grown set of newest samples alone closes {_gap(means, 'ReplaceGrown'):.0%}. Only the first lasts: at generation "
        f"{int(far['generation'])} the part of the pool misses {float(far.mean()):.3f}, the grown set {float(law):.3f} (exact) and rising",
        kept,
        "No gain from either change; a gain from one of them alone would be a limit.",
    )


def _grown(results):
    found = intervals.difference(
        _last(results, "missing_mass", "ReplaceGrown"), _last(results, "missing_mass", "Accumulate"), LEVEL
    )
    share, horizon = _later(results)
    return Finding(
        verdict(found, above=0, holds=LIMITED if share > MOST else SUPPORTED),
        f"at generation {results['words'].sizes['generation']} a grown set without old data misses {found.estimate:.3f} more of the true probability than accumulating, and goes on losing "
        f"words; but it closes most of the gap to Replace: {_gap(_means(results), 'ReplaceGrown'):.0%} there, and {share:.0%} at generation {horizon} by the exact laws",
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
        "To keep the tails, access to the original data has to be preserved, and further real data have to remain available.",
        "“access to the original data source is preserved and that further data not generated by LLMs remain available”",
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
        "What loses the words is that all earlier data are thrown away and that the set does not grow.",
        "“all prior data is thrown away”, “fixed dataset size”; said of the paper's experiments",
        _cause,
    ),
    Claim(
        "colm-size-tails",
        3,
        "Gerstgrasser et al. 2024",
        "A larger set alone is not the remedy for lost words either.",
        "language models, Table 2; the transfer to words is this book's",
        _grown,
    ),
)
