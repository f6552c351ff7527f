"""The one table of regimes for the eye: how each family is drawn in every figure, and what the explorer says of it.

A regime goes by its `family`. One of your own is entered by `looks.register("Mine", Look("#AA4499", "<", "--"))`; a
family that is not entered is drawn in a neutral look.
"""

from dataclasses import dataclass, field
from typing import Any

from lib import regimes
from lib.errors import refuse
from lib.regimes import Regime


@dataclass(frozen=True)
class Look:
    """Colour, marker and line style as matplotlib names them; `dark` is the colour on a dark ground. For the explorer's
    menu, `start` is the regime that it starts with, `label` its text, `about` what is said of it, and `controls` have,
    for each share that can be moved, its name and the end of its range that belongs to another family, or None.
    """

    color: str
    marker: str
    line: str
    dark: str = ""
    start: Regime | None = None
    label: str = ""
    about: str = ""
    controls: dict[str, tuple[str, float | None]] = field(default_factory=dict)


_SHARES = {"beta": ("β, previous set", None), "gamma": ("γ, original", None)}
_FRESH = {"beta": ("β, previous set", None), "gamma": ("γ, new real", None)}
_MIXED = "The paper's general form: newest model, previous training set and {} data in fixed shares."

# In the order of menus and legends. Every colour stands out from its ground by 3:1, and any two differ for readers who
# lack a cone as well (tested). The first and the third are Okabe and Ito's (2008).
LOOKS = {
    "Replace": Look(
        *("#D55E00", "o", "-", "#F07A22", regimes.Replace(), "Replace"),
        "All old data are thrown away: n samples of the newest model.",
    ),
    "ReplaceGrown": Look(
        *("#8B5500", "^", "--", "#E7AF4C", regimes.ReplaceGrown(), "ReplaceGrown"),
        "All old data are thrown away, but the set grows: n·t samples of the newest model.",
    ),
    "Accumulate": Look(
        *("#0072B2", "s", "-", "#45A6E0", regimes.Accumulate(), "Accumulate"),
        "Nothing is thrown away: the real data and every batch so far.",
    ),
    "Accumulate, fresh": Look(
        *("#2D2283", "h", ":", "#9797FF", regimes.Accumulate(fresh=0.1), "Accumulate({fresh} fresh, {kept} kept)"),
        "Nothing is thrown away, and a share of each new batch is new real data.",
        {"fresh": ("new real share", 0), "kept": ("original kept", None)},
    ),
    "Accumulate, part kept": Look(
        *("#4E5254", "<", ":", "#CCC4C6", regimes.Accumulate(kept=0.5), "Accumulate({kept} kept)"),
        "Every synthetic batch is kept, and a share of the original real set.",
        {"kept": ("original kept", 1)},
    ),
    "AccumulateSubsample": Look(
        *("#3A94CA", "D", "--", "#77D2F1", regimes.AccumulateSubsample(), "AccumulateSubsample"),
        "Everything is kept, but a fit sees only n samples drawn from it.",
    ),
    "Keep": Look(
        *("#BF66A0", "v", "-.", "#DB94BD", regimes.Keep(0.1), "Keep({share})"),
        "A share of the original real set, drawn anew at each generation, the rest from the newest model.",
        {"share": ("share kept", None)},
    ),
    "Keep, fixed": Look(
        *("#BF66A0", "v", ":", "#DB94BD", regimes.Keep(0.1, redraw=False), "Keep({share}, fixed)"),
        "A share of the original real set, the same samples throughout, the rest from the newest model.",
        {"share": ("share kept", None)},
    ),
    "FreshReal": Look(
        *("#99942E", "P", ":", "#DCC730", regimes.FreshReal(0.1), "FreshReal({share})"),
        "New real data in a fixed share, the rest from the newest model.",
        {"share": ("new real share", None)},
    ),
    "RealOnly": Look(
        *("#10A375", "X", "-.", "#2AC998", regimes.RealOnly(), "RealOnly"),
        "No synthetic data at all: n new real samples join at each generation.",
    ),
    "RealOnly, refit": Look(
        *("#10A375", "x", ":", "#2AC998", regimes.RealOnly(grow=False), "RealOnly(refit)"),
        "No synthetic data at all: the first real set is fitted again at each generation.",
    ),
    "Mixture": Look(
        *("#7A7075", "*", ":", "#8E8E8F", regimes.Mixture(0.6, 0.3, 0.1), "Mixture({alpha}, {beta}, {gamma})"),
        *(_MIXED.format("original"), _SHARES),
    ),
    "Mixture, fresh": Look(
        *("#7A7075", "*", "--", "#8E8E8F", regimes.Mixture(0.6, 0.3, 0.1, fresh=True)),
        *("Mixture({alpha}, {beta}, {gamma}, fresh)", _MIXED.format("new real"), _FRESH),
    ),
}
NEUTRAL = Look("#9C8A7A", "p", "-")
_DASHES = {"-": "", "--": "7 4", ":": "2 3", "-.": "9 3 2 3"}


def register(family: str, look: Look) -> None:
    """Enter the look of a family of one's own; a colour and a line style that another family has are refused."""
    for other, theirs in LOOKS.items():
        if other != family and (look.color.lower(), look.line) == (theirs.color.lower(), theirs.line):
            refuse("look", (look.color, look.line), f"a colour and a line style that are not both {other}'s")
    LOOKS[family] = look


def look_of(what: Any) -> Look:
    """The look of a family, of a regime, or of data of one regime, which carry its family as a coordinate."""
    if isinstance(what, str):
        if what not in LOOKS:
            refuse("family", what, "one of " + ", ".join(LOOKS) + ", or one that looks.register has entered")
        return LOOKS[what]
    if isinstance(what, Regime):
        return LOOKS.get(what.family, NEUTRAL)
    return LOOKS.get(what.coords["family"].item(), NEUTRAL) if "family" in what.coords else NEUTRAL


def table() -> dict[str, dict[str, Any]]:
    """The families that the explorer offers, as its module reads them: plain values only."""
    return {
        family: {
            **{"color": look.color, "dark": look.dark, "marker": look.marker, "dash": _DASHES[look.line]},
            **{"label": look.label, "about": look.about},
            "controls": {
                name: {"text": text, "start": getattr(look.start, name), "other": end}
                for name, (text, end) in look.controls.items()
            },
        }
        for family, look in LOOKS.items()
        if look.start is not None
    }
