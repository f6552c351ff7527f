"""The parameters that a notebook takes, as its cell tagged `parameters` declares them, and what they may be."""

import ast
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml
from IPython.core.inputtransformer2 import TransformerManager

from lib.errors import among, refuse
from lib.provenance import imported

RANGE = re.compile(r"\[\s*([^\[\]\s]+)?\s*\.\.\s*([^\[\]\s]+)?\s*\]\s*$")
CHOICE = re.compile(r"\[([^\[\]|]+(?:\|[^\[\]|]+)+)\]\s*$")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a notebook as its parameters cell declares it; `choices` or `low` and `high` limit its values."""

    name: str
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    low: float = -math.inf
    high: float = math.inf

    def check(self, value: Any) -> Any:
        """`value` as the notebook takes it; Refused by the parameter's name."""
        wanted = type(self.default)
        if wanted is float and type(value) is int:
            value = float(value)
        if self.default is not None and type(value) is not wanted:
            hint = "; YAML reads it as text, write a number out: 100, not 1e2" if isinstance(value, str) else ""
            refuse(self.name, value, f"a value of type {wanted.__name__}, like its default {self.default!r}{hint}")
        if wanted is float and not math.isfinite(value):
            refuse(self.name, value, "a finite number")
        if self.choices:
            among(self.name, value, self.choices)
        if wanted in (int, float) and not self.low <= value <= self.high:
            refuse(self.name, value, f"from {self.low:g} to {self.high:g}")
        return value


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """A notebook without its outputs, which a run replaces anyway. Refused by name."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        refuse("notebook", str(path), f"the path of a notebook ({error})")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def imports_of(notebook: nbformat.NotebookNode) -> list[str]:
    """Names of all that a notebook's code cells import."""
    found = set()
    for cell in notebook.cells:
        with suppress(SyntaxError):  # such a cell fails when it is run
            found |= imported(TransformerManager().transform_cell(cell.source)) if cell.cell_type == "code" else set()
    return sorted(found)


def declared(notebook: nbformat.NotebookNode, path: Path) -> dict[str, Parameter]:
    """The parameters that a notebook takes, as papermill sees them."""
    found = {}
    for name, seen in papermill.inspect_notebook(notebook).items():
        try:
            default = ast.literal_eval(seen["default"])
        except (SyntaxError, ValueError) as error:
            refuse(name, seen["default"], f"a constant; what is computed belongs into the next cell ({error})")
        if seen["inferred_type_name"] == "float" and type(default) is int:
            default = float(default)
        choices, low, high = (
            ("laptop", "paper") if name == "scale" else (),
            None,
            None,
        )  # a dial that all chapters share
        if match := CHOICE.search(seen["help"]):
            choices = tuple(yaml.safe_load(part) for part in match.group(1).split("|"))
        elif match := RANGE.search(seen["help"]):
            low, high = match.groups()
        found[name] = Parameter(name, default, seen["help"], choices, float(low or -math.inf), float(high or math.inf))
    if not found:
        form = "tag one cell `parameters` and write there, a line for each, `name: type = value  # help`"
        refuse("notebook", str(path), f"one with parameters; {form}")
    return found


def known(parameters: Mapping[str, Parameter], name: Any) -> Parameter:
    """The parameter of that name; without one, all there are are listed."""
    if name not in parameters:
        listed = "".join(f"\n  {p.name} = {p.default!r}  # {p.help}" for p in parameters.values())
        refuse("parameter", name, f"the notebook has{listed}")
    return parameters[name]
