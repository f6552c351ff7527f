"""The explorer: the recursion computed in the reader's browser, as a widget in Jupyter and as part of a page.

Both are one ES module, packed from `engine.js`, which samples exactly in law as `lib.worlds` do and has the laws of
`lib.theory`, and `view.js`, which shows it. Here are the table of regimes, the word frequencies, and the settings.
"""

import json
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from lib.chapter import looks
from lib.errors import among, refuse, whole
from lib.regimes import Accumulate, Regime, Replace
from lib.worlds.language.wikipedia import word_counts

PARTS = [Path(__file__).with_name(name) for name in ("engine.js", "view.js")]
STYLE = Path(__file__).with_name("explorer.css")
NONE = "none"  # no second regime
SHOWN = 96  # words that are shown one by one

# The least, the most and the default of what is a whole number, in each panel.
SEED = (0, 2**32 - 1, 1)
RANGES = {
    "gaussian": {"n": (10, 10**6, 100), "runs": (2, 5000, 1000), "generations": (2, 500, 200), "seed": SEED},
    "words": {"n": (10, 10**6, 1000), "runs": (2, 500, 20), "generations": (2, 500, 100), "seed": SEED},
}

# Dark where the page says so; where it says nothing, as the reader's system does.
_DARK = (
    'html[data-theme="dark"] .explorer, [data-jp-theme-light="false"] .explorer, '
    'html[theme="dark"] .explorer, .vscode-dark .explorer'
)
_SILENT = "html:not([data-theme]):not([theme]):not(:has([data-jp-theme-light])) body:not(.vscode-light) .explorer"


def _style_sheet() -> str:
    """The style sheet with a colour for each family, `--Keep-fixed`, on a light ground and on a dark one."""
    names = {re.sub(r"\W+", "-", family): look for family, look in looks.table().items()}
    light, dark = (" ".join(f"--{name}: {look[key]};" for name, look in names.items()) for key in ("color", "dark"))
    sheet = STYLE.read_text(encoding="utf-8")
    marked, own = re.search(r"^@dark \{([^}]*)\}", sheet, re.MULTILINE).group(0, 1)
    rules = [f".explorer {{ {light} }}", f"{_DARK} {{ {dark}{own}}}"]
    rules.append(f"@media (prefers-color-scheme: dark) {{ {_SILENT} {{ {dark}{own}}} }}")
    return sheet.replace(marked, "\n".join(rules))


@cache
def module() -> str:
    """The one module of the page, which may import nothing, and of the widget: its tables and parts in a row."""
    tables = {"LOOKS": looks.table(), "RANGES": RANGES, "CSS": _style_sheet()}
    given = [f"const {name} = {json.dumps(value, ensure_ascii=False)};\n" for name, value in tables.items()]
    parts = (path.read_text(encoding="utf-8") for path in PARTS)
    return "".join(given) + "".join(re.sub(r"^import [^;]*;\n", "", part, flags=re.MULTILINE) for part in parts)


@cache
def word_table(shown: int = SHOWN) -> dict[str, Any]:
    """The word frequencies of the embedded Wikipedia text: `total` words in all; `classes`, pairs (count, number of
    words that occur so often), most frequent first; `shown`, pairs (rank from 0 by falling frequency, word) of about
    `shown` words at equal steps of the logarithm of the rank.
    """
    counts = word_counts()
    ordered = list(counts)
    classes = sorted(Counter(counts.values()).items(), reverse=True)
    plain = [rank for rank, word in enumerate(ordered) if re.fullmatch("[a-z]{2,14}", word)]
    # Neighbouring steps fall on the same rank while ranks are few, so more steps are taken than words are wanted.
    ranks = np.unique(np.round(np.geomspace(1, len(plain), 2 * shown)).astype(int) - 1)
    ranks = ranks[np.unique(np.round(np.linspace(0, ranks.size - 1, shown)).astype(int))]
    return {
        "total": sum(counts.values()),
        "classes": [list(pair) for pair in classes],
        "shown": [[plain[rank], ordered[plain[rank]]] for rank in ranks],
    }


def as_plain(regime: Any, _widget: Any = None) -> Any:
    """A regime as the module knows it: its family, and the shares that can be moved."""
    if regime == NONE:
        return NONE
    return {"family": regime.family} | {name: getattr(regime, name) for name in looks.LOOKS[regime.family].controls}


def as_regime(plain: Any, _widget: Any = None) -> Any:
    """The regime that the module means."""
    if plain == NONE:
        return NONE
    shares = {name: share for name, share in plain.items() if name != "family"}
    if "beta" in shares:
        shares["alpha"] = max(0.0, round(1 - shares["beta"] - shares["gamma"], 12))
    return replace(looks.LOOKS[plain["family"]].start, **shares)


class Explorer(anywidget.AnyWidget):
    """The interactive figure. `Explorer(a=Keep(0.1), b=Accumulate(), n=1000)` shows a panel with these settings.

    Parameters
    ----------
    panel : "gaussian", a univariate Gaussian, or "words", the word frequencies of the embedded Wikipedia text.
    a, b : regimes of `lib.regimes`, unweighted; b may be "none".
    estimator : "mle" or "unbiased" (the words' panel has relative frequencies only).
    n, runs, generations, seed : whole numbers, see `RANGES`; n is the size of a set.
    t : the generation that is looked at, by default the last.

    Each is a trait that follows the reader's controls and moves them when it is set. `Refused` for whatever else.
    """

    _esm = module()

    panel = traitlets.Unicode("gaussian").tag(sync=True)
    a = traitlets.Any(Replace()).tag(sync=True, to_json=as_plain, from_json=as_regime)
    b = traitlets.Any(Accumulate()).tag(sync=True, to_json=as_plain, from_json=as_regime)
    estimator = traitlets.Any("mle").tag(sync=True)
    n = traitlets.Any().tag(sync=True)
    runs = traitlets.Any().tag(sync=True)
    generations = traitlets.Any().tag(sync=True)
    seed = traitlets.Any().tag(sync=True)
    t = traitlets.Any().tag(sync=True)
    words = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)

    def __init__(self, panel: str = "gaussian", **settings: Any):
        among("panel", panel, tuple(RANGES))
        for name in settings:
            among("setting", name, ("a", "b", "estimator", *RANGES[panel], "t"))
        given = {name: start for name, (_, _, start) in RANGES[panel].items()} | settings
        given = {name: _checked(panel, name, value) for name, value in given.items()}
        if given.setdefault("t", given["generations"]) > given["generations"]:
            refuse("t", given["t"], f"at most generations={given['generations']}")
        for name in {"a", "b"} & {name for name, value in given.items() if value != NONE}:
            given[name].check([given["n"]] * given["generations"])
        super().__init__(panel=panel, words=word_table() if panel == "words" else None, **given)

    def __repr__(self):
        """The call that shows this figure: what stands in its place where widgets are not shown."""
        estimator = ("estimator",) if self.panel == "gaussian" else ()
        names = ("panel", "a", "b", *estimator, *RANGES[self.panel], "t")
        return f"Explorer({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    @traitlets.validate("a", "b", "estimator", "n", "runs", "generations", "seed", "t")
    def _valid(self, proposal):
        # The controls may raise the number of generations together with t: here only the end of its range binds.
        return _checked(self.panel, proposal["trait"].name, proposal["value"])

    @traitlets.observe("generations")
    def _fewer(self, change):
        # As the module does; a figure that is not shown yet has no module to do it.
        self.t = min(self.t, change["new"])


def _checked(panel: str, name: str, value: Any) -> Any:
    """A setting as the module takes it."""
    if name == "estimator":
        among(name, value, ("mle", "unbiased"))
    elif name in ("a", "b"):
        shown = isinstance(value, Regime) and value.family in looks.table()
        # A weighted regime has the family of its unweighted kind, and the explorer fits every sample alike.
        if not (name == "b" and value == NONE) and (not shown or value.weighs):
            families = ", ".join(looks.table())
            refuse(name, value, f"a regime of lib.regimes, unweighted, of one of the families {families}")
    else:
        least, most, _ = RANGES[panel].get(name, (1, RANGES[panel]["generations"][1], None))
        if (value := whole(name, value, least)) > most:
            refuse(name, value, f"a whole number from {least} to {most}")
    return value
