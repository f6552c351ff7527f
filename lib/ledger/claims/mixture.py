"""Claims of chapter 4: Gaussian mixtures, kernel density estimates, and a cell of the paper's own notebook.

Test losses have heavy tails under Replace, so medians over runs are compared, by intervals that assume no distribution.
"""

import numpy as np

from lib import theory
from lib.intervals import number
from lib.ledger import Finding, claim, ladder
from lib.ledger.predicates import at, change, difference, gap, mean, median, proportion, untestable
from lib.regimes import Accumulate

REPEATED = 0.1  # an error that comes back to less than this share of itself is not made again
MOST = 0.5  # a statement that holds in more than half of the settings, but not in all, holds with limits


def _over_settings(results, compare):
    """What `compare` makes of the losses of the kernel density estimates in every setting: where its interval reaches
    lowest, that interval, and the share and the count of those above 0."""
    data = results["kde"]
    found = {str(s): compare(data.sel(setting=s)) for s in data["setting"].values}
    setting, least = min(found.items(), key=lambda item: item[1].low)
    name, bandwidth = setting.rsplit(" ", 1)
    above = sum(f.low > 0 for f in found.values())
    where = f"{name.replace('_', ' ')}, bandwidth {bandwidth.capitalize()}"
    return where, least, above / len(found), f"{above} of {len(found)} settings"


def _ahead(data, regime, other, since=-1):
    """Interval of the median paired difference of the last test loss and another regime's, or an earlier one."""
    return median(at(data, "test_nll", regime) - at(data, "test_nll", other, since))


def _rise(data, regime):
    return _ahead(data, regime, regime, since=0)


def _faded(data, regime):
    """Of each run, whether the rare mode has less than half of its first weight left."""
    return at(data, "rare_mode", regime) < at(data, "rare_mode", regime, 0).mean() / 2


@claim("nature-mixture", "Shumailov et al. 2024, supplement", "GMM")
def _mixture_decays(results):
    """A Gaussian mixture fitted to its predecessor's samples decays."""
    data = results["gmm"]
    found = _rise(data, "Replace")
    return Finding(
        ladder(False, found.low > 0),
        f"the median loss on real test points rises by {number(found.estimate, '.2g')} nats in "
        f"{data.sizes['generation']} generations, for a mixture of this book's own: three modes of different weights, "
        "where the supplement has two",
        found,
        "A median rise whose interval contains 0; for a verdict without limits, the paper's own mixture.",
    )


@claim("nature-rare-mode", "Shumailov et al. 2024, abstract", "“tails of the original content distribution disappear”")
def _rare_mode(results):
    """What is rare in the original distribution disappears: here, the rare mode of a mixture."""
    data = results["gmm"]
    runs, (faded, kept) = data.sizes["run"], (_faded(data, r).sum() for r in ("Replace", "Accumulate"))
    found = proportion(faded, runs)
    return Finding(
        ladder(found.low > MOST, found.low > kept / runs),
        f"the rare mode has less than half of its weight left in {faded} of {runs} runs under Replace after "
        f"{data.sizes['generation']} generations (Accumulate: {kept}); its mean share changes by "
        f"{change(data, 'rare_mode', 'Replace'):.2g}, as other runs gain what these lose",
        found,
        "No more runs without it than under Accumulate; for a verdict without limits, most of the runs.",
    )


@claim(
    "nature-expressivity",
    "Shumailov et al. 2024, sources of error",
    "“can only occur at the first generation”, without the other errors",
)
def _expressivity(results):
    """The error of a model that cannot represent the data is made at the first generation, and not again."""
    data = results["components"]
    cells = {int(k): data.sel(components=k) for k in sorted(data["components"].values)}
    first = {k: at(cell, "test_nll", "Accumulate", 0) for k, cell in cells.items()}
    poor, most, best = min(cells), max(cells), min(first, key=lambda k: np.median(first[k]))
    costs, later = median(first[poor] - first[best]), _rise(cells[poor], "Accumulate")
    if not costs.low > 0:
        return untestable("one component is as good as more", "Data that one component cannot represent.", later)
    rises = [_rise(cells[k], "Replace").estimate for k in (poor, most)]
    return Finding(
        ladder(later.high < REPEATED * costs.low, later.high < costs.low),
        f"on the moons {poor} component costs {number(costs.estimate, '.2g')} nats against {best} at the first fit, "
        f"and {number(later.estimate, '.1g')} more in {data.sizes['generation']} accumulated generations; under "
        f"Replace the loss rises by {number(rises[0], '.2g')} with {poor} and by {number(rises[1], '.2g')} with "
        f"{most} components",
        later,
        f"A later rise of more than {REPEATED:.0%} of the first error, for limits; one as large as it, for none.",
    )


@claim("thread-no-collapse-mixture", "thread, 10/N", "“no model collapse”")
def _no_collapse(results):
    """With accumulating data a mixture does not collapse."""
    data = results["gmm"]
    t = data.sizes["generation"]
    rise, late = (change(data, "test_nll", "Accumulate", since) for since in (0, t // 2 - 1))
    behind = gap(data, "test_nll", "Accumulate", "RealOnly")
    replaced = _ahead(data, "Replace", "Accumulate")
    faded = _faded(data, "Accumulate")
    goes_on = late.low > 0 and late.estimate > MOST * rise.estimate
    holds = replaced.low > 0 and difference(faded, _faded(data, "RealOnly")).low <= 0 and not goes_on
    return Finding(
        ladder(holds and max(rise.low, behind.low) <= 0, holds),
        f"the test loss changes by {number(rise.estimate, '.2g')} nats in {t} generations, by {late:.2g} in the last "
        f"half of them; it ends {number(replaced.estimate, '.2g')} below Replace's and {behind:.2g} above that of as "
        f"many real points; the rare mode has less than half of its weight left in {faded.sum()} of "
        f"{data.sizes['run']} runs",
        rise,
        "A test loss not below Replace's, a rare mode that fades more often than with real data, or more than "
        f"{MOST:.0%} of the rise in the last half; for a verdict without limits, no rise, and no gap to real data.",
    )


@claim("kazdan-kernels-replaced", "Kazdan et al. 2025", "blobs, circles, moons, swiss roll")
def _kernels_replaced(results):
    """Replaced, kernel density estimates decay too."""
    where, least, share, count = _over_settings(results, lambda data: _rise(data, "Replace"))
    return Finding(
        ladder(share == 1, share > MOST),
        f"the median test loss rises in {count}; the interval is that of the smallest rise ({where})",
        least,
        "For a verdict without limits every rise has an interval above 0, for one with limits more than half of them.",
    )


@claim("kazdan-kernels-accumulated", "Kazdan et al. 2025", "“test losses do not diverge”")
def _kernels_accumulated(results):
    """If data accumulate, the test losses of kernel density estimates do not diverge."""
    where, least, share, count = _over_settings(results, lambda data: _ahead(data, "Replace", "Accumulate"))
    moment, half = (results[name].sizes["generation"] // 2 - 1 for name in ("bias", "kde"))
    drift = change(results["bias"], "second_moment", "Accumulate", moment)
    *_, late, rising = _over_settings(results, lambda data: _ahead(data, "Accumulate", "Accumulate", half))
    return Finding(
        ladder(share == 1 and not late, share > MOST),
        f"below Replace's in {count} (interval: the closest, {where}); in the last half of the run it still rises in "
        f"{rising.split()[0]} of them. At a fixed bandwidth the second moment goes on rising "
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
    where, least, share, count = _over_settings(
        results, lambda data: min((_ahead(data, *pair) for pair in pairs), key=lambda interval: interval.low)
    )
    return Finding(
        ladder(share == 1, share > MOST),
        f"separated from both in {count}; the interval is that of the smaller distance where it is smallest ({where})",
        least,
        "For a verdict without limits the test loss lies between in every setting, for one with limits in more than "
        "half of them.",
    )


@claim("pi-squared-sixth-notebook", "Gerstgrasser et al. 2024; Dey and Donoho 2024", "π²/6, for regression and beyond")
def _pathway(results):
    """Accumulating holds the error within π²/6 of the first fit's, also at the sizes of the *Nature* authors' own
    notebook."""
    data = results["alldata"]
    t, sizes = data.sizes["generation"], data["n"].values.tolist()
    found = {n: mean(n * at(data.sel(n=n), "squared_mean_error", "Accumulate")) for n in sizes}
    laws = {n: n * theory.expected_error(Accumulate(), n, t, "unbiased")[-1] for n in sizes}
    off = {n: max(found[n].low - laws[n], laws[n] - found[n].high) for n in sizes}
    worst = max(sizes, key=off.get)
    return Finding(
        ladder(off[worst] <= 0 and max(laws.values()) <= theory.EULER_SUM),
        f"at generation {t} the error is {', '.join(f'{found[n].estimate:.2f}' for n in sizes)} first-fit errors at n "
        f"= {', '.join(map(str, sizes))} (exact: at most {max(laws.values()):.3f}; interval: n = {worst}, the farthest "
        "from its law)",
        found[worst],
        "An error off its exact law at any of the sizes, or a law above π²/6.",
    )
