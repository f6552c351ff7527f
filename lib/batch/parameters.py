"""The parameters that a notebook takes: what its cell tagged `parameters` declares, and the checks that follow from
it."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from IPython.core.inputtransformer2 import TransformerManager

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
            hint = "; YAML reads it as text, write a number out: 100, not 1e2" if isinstance(value, str) else ""
            refuse(self.name, value, f"a value of type {wanted.__name__}, like its default {self.default!r}{hint}")
        if wanted is float and not math.isfinite(value):
            refuse(self.name, value, "a finite number")
        if self.choices and value not in self.choices:
            refuse(self.name, value, "one of " + ", ".join(map(repr, self.choices)))
        if (self.low is not None and not value >= self.low) or (self.high is not None and not value <= self.high):
            refuse(self.name, value, f"from {_end(self.low)} to {_end(self.high)}")
        return value


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """A notebook without its outputs, which a run replaces anyway. FileNotFoundError or ValueError, naming it."""
    if not path.exists():
        refuse("notebook", str(path), "the path of a notebook; there is none")
    try:
        notebook = nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        refuse("notebook", str(path), f"a notebook ({error})")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def imports_of(notebook: nbformat.NotebookNode) -> list[str]:
    """Names of all modules that a notebook's code cells import, wherever the import stands, and of what they import
    from them."""
    found = set()
    for cell in notebook.cells:
        try:
            tree = ast.parse(TransformerManager().transform_cell(cell.source) if cell.cell_type == "code" else "")
        except SyntaxError:  # such a cell fails when it is run
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return sorted(found)


def declared(notebook: nbformat.NotebookNode, path: Path) -> dict[str, Parameter]:
    """The parameters that a notebook takes, as papermill sees them."""
    found = {}
    for name, seen in papermill.inspect_notebook(notebook).items():
        try:
            default = ast.literal_eval(seen["default"])
        except (SyntaxError, ValueError) as error:
            refuse(name, seen["default"], f"a constant; what is computed belongs into the next cell ({error})")
        found[name] = _parameter(name, seen["inferred_type_name"], default, seen["help"])
    if not found:
        form = "tag one cell `parameters` and write there, a line for each, `name: type = value  # help`"
        refuse("notebook", str(path), f"one with parameters; {form}")
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
        refuse("parameter", name, f"the notebook has{listed}")
    return parameters[name]


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _end(value: float | None) -> str:
    return "any value" if value is None else f"{value:g}"
