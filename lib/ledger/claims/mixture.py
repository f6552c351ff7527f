"""Claims of chapter 4: Gaussian mixtures and kernel density estimates.

Test losses have heavy tails under Replace, so medians over runs are compared, by intervals that assume no distribution.
"""

import numpy as np

from lib import theory
from lib.ledger import ANALOGUE, LAW, THEIRS, UNDECIDED, Finding, claim, questions, word
from lib.ledger.predicates import (
    BOUNDED,
    above,
    at,
    below,
    every,
    mean,
    median,
    on_law,
    proportion,
    stands,
    swapped,
    together,
)
from lib.regimes import Accumulate
from lib.theory import discrete
from lib.theory import mixture as laws

REPEATED = 0.1  # an error that comes back to less than this share of itself is not made again
FAR = 2**13  # generations to which laws are followed for what they tend to


def _rise(data, regime, level=0.99):
    """Interval of the median rise of the test loss from the first fit to the last."""
    values = at(data, "test_nll", regime) - at(data, "test_nll", regime, 0)
    return median(values, level=level)


@claim(
    "nature-rare-mode",
    "Shumailov et al. 2024, abstract",
    "“tails of the original content distribution disappear”",
    reach=LAW,
    says="the rare mode has less than half of its weight left in {faded:.0%} of the runs after {t} generations "
    "(exact for counts of its weight: {law:.0%}), and by the same law in {later:.0%} after 200; in the limit it is "
    "gone in {end:.0%}. Under Accumulate {kept:.0%}",
    control=swapped("Accumulate"),
)
def _rare_mode(results):
    """Under Replace what is rare in the original distribution disappears: here the rare mode of a mixture, in all but a
    share q of the runs, if q is its weight.

    A share of runs that is off the law of the counts.
    """
    data = results["gmm"]
    n, t, runs = data.attrs["n"], data.sizes["generation"], data.sizes["run"]
    q = float(at(data, "rare_mode", "Replace", 0).mean())
    faded = {r: int((at(data, "rare_mode", r) < q / 2).sum()) for r in ("Replace", "Accumulate")}
    shares = discrete.share_law(q, n, max(t, 200))[:, : int(np.ceil(n * q / 2))].sum(axis=1)
    found = proportion(faded["Replace"], runs)
    numbers = {"faded": found.estimate, "t": t, "law": shares[t - 1], "later": shares[199], "end": 1 - q}
    return Finding(word(on_law(found, shares[t - 1])), numbers | {"kept": faded["Accumulate"] / runs})


@claim(
    "nature-expressivity",
    "Shumailov et al. 2024, sources of error",
    "“can only occur at the first generation”, without the other errors",
    reach=ANALOGUE,
    says="on the moons {poor} component costs {cost:.2g} nats against {best} at the first fit, and {later:.1g} more "
    "in {t} accumulated generations; under Replace the loss rises by {lost_poor:.2g} with {poor} and by "
    "{lost_most:.2g} with {most}",
    control=swapped("Accumulate"),
)
def _expressivity(results):
    """The error of a model that cannot represent the data is made at the first generation and not again: accumulated
    data leave less than a tenth of it to later fits.

    A later rise of a tenth of the first error or more.
    """
    data = results["components"]
    cells = {int(k): data.sel(components=k) for k in sorted(data["components"].values)}
    first = {k: at(cell, "test_nll", "Accumulate", 0) for k, cell in cells.items()}
    poor, most, best = min(cells), max(cells), min(first, key=lambda k: np.median(first[k]))
    costs, later = median(first[poor] - first[best]), _rise(cells[poor], "Accumulate")
    numbers = {"poor": poor, "best": best, "most": most, "cost": costs.estimate, "later": later.estimate}
    numbers |= {"t": data.sizes["generation"], "lost_poor": _rise(cells[poor], "Replace").estimate}
    numbers |= {"lost_most": _rise(cells[most], "Replace").estimate}
    line = REPEATED * costs.low
    return Finding(word(every(above(costs), below(later, line))), numbers, later, line)


@claim(
    "thread-no-collapse-mixture",
    "this book, going on from thread, 10/N",
    "“no model collapse”",
    reach=ANALOGUE,
    condition=BOUNDED,
    says="{found}; {fits} fits",
    control=swapped("Accumulate"),
)
def _no_collapse(results):
    """If data accumulate, a Gaussian mixture does not collapse.

    An answer *yes* to the second, third or fourth question; for plain *holds*, none to the first either.
    """
    return stands(results, "a mixture of three modes")


@claim(
    "kazdan-kernels-replaced",
    "Kazdan et al. 2025",
    "blobs, circles, moons, swiss roll",
    reach=THEIRS,
    says="the median test loss rises in {risen} of {settings} settings; least for {where}, by {least:.2g} nats",
    control=swapped("RealOnly"),
)
def _kernels_replaced(results):
    """Replaced, kernel density estimates decay on each of their four data sets, at every bandwidth.

    One setting in which the loss does not rise.
    """
    data = results["kde"]
    level = together(data.sizes["setting"])
    rises = {str(s): _rise(data.sel(setting=s), "Replace", level) for s in data["setting"].values}
    where, least = min(rises.items(), key=lambda item: item[1].low)
    numbers = {"risen": sum(above(r) is True for r in rises.values()), "settings": len(rises)}
    numbers |= {"where": where.replace("_", " "), "least": least.estimate}
    return Finding(word(every(*map(above, rises.values()))), numbers, least, 0.0)


@claim(
    "kazdan-kernels-accumulated",
    "Kazdan et al. 2025",
    "“test losses do not diverge”",
    reach=LAW,
    condition="the bandwidth shrinks as the pool grows",
    says="the spread of the accumulated pool tends to {rule:.2f} of the truth's by its law if the bandwidth follows "
    "Scott's rule, and at a fixed one grows like ln t ({found:.2f} at fit {t}, exact: {law:.2f}); of {fixed} "
    "settings with a fixed one the loss goes on rising in {rising} within {t} fits, of {rules} with a rule in "
    "{rising_rules}",
    control=swapped("RealOnly", "Accumulate"),
)
def _kernels_accumulated(results):
    """If data accumulate, kernel density estimates do not diverge: neither at the fixed bandwidths that they tried nor
    at those that follow a rule.

    For plain *holds*, a law of the spread with a bound at a fixed bandwidth; for *fails*, none with a bandwidth that
    shrinks.
    """
    bias, kde = results["bias"], results["kde"]
    n, t, width = bias.attrs["n"], bias.sizes["generation"], float(bias.attrs["bandwidth"])
    fixed = laws.expected_second_moment(Accumulate(), n, FAR, width)
    scott = laws.expected_second_moment(Accumulate(), n, FAR, laws.bandwidths("scott", Accumulate(), n, FAR, 2))
    unbounded = questions.QUESTIONS[1]
    goes_on = {str(s): unbounded.ask(kde.sel(setting=s), "Accumulate").word == "yes" for s in kde["setting"].values}
    rules = [name for name in goes_on if name.endswith(("scott", "silverman"))]
    found = mean(at(bias, "second_moment", "Accumulate"))
    numbers = {"rule": theory.limit(scott), "found": found.estimate, "t": t, "law": fixed[t - 1]}
    numbers |= {"fixed": len(goes_on) - len(rules), "rules": len(rules)}
    numbers |= {"rising_rules": sum(goes_on[r] for r in rules), "rising": sum(goes_on.values())}
    numbers["rising"] -= numbers["rising_rules"]
    if on_law(found, fixed[t - 1]) is None:
        return Finding(UNDECIDED, numbers)
    return Finding(word(theory.limit(fixed) < np.inf, theory.limit(scott) < np.inf), numbers)
