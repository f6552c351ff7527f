"""Errors that name the setting, its value and what is allowed, raised before any work is done."""

import math
import numbers
from collections.abc import Iterable
from typing import Any, NoReturn


class Refused(ValueError):
    """A wrong setting: `setting` says which one, `value` what it was, `allowed` what it may be."""

    def __init__(self, setting: str, value: Any, allowed: str) -> None:
        super().__init__(setting, value, allowed)
        self.setting, self.value, self.allowed = setting, value, allowed

    def __str__(self) -> str:
        return f"{self.setting}={self.value!r} is not allowed: {self.allowed}"


def refuse(setting: str, value: Any, allowed: str) -> NoReturn:
    """Raise the error that every wrong setting gets."""
    raise Refused(setting, value, allowed)


def whole(setting: str, value: Any, least: int) -> int:
    """`value` as a Python int of at least `least`; numpy integers and floats such as 1e13 are taken if exact."""
    exact = isinstance(value, numbers.Integral) or (isinstance(value, numbers.Real) and float(value).is_integer())
    if not exact or isinstance(value, bool) or value < least:
        refuse(setting, value, f"a whole number, at least {least}")
    return int(value)


def number(setting: str, value: Any, above: float | None = None) -> float:
    """`value` as a finite number of at least 0, or above a bound. True and False are no numbers."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not 0 <= value < math.inf or (above is not None and value <= above):
        refuse(setting, value, "a finite number, " + ("at least 0" if above is None else f"above {above:g}"))
    return float(value)


def among(setting: str, value: Any, allowed: Iterable[Any]) -> None:
    """Refuse a value that is not one of `allowed`."""
    if value not in allowed:
        refuse(setting, value, "one of " + ", ".join(repr(a) for a in allowed))


def share(setting: str, value: Any) -> float:
    """`value` as a share, a number in [0, 1]."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= value <= 1:
        refuse(setting, value, "a share between 0 and 1")
    return float(value)


def flag(setting: str, value: Any) -> None:
    """Refuse what is neither True nor False: of a word, such as "no", any would count as True."""
    if not isinstance(value, bool):
        refuse(setting, value, "True or False")
