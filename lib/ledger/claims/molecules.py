"""Claims of chapter 9: a diffusion model of molecular conformers."""

from __future__ import annotations

from lib import intervals
from lib import ledger as claims
from lib.intervals import number
from lib.ledger import LEVEL, LIMITED, NOT_SUPPORTED, Claim, Finding, verdict
from lib.ledger.measured import at, change

HALF = 0.5  # of what Replace adds: as much as that is no remedy
FLAT = 0.1  # of what Replace adds: less than that counts as none
ERROR, TORSION = "denoising_error", "torsion_distance"


def _gap(results, score, regime, other):
    """Paired difference of two regimes at the last generation."""
    return intervals.difference(at(results["main"], score, regime), at(results["main"], score, other), LEVEL)


def _thousandths(interval):
    """An interval of denoising errors in thousandths, in which their differences are easier to read."""
    return intervals.Interval(1e3 * interval.estimate, 1e3 * interval.low, 1e3 * interval.high, interval.level)


def _decay(results):
    found, last = _thousandths(change(results["main"], ERROR, "Replace")), results["main"].sizes["generation"]
    shapes = change(results["main"], TORSION, "Replace")
    return Finding(
        verdict(found, above=0),
        f"the denoising error on real conformers rises by {found.estimate:.1f} thousandths from generation 1 to {last}, the distance of torsion "
        f"angles from the truth by {shapes:.1f} degrees",
        found,
        "A change of the denoising error whose interval contains 0.",
    )


def _flat(results):
    """On the score that the paper reports, the test loss."""
    own, replaced = (_thousandths(change(results["main"], ERROR, regime)) for regime in ("Accumulate", "Replace"))
    if replaced.low > 0 and own.high < FLAT * replaced.estimate:
        word = claims.SUPPORTED
    else:
        word = LIMITED if replaced.low > 0 and own.high < HALF * replaced.estimate else NOT_SUPPORTED
    return Finding(
        word,
        f"under Accumulate the denoising error rises by {number(own.estimate, '.2g')} thousandths, {number(own.estimate / replaced.estimate, '.0%')} "
        "of what it rises under Replace",
        own,
        f"Less than {FLAT:.0%} of the rise under Replace, for a verdict without limits; half of it or more, for none.",
    )


def _mitigated(results):
    """In the test loss and in the shapes."""
    found, shapes = (_gap(results, score, "Replace", "Accumulate") for score in (ERROR, TORSION))
    word = verdict(found, above=0)
    if word == claims.SUPPORTED and not shapes.low > 0:
        word = LIMITED
    found = _thousandths(found)
    return Finding(
        word,
        f"at the last generation and at equal steps, the denoising error under Replace is {found.estimate:.1f} thousandths above that under "
        f"Accumulate, and the torsion angles are {shapes:.1f} degrees further from the truth",
        found,
        "A difference of denoising errors whose interval contains 0; for a verdict without limits, torsion angles that differ as well.",
    )


def _no_collapse(results):
    """By the shapes, against real conformers refitted, so that what training alone does is not counted."""
    left, whole = (_gap(results, TORSION, regime, "RealOnly(refit)") for regime in ("Accumulate", "Replace"))
    far = _gap(results, TORSION, "Replace", "Accumulate")
    if left.high < FLAT * whole.estimate:
        word = claims.SUPPORTED
    else:
        word = LIMITED if far.low > 0 and left.high < HALF * whole.estimate else NOT_SUPPORTED
    return Finding(
        word,
        f"by the shapes of its samples: torsion angles end {left.estimate:.1f} degrees further from the truth than those of the same real "
        f"conformers refitted, {left.estimate / whole.estimate:.0%} of what Replace adds and up to {left.high / whole.estimate:.0%} at the upper end; under Replace {whole.estimate:.1f}",
        left,
        f"At the upper end, less than {FLAT:.0%} of what Replace adds, for a verdict without limits; half of it or more, or no difference from Replace, for none.",
    )


def _not_size(results):
    grown, alone = (
        _gap(results, ERROR, *pair) for pair in (("ReplaceGrown", "Accumulate"), ("Replace", "ReplaceGrown"))
    )
    word = verdict(grown, above=0)
    rise = change(results["main"], ERROR, "Replace")
    if word == claims.SUPPORTED and (alone.low > 0 or alone.high > FLAT * rise.estimate):
        word = LIMITED
    missed = max(alone.high, 0.0) / rise.estimate
    grown, alone = _thousandths(grown), _thousandths(alone)
    return Finding(
        word,
        f"a set of newest conformers that grows as the accumulated one does ends {grown.estimate:.1f} thousandths above Accumulate, and "
        f"{number(alone.estimate, '.1f')} {alone.ends('.1f')} below Replace: a gain of up to {missed:.0%} of Replace's rise is not excluded",
        grown,
        f"A grown set as good as the accumulated one, for none; for limits, one that is better than Replace, or runs too few to exclude a gain of {FLAT:.0%}.",
    )


CLAIMS = (
    Claim(
        "colm-molecules-replaced",
        9,
        "Gerstgrasser et al. 2024",
        "A diffusion model trained on its predecessor's conformers decays.",
        "GeoDiff: the test loss rises under replacing",
        _decay,
    ),
    Claim(
        "colm-molecules-flat",
        9,
        "Gerstgrasser et al. 2024",
        "With accumulating conformers the test loss stays about flat.",
        "GeoDiff, 8 generations: about flat",
        _flat,
    ),
    Claim(
        "thread-molecules",
        9,
        "thread, 11/N",
        "For molecular conformation too, accumulating mitigates the decay.",
        "“holds across domains”",
        _mitigated,
    ),
    Claim(
        "thread-no-collapse-molecules",
        9,
        "thread, 10/N",
        "With accumulating conformers there is no model collapse.",
        "“no model collapse”",
        _no_collapse,
    ),
    Claim(
        "colm-molecules-size",
        9,
        "this book, after Table 2 of Gerstgrasser et al. 2024",
        "What helps is that old data are kept, not that the set is larger.",
        "said of language models, where a grown set helps a little",
        _not_size,
    ),
)
