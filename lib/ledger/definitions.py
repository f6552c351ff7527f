"""The eight definitions of model collapse in use (Schaeffer et al. 2025), read off the four questions.

Five of them are a question, or one with a threshold; a changed scaling law asks the first question beside real data of
the same size. Mode entanglement and hallucination look at what is produced, by scores of their own. Thresholds are this
book's, since the papers give none.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isnan

import xarray as xr

from lib.ledger.course import NO, UNDECIDED, YES, Course, declared
from lib.ledger.questions import FADED, LEFT, above

CATASTROPHE = 10.0  # times the first fit's excess risk
NEGLIGIBLE = 0.01  # a share of samples; a rise that stays below it is none
GROWING = ("Accumulate", "RealOnly")  # regimes whose sets grow, without which there is no law of scaling
PRODUCED = {"modes": ("between_modes",), "hallucination": ("off_support", "valid_share")}
Answers = Mapping[tuple[str, str], Mapping]  # of one world, by question and regime


@dataclass(frozen=True)
class Definition:
    """Its name, the question that it asks, when it says collapse, and what answers make of it: a word, or none where no
    score of the world speaks to it."""

    id: str
    name: str
    question: str
    collapse_if: str
    decide: Callable[[Answers, str], str]


def _question(id: str) -> Callable[[Answers, str], str]:
    return lambda found, regime: found[id, regime]["word"] if (id, regime) in found else ""


def _catastrophic(found, regime):
    answer = found.get(("worse", regime))
    if answer is None:
        return ""
    times, ends = answer["times"], answer["interval"]
    if isnan(times):
        return UNDECIDED  # a loss has no natural unit, and a mean that rare runs carry no interval
    if ends is None:
        return YES if times >= CATASTROPHE else NO
    # Ends of the rise in the unit of its estimate, which is times − 1 of the first fit's, taken as known.
    low, high = sorted(1 + (times - 1) * ends[end] / ends["estimate"] for end in ("low", "high"))
    return YES if low >= CATASTROPHE else NO if high < CATASTROPHE else UNDECIDED


def _scaling(found, regime):
    own, real = (found.get(("worse", r)) for r in (regime, "RealOnly"))
    if own is None or real is None or regime not in GROWING:
        return ""
    if regime == "RealOnly":
        return NO
    # Who is worse than at the first fit, where as many real data make the error fall, scales worse.
    falls = real["interval"]["high"] < 0 if real["interval"] else real["times"] < 1
    return YES if falls and own["word"] == YES else UNDECIDED


DEFINITIONS = (
    Definition("increase", "any increase of population risk", "1", "worse than at the first fit", _question("worse")),
    Definition(
        "catastrophic",
        "catastrophic increase of population risk",
        "1, with a threshold",
        f"{CATASTROPHE:g} times the first fit's excess risk",
        _catastrophic,
    ),
    Definition(
        "scaling",
        "changed scaling law",
        "1, beside real data",
        "worse than at the first fit where sets grow and as many real data are better",
        _scaling,
    ),
    Definition(
        "divergence",
        "asymptotic divergence of population risk",
        "2",
        "no bound by the law, or a rise per doubling of the generations that does not shrink",
        _question("unbounded"),
    ),
    Definition(
        "variance",
        "collapsing variance",
        "3",
        f"less than {LEFT:g} of it left in a typical run, or a fall that does not level off",
        _question("variety"),
    ),
    Definition("tails", "disappearance of tails", "4", f"a score of the tail {FADED:.0%} worse", _question("rare")),
)


def of_world(answers: Iterable[Mapping], world: str, regime: str) -> dict[str, str]:
    """What each definition says of a regime of a world, by its id; empty where no score speaks to it."""
    found = {(a["question"], a["regime"]): a for a in answers if a["world"] == world}
    return {definition.id: definition.decide(found, regime) for definition in DEFINITIONS}


def of_produced(data: xr.Dataset, regime: str) -> dict[str, str]:
    """What mode entanglement and hallucination say of a regime of a summary, where it has a score for them: whether the
    share of samples between the modes, or of those that the truth cannot produce, has risen."""
    known = {score for score, *_ in declared(data)}
    out = {}
    for name, scores in PRODUCED.items():
        for score in (s for s in scores if s in known):
            course = Course(data, regime, score)
            change, error = course.change("whole")
            out[name] = above(course.interval(course.sign * change, error), NEGLIGIBLE)
    return out
