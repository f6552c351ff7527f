"""The explorer: the recursion computed in the reader's browser, as part of a page.

It is one ES module, packed from `engine.js`, which samples exactly in law as `lib.worlds` do and has the laws of
`lib.theory`, and `view.js`, which shows it. Here are the table of regimes, the word frequencies, and the ranges.
"""

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lib.chapter import looks
from lib.regimes import Regime
from lib.worlds.language.wikipedia import word_counts

PARTS = [Path(__file__).with_name(name) for name in ("engine.js", "view.js")]
STYLE = Path(__file__).with_name("explorer.css")
SHOWN = 96  # words that are shown one by one

# The least, the most and the default of what is a whole number, in each panel.
SEED = (0, 2**32 - 1, 1)
RANGES = {
    "gaussian": {"n": (10, 10**6, 100), "runs": (2, 5000, 1000), "generations": (2, 500, 200), "seed": SEED},
    "words": {"n": (10, 10**6, 1000), "runs": (2, 500, 20), "generations": (2, 500, 100), "seed": SEED},
}


def _style_sheet() -> str:
    """The style sheet with a colour for each family, `--Keep-fixed`, on a light ground and on a dark one."""
    names = {re.sub(r"\W+", "-", family): look for family, look in looks.table().items()}
    light, dark = (" ".join(f"--{name}: {look[key]};" for name, look in names.items()) for key in ("color", "dark"))
    sheet = STYLE.read_text(encoding="utf-8")
    marked, own = re.search(r"^@dark \{([^}]*)\}", sheet, re.MULTILINE).group(0, 1)
    rules = f".explorer {{ {light} }}\nhtml[data-theme='dark'] .explorer {{ {dark}{own}}}"
    return sheet.replace(marked, rules)


@cache
def module() -> str:
    """The one module of the page, which may import nothing: its tables and parts in a row."""
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


def as_plain(regime: Regime) -> dict[str, Any]:
    """A regime as the module knows it: its family, and the shares that can be moved."""
    return {"family": regime.family} | {name: getattr(regime, name) for name in looks.LOOKS[regime.family].controls}
