"""Claims of chapter 4: Gaussian mixtures, kernel density estimates, and the cell of the paper's own notebook that saves its data.

The kernel density estimates are judged in every setting that the chapter ran, a shape and a bandwidth each. Their test losses have
heavy tails under Replace, so medians over runs are compared there, by intervals that assume no distribution. Where a data set
holds several settings, a regime's label names them: "Accumulate, moons 0.5", "Replace, n = 100".
"""

from __future__ import annotations

import numpy as np

from lib import intervals, theory
from lib import ledger as claims
from lib.intervals import number
from lib.ledger import LEVEL, LIMITED, NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED, Claim, Finding
from lib.ledger.measured import at
from lib.regimes import Accumulate

DRIFT = "Accumulate, moons 0.5"  # the setting whose law the chapter draws
REPEATED = 0.1  # an error that comes back to less than this share of itself is not made again
MOST = 0.5  # a statement that holds in more than half of the settings, but not in all, holds with limits


def _median(a, b):
    """Interval of the median paired difference."""
    found = intervals.median(a - b, LEVEL)
    claims.verdict(found, above=0)  # refuses an interval without ends
    return found


def _settings(data):
    """What the labels of the regimes say after the regime itself, each once."""
    return list(dict.fromkeys(label.split(", ", 1)[1] for label in data["regime"].values))


def _kernel(results, setting, regime, generation=-1):
    return at(results["kde"], "test_nll", f"{regime}, {setting}", generation)


def _smallest(found):
    """The setting whose interval reaches lowest, and that interval; how many lie above 0."""
    setting = min(found, key=lambda s: found[s].low)
    return setting, found[setting], sum(f.low > 0 for f in found.values())


def _word(count, of):
    return SUPPORTED if count == of else LIMITED if count > MOST * of else NOT_SUPPORTED


def _mixture_decays(results):
    data = results["gmm"]
    t = data.sizes["generation"]
    found = _median(at(data, "test_nll", "Replace", -1), at(data, "test_nll", "Replace", 0))
    return Finding(
        claims.verdict(found, above=0, holds=LIMITED),
        f"the median loss on real test points rises by {number(found.estimate, '.2g')} nats in {t} generations, for a mixture of this book's own: "
        "three modes of different weights, where the supplement has two",
        found,
        "A median rise whose interval contains 0; for a verdict without limits, the paper's own mixture.",
    )


def _rare_mode(results):
    data = results["gmm"]
    runs, half = data.sizes["run"], at(data, "rare_mode", "Replace", 0).mean() / 2
    faded = {r: int((at(data, "rare_mode", r, -1) < half).sum()) for r in ("Replace", "Accumulate")}
    found = intervals.proportion(faded["Replace"], runs, LEVEL)
    change = intervals.difference(at(data, "rare_mode", "Replace", -1), at(data, "rare_mode", "Replace", 0), LEVEL)
    kept = intervals.proportion(faded["Accumulate"], runs, LEVEL)
    word = SUPPORTED if found.low > MOST else LIMITED if found.low > kept.estimate else NOT_SUPPORTED
    return Finding(
        word,
        f"the rare mode has less than half of its weight left in {faded['Replace']} of {runs} runs under Replace after {data.sizes['generation']} generations (Accumulate: "
        f"{faded['Accumulate']}); its mean share changes by {change:.2g}, as other runs gain what these lose",
        found,
        "No more runs without it than under Accumulate; for a verdict without limits, most of the runs.",
    )


def _no_collapse(results):
    """By the loss on real data and the rare mode: the error of the overall mean would obey its law whatever the components do."""
    data = results["gmm"]
    runs, t = data.sizes["run"], data.sizes["generation"]
    end, first, middle = (at(data, "test_nll", "Accumulate", g) for g in (-1, 0, t // 2 - 1))
    rise, late = intervals.difference(end, first, LEVEL), intervals.difference(end, middle, LEVEL)
    behind = intervals.difference(end, at(data, "test_nll", "RealOnly", -1), LEVEL)
    replaced = _median(at(data, "test_nll", "Replace", -1), end)
    half = at(data, "rare_mode", "Accumulate", 0).mean() / 2
    faded = {r: (at(data, "rare_mode", r, -1) < half).astype(float) for r in ("Accumulate", "RealOnly")}
    fades = intervals.difference(faded["Accumulate"], faded["RealOnly"], LEVEL)
    goes_on = late.low > 0 and late.estimate > MOST * rise.estimate
    if replaced.low <= 0 or fades.low > 0 or goes_on:
        word = NOT_SUPPORTED
    else:
        word = LIMITED if max(rise.low, behind.low) > 0 else SUPPORTED
    return Finding(
        word,
        f"the test loss changes by {number(rise.estimate, '.2g')} nats in {t} generations, by {late:.2g} in the last half of them; it ends "
        f"{number(replaced.estimate, '.2g')} below Replace's and {behind:.2g} above that of as many real points; the rare mode has less than half of its weight left in "
        f"{int(faded['Accumulate'].sum())} of {runs} runs",
        rise,
        f"A test loss not below Replace's, a rare mode that fades more often than with real data, or more than {MOST:.0%} of the rise in the last half; for a verdict without limits, no "
        "rise, and no gap to real data.",
    )


def _kernels_replaced(results):
    settings = _settings(results["kde"])
    found = {s: _median(_kernel(results, s, "Replace"), _kernel(results, s, "Replace", 0)) for s in settings}
    setting, least, count = _smallest(found)
    return Finding(
        _word(count, len(settings)),
        f"the median test loss rises in {count} of {len(settings)} settings; the interval is that of the smallest rise ({_read(setting)})",
        least,
        "For a verdict without limits every rise has an interval above 0, for one with limits more than half of them.",
    )


def _kernels_accumulated(results):
    settings = _settings(results["kde"])
    ahead = {s: _median(_kernel(results, s, "Replace"), _kernel(results, s, "Accumulate")) for s in settings}
    setting, least, count = _smallest(ahead)
    moments = results["bias"]["second_moment"].sel(regime=DRIFT)
    half = moments.sizes["generation"] // 2
    drift = intervals.difference(moments.isel(generation=-1), moments.isel(generation=half - 1), LEVEL)
    word = _word(count, len(settings))
    middle = results["kde"].sizes["generation"] // 2 - 1
    late = {s: _median(_kernel(results, s, "Accumulate"), _kernel(results, s, "Accumulate", middle)) for s in settings}
    rising = sum(change.low > 0 for change in late.values())
    return Finding(
        LIMITED if word == SUPPORTED and rising else word,
        f"below Replace's in {count} of {len(settings)} settings (interval: the closest, {_read(setting)}); in the last half of the run it still rises in {rising} of "
        f"them. At a fixed bandwidth the second moment goes on rising (by {drift:.2g} in that half at bandwidth 0.5 on the moons), like ln t by its law, and a test loss would then "
        "rise like the logarithm of that",
        least,
        "A loss that is not below Replace's in half of the settings; for a verdict without limits, in none, and no test loss that still rises.",
    )


def _kernels_between(results):
    settings = _settings(results["kde"])
    found = {}
    for s in settings:
        middle = _kernel(results, s, "AccumulateSubsample")
        above, below = (
            _median(middle, _kernel(results, s, "Accumulate")),
            _median(_kernel(results, s, "Replace"), middle),
        )
        found[s] = min(above, below, key=lambda interval: interval.low)
    setting, least, count = _smallest(found)
    return Finding(
        _word(count, len(settings)),
        f"separated from both in {count} of {len(settings)} settings; the interval is that of the smaller distance where it is smallest ({_read(setting)})",
        least,
        "For a verdict without limits the test loss lies between in every setting, for one with limits in more than half of them.",
    )


def _pathway(results):
    data = results["alldata"]
    t = data.sizes["generation"]
    sizes = [int(setting.removeprefix("n = ")) for setting in _settings(data)]
    found, laws = {}, {}
    for n in sizes:
        found[n] = intervals.mean(n * at(data, "squared_mean_error", f"Accumulate, n = {n}", -1), LEVEL)
        laws[n] = n * theory.expected_error(Accumulate(), n, t, "unbiased")[-1]
    off = {n: max(found[n].low - laws[n], laws[n] - found[n].high) for n in sizes}
    worst = max(sizes, key=off.get)
    holds = off[worst] <= 0 and max(laws.values()) <= theory.EULER_SUM
    return Finding(
        SUPPORTED if holds else NOT_SUPPORTED,
        f"at generation {t} the error is {', '.join(f'{found[n].estimate:.2f}' for n in sizes)} first-fit errors at n = {', '.join(map(str, sizes))} "
        f"(exact: at most {max(laws.values()):.3f}; interval: n = {worst}, the farthest from its law)",
        found[worst],
        "An error off its exact law at any of the sizes, or a law above π²/6.",
    )


def _expressivity(results):
    """Too few components: their error is there at the first fit; what is added later, where sampling noise is held by old data?"""
    data = results["components"]
    counts = sorted(int(setting.removeprefix("k = ")) for setting in _settings(data))
    first = {k: at(data, "test_nll", f"Accumulate, k = {k}", 0) for k in counts}
    best = min(counts, key=lambda k: float(np.median(first[k])))
    poor = counts[0]
    gap = _median(first[poor], first[best]) if best != poor else None
    later = _median(at(data, "test_nll", f"Accumulate, k = {poor}", -1), first[poor])
    if gap is None or gap.low <= 0:
        return Finding(
            NOT_TESTABLE, "one component is as good as more", later, "Data that one component cannot represent."
        )
    word = SUPPORTED if later.high < REPEATED * gap.low else LIMITED if later.high < gap.low else NOT_SUPPORTED
    rises = {
        k: float(
            np.median(at(data, "test_nll", f"Replace, k = {k}", -1) - at(data, "test_nll", f"Replace, k = {k}", 0))
        )
        for k in (poor, counts[-1])
    }
    return Finding(
        word,
        f"on the moons {poor} component costs {number(gap.estimate, '.2g')} nats against {best} at the first fit, and {number(later.estimate, '.1g')} more in "
        f"{data.sizes['generation']} accumulated generations; under Replace the loss rises by {number(rises[poor], '.2g')} with {poor} and by "
        f"{number(rises[counts[-1]], '.2g')} with {counts[-1]} components",
        later,
        f"A later rise of more than {REPEATED:.0%} of the first error, for limits; one as large as it, for none.",
    )


def _read(setting):
    name, bandwidth = setting.rsplit(" ", 1)
    return f"{name.replace('_', ' ')}, bandwidth {bandwidth.capitalize()}"


CLAIMS = (
    Claim(
        "nature-mixture",
        4,
        "Shumailov et al. 2024, supplement",
        "A Gaussian mixture fitted to its predecessor's samples decays.",
        "GMM",
        _mixture_decays,
    ),
    Claim(
        "nature-rare-mode",
        4,
        "Shumailov et al. 2024, abstract",
        "What is rare in the original distribution disappears: here, the rare mode of a mixture.",
        "“tails of the original content distribution disappear”",
        _rare_mode,
    ),
    Claim(
        "nature-expressivity",
        4,
        "Shumailov et al. 2024, sources of error",
        "The error of a model that cannot represent the data is made at the first generation, and not again.",
        "“can only occur at the first generation”, without the other errors",
        _expressivity,
    ),
    Claim(
        "thread-no-collapse-mixture",
        4,
        "thread, 10/N",
        "With accumulating data a mixture does not collapse.",
        "“no model collapse”",
        _no_collapse,
    ),
    Claim(
        "kazdan-kernels-replaced",
        4,
        "Kazdan et al. 2025",
        "Replaced, kernel density estimates decay too.",
        "blobs, circles, moons, swiss roll",
        _kernels_replaced,
    ),
    Claim(
        "kazdan-kernels-accumulated",
        4,
        "Kazdan et al. 2025",
        "If data accumulate, the test losses of kernel density estimates do not diverge.",
        "“test losses do not diverge”",
        _kernels_accumulated,
    ),
    Claim(
        "kazdan-kernels-between",
        4,
        "Kazdan et al. 2025",
        "A kernel density estimate on a fixed-size part of the pool lies between the two.",
        "between the two",
        _kernels_between,
    ),
    Claim(
        "pi-squared-sixth-notebook",
        4,
        "Gerstgrasser et al. 2024; Dey and Donoho 2024",
        "Accumulating holds the error within π²/6 of the first fit's, also at the sizes of the *Nature* authors' own notebook.",
        "π²/6, for regression and beyond",
        _pathway,
    ),
)
