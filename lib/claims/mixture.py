"""Claims of chapter 4: Gaussian mixtures, kernel density estimates, and the cell of the paper's own notebook that saves its data.

The kernel density estimates are judged in every setting that the chapter ran, a shape and a bandwidth each. Their test losses have
heavy tails under Replace, so medians over runs are compared there, by intervals that assume no distribution. Where a data set
holds several settings, a regime's label names them: "Accumulate, moons 0.5", "Replace, n = 100".
"""

from __future__ import annotations

from lib import claims, intervals, theory
from lib.claims import LEVEL, LIMITED, NOT_SUPPORTED, SUPPORTED, Claim, Finding
from lib.intervals import number
from lib.regimes import Accumulate

DRIFT = "Accumulate, moons 0.5"  # the setting whose law the chapter draws
MOST = 0.5  # a statement that holds in more than half of the settings, but not in all, holds with limits


def _at(data, name, regime, generation):
    return data[name].sel(regime=regime).isel(generation=generation).values


def _median(a, b):
    """Interval of the median paired difference."""
    found = intervals.median(a - b, LEVEL)
    claims.verdict(found, above=0)  # refuses an interval without ends
    return found


def _settings(data):
    """What the labels of the regimes say after the regime itself, each once."""
    return list(dict.fromkeys(label.split(", ", 1)[1] for label in data["regime"].values))


def _kernel(results, setting, regime, generation=-1):
    return _at(results["kde"], "test_nll", f"{regime}, {setting}", generation)


def _smallest(found):
    """The setting whose interval reaches lowest, and that interval; how many lie above 0."""
    setting = min(found, key=lambda s: found[s].low)
    return setting, found[setting], sum(f.low > 0 for f in found.values())


def _word(count, of):
    return SUPPORTED if count == of else LIMITED if count > MOST * of else NOT_SUPPORTED


def _mixture_decays(results):
    data = results["gmm"]
    t = data.sizes["generation"]
    found = _median(_at(data, "test_nll", "Replace", -1), _at(data, "test_nll", "Replace", 0))
    return Finding(
        claims.verdict(found, above=0),
        f"the median loss on real test points rises by {number(found.estimate, '.2g')} nats in {t} generations",
        found,
        "A median rise whose interval contains 0.",
    )


def _rare_mode(results):
    data = results["gmm"]
    change = {
        r: intervals.difference(_at(data, "smallest_mode", r, -1), _at(data, "smallest_mode", r, 0), LEVEL)
        for r in ("Replace", "Accumulate")
    }
    return Finding(
        claims.verdict(change["Replace"], below=0),
        f"the share of the smallest mode changes by {number(change['Replace'].estimate, '.2g')} under Replace (Accumulate: "
        f"{change['Accumulate']:.2g}) in {data.sizes['generation']} generations",
        change["Replace"],
        "A change whose interval contains 0.",
    )


def _no_collapse(results):
    data = results["gmm"]
    n, t = data.attrs["n"], data.sizes["generation"]
    error = intervals.mean(n * _at(data, "squared_mean_error", "Accumulate", -1), LEVEL)
    law = n * theory.expected_error(Accumulate(), n, t)[-1]
    rise = intervals.difference(_at(data, "test_nll", "Accumulate", -1), _at(data, "test_nll", "Accumulate", 0), LEVEL)
    replaced = _median(_at(data, "test_nll", "Replace", -1), _at(data, "test_nll", "Accumulate", -1))
    if not (error.low <= law <= error.high and law < theory.EULER_SUM and replaced.low > 0):
        word = NOT_SUPPORTED
    else:
        word = LIMITED if rise.low > 0 else SUPPORTED
    return Finding(
        word,
        f"if collapse is an error without bound, none: {error.estimate:.2f} first-fit errors of the mean (exact: {law:.3f}, at most "
        f"π²/6 for ever); if it is any rise of the test loss, that changes by {number(rise.estimate, '.2g')} nats",
        rise,
        "An error off its law, which is bounded, or a test loss not below Replace's; for a verdict without limits, no rise at all.",
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
    return Finding(
        LIMITED if word == SUPPORTED and drift.low > 0 else word,
        f"below Replace's in {count} of {len(settings)} settings (interval: the closest, {_read(setting)}); but at a fixed bandwidth the second moment "
        f"still rises, by {drift:.2g} in the last half at bandwidth 0.5 on the moons, and its law, which grows like ln t, has no bound",
        least,
        "A loss that is not below Replace's in half of the settings; for a verdict without limits, in none, and no rise of the second moment.",
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
        found[n] = intervals.mean(n * _at(data, "squared_mean_error", f"Accumulate, n = {n}", -1), LEVEL)
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
        "What is rare in the original distribution disappears: here, the smallest mode of a mixture.",
        "“tails of the original content distribution disappear”",
        _rare_mode,
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
