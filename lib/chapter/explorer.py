"""The explorer: the recursion computed in the reader's browser, as a widget in Jupyter and on Colab and as part of a page.

Both are the one ES module `lib/chapter/explorer.js`, which samples exactly in law as `lib.worlds.gaussian` and `lib.worlds.discrete` do and draws the laws of
`lib.theory` over it. Here is what it cannot have by itself: the word frequencies, and its settings as traits.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from lib.errors import among, refuse, whole
from lib.regimes import (
    Accumulate,
    AccumulateSubsample,
    FreshReal,
    Keep,
    Mixture,
    RealOnly,
    Regime,
    Replace,
    ReplaceGrown,
)
from lib.worlds.language.wikipedia import word_counts

MODULE = Path(__file__).with_name("explorer.js")
PANELS = ("gaussian", "words")
NONE = "none"  # no second regime
SHOWN = 96  # words that are shown one by one

# The least, the most and the default of what is a whole number, in each panel; the module has the same.
RANGES = {
    "gaussian": {
        "n": (10, 10**6, 100),
        "runs": (2, 5000, 1000),
        "generations": (2, 500, 200),
        "seed": (0, 2**32 - 1, 1),
    },
    "words": {"n": (10, 10**6, 1000), "runs": (2, 500, 20), "generations": (2, 500, 100), "seed": (0, 2**32 - 1, 1)},
}

_PLAIN = {
    "Replace": Replace(),
    "ReplaceGrown": ReplaceGrown(),
    "Accumulate": Accumulate(),
    "AccumulateSubsample": AccumulateSubsample(),
    "RealOnly": RealOnly(),
    "RealOnly(refit)": RealOnly(grow=False),
}


def regime_of(label: str) -> Regime:
    """The regime that has this label, `str(regime)`; ValueError for a text that is none.

    Weighted regimes have labels too, but the explorer fits every sample alike, so they are refused.
    """
    if label in _PLAIN:
        return _PLAIN[label]
    found = re.fullmatch(r"(\w+)\((.*)\)", str(label))
    name, inside = found.groups() if found else ("", "")
    words = inside.split(", ")
    try:
        if name == "Accumulate":
            shares = dict(reversed(re.fullmatch(r"(\S+) (fresh|kept)", word).groups()) for word in words)
            return Accumulate(**{key: float(share) for key, share in shares.items()})
        if name == "Keep" and words[1:] in ([], ["fixed"]):
            return Keep(float(words[0]), redraw=len(words) == 1)
        if name == "FreshReal" and len(words) == 1:
            return FreshReal(float(words[0]))
        if name == "Mixture" and words[3:] in ([], ["fresh"]):
            return Mixture(*(float(word) for word in words[:3]), fresh=len(words) == 4)
    except (AttributeError, TypeError):
        pass
    except ValueError as error:
        if "is not allowed" in str(error):  # the regime's own refusal says more
            raise
    known = ", ".join(_PLAIN)
    refuse(
        "regime", label, f"{known}, or Accumulate, Keep, FreshReal and Mixture with shares, as str(regime) writes them"
    )


@cache
def word_table(shown: int = SHOWN) -> dict[str, Any]:
    """The word frequencies of the embedded Wikipedia text, in the form the module reads.

    `total` words in all; `classes`, pairs (count, number of words that occur so often), most frequent first; `shown`, pairs
    (rank from 0, word) of about `shown` words at equal steps of the logarithm of the rank. A word's rank counts by falling
    frequency, so ranks and classes together give every frequency.
    """
    counts = word_counts()
    ordered = list(counts)
    classes = sorted(Counter(counts.values()).items(), reverse=True)
    plain = [rank for rank, word in enumerate(ordered) if re.fullmatch("[a-z]{2,14}", word)]
    # Neighbouring steps fall on the same rank while ranks are few, so more steps are taken than words are wanted.
    steps = np.geomspace(1, len(plain), 2 * shown)
    ranks = np.unique(np.round(steps).astype(int) - 1)
    ranks = ranks[np.unique(np.round(np.linspace(0, ranks.size - 1, shown)).astype(int))]
    return {
        "total": sum(counts.values()),
        "classes": [list(pair) for pair in classes],
        "shown": [[plain[rank], ordered[plain[rank]]] for rank in ranks],
    }


class Explorer(anywidget.AnyWidget):
    """The interactive figure. `Explorer(a=Keep(0.1), b=Accumulate(), n=1000)` shows a panel with these settings.

    Parameters
    ----------
    panel : "gaussian", a univariate Gaussian, or "words", the word frequencies of the embedded Wikipedia text.
    a, b : regimes of `lib.regimes`, or their labels; b may be "none".
    estimator : "mle" or "unbiased" (the words' panel has relative frequencies only).
    n : samples in a set, 10 to 10⁶.
    runs, generations, seed : whole numbers, see `RANGES`.
    t : the generation that is looked at, by default the last.

    Each is a trait that follows the reader's controls and moves them when it is set. ValueError for whatever else.
    """

    _esm = MODULE.read_text(encoding="utf-8")

    panel = traitlets.Unicode("gaussian").tag(sync=True)
    a = traitlets.Any("Replace").tag(sync=True)
    b = traitlets.Any("Accumulate").tag(sync=True)
    estimator = traitlets.Any("mle").tag(sync=True)
    n = traitlets.Any().tag(sync=True)
    runs = traitlets.Any().tag(sync=True)
    generations = traitlets.Any().tag(sync=True)
    seed = traitlets.Any().tag(sync=True)
    t = traitlets.Any().tag(sync=True)
    words = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)

    def __init__(self, panel: str = "gaussian", **settings: Any):
        among("panel", panel, PANELS)
        known = ("a", "b", "estimator", *RANGES[panel], "t")
        for name in settings:
            among("setting", name, known)
        given = {name: default for name, (_, _, default) in RANGES[panel].items()} | settings
        for name in RANGES[panel]:
            given[name] = _ranged(panel, name, given[name])
        given["t"] = _generation(given.get("t", given["generations"]), given["generations"])
        for name in ("a", "b"):
            if name in given:
                given[name] = _label(name, given[name])
        for label in (given.get("a", "Replace"), given.get("b", "Accumulate")):
            if label != NONE:
                regime_of(label).check([given["n"]] * given["generations"])
        super().__init__(panel=panel, words=word_table() if panel == "words" else None, **given)

    def __repr__(self):
        """The call that shows this figure: what stands in its place where widgets are not shown."""
        estimator = ("estimator",) if self.panel == "gaussian" else ()
        names = ("panel", "a", "b", *estimator, *RANGES[self.panel], "t")
        return f"Explorer({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    @traitlets.validate("a", "b")
    def _regime(self, proposal):
        return _label(proposal["trait"].name, proposal["value"])

    @traitlets.validate("estimator")
    def _estimator(self, proposal):
        among("estimator", proposal["value"], ("mle", "unbiased"))
        return proposal["value"]

    @traitlets.validate("n", "runs", "generations", "seed")
    def _number(self, proposal):
        return _ranged(self.panel, proposal["trait"].name, proposal["value"])

    @traitlets.validate("t")
    def _generation(self, proposal):
        # The controls may raise the number of generations together with t, so only the end of its range binds here.
        return _generation(proposal["value"], RANGES[self.panel]["generations"][1])

    @traitlets.observe("generations")
    def _fewer(self, change):
        # As the module does; a figure that is not shown yet has no module to do it.
        self.t = min(self.t, change["new"])


def _ranged(panel: str, name: str, value: Any) -> int:
    least, most, _ = RANGES[panel][name]
    number = whole(name, value, least)
    if number > most:
        refuse(name, value, f"a whole number from {least} to {most}")
    return number


def _generation(value: Any, last: int) -> int:
    if whole("t", value, 1) > last:
        refuse("t", value, f"a whole number from 1 to {last}")
    return int(value)


def _label(name: str, value: Any) -> str:
    if name == "b" and value == NONE:
        return NONE
    if isinstance(value, Regime):
        value = str(value)
    elif not isinstance(value, str):
        refuse(name, value, "a regime of lib.regimes or its label")
    return str(regime_of(value))
