"""The parameters that a notebook takes: what its cell tagged `parameters` declares, and the checks that follow from it."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill

from lib.errors import refuse

RANGE = re.compile(r"\[\s*([^\[\]\s]+)?\s*\.\.\s*([^\[\]\s]+)?\s*\]\s*$")
CHOICE = re.compile(r"\[([^\[\]|]+(?:\|[^\[\]|]+)+)\]\s*$")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a notebook as its parameters cell declares it; `choices` or `low` and `high` limit its values."""

    name: str
    type: str
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None

    def check(self, value: Any) -> Any:
        """`value` as the notebook takes it; ValueError naming the parameter, the value and what is allowed."""
        wanted = type(self.default)
        if wanted is float and type(value) is int:
            value = float(value)
        if self.default is not None and type(value) is not wanted:
            hint = ""
            if isinstance(value, str) and wanted in (int, float):
                hint = f"; YAML reads {value} as text, write the number out" if _number(value) else ""
            refuse(self.name, value, f"a value of type {wanted.__name__}, like its default {self.default!r}{hint}")
        if self.choices and value not in self.choices:
            refuse(self.name, value, "one of " + ", ".join(map(repr, self.choices)))
        if (self.low is not None and not value >= self.low) or (self.high is not None and not value <= self.high):
            refuse(self.name, value, f"from {_end(self.low)} to {_end(self.high)}")
        return value


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """A notebook without its outputs, which a run replaces anyway. FileNotFoundError or ValueError, naming it."""
    if not path.exists():
        raise FileNotFoundError(f"notebook={str(path)!r} does not exist")
    try:
        notebook = nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise ValueError(f"notebook={str(path)!r} is no notebook: {error}") from error
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def declared(notebook: nbformat.NotebookNode, path: Path) -> dict[str, Parameter]:
    """The parameters that a notebook takes, as papermill sees them."""
    found = {}
    for name, seen in papermill.inspect_notebook(notebook).items():
        try:
            default = ast.literal_eval(seen["default"])
        except (SyntaxError, ValueError) as error:
            message = "a constant; what is computed from parameters belongs into the next cell"
            raise ValueError(f"{path}: the default of {name}, {seen['default']}, is not {message}") from error
        found[name] = _parameter(name, seen["inferred_type_name"], default, seen["help"])
    if not found:
        raise ValueError(
            f"notebook={str(path)!r} has no parameters: tag one cell `parameters` and write there, a line for each, "
            "`name: type = value  # help`"
        )
    return found


def _parameter(name, kind, default, help):
    if kind == "float" and type(default) is int:
        default = float(default)
    choices, low, high = (), None, None
    if match := CHOICE.search(help):
        choices = tuple(_literal(part.strip()) for part in match.group(1).split("|"))
    elif match := RANGE.search(help):
        low, high = (None if end is None else float(_literal(end)) for end in match.groups())
    elif name == "scale":
        choices = ("laptop", "paper")  # the one dial that all chapters share
    return Parameter(name, type(default).__name__, default, help, choices, low, high)


def known(parameters: Mapping[str, Parameter], name: Any) -> Parameter:
    if name not in parameters:
        listed = "".join(f"\n  {p.name}: {p.type} = {p.default!r}  # {p.help}" for p in parameters.values())
        raise ValueError(f"parameter={name!r} is not allowed: the notebook has\n{listed}".replace("\n\n", "\n"))
    return parameters[name]


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _end(value: float | None) -> str:
    return "any value" if value is None else f"{value:g}"
