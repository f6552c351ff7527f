"""Claims of chapter 9: a diffusion model of molecular conformers."""

from lib.intervals import number
from lib.ledger import Finding, claim, ladder
from lib.ledger.predicates import change, gap, rises

HALF = 0.5  # of what Replace adds: as much as that is no remedy
FLAT = 0.1  # of what Replace adds: less than that counts as none
ERROR, TORSION = "denoising_error", "torsion_distance"
THOUSANDTHS = 1e3  # in which differences of denoising errors are easier to read


@claim("colm-molecules-replaced", "Gerstgrasser et al. 2024", "GeoDiff: the test loss rises under replacing")
def _decay(results):
    """A diffusion model trained on its predecessor's conformers decays."""
    data = results["main"]
    found, shapes = change(data, ERROR, "Replace").scaled(THOUSANDTHS), change(data, TORSION, "Replace")
    return rises(
        found,
        f"the denoising error on real conformers rises by {found.estimate:.1f} thousandths from generation 1 to "
        f"{data.sizes['generation']}, the distance of torsion angles from the truth by {shapes:.1f} degrees",
        "A change of the denoising error whose interval contains 0.",
    )


@claim("colm-molecules-flat", "Gerstgrasser et al. 2024", "GeoDiff, 8 generations: about flat")
def _flat(results):
    """With accumulating conformers the test loss stays about flat."""
    own, replaced = (change(results["main"], ERROR, r).scaled(THOUSANDTHS) for r in ("Accumulate", "Replace"))
    return Finding(
        ladder(*(replaced.low > 0 and own.high < share * replaced.estimate for share in (FLAT, HALF))),
        f"under Accumulate the denoising error rises by {number(own.estimate, '.2g')} thousandths, "
        f"{number(own.estimate / replaced.estimate, '.0%')} of what it rises under Replace",
        own,
        f"Less than {FLAT:.0%} of the rise under Replace, for a verdict without limits; half of it or more, for none.",
    )


@claim("thread-molecules", "thread, 11/N", "“holds across domains”")
def _mitigated(results):
    """For molecular conformation too, accumulating mitigates the decay."""
    found, shapes = (gap(results["main"], score, "Replace", "Accumulate") for score in (ERROR, TORSION))
    found = found.scaled(THOUSANDTHS)
    return Finding(
        ladder(found.low > 0 and shapes.low > 0, found.low > 0),
        f"at the last generation and at equal steps, the denoising error under Replace is {found.estimate:.1f} "
        f"thousandths above that under Accumulate, and the torsion angles are {shapes:.1f} degrees further from the "
        "truth",
        found,
        "A difference of denoising errors whose interval contains 0; for a verdict without limits, torsion angles "
        "that differ as well.",
    )


@claim("thread-no-collapse-molecules", "thread, 10/N", "“no model collapse”")
def _no_collapse(results):
    """With accumulating conformers there is no model collapse."""
    left, whole = (gap(results["main"], TORSION, r, "RealOnly(refit)") for r in ("Accumulate", "Replace"))
    far = gap(results["main"], TORSION, "Replace", "Accumulate")
    return Finding(
        ladder(left.high < FLAT * whole.estimate, far.low > 0 and left.high < HALF * whole.estimate),
        f"by the shapes of its samples: torsion angles end {left.estimate:.1f} degrees further from the truth than "
        f"those of the same real conformers refitted, {left.estimate / whole.estimate:.0%} of what Replace adds and up "
        f"to {left.high / whole.estimate:.0%} at the upper end; under Replace {whole.estimate:.1f}",
        left,
        f"At the upper end, less than {FLAT:.0%} of what Replace adds, for a verdict without limits; half of it or "
        "more, or no difference from Replace, for none.",
    )


@claim(
    "colm-molecules-size",
    "this book, after Table 2 of Gerstgrasser et al. 2024",
    "said of language models, where a grown set helps a little",
)
def _not_size(results):
    """What helps is that old data are kept, not that the set is larger."""
    pairs = ("ReplaceGrown", "Accumulate"), ("Replace", "ReplaceGrown")
    grown, alone = (gap(results["main"], ERROR, *pair).scaled(THOUSANDTHS) for pair in pairs)
    rise = change(results["main"], ERROR, "Replace").scaled(THOUSANDTHS)
    return Finding(
        ladder(grown.low > 0 and alone.low <= 0 and alone.high <= FLAT * rise.estimate, grown.low > 0),
        f"a set of newest conformers that grows as the accumulated one does ends {grown.estimate:.1f} thousandths "
        f"above Accumulate, and {number(alone.estimate, '.1f')} {alone.ends('.1f')} below Replace: a gain of up to "
        f"{max(alone.high, 0.0) / rise.estimate:.0%} of Replace's rise is not excluded",
        grown,
        "A grown set as good as the accumulated one, for none; for limits, one that is better than Replace, or runs "
        f"too few to exclude a gain of {FLAT:.0%}.",
    )
