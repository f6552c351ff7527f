"""Where a sweep leaves its runs: a folder, or a place in object storage, with one sub-folder for each run.

    DIR/sweep.json              which sweep this is: notebook, code version, axes, and the key and parameters of every run
    DIR/notebook.ipynb          the notebook that is executed, without outputs
    DIR/runs/KEY/               run.ipynb, config.json, log.txt, results/, and finished.json
    DIR/failed/KEY/             the same of the last attempt that failed, with failed.json, which says why
    DIR/.unfinished/            runs being computed (local folders only)

KEY is a hash of the run's configuration and of the code's version. A run counts only if it has `finished.json`, which lists
its files. In a local folder a run is computed aside and renamed into place with its marker in it; in object storage, which
cannot rename, the marker is written last. So a run is there entirely or not at all.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from lib.errors import refuse


@dataclass(frozen=True)
class Folder:
    """A sweep's folder by its path or fsspec URL (`s3://…`, `gs://…`, `memory://…`)."""

    url: str

    @cached_property
    def _place(self) -> tuple[fsspec.AbstractFileSystem, str]:
        try:
            fs, root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise ValueError(f"out={self.url!r} is no place that fsspec can reach here: {error}") from error
        return fs, root.rstrip("/")

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

    def read_text(self, name: str) -> str:
        """A file's text, as it is now: listings that fsspec may hold are not asked."""
        return self._place[0].cat_file(self.path(name)).decode()

    def read_json(self, name: str) -> Any:
        """A file's content; None if there is no such file."""
        try:
            return json.loads(self.read_text(name))
        except FileNotFoundError:
            return None

    def write_text(self, name: str, text: str) -> None:
        """Write a file, aside and then renamed in a local folder; an object appears at once anyway."""
        if self.local is None:
            self._place[0].pipe_file(self.path(name), text.encode())
            return
        target = self.local / name
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
        try:
            aside.write_text(text, encoding="utf-8")
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)

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
        return {path.split("/")[-2] for path in fs.glob(self.path(f"{part}/*/{marker}"))}

    def files(self, key: str, ending: str) -> list[str]:
        """Names of a finished run's result files with that ending, in order; only those that its marker lists."""
        listed = (self.marker(key) or {}).get("files", {})
        return sorted(name for name in listed if name.startswith("results/") and name.endswith(ending))

    def fetch(self, name: str, into: Path) -> Path:
        """A local path with the content of a file: its own in a local folder, else a copy in `into`."""
        if self.local is not None:
            return self.local / name
        target = into / name.replace("/", "-")
        self._place[0].get_file(self.path(name), str(target))
        return target

    def put(self, source: Path, name: str) -> None:
        """Copy a local file to its place, entirely or not at all."""
        if self.local is None:
            self._place[0].put_file(str(source), self.path(name))
            return
        target = self.local / name
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
        try:
            shutil.copyfile(source, aside)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)

    # A sweep takes it

    def check(self, name: str, notebook: str) -> dict[str, Any] | None:
        """What is stored of the sweep of that name; None if the folder is new or empty. ValueError if it belongs to another
        sweep or holds something else. Writes nothing."""
        stored = self.stored(required=False)
        if stored is None and self._other_things():
            allowed = "a new or empty folder, or one that this sweep has written; this one holds something else"
            refuse("out", self.url, allowed)
        if stored is not None and (stored["name"], stored["notebook"]) != (name, notebook):
            other = f"{stored['name']}, {stored['notebook']}"
            refuse(
                "out", self.url, f"a new folder, or this sweep's own; this one is the folder of another sweep ({other})"
            )
        return stored

    def claim(self, sweep: dict[str, Any], notebook: str) -> None:
        """Make this the folder of `sweep`. OSError, naming it, if it cannot be written."""
        self.check(sweep["name"], sweep["notebook"])
        try:
            if self.local is not None:
                self.local.mkdir(parents=True, exist_ok=True)
                self.clear()
            self.write_text("notebook.ipynb", notebook)
            self.write_text("sweep.json", json.dumps(sweep, indent=1, ensure_ascii=False) + "\n")
        except OSError as error:
            raise OSError(error.errno, f"out={self.url!r} cannot be written: {error.strerror or error}") from error

    def stored(self, required: bool = True) -> dict[str, Any] | None:
        """What `claim` wrote: the sweep this folder belongs to. FileNotFoundError if it is no sweep's folder."""
        try:
            found = self.read_json("sweep.json")
        except NotADirectoryError:
            found = None
        if found is None and required:
            raise FileNotFoundError(f"{self.url!r} is no folder of a sweep: it has no sweep.json")
        return found

    def _other_things(self) -> bool:
        fs, root = self._place
        return bool(fs.exists(root) and [p for p in fs.ls(root, detail=False) if not Path(p).name.startswith(".lock")])

    def lock(self):
        """Held while a sweep runs in a local folder, until the file is closed or the process has ended, however it ended."""
        if self.local is None:
            return None
        try:
            self.local.mkdir(parents=True, exist_ok=True)
            file = open(self.local / ".lock", "a+")
        except OSError as error:
            raise OSError(error.errno, f"out={self.url!r} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            refuse("out", self.url, f"a folder in which no other process runs a sweep; {holder or 'one'} does now")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        file.flush()
        return file

    # A run leaves its files

    def scratch(self, key: str) -> Path:
        """A new local folder in which a run is computed: on the disk of the sweep's folder where that is local."""
        if self.local is None:
            return Path(tempfile.mkdtemp(prefix=f"run-{key}-"))
        place = self.local / ".unfinished"
        try:
            place.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=f"{key}-", dir=place))
        except OSError as error:
            raise OSError(error.errno, f"out={self.url!r} cannot be written: {error.strerror}") from error

    def publish(self, scratch: Path, key: str, marker: dict[str, Any]) -> None:
        """Make a computed run a finished one. If another worker has finished it meanwhile, that one stays."""
        self._publish(scratch, f"runs/{key}", "finished.json", marker, replace=False)
        self.remove(f"failed/{key}")

    def publish_failed(self, scratch: Path, key: str, marker: dict[str, Any]) -> None:
        """Keep what a failed run has got to, in place of an earlier attempt's."""
        self._publish(scratch, f"failed/{key}", "failed.json", marker, replace=True)

    def _publish(self, scratch: Path, place: str, name: str, marker: dict[str, Any], replace: bool) -> None:
        files = {p.relative_to(scratch).as_posix(): p.stat().st_size for p in sorted(scratch.rglob("*")) if p.is_file()}
        text = json.dumps(marker | {"files": files}, indent=1, ensure_ascii=False) + "\n"
        if self.local is None:
            for file in files:
                self._place[0].put_file(str(scratch / file), self.path(f"{place}/{file}"))
            self._place[0].pipe_file(self.path(f"{place}/{name}"), text.encode())
            return
        (scratch / name).write_text(text, encoding="utf-8")
        target = self.local / place
        target.parent.mkdir(exist_ok=True)
        if replace:
            shutil.rmtree(target, ignore_errors=True)
        try:
            scratch.rename(target)
        except OSError:
            if not (target / name).exists():
                raise

    def clear(self) -> None:
        """Delete what workers that were killed have left unfinished."""
        if self.local is not None:
            shutil.rmtree(self.local / ".unfinished", ignore_errors=True)

    def remove(self, name: str) -> None:
        """Delete a sub-folder; nothing happens if there is none."""
        fs, _ = self._place
        if self.local is not None:
            shutil.rmtree(self.local / name, ignore_errors=True)
        elif fs.exists(self.path(name)):
            fs.rm(self.path(name), recursive=True)
