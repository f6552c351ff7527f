"""Claims of chapter 13: what is left of the thread and of the paper when every other chapter has spoken.

Judged on what those chapters have left (`lib.ledger.evidence`): their verdicts, and the effect of a regime as a share
of what Replace does in the same experiment, from the first fit to the last. A claim about practice is not testable here
as long as the premises about practice are not: a simulation can say what follows from them, and not whether they hold.
"""

import numpy as np

from lib.intervals import Interval, number
from lib.ledger import LEVEL, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED, VERDICTS, Finding, claim, ladder
from lib.ledger.predicates import agrees

# Of what Replace does: below the first, next to nothing is left of it; below the second, it is mitigated.
MARGIN, HALF = 0.1, 0.5
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


def _interval(ends) -> Interval:
    return Interval(*map(float, ends.values), LEVEL)


def verdict_of(results, claim: str) -> str:
    """The verdict of another chapter on a claim."""
    return str(results["ledger"]["verdict"].sel(claim=claim).item())


def shares(results, regime: str = "Accumulate", kinds: tuple[str, ...] = PLAIN) -> dict[str, Interval]:
    """The effect of a regime as a share of Replace's, by experiment, where it can be told."""
    effects = results["effects"]
    chosen = effects["share"].sel(regime=regime).isel(experiment=np.isin(effects["kind"].values, kinds))
    found = {str(name): _interval(chosen.sel(experiment=name)) for name in chosen["experiment"].values}
    return {name: interval for name, interval in found.items() if not np.isnan(interval.low)}


def no_collapse(results) -> dict[str, str]:
    """The verdicts on all claims that there is no collapse where data accumulate."""
    return {str(c): verdict_of(results, c) for c in results["ledger"]["claim"].values if "no-collapse" in c}


def _seen(results) -> dict[str, tuple[int, int]]:
    """By regime, in how many experiments a collapse is seen, and of how many that can tell."""
    answers = results["collapse"]["answer"]
    return {r: tuple(int((answers.sel(regime=r) >= k).sum()) for k in (1, 0)) for r in ("Replace", "Accumulate")}


def _practice(results, judged: str, otherwise: str = NOT_SUPPORTED) -> str:
    """A verdict on practice: none as long as the premises are open, `judged` if they hold, else `otherwise`."""
    premises = [verdict_of(results, name) for name in PREMISES]
    return NOT_TESTABLE if NOT_TESTABLE in premises else otherwise if NOT_SUPPORTED in premises else judged


def _count(verdicts) -> str:
    return ", ".join(f"{verdicts.count(word)} {word}" for word in VERDICTS if word in verdicts)


@claim("thread-induced", "thread, 1/N", "“when researchers intentionally induce it”")
def _induced(results):
    """Models collapse where experiments throw old data away, and not where these are kept."""
    found = shares(results)
    worst = max(found, key=lambda name: found[name].high)
    small, mild = (sum(i.high < limit for i in found.values()) for limit in (MARGIN, HALF))
    return Finding(
        ladder(small == len(found), 2 * mild > len(found)),
        f"with all data kept, less than {MARGIN:.0%} of what Replace does is left in {small} of {len(found)} "
        f"experiments, and less than {HALF:.0%} in {mild}; most is left in “{worst}”: {found[worst].estimate:.0%}",
        found[worst],
        f"An effect below {MARGIN:.0%} of Replace's in every experiment, for a verdict without limits; one of "
        f"{HALF:.0%} or more in half of them, for none. Shown is the largest share.",
    )


@claim("thread-not-practice", "thread, 1/N and 8/N", "“ways that don’t match what is done in practice”")
def _not_practice(results):
    """The experiments that show a collapse do not match what is done in practice."""
    return Finding(
        _practice(results, verdict_of(results, "thread-thrown-away")),
        f"that the paper's sets hold little or nothing old is {verdict_of(results, 'thread-thrown-away')}; what the "
        "sets of production models hold has not been published",
        None,
        "An audit of what successive models were trained on: how much of the older data each set still holds.",
    )


@claim("thread-compute", "thread, 3/N", "2k, 4k, 16k GPUs")
def _compute(results):
    """The computing power that models are trained with grows."""
    return Finding(
        NOT_TESTABLE,
        "nothing in this book counts processors; what a fixed budget does to an accumulated pool is judged in chapter "
        "2, where “slowly rather than explosively” is " + verdict_of(results, "kazdan-slow"),
        None,
        "Published training budgets, model by model, beside the sizes of their sets.",
    )


@claim("thread-covariance", "thread, 6/N", "its summary of Theorem 3.1")
def _covariance(results):
    """Fitting a Gaussian and sampling from it, again and again, makes the fitted covariance collapse to 0."""
    data = results["covariance"]
    fixed, growing = (_interval(data["change"].sel(sizes=s)) for s in ("fixed", "growing"))
    law, n, fits = float(data["law"]), int(data["n"]), data["fits"].values
    return Finding(
        ladder(agrees(fixed, law) and fixed.high < 0),
        f"at a fixed {n} samples the median variance is {number(np.exp(fixed.estimate), '.1g')} of the first fit's "
        f"after {fits[0]} fits (law {number(np.exp(law), '.1g')}), e-fold in about {n - 1}; with sets as large and "
        "growing as those of the Llama models it has changed by less than "
        f"{number(max(abs(growing.low), abs(growing.high)), '.1g')} of itself after {fits[1]}",
        fixed,
        "A log variance off its exact drift, or one that does not fall.",
    )


@claim("thread-fixed-size", "thread, 8/N and 9/N", "“dataset size is constant”")
def _fixed_size(results):
    """The paper's experiments hold the size of the data set fixed."""
    sizes = results["sizes"]["train_size"]
    growth = {r: float(sizes.sel(regime=r)[-1] / sizes.sel(regime=r)[0]) for r in ("Replace", "Keep(0.1)")}
    return Finding(
        ladder(set(growth.values()) == {1.0}),
        f"the last set of the protocol holds {growth['Replace']:g} times as many samples as the first where nothing is "
        f"kept, and {growth['Keep(0.1)']:g} times where a tenth is",
        None,
        "A protocol of the paper in which the set grows.",
    )


@claim("press-destroy", "Scientific American, as quoted in thread, 13/N", "“might destroy future models”")
def _destroy(results):
    """Widespread use of generative models might destroy future models."""
    (lost, tell), (kept, told) = _seen(results).values()
    data = results["collapse"].sel(regime="Accumulate")
    purpose = int((data["answer"].values[np.isin(data["kind"].values, ("added", "built"))] == 1).sum())
    if not (tell and told):
        return Finding(NOT_TESTABLE, "no experiment can tell", None, "A score of risk or of variance.")
    return Finding(
        ladder(kept > HALF * told, lost + kept),
        f"a catastrophic error or a collapsed variance is seen in {lost} of {tell} experiments under Replace and in "
        f"{kept} of {told} under Accumulate, of which {purpose} were built or altered to fail",
        None,
        "None in either regime, for no support; more than half of the experiments under Accumulate, for a verdict "
        "without limits.",
    )


@claim(
    "press-avoid",
    "journalists, as quoted in thread, 13/N",
    "“How can we (humanity) make sure to avoid model collapse?”",
)
def _avoid(results):
    """There is something that one can do to avoid model collapse."""
    values = [verdict_of(results, claim) for claim in MEASURES.values()]
    known = set(values) != {NOT_TESTABLE}
    return Finding(
        ladder(set(values) == {SUPPORTED}, NOT_SUPPORTED not in values) if known else NOT_TESTABLE,
        f"of {len(values)} measures that a data team can take, {_count(values)}",
        None,
        "For a verdict without limits, no measure with limits; for none, one that does not help.",
    )


@claim("thread-no-threat", "thread, 13/N", "“Based on the evidence I’ve seen, it isn’t”")
def _threat(results):
    """Under current best practices model collapse is no real and significant threat."""
    verdicts = list(no_collapse(results).values())
    judged = ladder(set(verdicts) == {SUPPORTED}, 2 * verdicts.count(NOT_SUPPORTED) < len(verdicts))
    return Finding(
        _practice(results, judged),
        f"what practice is has not been measured. If it is as the thread says, “no collapse” is, in {len(verdicts)} "
        f"judgements of this book, {_count(verdicts)}",
        None,
        "Measurements of what is kept and filtered in practice. With them, the verdicts on accumulating decide: all "
        "supported, for a verdict without limits; half of them not, for none.",
    )


@claim("nature-serious", "Shumailov et al. 2024, abstract", "stated without a number")
def _serious(results):
    """Model collapse has to be taken seriously if training on data from the web is to keep its benefits."""
    in_use = "Replace" if verdict_of(results, "thread-accumulates") == NOT_SUPPORTED else "Accumulate"
    (lost, tell), (kept, told) = _seen(results).values()
    yes, decided = _seen(results)[in_use]
    judged = ladder(yes > HALF * decided, yes)
    return Finding(
        _practice(results, judged, judged),
        f"a catastrophic error or a collapsed variance is seen in {lost} of {tell} experiments that can tell if old "
        f"data are thrown away, and in {kept} of {told} if they are kept; which of the two happens has not been "
        "measured",
        None,
        "The same measurements. With them, what is seen in the regime that is in use decides.",
    )


@claim("nature-ubiquity", "Shumailov et al. 2024, abstract", "its “ubiquity among all learned generative models”")
def _ubiquity(results):
    """Where old data are thrown away, the decay is found in every kind of generative model."""
    effects = results["effects"]
    rises = effects["rise_low"].values[np.isin(effects["kind"].values, PLAIN)]
    hit = (rises > 0).sum()
    return Finding(
        ladder(hit == rises.size, 2 * hit > rises.size),
        f"where old data are thrown away the score gets worse in {hit} of {rises.size} experiments, by more than its "
        "99% interval",
        None,
        "An experiment in which Replace does no harm that can be told from noise; half of them, for no support.",
    )


@claim(
    "nature-inevitable",
    "Shumailov et al. 2024, introduction",
    "“this process is inevitable, even for cases with almost ideal conditions”",
)
def _inevitable(results):
    """Model collapse is inevitable, even if nothing but the finite sample is at fault."""
    replaced, kept = (verdict_of(results, claim) for claim in ("nature-variance", "thread-gaussian"))
    left = shares(results)[GAUSSIAN]
    return Finding(
        ladder(replaced != NOT_SUPPORTED and kept == NOT_SUPPORTED, replaced != NOT_SUPPORTED),
        f"that the Gaussian collapses at a fixed size, with old data thrown away, is {replaced}; that it keeps its "
        f"variance where they are kept is {kept}, and {left.estimate:.1%} of what Replace adds to its error is added "
        "there",
        left,
        "A Gaussian that keeps its variance under Replace, for no support; for a verdict without limits, one that "
        "loses it under Accumulate too. Shown is the share of Replace's effect.",
    )


@claim("nature-irreversible", "Shumailov et al. 2024, abstract", "“irreversible defects”")
def _irreversible(results):
    """The defects that it leaves are irreversible."""
    data = results["returns"]["change"]
    replaced, fresh = (_interval(data.sel(regime=r)) for r in ("Replace", "Accumulate(0.2 fresh)"))
    return Finding(
        ladder(replaced.low > 0 and fresh.high >= 0, replaced.low > 0),
        f"the share of running words that a model cannot write changes by {number(replaced.estimate, '+.3f')} in "
        f"{results['returns'].attrs['fits']} fits under Replace, none of which comes back; a pool that keeps "
        f"everything and is a fifth real from the start gains words ({number(fresh.estimate, '+.3f')}). Whether a "
        "model that has already collapsed recovers with new real data was not run",
        replaced,
        "No loss under Replace; for a verdict without limits, no gain even with new real data.",
    )


@claim("nature-human-data", "Shumailov et al. 2024, abstract", "“increasingly valuable”")
def _human(results):
    """Data from people gain in worth as generated data fill the pool."""
    early, late = (_interval(results["worth"]["ratio"].isel(fits=k)) for k in (0, -1))
    first, last = results["worth"]["fits"].values
    return Finding(
        ladder(False, late.low > max(1.0, early.high)),
        f"for a Gaussian the error with an accumulated pool is {early.estimate:.0f} times that with as many real "
        f"samples after {first} fits, and {late.estimate:.0f} times after {last}. By the law this ratio tends to π²/6 "
        "times the generation: it is the worth of as many real samples instead of the pool, not of one more real "
        "batch added to it",
        late,
        "A ratio that does not grow, for none; for a verdict without limits, the worth of one more real batch to a "
        "pool of generated ones, measured.",
    )
