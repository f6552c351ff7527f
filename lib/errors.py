"""Errors that name the setting, its value and what is allowed, raised before any work is done."""

from __future__ import annotations

import numbers
from typing import Any


def refuse(setting: str, value: Any, allowed: str) -> None:
    """Raise the ValueError that every wrong setting gets: which one, what it was, what is allowed."""
    raise ValueError(f"{setting}={value!r} is not allowed: {allowed}")


def whole(setting: str, value: Any, least: int) -> int:
    """`value` as a Python int of at least `least`; numpy integers and floats such as 1e13 are taken if exact."""
    exact = isinstance(value, numbers.Real) and not isinstance(value, bool) and float(value).is_integer()
    if not exact or value < least:
        refuse(setting, value, f"a whole number, at least {least}")
    return int(value)


def among(setting: str, value: Any, allowed) -> None:
    """Refuse a value that is not one of `allowed`."""
    if value not in allowed:
        refuse(setting, value, "one of " + ", ".join(repr(a) for a in allowed))


def share(setting: str, value: Any) -> float:
    """`value` as a share, a number in [0, 1]."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= value <= 1:
        refuse(setting, value, "a share between 0 and 1")
    return float(value)


def temperature(setting: str, value: Any) -> float:
    """`value` as a temperature, a finite number of at least 0."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= value < float("inf"):
        refuse(setting, value, "a finite number, at least 0")
    return float(value)
