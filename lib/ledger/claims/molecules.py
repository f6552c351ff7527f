"""Claims of chapter 9: a diffusion model of molecular conformers, of one small molecule."""

from lib.ledger import SMALLER, Finding, claim, word
from lib.ledger.predicates import BOUNDED, above, answered, below, change, every, gap, share_of_replace, stands, swapped

FLAT = 0.1  # of what Replace adds: less than that counts as none
WORLD, ERROR, TORSION = "conformers, a diffusion model", "denoising_error", "torsion_distance"
THOUSANDTHS = 1e3  # in which differences of denoising errors are easier to read


@claim(
    "colm-molecules-flat",
    "Gerstgrasser et al. 2024",
    "GeoDiff, 8 generations: about flat",
    reach=SMALLER,
    says="under Accumulate the denoising error rises by {own:.1f} thousandths in {t} generations, {share:.0%} of "
    "what it rises under Replace",
    control=swapped("RealOnly(refit)", "Accumulate"),
)
def _flat(results):
    """With accumulating conformers the test loss stays about flat: it rises by less than a tenth of what it rises under
    Replace.

    A share of Replace's rise on one side of a tenth.
    """
    data = results["main"]
    share = share_of_replace(data, ERROR, "Accumulate")
    numbers = {"own": change(data, ERROR, "Accumulate").scaled(THOUSANDTHS).estimate, "t": data.sizes["generation"]}
    return Finding(word(below(share, FLAT)), numbers | {"share": share.estimate}, share, FLAT)


@claim(
    "thread-molecules",
    "thread, 11/N",
    "“We show this holds across domains (…, molecular conformation)”",
    reach=SMALLER,
    says="at the last generation and at equal steps, the denoising error under Replace is {found:.1f} thousandths "
    "above that under Accumulate, and the torsion angles are {shapes:.1f} degrees further from the truth; of what "
    "Replace loses, {left:.0%} and {left_shapes:.0%} is lost under Accumulate too",
    control=swapped("Accumulate"),
)
def _mitigated(results):
    """For molecular conformation the decay is mitigated if generated conformers are added to the real ones: by the
    denoising error and by the shapes.

    A difference at or below 0 in one of the two.
    """
    found, shapes = (gap(results["main"], score, "Replace", "Accumulate") for score in (ERROR, TORSION))
    found = found.scaled(THOUSANDTHS)
    left = [share_of_replace(results["main"], score, "Accumulate").estimate for score in (ERROR, TORSION)]
    numbers = {"found": found.estimate, "shapes": shapes.estimate, "left": left[0], "left_shapes": left[1]}
    return Finding(word(every(above(found), above(shapes))), numbers, found, 0.0)


@claim(
    "thread-no-collapse-molecules",
    "thread, 10/N",
    "“no model collapse”",
    reach=SMALLER,
    condition=BOUNDED,
    says="{found}; {fits} fits. By the shapes of its samples Accumulate ends {left:.1f} degrees further from the "
    "truth than at the first fit, {share:.0%} of what Replace does, and up to {most:.0%} by its interval",
    control=answered("no"),
)
def _no_collapse(results):
    """If generated conformers accumulate, a diffusion model does not collapse.

    An answer *yes* to the second, third or fourth question; for plain *holds*, none to the first either.
    """
    found, share = stands(results, WORLD), share_of_replace(results["main"], TORSION, "Accumulate")
    left = change(results["main"], TORSION, "Accumulate").estimate
    return Finding(found.word, {**found.numbers, "left": left, "share": share.estimate, "most": share.high})
