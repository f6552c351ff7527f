"""Claims of chapter 13: what is left of the thread and of the paper when every other chapter has spoken.

Judged on what those chapters have left (`lib.ledger.evidence`): their verdicts, and the effect of a regime as a share of what Replace does in
the same experiment, from the first fit to the last. A claim about practice is not testable here as long as the premises about
practice are not: a simulation can say what follows from them, and not whether they hold.
"""

from __future__ import annotations

import numpy as np

from lib import ledger as claims
from lib.intervals import Interval, number
from lib.ledger import LEVEL, LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED, Claim, Finding

MARGIN, HALF = (
    0.1,
    0.5,
)  # of what Replace does: below the first, next to nothing is left of it; below the second, it is mitigated
GAUSSIAN = "Gaussian, mean"  # the experiment in which no model is misspecified
PREMISES = ("thread-accumulates", "thread-quality")  # what the thread says about practice, and nobody has measured
PLAIN = ("sample", "model")  # experiments in which no error is added on purpose
FLAT = 0.05  # a log variance that changes by less has not collapsed
# What a data team can do, and the claim that says what it is worth.
MEASURES = {
    "Keep the data, all of it": "thread-keep-all",
    "Choose models on real data that were held out": "nature-validation",
    "Mark what is generated, so that it can be weighed": "he-golden",
    "Go on adding new real data": "nature-access-web",
    "Verify what is generated before it is kept": "thread-quality-filters",
}


def _interval(values) -> Interval:
    return Interval(*(float(v) for v in values), LEVEL)


def verdict_of(results, claim: str) -> str:
    """The verdict of another chapter on a claim."""
    return str(results["ledger"]["verdict"].sel(claim=claim).item())


def shares(results, regime: str = "Accumulate", kinds: tuple[str, ...] = PLAIN) -> dict[str, Interval]:
    """The effect of a regime as a share of Replace's, by experiment, where it can be told."""
    effects = results["effects"]
    chosen = effects["share"].sel(regime=regime).isel(experiment=np.isin(effects["kind"].values, kinds))
    found = {str(name): _interval(chosen.sel(experiment=name).values) for name in chosen["experiment"].values}
    return {name: interval for name, interval in found.items() if not np.isnan(interval.low)}


def no_collapse(results) -> dict[str, str]:
    """The verdicts on all claims that there is no collapse where data accumulate."""
    ledger = results["ledger"]
    return {str(c): verdict_of(results, str(c)) for c in ledger["claim"].values if "no-collapse" in str(c)}


def _count(verdicts) -> str:
    verdicts = list(verdicts)
    said = [f"{verdicts.count(word)} {word}" for word in claims.VERDICTS if word in verdicts]
    return ", ".join(said)


def _induced(results):
    found = shares(results)
    worst = max(found, key=lambda name: found[name].high)
    small, mild = (sum(i.high < limit for i in found.values()) for limit in (MARGIN, HALF))
    word = SUPPORTED if small == len(found) else LIMITED if 2 * mild > len(found) else NOT_SUPPORTED
    return Finding(
        word,
        f"with all data kept, less than {MARGIN:.0%} of what Replace does is left in {small} of {len(found)} experiments, and less than {HALF:.0%} in {mild}; most is left in "
        f"“{worst}”: {found[worst].estimate:.0%}",
        found[worst],
        f"An effect below {MARGIN:.0%} of Replace's in every experiment, for a verdict without limits; one of {HALF:.0%} or more in half of them, for none. Shown is the largest share.",
    )


def _practice(results, judged):
    """A verdict on practice: none as long as the premises are open, else that of `judged`, or none of it if they do not hold."""
    premises = [verdict_of(results, name) for name in PREMISES]
    if NOT_TESTABLE in premises:
        return NOT_TESTABLE
    return judged if NOT_SUPPORTED not in premises else NOT_SUPPORTED


def _not_practice(results):
    return Finding(
        _practice(results, verdict_of(results, "thread-thrown-away")),
        f"that the paper's sets hold little or nothing old is {verdict_of(results, 'thread-thrown-away')}; what the sets of production models hold has not been published",
        None,
        "An audit of what successive models were trained on: how much of the older data each set still holds.",
    )


def _threat(results):
    verdicts = list(no_collapse(results).values())
    bad = verdicts.count(NOT_SUPPORTED)
    judged = SUPPORTED if set(verdicts) == {SUPPORTED} else LIMITED if 2 * bad < len(verdicts) else NOT_SUPPORTED
    return Finding(
        _practice(results, judged),
        f"what practice is has not been measured. If it is as the thread says, “no collapse” is, in {len(verdicts)} judgements of this book, {_count(verdicts)}",
        None,
        "Measurements of what is kept and filtered in practice. With them, the verdicts on accumulating decide: all supported, for a verdict without limits; half of them not, for none.",
    )


def _serious(results):
    """The paper's counterpart to the thread's answer, judged by the same rule: by the regime that is in use, once that is known."""
    premises = [verdict_of(results, name) for name in PREMISES]
    in_use = "Replace" if verdict_of(results, "thread-accumulates") == NOT_SUPPORTED else "Accumulate"
    answers = results["collapse"]["answer"]
    count = {r: tuple(int((answers.sel(regime=r) >= k).sum()) for k in (1, 0)) for r in ("Replace", "Accumulate")}
    yes, decided = count[in_use]
    judged = SUPPORTED if yes > HALF * decided else LIMITED if yes else NOT_SUPPORTED
    return Finding(
        NOT_TESTABLE if NOT_TESTABLE in premises else judged,
        f"a catastrophic error or a collapsed variance is seen in {count['Replace'][0]} of {count['Replace'][1]} experiments that can tell if old data are thrown away, and in "
        f"{count['Accumulate'][0]} of {count['Accumulate'][1]} if they are kept; which of the two happens has not been measured",
        None,
        "The same measurements. With them, what is seen in the regime that is in use decides.",
    )


def _destroy(results):
    data = results["collapse"]
    answers, added = data["answer"], np.isin(data["kind"].values, ("added", "built"))
    yes = {r: int((answers.sel(regime=r) == 1).sum()) for r in ("Replace", "Accumulate")}
    decided = {r: int((answers.sel(regime=r) >= 0).sum()) for r in ("Replace", "Accumulate")}
    purpose = int((answers.sel(regime="Accumulate").values[added] == 1).sum())
    if not min(decided.values()):
        return Finding(NOT_TESTABLE, "no experiment can tell", None, "A score of risk or of variance.")
    most = yes["Accumulate"] > HALF * decided["Accumulate"]
    return Finding(
        SUPPORTED if most else LIMITED if sum(yes.values()) else NOT_SUPPORTED,
        f"a catastrophic error or a collapsed variance is seen in {yes['Replace']} of {decided['Replace']} experiments under Replace and in {yes['Accumulate']} of {decided['Accumulate']} under Accumulate, of which {purpose} were "
        "built or altered to fail",
        None,
        "None in either regime, for no support; more than half of the experiments under Accumulate, for a verdict without limits.",
    )


def _covariance(results):
    data = results["covariance"]
    fixed, growing = (_interval(data["change"].sel(sizes=s).values) for s in ("fixed", "growing"))
    law, n = float(data["law"]), int(data["n"])
    fits = [int(t) for t in data["fits"].values]
    return Finding(
        SUPPORTED if fixed.low <= law <= fixed.high and fixed.high < 0 else NOT_SUPPORTED,
        f"at a fixed {n} samples the median variance is {number(np.exp(fixed.estimate), '.1g')} of the first fit's after {fits[0]} fits (law {number(np.exp(law), '.1g')}), e-fold in about {n - 1}; with sets as "
        f"large and growing as those of the Llama models it has changed by less than {number(max(abs(growing.low), abs(growing.high)), '.1g')} of itself after {fits[1]}",
        fixed,
        "A log variance off its exact drift, or one that does not fall.",
    )


def _fixed_size(results):
    sizes = results["sizes"]["train_size"]
    growth = {r: float(sizes.sel(regime=r)[-1] / sizes.sel(regime=r)[0]) for r in ("Replace", "Keep(0.1)")}
    return Finding(
        SUPPORTED if set(growth.values()) == {1.0} else NOT_SUPPORTED,
        f"the last set of the protocol holds {growth['Replace']:g} times as many samples as the first where nothing is kept, and {growth['Keep(0.1)']:g} times where a tenth is",
        None,
        "A protocol of the paper in which the set grows.",
    )


def _compute(results):
    return Finding(
        NOT_TESTABLE,
        "nothing in this book counts processors; what a fixed budget does to an accumulated pool is judged in chapter 2, where “slowly rather than explosively” is "
        + verdict_of(results, "kazdan-slow"),
        None,
        "Published training budgets, model by model, beside the sizes of their sets.",
    )


def _avoid(results):
    verdicts = {name: verdict_of(results, claim) for name, claim in MEASURES.items()}
    values = list(verdicts.values())
    word = SUPPORTED if set(values) == {SUPPORTED} else NOT_SUPPORTED if NOT_SUPPORTED in values else LIMITED
    return Finding(
        NOT_TESTABLE if set(values) == {NOT_TESTABLE} else word,
        f"of {len(values)} measures that a data team can take, {_count(values)}",
        None,
        "For a verdict without limits, no measure with limits; for none, one that does not help.",
    )


def _ubiquity(results):
    effects = results["effects"]
    rises = effects["rise_low"].values[np.isin(effects["kind"].values, PLAIN)]
    hit = int((rises > 0).sum())
    return Finding(
        SUPPORTED if hit == rises.size else LIMITED if 2 * hit > rises.size else NOT_SUPPORTED,
        f"where old data are thrown away the score gets worse in {hit} of {rises.size} experiments, by more than its 99% interval",
        None,
        "An experiment in which Replace does no harm that can be told from noise; half of them, for no support.",
    )


def _inevitable(results):
    replaced, kept = (verdict_of(results, claim) for claim in ("nature-variance", "thread-gaussian"))
    left = shares(results)[GAUSSIAN]
    word = NOT_SUPPORTED if replaced == NOT_SUPPORTED else SUPPORTED if kept == NOT_SUPPORTED else LIMITED
    return Finding(
        word,
        f"that the Gaussian collapses at a fixed size, with old data thrown away, is {replaced}; that it keeps its variance where they are kept is {kept}, and {left.estimate:.1%} of what Replace adds to its error is added there",
        left,
        "A Gaussian that keeps its variance under Replace, for no support; for a verdict without limits, one that loses it under Accumulate too. Shown is the share of Replace's effect.",
    )


def _irreversible(results):
    data = results["returns"]["change"]
    replaced, fresh = (_interval(data.sel(regime=r).values) for r in ("Replace", "Accumulate(0.2 fresh)"))
    if replaced.low <= 0:
        word = NOT_SUPPORTED
    else:
        word = LIMITED if fresh.high < 0 else SUPPORTED
    return Finding(
        word,
        f"the share of running words that a model cannot write changes by {number(replaced.estimate, '+.3f')} in {results['returns'].attrs['fits']} fits under Replace, none of which comes back; a pool that keeps everything and "
        f"is a fifth real from the start gains words ({number(fresh.estimate, '+.3f')}). Whether a model that has already collapsed recovers with new real data was not run",
        replaced,
        "No loss under Replace; for a verdict without limits, no gain even with new real data.",
    )


def _human(results):
    data = results["worth"]
    early, late = (_interval(data["ratio"].isel(fits=k).values) for k in (0, -1))
    first, last = (int(t) for t in data["fits"].values)
    word = LIMITED if late.low > max(1.0, early.high) else NOT_SUPPORTED
    return Finding(
        word,
        f"for a Gaussian the error with an accumulated pool is {early.estimate:.0f} times that with as many real samples after {first} fits, and {late.estimate:.0f} times after {last}. "
        "By the law this ratio tends to π²/6 times the generation: it is the worth of as many real samples instead of the pool, not of one more real batch added to it",
        late,
        "A ratio that does not grow, for none; for a verdict without limits, the worth of one more real batch to a pool of generated ones, measured.",
    )


CLAIMS = (
    Claim(
        "thread-induced",
        13,
        "thread, 1/N",
        "Models collapse where experiments throw old data away, and not where these are kept.",
        "“when researchers intentionally induce it”",
        _induced,
    ),
    Claim(
        "thread-not-practice",
        13,
        "thread, 1/N and 8/N",
        "The experiments that show a collapse do not match what is done in practice.",
        "“ways that don’t match what is done in practice”",
        _not_practice,
    ),
    Claim(
        "thread-compute",
        13,
        "thread, 3/N",
        "The computing power that models are trained with grows.",
        "2k, 4k, 16k GPUs",
        _compute,
    ),
    Claim(
        "thread-covariance",
        13,
        "thread, 6/N",
        "Fitting a Gaussian and sampling from it, again and again, makes the fitted covariance collapse to 0.",
        "its summary of Theorem 3.1",
        _covariance,
    ),
    Claim(
        "thread-fixed-size",
        13,
        "thread, 8/N and 9/N",
        "The paper's experiments hold the size of the data set fixed.",
        "“dataset size is constant”",
        _fixed_size,
    ),
    Claim(
        "press-destroy",
        13,
        "Scientific American, as quoted in thread, 13/N",
        "Widespread use of generative models might destroy future models.",
        "“might destroy future models”",
        _destroy,
    ),
    Claim(
        "press-avoid",
        13,
        "journalists, as quoted in thread, 13/N",
        "There is something that one can do to avoid model collapse.",
        "“How can we (humanity) make sure to avoid model collapse?”",
        _avoid,
    ),
    Claim(
        "thread-no-threat",
        13,
        "thread, 13/N",
        "Under current best practices model collapse is no real and significant threat.",
        "“Based on the evidence I’ve seen, it isn’t”",
        _threat,
    ),
    Claim(
        "nature-serious",
        13,
        "Shumailov et al. 2024, abstract",
        "Model collapse has to be taken seriously if training on data from the web is to keep its benefits.",
        "stated without a number",
        _serious,
    ),
    Claim(
        "nature-ubiquity",
        13,
        "Shumailov et al. 2024, abstract",
        "Where old data are thrown away, the decay is found in every kind of generative model.",
        "its “ubiquity among all learned generative models”",
        _ubiquity,
    ),
    Claim(
        "nature-inevitable",
        13,
        "Shumailov et al. 2024, introduction",
        "Model collapse is inevitable, even if nothing but the finite sample is at fault.",
        "“this process is inevitable, even for cases with almost ideal conditions”",
        _inevitable,
    ),
    Claim(
        "nature-irreversible",
        13,
        "Shumailov et al. 2024, abstract",
        "The defects that it leaves are irreversible.",
        "“irreversible defects”",
        _irreversible,
    ),
    Claim(
        "nature-human-data",
        13,
        "Shumailov et al. 2024, abstract",
        "Data from people gain in worth as generated data fill the pool.",
        "“increasingly valuable”",
        _human,
    ),
)
