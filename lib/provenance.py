"""What numbers hang on: code, versions and contents, each by a digest; and for the record commit, machine and date.

Digests are the same on every machine: they see the text of code and the values of data, never an address or a clock.
"""

import ast
import copyreg
import datetime
import dis
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import refuse

ROOT = Path(__file__).resolve().parent
# Whose changes count as changes of the code: paths from the top of the repository, with what a run writes left out.
CODE = (":/lib", ":/book/sweeps", ":(top,exclude)lib/stored")
PACKAGES = ("numpy", "scipy", "xarray", "torch", "scikit-learn")
# Packages that numbers or data come from, by the name under which they are imported.
COMPUTE = {name: name for name in ("numpy", "scipy", "torch", "tokenizers", "transformers", "rdkit", "gensim")}
COMPUTE |= {"sklearn": "scikit-learn"}
# What drivers of GPUs make on Linux (Nvidia's, WSL's, Jetson's, AMD's): importing torch to hear of none takes seconds.
GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-ctrl", "/dev/kfd")
INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
# State of objects that says nothing of what they are: texts, random states, and what scipy works out when it is asked.
ASIDE = {"__doc__", "_random_state", "_pinv", "_abc_impl"}


def collected() -> dict[str, Any]:
    """Commit (None outside a checkout), whether the code differs from it, date (UTC), versions and processor."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--", *CODE)),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "machine": platform.machine(),
        "device": device(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
    }


@functools.cache
def version(package: str) -> str | None:
    """The installed version of a package without its build tag, or None."""
    try:
        return importlib.metadata.version(package).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def device() -> str:
    """The processor in words: the GPU's name where torch sees one, else the CPU's."""
    if gpu():
        import torch

        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def gpu() -> bool:
    """Whether torch sees a GPU."""
    if sys.platform.startswith("linux") and not any(map(os.path.exists, GPU_FILES)):
        return False
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=ROOT, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def code(modules: Iterable[str]) -> dict[str, str]:
    """The digest of each of these modules of lib and, recursively, of all of lib that they import, in functions too."""
    found: dict[str, str] = {}
    ahead = list(modules)
    while ahead:
        name = ahead.pop()
        if name not in found and _path(name) is not None:
            found[name], named = _read(name)
            ahead += [*named, name.rpartition(".")[0]]
    return dict(sorted(found.items()))


def code_digest(modules: Iterable[str]) -> str:
    """One digest of the code that these modules of lib are made of; names outside lib add nothing."""
    return hashlib.sha256(json.dumps(code(modules)).encode()).hexdigest()


def versions(modules: Iterable[str]) -> dict[str, str | None]:
    """The versions of the packages in COMPUTE that the code of these modules imports."""
    imported = {name.partition(".")[0] for module in code(modules) for name in _read(module)[1]}
    return {COMPUTE[name]: version(COMPUTE[name]) for name in sorted(imported & COMPUTE.keys())}


def source(name: str) -> str:
    """The text of a module of lib, with one kind of line ending."""
    return _path(name).read_text(encoding="utf-8")


@functools.cache
def _path(name: str) -> Path | None:
    if name.partition(".")[0] != "lib":
        return None
    place = ROOT.joinpath(*name.split(".")[1:])
    found = [path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()]
    return found[0] if found else None


@functools.cache
def _read(name: str) -> tuple[str, frozenset[str]]:
    """The digest of a module, and all that it imports."""
    text = source(name)
    package = name.split(".") if _path(name).name == "__init__.py" else name.split(".")[:-1]
    return hashlib.sha256(text.encode()).hexdigest()[:16], frozenset(imported(text, package))


def imported(text: str, package: list[str] | None = None) -> set[str]:
    """All that a source imports, wherever: modules, and names of modules that may be modules themselves."""
    named = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            named |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return named


def _theirs(module: str) -> bool:
    """Whether a module comes with Python or with a package: then its name and a version say what it is."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(module), "__file__", None)
    return top in sys.stdlib_module_names if file is None else file.startswith(INSTALLED)


def fingerprint(value: Any, name: str = "value") -> str:
    """The digest of what a value contains: numbers, arrays, frames, distributions, dataclasses, files (as a Path),
    functions and classes with their code. ValueError, naming the part below `name`, for what has no content to be read.
    """
    return _digest(value, name, ())


def _digest(value: Any, name: str, around: tuple) -> str:
    for depth, outer in enumerate(around):
        if value is outer:
            return f"see {depth}"  # what contains itself, as a class is found in its own methods
    hashed = hashlib.sha256()
    for part in _parts(value, name, lambda v, n: _digest(v, n, (*around, value))):
        content = part.encode() if isinstance(part, str) else part
        hashed.update(b"%d:" % len(content))
        hashed.update(content)
    return hashed.hexdigest()


def _parts(value: Any, name: str, inner: Callable[[Any, str], str]) -> list[str | bytes]:
    """A name of the value's kind and what tells apart values of that kind."""
    kind = type(value)
    label = f"{kind.__module__}.{kind.__qualname__}"
    if value is None or value is ... or kind in (bool, int, float, complex, str, bytes, range):
        return [label, repr(value)]
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        content = [inner(v, name) for v in array.ravel().tolist()] if array.dtype.hasobject else [array.tobytes()]
        return ["array", array.dtype.str, repr(array.shape), *content]
    if kind.__module__ == "torch" and hasattr(value, "detach"):
        return ["tensor", inner(value.detach().cpu().numpy(), name)]
    if isinstance(value, list | tuple):
        return [label, *(inner(v, f"{name}[{k}]") for k, v in enumerate(value))]
    if isinstance(value, set | frozenset):
        return [label, *sorted(inner(v, name) for v in value)]
    if isinstance(value, Mapping):
        return [label, *(inner(item, f"{name}[{key!r}]") for key, v in value.items() for item in (key, v))]
    if isinstance(value, Path):
        return ["path", *_files(value, name)]
    if isinstance(value, types.ModuleType):
        return _named(value.__name__)
    if isinstance(value, types.FunctionType):
        return _function(value, name, inner)
    if isinstance(value, types.CodeType):
        flags = repr((value.co_argcount, value.co_kwonlyargcount, value.co_flags, value.co_names, value.co_freevars))
        return [value.co_code, flags, inner(value.co_consts, name)]
    if isinstance(value, type):
        return _class(value, name, inner)
    if isinstance(value, property | classmethod | staticmethod | functools.cached_property):
        found = [getattr(value, place, None) for place in ("fget", "fset", "__func__", "func")]
        return [label, *(inner(function, name) for function in found if function is not None)]
    if hasattr(value, "__wrapped__"):
        return [label, inner(value.__wrapped__, name)]
    if hasattr(value, "_updated_ctor_param"):  # a distribution of scipy: its constructor's arguments
        return [inner(kind, name), inner({**value._updated_ctor_param(), "seed": None}, name)]
    if is_dataclass(value):
        return [inner(kind, name), *(inner(getattr(value, f.name), f"{name}.{f.name}") for f in fields(value))]
    return _pickled(value, name, inner)


def _pickled(value: Any, name: str, inner: Callable[[Any, str], str]) -> list[str | bytes]:
    """Any other object, by what the protocol of pickle says of it."""
    try:
        found = copyreg.dispatch_table.get(type(value), lambda v: v.__reduce_ex__(4))(value)
    except Exception:  # what an object raises that cannot be taken apart is its own affair
        refuse("checkpoint", name, f"settings whose content can be read; this one is a {type(value).__name__}")
    if isinstance(found, str):  # a name of its module
        module = getattr(value, "__module__", None) or type(value).__module__
        return _named(module, found)
    function, arguments, state, *items = [*found, None, None, None][:5]
    if isinstance(state, dict):
        cached = {n for n in state if isinstance(getattr(type(value), n, None), functools.cached_property)}
        state = {n: v for n, v in state.items() if n not in ASIDE | cached}
    return [inner(part, name) for part in (function, arguments, state, *(list(i or ()) for i in items))]


def _named(module: str, name: str = "") -> list[str]:
    """What stands in a module: its name, with the digest of our code or the version of another package."""
    top = module.partition(".")[0]
    return [module, name, code_digest([module]) if top == "lib" else version(COMPUTE.get(top, top)) or ""]


def _function(value: types.FunctionType, name: str, inner: Callable[[Any, str], str]) -> list[str | bytes]:
    module = value.__globals__.get("__name__", "")
    if _theirs(module):
        return _named(module, value.__qualname__)
    cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
    used = [(n, cell.cell_contents) for n, cell in cells]
    if not _path(module):
        used += [(n, value.__globals__[n]) for n in sorted(_globals(value.__code__)) if n in value.__globals__]
    given = inner((value.__defaults__, value.__kwdefaults__), name)
    content = ["function", inner(value.__code__, name), given, *(_named(module) if _path(module) else ())]
    return [*content, *(part for n, v in used for part in (n, inner(v, f"{name}: {n}")))]


def _globals(found: types.CodeType) -> set[str]:
    """The global names that code reads, in functions within it too."""
    names = {i.argval for i in dis.get_instructions(found) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return names.union(*(_globals(c) for c in found.co_consts if isinstance(c, types.CodeType)))


def _class(value: type, name: str, inner: Callable[[Any, str], str]) -> list[str | bytes]:
    if _path(value.__module__) or _theirs(value.__module__):
        return _named(value.__module__, value.__qualname__)
    out = [value.__qualname__, *(inner(base, name) for base in value.__bases__)]
    for n, v in sorted(vars(value).items()):
        generated = isinstance(v, types.FunctionType) and v.__code__.co_filename == "<string>"  # by a dataclass
        written = not n.startswith("__") or isinstance(v, types.FunctionType | classmethod | staticmethod)
        if written and not generated and n not in ASIDE and not isinstance(v, types.MemberDescriptorType):
            out += [n, inner(v, f"{name}.{n}")]
    return out


def _files(path: Path, name: str) -> list[str]:
    """The digests of a file, or of all files in a folder with their names."""
    if not path.exists():
        refuse("checkpoint", name, f"settings whose content can be read; there is no {path}")
    out = []
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            out += [file.relative_to(path).as_posix(), file_digest(file)]
    return out


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
