"""Claims of chapter 4: Gaussian mixtures, kernel density estimates, and the cell of the paper's own notebook that saves
its data.

The kernel density estimates are judged in every setting that the chapter ran, a shape and a bandwidth each. Their test
losses have heavy tails under Replace, so medians over runs are compared there, by intervals that assume no
distribution.
"""

from __future__ import annotations

import numpy as np

from lib import theory
from lib.intervals import number
from lib.ledger import NOT_TESTABLE, Finding, claim, ladder
from lib.ledger.predicates import at, change, difference, gap, mean, median, proportion
from lib.regimes import Accumulate

REPEATED = 0.1  # an error that comes back to less than this share of itself is not made again
MOST = 0.5  # a statement that holds in more than half of the settings, but not in all, holds with limits


def _over_settings(results, compare):
    """The settings of the kernel density estimates: for each what `compare` makes of its losses."""
    data = results["kde"]
    return {str(s): compare(data.sel(setting=s)) for s in data["setting"].values}


def _ahead(data, regime, other, generation=-1, since=-1):
    """Interval of the median paired difference of the test loss of two regimes, at two places of the generation
    axis."""
    return median(at(data, "test_nll", regime, generation) - at(data, "test_nll", other, since))


def _smallest(found):
    """The setting whose interval reaches lowest, and that interval; how many lie above 0."""
    setting = min(found, key=lambda s: found[s].low)
    return setting, found[setting], sum(f.low > 0 for f in found.values())


@claim("nature-mixture", "Shumailov et al. 2024, supplement", "GMM")
def _mixture_decays(results):
    """A Gaussian mixture fitted to its predecessor's samples decays."""
    data = results["gmm"]
    t = data.sizes["generation"]
    found = _ahead(data, "Replace", "Replace", since=0)
    return Finding(
        ladder(False, found.low > 0),
        f"the median loss on real test points rises by {number(found.estimate, '.2g')} nats in {t} generations, for a "
        "mixture of this book's own: three modes of different weights, where the supplement has two",
        found,
        "A median rise whose interval contains 0; for a verdict without limits, the paper's own mixture.",
    )


@claim("nature-rare-mode", "Shumailov et al. 2024, abstract", "“tails of the original content distribution disappear”")
def _rare_mode(results):
    """What is rare in the original distribution disappears: here, the rare mode of a mixture."""
    data = results["gmm"]
    runs, half = data.sizes["run"], at(data, "rare_mode", "Replace", 0).mean() / 2
    faded = {r: int((at(data, "rare_mode", r, -1) < half).sum()) for r in ("Replace", "Accumulate")}
    found = proportion(faded["Replace"], runs)
    moved = change(data, "rare_mode", "Replace")
    kept = proportion(faded["Accumulate"], runs)
    return Finding(
        ladder(found.low > MOST, found.low > kept.estimate),
        f"the rare mode has less than half of its weight left in {faded['Replace']} of {runs} runs under Replace after "
        f"{data.sizes['generation']} generations (Accumulate: {faded['Accumulate']}); its mean share changes by "
        f"{moved:.2g}, as other runs gain what these lose",
        found,
        "No more runs without it than under Accumulate; for a verdict without limits, most of the runs.",
    )


@claim(
    "nature-expressivity",
    "Shumailov et al. 2024, sources of error",
    "“can only occur at the first generation”, without the other errors",
)
def _expressivity(results):
    """The error of a model that cannot represent the data is made at the first generation, and not again.

    Too few components: their error is there at the first fit; what is added later, where sampling noise is held by old
    data?
    """
    data = results["components"]
    cells = {int(k): data.sel(components=k) for k in sorted(data["components"].values)}
    counts = list(cells)
    best = min(counts, key=lambda k: float(np.median(at(cells[k], "test_nll", "Accumulate", 0))))
    poor, first = counts[0], [at(cells[k], "test_nll", "Accumulate", 0) for k in (counts[0], best)]
    costs = median(first[0] - first[1])
    later = _ahead(cells[poor], "Accumulate", "Accumulate", since=0)
    if not costs.low > 0:
        return Finding(
            NOT_TESTABLE, "one component is as good as more", later, "Data that one component cannot represent."
        )
    word = ladder(later.high < REPEATED * costs.low, later.high < costs.low)
    rises = [_ahead(cells[k], "Replace", "Replace", since=0).estimate for k in (poor, counts[-1])]
    return Finding(
        word,
        f"on the moons {poor} component costs {number(costs.estimate, '.2g')} nats against {best} at the first fit, "
        f"and {number(later.estimate, '.1g')} more in {data.sizes['generation']} accumulated generations; under "
        f"Replace the loss rises by {number(rises[0], '.2g')} with {poor} and by {number(rises[1], '.2g')} with "
        f"{counts[-1]} components",
        later,
        f"A later rise of more than {REPEATED:.0%} of the first error, for limits; one as large as it, for none.",
    )


@claim("thread-no-collapse-mixture", "thread, 10/N", "“no model collapse”")
def _no_collapse(results):
    """With accumulating data a mixture does not collapse.

    By the loss on real data and the rare mode: the error of the overall mean would obey its law whatever the components
    do.
    """
    data = results["gmm"]
    runs, t = data.sizes["run"], data.sizes["generation"]
    rise, late = (change(data, "test_nll", "Accumulate", since) for since in (0, t // 2 - 1))
    behind = gap(data, "test_nll", "Accumulate", "RealOnly")
    replaced = _ahead(data, "Replace", "Accumulate")
    half = at(data, "rare_mode", "Accumulate", 0).mean() / 2
    faded = {r: (at(data, "rare_mode", r, -1) < half).astype(float) for r in ("Accumulate", "RealOnly")}
    fades = difference(faded["Accumulate"], faded["RealOnly"])
    goes_on = late.low > 0 and late.estimate > MOST * rise.estimate
    holds = replaced.low > 0 and fades.low <= 0 and not goes_on
    return Finding(
        ladder(holds and max(rise.low, behind.low) <= 0, holds),
        f"the test loss changes by {number(rise.estimate, '.2g')} nats in {t} generations, by {late:.2g} in the last "
        f"half of them; it ends {number(replaced.estimate, '.2g')} below Replace's and {behind:.2g} above that of as "
        f"many real points; the rare mode has less than half of its weight left in {int(faded['Accumulate'].sum())} of "
        f"{runs} runs",
        rise,
        "A test loss not below Replace's, a rare mode that fades more often than with real data, or more than "
        f"{MOST:.0%} of the rise in the last half; for a verdict without limits, no rise, and no gap to real data.",
    )


@claim("kazdan-kernels-replaced", "Kazdan et al. 2025", "blobs, circles, moons, swiss roll")
def _kernels_replaced(results):
    """Replaced, kernel density estimates decay too."""
    found = _over_settings(results, lambda data: _ahead(data, "Replace", "Replace", since=0))
    setting, least, count = _smallest(found)
    return Finding(
        ladder(count == len(found), count > MOST * len(found)),
        f"the median test loss rises in {count} of {len(found)} settings; the interval is that of the smallest rise "
        f"({_read(setting)})",
        least,
        "For a verdict without limits every rise has an interval above 0, for one with limits more than half of them.",
    )


@claim("kazdan-kernels-accumulated", "Kazdan et al. 2025", "“test losses do not diverge”")
def _kernels_accumulated(results):
    """If data accumulate, the test losses of kernel density estimates do not diverge."""
    found = _over_settings(results, lambda data: _ahead(data, "Replace", "Accumulate"))
    setting, least, count = _smallest(found)
    half = results["bias"].sizes["generation"] // 2 - 1
    drift = change(results["bias"], "second_moment", "Accumulate", half)
    half = results["kde"].sizes["generation"] // 2 - 1
    late = _over_settings(results, lambda data: _ahead(data, "Accumulate", "Accumulate", since=half))
    rising = sum(later.low > 0 for later in late.values())
    return Finding(
        ladder(count == len(found) and not rising, count > MOST * len(found)),
        f"below Replace's in {count} of {len(found)} settings (interval: the closest, {_read(setting)}); in the last "
        f"half of the run it still rises in {rising} of them. At a fixed bandwidth the second moment goes on rising "
        f"(by {drift:.2g} in that half at bandwidth 0.5 on the moons), like ln t by its law, and a test loss would "
        "then rise like the logarithm of that",
        least,
        "A loss that is not below Replace's in half of the settings; for a verdict without limits, in none, and no "
        "test loss that still rises.",
    )


@claim("kazdan-kernels-between", "Kazdan et al. 2025", "between the two")
def _kernels_between(results):
    """A kernel density estimate on a fixed-size part of the pool lies between the two."""
    pairs = ("AccumulateSubsample", "Accumulate"), ("Replace", "AccumulateSubsample")
    found = _over_settings(
        results, lambda data: min((_ahead(data, *pair) for pair in pairs), key=lambda interval: interval.low)
    )
    setting, least, count = _smallest(found)
    return Finding(
        ladder(count == len(found), count > MOST * len(found)),
        f"separated from both in {count} of {len(found)} settings; the interval is that of the smaller distance where "
        f"it is smallest ({_read(setting)})",
        least,
        "For a verdict without limits the test loss lies between in every setting, for one with limits in more than "
        "half of them.",
    )


@claim("pi-squared-sixth-notebook", "Gerstgrasser et al. 2024; Dey and Donoho 2024", "π²/6, for regression and beyond")
def _pathway(results):
    """Accumulating holds the error within π²/6 of the first fit's, also at the sizes of the *Nature* authors' own
    notebook."""
    data = results["alldata"]
    t = data.sizes["generation"]
    sizes = data["n"].values.tolist()
    found = {n: mean(n * at(data.sel(n=n), "squared_mean_error", "Accumulate")) for n in sizes}
    laws = {n: n * theory.expected_error(Accumulate(), n, t, "unbiased")[-1] for n in sizes}
    off = {n: max(found[n].low - laws[n], laws[n] - found[n].high) for n in sizes}
    worst = max(sizes, key=off.get)
    holds = off[worst] <= 0 and max(laws.values()) <= theory.EULER_SUM
    return Finding(
        ladder(holds),
        f"at generation {t} the error is {', '.join(f'{found[n].estimate:.2f}' for n in sizes)} first-fit errors at n "
        f"= {', '.join(map(str, sizes))} (exact: at most {max(laws.values()):.3f}; interval: n = {worst}, the farthest "
        "from its law)",
        found[worst],
        "An error off its exact law at any of the sizes, or a law above π²/6.",
    )


def _read(setting):
    name, bandwidth = setting.rsplit(" ", 1)
    return f"{name.replace('_', ' ')}, bandwidth {bandwidth.capitalize()}"
