"""Folders that are there entirely or not at all, whoever is killed when: written aside, sealed with digests, renamed.

What a killed process leaves is cleared away by those who come after it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import xarray as xr

from lib.errors import refuse
from lib.provenance import file_digest

try:
    import fcntl
except ImportError:  # there is none on Windows
    fcntl = None

ASIDE = ".unfinished-"
DAY = 86400.0


def put(target: Path, write: Callable[[Path], None]) -> None:
    """The folder `target`, not there before, with what `write` puts into the folder that it is given."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=target.parent))
    try:
        write(aside)
        files = [path for path in sorted(aside.rglob("*")) if path.is_file()]
        seal(aside / "files.json", {path.relative_to(aside).as_posix(): file_digest(path) for path in files})
        aside.rename(target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)  # a full disk needs the room
        raise


def check(folder: Path, parts: tuple[str, ...]) -> None:
    """ValueError, naming the file, unless all files of these parts of a folder are there as they were written."""
    digests = unseal(folder / "files.json")
    for part in parts:
        files = [file for file in digests if file == part or file.startswith(f"{part}/")]
        for file in files or [part]:
            if not (folder / file).is_file():
                _damaged(folder / file, folder, "it is missing")
            if file_digest(folder / file) != digests[file]:
                _damaged(folder / file, folder, "its content has changed")


def keep(target: Path, value: Any) -> None:
    """One value in a folder; see `save` for what it may be."""
    put(target, lambda aside: save(aside / "value", value))


def kept(folder: Path) -> Any:
    """What `keep` has put there; ValueError, naming the file, for one that is damaged."""
    check(folder, ("value",))
    return load(folder / "value")


def discard(folder: Path) -> None:
    """Away with a folder, in one step: what a kill leaves of it has another name."""
    aside = folder.with_name(f"{ASIDE}{os.getpid()}-{time.time_ns()}")
    with contextlib.suppress(OSError):
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def clean(folder: Path, deep: str = "", older: float = DAY) -> None:
    """Away with what kills have left unfinished in a folder (`deep="**/"`: also below it), once it is so many seconds
    old."""
    for path in folder.glob(f"{deep}{ASIDE}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime >= older:
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def alone(folder: Path, setting: str = "checkpoint") -> Iterator[bool]:
    """A folder for this process alone; ValueError if another one has it. A lock of the operating system, which ends
    with its process; False, and nobody is kept out, where the file system has none."""
    with (folder / ".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read() or "a process that has just begun"
            refuse(setting, str(folder), f"a folder that no other call is using; this one is in use by {holder}")
        except (OSError, AttributeError):
            yield False
            return
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        yield True


@contextlib.contextmanager
def written(what: str, kept: str) -> Iterator[None]:
    """An error of the file system says what could not be written, and what is kept."""
    try:
        yield
    except OSError as error:
        message = f"{what} cannot be written ({error.strerror or error}); {kept}"
        raise OSError(error.errno, message) from error


def seal(path: Path, content: dict[str, Any]) -> None:
    """JSON with its own digest, written aside and renamed."""
    aside = path.with_name(f".{path.stem}-{os.getpid()}.json")
    try:
        aside.write_text(json.dumps({"digest": _digest(content)} | content, indent=1))
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def unseal(path: Path) -> dict[str, Any]:
    """What was sealed; ValueError, naming the file, unless it is there as it was written."""
    try:
        content = json.loads(path.read_text())
        digest = content.pop("digest")
    except FileNotFoundError:
        _damaged(path, path.parent, "it is missing")
    except (ValueError, KeyError, AttributeError, TypeError):
        _damaged(path, path.parent, "it cannot be read, or an earlier edition has written it")
    if digest != _digest(content):
        _damaged(path, path.parent, "its content has changed")
    return content


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _damaged(file: Path, folder: Path, what: str) -> NoReturn:
    allowed = f"a file as it was written, but {what}. Delete {folder} and run again: what was in it is computed anew"
    refuse("checkpoint", str(file), allowed)


def save(folder: Path, value: Any) -> None:
    """Numbers, texts, arrays, tensors, data sets, and lists, tuples and dicts of these, as arrays and JSON."""
    arrays: dict[str, np.ndarray] = {}
    tree = _tree(value, arrays)
    folder.mkdir(parents=True)
    np.savez(folder / "arrays.npz", **arrays)
    (folder / "values.json").write_text(json.dumps(tree))


def load(folder: Path) -> Any:
    """What `save` stored there."""
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        return _value(json.loads((folder / "values.json").read_text()), arrays)


def _tree(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list):
        return [_tree(v, arrays) for v in value]
    if isinstance(value, tuple):
        return {"tuple": [_tree(v, arrays) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[_tree(k, arrays), _tree(v, arrays)] for k, v in value.items()]}
    if isinstance(value, xr.Dataset):
        parts = [{n: (v.dims, v.values, v.attrs) for n, v in p.items()} for p in (value.data_vars, value.coords)]
        return {"Dataset": _tree([*parts, value.attrs], arrays)}
    kind = "array" if isinstance(value, np.ndarray) else "number" if isinstance(value, np.generic) else "tensor"
    array = value.detach().cpu().numpy() if kind == "tensor" and hasattr(value, "detach") else value
    if not isinstance(array, np.ndarray | np.generic) or array.dtype.hasobject:
        refuse("value", type(value).__name__, "numbers, texts, arrays, data sets, and lists, tuples and dicts of these")
    arrays[name := str(len(arrays))] = np.asarray(array)
    return {kind: name}


def _value(tree: Any, arrays: Any) -> Any:
    if isinstance(tree, list):
        return [_value(v, arrays) for v in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, held),) = tree.items()
    if kind == "tuple":
        return tuple(_value(held, arrays))
    if kind == "dict":
        return {_value(k, arrays): _value(v, arrays) for k, v in held}
    if kind == "Dataset":
        return xr.Dataset(*_value(held, arrays))
    if kind == "tensor":
        import torch

        return torch.from_numpy(arrays[held])
    return arrays[held] if kind == "array" else arrays[held][()]
