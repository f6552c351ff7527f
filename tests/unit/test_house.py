"""The rules of the house, read from the imports themselves: who stands on which floor, who may know whom, and how
large."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib"

# From the ground upwards. A room may import from its own floor and from those below.
FLOORS = (
    ("errors", "streams", "provenance", "intervals"),
    ("pool", "regimes", "world", "verifier", "distributed", "checkpoint"),
    ("worlds", "theory", "recursion"),
    ("records",),
    ("ledger",),
    ("chapter",),
    ("batch",),
)
# Rooms that import none of each other although the floors would let them.
APART = (("worlds", "theory", "recursion"), ("regimes", "world"), ("regimes", "worlds"))
JUPYTER = {"IPython", "ipywidgets", "traitlets", "ipykernel", "jupyter_client", "jupyter_core"}
JUPYTER |= {"nbformat", "nbclient", "nbconvert", "papermill", "myst_nb"}


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(LIB.rglob("*.py"))}


def imported(name, tree, modules):
    """What a module imports, wherever in it: modules of `modules` by their full names, others by their first part."""
    package = name if modules[name].name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            inside = {alias.name: f"{base}.{alias.name}" for alias in node.names}
            found |= {full if full in modules else base for full in inside.values()}
    return {full if full in modules else full.partition(".")[0] for full in found} - {name}


ARROWS = {name: imported(name, ast.parse(path.read_text(encoding="utf-8")), MODULES) for name, path in MODULES.items()}


def room(name):
    """The part of `lib` at the door that a module belongs to; empty for the package itself and for other packages."""
    return name.split(".")[1] if name.startswith("lib.") else ""


def floor(name):
    return next((level for level, rooms in enumerate(FLOORS) if room(name) in rooms), None)


def inside():
    """Pairs (module, module that it imports) within `lib`, the bare package left out."""
    return [(a, b) for a, targets in ARROWS.items() for b in sorted(targets) if room(a) and room(b)]


def circles(arrows):
    """Modules that import each other in a circle, as paths that return to where they began."""
    found, done = [], set()

    def walk(name, path):
        if name in path:
            found.append(" > ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for target in sorted(arrows.get(name, ())):
                walk(target, [*path, name])
            done.add(name)

    for name in arrows:
        walk(name, [])
    return found


def test_imports_are_found_in_functions_too():
    modules = {name: Path("x.py") for name in ("lib.a", "lib.b", "lib.b.c")}
    source = (
        "import torch.nn\nfrom lib import b\ndef f():\n    from lib.b import c, d\n    from . import b\n    import os"
    )
    assert imported("lib.a", ast.parse(source), modules) == {"torch", "lib.b", "lib.b.c", "os"}
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b > c > b"]


def test_every_room_has_a_floor():
    assert [name for name in MODULES if room(name) and floor(name) is None] == []


def test_no_arrow_leads_upwards():
    assert [f"{a} > {b}" for a, b in inside() if (floor(a) or 0) < (floor(b) or 0)] == []


@pytest.mark.parametrize("rooms", APART, ids=" ".join)
def test_rooms_that_know_nothing_of_each_other(rooms):
    assert [f"{a} > {b}" for a, b in inside() if room(a) != room(b) and {room(a), room(b)} <= {*rooms}] == []


def test_no_circle():
    assert circles(ARROWS) == []


def test_only_chapter_and_batch_know_jupyter():
    known = {name: sorted(targets & JUPYTER) for name, targets in ARROWS.items() if targets & JUPYTER}
    assert {name: found for name, found in known.items() if room(name) not in ("chapter", "batch")} == {}


def test_a_recursion_needs_no_torch():
    code = (
        "import sys, lib.recursion; print(sorted({'torch', 'matplotlib', 'IPython', 'transformers'} & "
        "set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def test_lib_is_small():
    python = {path.relative_to(ROOT).as_posix(): len(lines(path)) for path in MODULES.values()}
    assert len([path for path in LIB.glob("*.py") if path.name != "__init__.py"]) <= 12
    assert {name: count for name, count in python.items() if count > 300} == {}
    assert sum(python.values()) <= 13_650
    assert sum(len(lines(path)) for path in LIB.rglob("*.js")) <= 2_040


def test_lines_fit_120_columns():
    files = [path for part in ("lib", "book", "tests") for path in (ROOT / part).rglob("*.[jp][sy]")]
    wide = {path.relative_to(ROOT).as_posix(): sum(len(line) > 120 for line in lines(path)) for path in files}
    assert {name: count for name, count in wide.items() if count} == {}
