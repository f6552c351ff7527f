"""Where a sweep leaves its runs: a folder, or a place in object storage, with one sub-folder for each run.

    DIR/sweep.json       which sweep this is: notebook, code version, axes, and the key and parameters of every run
    DIR/notebook.ipynb   the notebook that is executed, without outputs
    DIR/runs/KEY/        run.ipynb, config.json, log.txt, results/, and finished.json
    DIR/failed/KEY/      the same of the last attempt that failed, with failed.json, which says why

KEY is a hash of the run's configuration and of the code that its notebook imports. A run is computed in a temporary
folder; its files are then copied here, and `finished.json`, which lists them, last. A run counts only with that marker,
so it is there entirely or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from lib.errors import Refused, refuse

BEAT, STALE = (
    10.0,
    60.0,
)  # seconds between two signs of life of a lease's holder, and without one until it counts as dead
SHORT = 60  # characters that the folder for temporary ones may take; the path of a kernel's socket has 108 at most


@dataclass(frozen=True)
class Folder:
    """A sweep's folder by its path or fsspec URL (`s3://…`, `gs://…`, `memory://…`)."""

    url: str

    @cached_property
    def _place(self) -> tuple[fsspec.AbstractFileSystem, str]:
        try:
            fs, root = fsspec.core.url_to_fs(os.path.expanduser(self.url))
        except (ImportError, ValueError) as error:
            refuse("out", self.url, f"a place that fsspec can reach here ({error})")
        return LocalFileSystem(auto_mkdir=True) if isinstance(fs, LocalFileSystem) else fs, root.rstrip("/")

    @property
    def local(self) -> Path | None:
        """The folder's path if it is on this machine."""
        fs, root = self._place
        return Path(root) if isinstance(fs, LocalFileSystem) else None

    @property
    def address(self) -> str:
        """The folder as a worker finds it, wherever it was started: a local path is absolute."""
        return self.url if self.local is None else str(self.local)

    @property
    def in_memory(self) -> bool:
        """Whether it ends with this process, and no other process sees it."""
        return "memory" in self._place[0].protocol

    def path(self, name: str) -> str:
        return f"{self._place[1]}/{name}"

    # What is in it

    def read_json(self, name: str) -> Any:
        """A file's content as it is now; None if there is no such file, ValueError naming it if it is damaged."""
        try:
            return json.loads(self._place[0].cat_file(self.path(name)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise ValueError(f"{name} is damaged ({error})") from error

    def put(self, name: str, content: bytes | str) -> None:
        """Write a file entirely or not at all: aside and then renamed in a local folder; an object appears at once."""
        fs, target = self._place[0], Path(self.path(name))
        aside = target.with_name(f".{target.name}-{uuid4().hex[:8]}") if self.local else target
        fs.pipe_file(str(aside), content.encode() if isinstance(content, str) else content)
        if self.local:
            aside.replace(target)

    def fetch(self, name: str, into: Path) -> Path:
        """A local copy of a file."""
        target = into / name.replace("/", "-")
        self._place[0].get_file(self.path(name), str(target))
        return target

    def marker(self, key: str) -> dict | None:
        """The marker of a finished run, or None."""
        return self.read_json(f"runs/{key}/finished.json")

    def finished(self) -> set[str]:
        """Keys of all finished runs."""
        return self._keys("runs", "finished.json")

    def failed(self) -> set[str]:
        """Keys of all runs whose last attempt failed."""
        return self._keys("failed", "failed.json") - self.finished()

    def _keys(self, part: str, marker: str) -> set[str]:
        fs, _ = self._place
        fs.invalidate_cache()
        found = (path.split("/") for path in fs.find(self.path(part), maxdepth=2))
        return {key for *_, key, name in found if name == marker}

    # A sweep takes it

    def check(self, name: str, notebook: str) -> dict[str, Any] | None:
        """What is stored of the sweep of that name; None if the folder is new or empty. Refused if it belongs to
        another sweep or holds something else. Writes nothing."""
        stored = self.read_json("sweep.json")
        if stored is None:
            fs, root = self._place
            names = [Path(path).name for path in fs.ls(root, detail=False)] if fs.isdir(root) else []
            if any(not name.startswith(".") for name in names):
                refuse("out", self.url, "a new folder, or this sweep's own; this one holds something else")
        elif (stored["name"], stored["notebook"]) != (name, notebook):
            other = f"another sweep's ({stored['name']}, {stored['notebook']})"
            refuse("out", self.url, f"a new folder, or this sweep's own; this one is {other}")
        return stored

    def claim(self, sweep: dict[str, Any], notebook: str) -> None:
        """Make this the folder of `sweep`."""
        self.check(sweep["name"], sweep["notebook"])
        self.clear()
        with self._writing():
            self.put("sweep.json", json.dumps(sweep, indent=1, ensure_ascii=False) + "\n")
            self.put("notebook.ipynb", notebook)

    def stored(self) -> dict[str, Any]:
        """What `claim` wrote: the sweep this folder belongs to."""
        found = self.read_json("sweep.json")
        if found is None:
            refuse("out", self.url, "a folder of a sweep; this one has no sweep.json")
        return found

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """An error of the disk names the folder."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, f"out={self.url!r} cannot be written: {error.strerror or error}") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held while a sweep runs in a local folder, until the block or the process ends, however it ends."""
        from lib.checkpoint.folders import alone

        with ExitStack() as stack:
            if self.local is not None:
                try:
                    with self._writing():
                        self.local.mkdir(parents=True, exist_ok=True)
                        stack.enter_context(alone(self.local))
                except Refused as error:
                    refuse("out", self.url, error.allowed)
            yield

    # A run leaves its files

    @property
    def _temporary(self) -> Path:
        """How the temporary folders of this sweep begin on this machine."""
        place = tempfile.gettempdir() if len(tempfile.gettempdir()) < SHORT else "/tmp"
        return Path(place, f"run-{hashlib.sha256(self.address.encode()).hexdigest()[:8]}-")

    def scratch(self) -> tempfile.TemporaryDirectory:
        """A new local folder in which a run is computed, for the length of a block."""
        return tempfile.TemporaryDirectory("", self._temporary.name, self._temporary.parent, ignore_cleanup_errors=True)

    def clear(self) -> None:
        """Delete what a kill has left of the temporary folders."""
        for path in self._temporary.parent.glob(f"{self._temporary.name}*"):
            shutil.rmtree(path, ignore_errors=True)

    def publish(self, source: Path, key: str, marker: dict[str, Any]) -> None:
        """Make a computed run a finished one."""
        self._publish(source, f"runs/{key}", "finished.json", marker)
        self._remove(f"failed/{key}")

    def publish_failed(self, source: Path, key: str, marker: dict[str, Any]) -> None:
        """Keep what a failed run has got to, in place of an earlier attempt's."""
        self._remove(f"failed/{key}")
        self._publish(source, f"failed/{key}", "failed.json", marker)

    def _publish(self, source: Path, place: str, name: str, marker: dict[str, Any]) -> None:
        files = {p.relative_to(source).as_posix(): p.stat().st_size for p in sorted(source.rglob("*")) if p.is_file()}
        for file in files:
            self._place[0].put_file(str(source / file), self.path(f"{place}/{file}"))
        self.put(f"{place}/{name}", json.dumps({**marker, "files": files}, indent=1, ensure_ascii=False) + "\n")

    def _remove(self, name: str) -> None:
        """Delete a sub-folder, its marker first."""
        fs, _ = self._place
        for path in sorted(fs.find(self.path(name)), key=lambda path: not path.endswith("/failed.json")):
            fs.rm_file(path)
        if self.local is not None:
            shutil.rmtree(self.local / name, ignore_errors=True)
