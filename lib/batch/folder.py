"""Where a sweep leaves its runs: a folder, or a place in object storage, with one sub-folder for each run.

    DIR/sweep.json       which sweep this is: notebook, code version, axes, and the key and parameters of every run
    DIR/notebook.ipynb   the notebook that is executed, without outputs
    DIR/runs/KEY/        run.ipynb, config.json, log.txt, results/, and finished.json
    DIR/failed/KEY/      the same of the last attempt that failed, with failed.json, which says why

KEY is a hash of the run's configuration and of the code that its notebook imports. A run is computed in a temporary
folder; its files are then copied here, and `finished.json`, which lists them, last. A run counts only with that marker,
so it is there entirely or not at all.
"""

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from lib.checkpoint.folders import alone
from lib.errors import refuse

SHORT = 60  # characters that the folder for temporary ones may take; the path of a kernel's socket has 108 at most


class Folder:
    """A sweep's folder by its path or fsspec URL (`s3://…`, `gs://…`, `memory://…`): `local` is its path if it is on
    this machine, `address` what a worker finds it by, wherever it was started."""

    def __init__(self, url: str) -> None:
        try:
            self.fs, root = fsspec.core.url_to_fs(os.path.expanduser(url))
        except (ImportError, ValueError) as error:
            refuse("out", url, f"a place that fsspec can reach here ({error})")
        self.url, self.root, self.local, self.address = url, root.rstrip("/"), None, url
        if isinstance(self.fs, LocalFileSystem):
            self.fs, self.local, self.address = LocalFileSystem(auto_mkdir=True), Path(self.root), self.root

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def read_json(self, name: str) -> Any:
        """A file's content as it is now; None if there is no such file, ValueError naming it if it is damaged."""
        try:
            return json.loads(self.fs.cat_file(self.path(name)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise ValueError(f"{name} is damaged ({error})") from error

    def put(self, name: str, content: bytes | str | dict) -> None:
        """Write a file entirely or not at all: aside and then renamed in a local folder; an object appears at once. A
        dict is written as JSON."""
        if isinstance(content, dict):
            content = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        target = Path(self.path(name))
        aside = target.with_name(f".{target.name}-{uuid4().hex[:8]}") if self.local else target
        self.fs.pipe_file(str(aside), content.encode() if isinstance(content, str) else content)
        if self.local:
            aside.replace(target)

    def fetch(self, name: str, into: Path) -> Path:
        """A local copy of a file."""
        target = into / name.replace("/", "-")
        self.fs.get_file(self.path(name), str(target))
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
        self.fs.invalidate_cache()
        found = map(Path, self.fs.find(self.path(part), maxdepth=2))
        return {path.parent.name for path in found if path.name == marker}

    def check(self, name: str, notebook: str) -> None:
        """Refused unless this is the folder of the sweep of that name, or new, or empty."""
        stored, own = self.read_json("sweep.json"), "a new folder, or this sweep's own"
        if stored is not None and (stored["name"], stored["notebook"]) != (name, notebook):
            refuse("out", self.url, f"{own}; this one is another's ({stored['name']}, {stored['notebook']})")
        names = self.fs.ls(self.root, detail=False) if stored is None and self.fs.isdir(self.root) else []
        if any(not Path(name).name.startswith(".") for name in names):
            refuse("out", self.url, f"{own}; this one holds something else")

    def claim(self, sweep: dict[str, Any], notebook: str) -> None:
        """Make this the folder of `sweep`."""
        self.check(sweep["name"], sweep["notebook"])
        self.clear()
        self.put("sweep.json", sweep)
        self.put("notebook.ipynb", notebook)

    def stored(self) -> dict[str, Any]:
        """What `claim` wrote: the sweep this folder belongs to."""
        found = self.read_json("sweep.json")
        if found is None or "defaults" not in found:
            other = "is of an older version; run its sweep again" if found else "has no sweep.json"
            refuse("out", self.url, f"a folder of a sweep; this one {other}")
        return found

    def lock(self) -> AbstractContextManager:
        """Held while a sweep runs in a local folder, until the block or the process ends, however it ends."""
        if self.local is None:
            return nullcontext()
        self.local.mkdir(parents=True, exist_ok=True)
        return alone(self.local, "out")

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

    def publish(self, source: Path, key: str, marker: dict[str, Any], failed: bool = False) -> dict[str, Any]:
        """Make a computed run a finished one, or keep what a failed one has got to. What an earlier attempt has left
        goes first, its marker before all else. Returns the marker."""
        earlier = self.fs.find(self.path(f"failed/{key}"))
        for path in sorted(earlier, key=lambda path: not path.endswith("/failed.json")):
            self.fs.rm_file(path)
        if self.local is not None:
            shutil.rmtree(self.local / "failed" / key, ignore_errors=True)
        place, name = (f"failed/{key}", "failed.json") if failed else (f"runs/{key}", "finished.json")
        files = {p.relative_to(source).as_posix(): p.stat().st_size for p in sorted(source.rglob("*")) if p.is_file()}
        for file in files:
            self.fs.put_file(str(source / file), self.path(f"{place}/{file}"))
        self.put(f"{place}/{name}", {**marker, "files": files})
        return marker
