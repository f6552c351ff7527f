"""What has been computed is found again: generations in a folder of one's own, whole results in a store.

    folder/settings.json                     what the numbers hang on: settings, contents, code, versions
    folder/block-0000/first/0001/            real data, model, scores of generation 1 (shared by all regimes)
    folder/block-0000/Accumulate/0002/       new batches, model, scores
    store/0123456789abcdef…/                 what a call has returned, under the digest of all that it hangs on

A folder with a name is whole: it is written aside and renamed, and its `files.json` has a digest for each file in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import xarray as xr

from lib import distributed as team
from lib import provenance
from lib.checkpoint import folders
from lib.errors import refuse

# A folder for all calls that train networks and name none themselves: a chapter then goes on after a lost connection.
VARIABLE = "LIB_CHECKPOINTS"
# A folder for whole results, so that no chapter is computed twice.
STORE = "LIB_STORE"
# More generations or regimes continue what is there; a filter goes by its content and not by its name.
MAY_DIFFER = ("generations", "n", "regimes", "select")


def hangs_on(world, regimes: dict, select: Any, settings: dict, sizes: list[int]) -> dict[str, Any]:
    """What the numbers of a call hang on, as JSON holds it. ValueError for a setting that cannot be read."""
    contents = {f.name: provenance.fingerprint(getattr(world, f.name), f.name) for f in fields(world)}
    contents |= {name: provenance.fingerprint(v, name) for name, v in (("world", type(world)), ("select", select))}
    contents["data"] = provenance.fingerprint((contents.get("data"), world.sources()), "data")
    modules = [getattr(part, "__module__", None) for part in (type(world), select, *map(type, regimes.values()))]
    used = [name for name in modules if name]
    found = {
        "settings": settings,
        "sizes": sizes,
        "contents": contents,
        "regimes": {label: provenance.fingerprint(regime, "regimes") for label, regime in regimes.items()},
        "code": provenance.code(["lib.recursion", *used]),
        "versions": provenance.versions(used),
    }
    return json.loads(json.dumps(found))


def through(compute: Callable[[Checkpoint | None], xr.Dataset], folder: str | Path | None, world, *rest) -> xr.Dataset:
    """`compute(checkpoint)`, with the checkpoint in `folder` or below the one that LIB_CHECKPOINTS names; or, if no
    folder was given, what the store holds of it. `rest`: see `hangs_on`."""
    above = os.environ.get(VARIABLE) if world.trained and folder is None else None
    if folder is not None and (not isinstance(folder, str | os.PathLike) or not str(folder)):
        refuse("checkpoint", folder, "the path of a folder")
    try:
        basis = hangs_on(world, *rest) if folder is not None or above or os.environ.get(STORE) else None
    except ValueError:
        if folder is not None or above:
            raise
        basis = None
    if basis is None:
        return compute(None)

    def kept() -> xr.Dataset:
        if folder is None and not above:
            return compute(None)
        place = _below(Path(above).expanduser(), basis) if above else Path(folder).expanduser()
        with opened(place, basis) as checkpoint:
            return compute(checkpoint)

    return remembered(basis, kept) if folder is None else kept()


_spared = 0.0


def clock() -> float:
    """Seconds, as a process counts them that finds nothing in the store."""
    return time.perf_counter() + _spared


def remembered(key: Any, compute: Callable[[], Any]) -> Any:
    """`compute()`, or what the folder that LIB_STORE names holds of it, if there is one and `key` can be read.

    `key` is all that the value hangs on. Begin with the function that computes it: its code is then part of the key.
    """
    folder = os.environ.get(STORE)
    if not folder or team.size() > 1:
        return compute()
    versions = [provenance.version(package) for package in provenance.COMPUTE.values()]
    try:
        name = provenance.fingerprint((key, versions, provenance.gpu()))[:32]
    except ValueError:
        return compute()
    place = Path(folder).expanduser() / name
    global _spared
    try:
        if place.exists():
            found = folders.kept(place)
            _spared += found["seconds"]
            return found["value"]
    except (OSError, ValueError, KeyError):
        folders.discard(place)  # damaged, or taken away by another process just now
    began = clock()
    value = compute()
    with contextlib.suppress(OSError, ValueError):  # a full disk, a value of another kind, another process was first
        folders.clean(place.parent)
        folders.keep(place, {"value": value, "seconds": clock() - began})
    return value


def _below(above: Path, basis: dict[str, Any]) -> Path:
    """The folder of a call, by all that may not differ."""
    same = basis | {"settings": {k: v for k, v in basis["settings"].items() if k not in MAY_DIFFER}, "sizes": None}
    name = f"{basis['settings']['world']}-{provenance.fingerprint(same | {'n': basis['sizes'][0]})[:12]}"
    folder, number = above / name, 1
    while (folder / "settings.json").exists() and not _begin_alike(folders.unseal(folder / "settings.json"), basis):
        number += 1
        folder = above / f"{name}-{number}"
    return folder


def _begin_alike(stored: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Set sizes that grow are the same as far as both calls go."""
    return all(a == b for a, b in zip(stored["sizes"], wanted["sizes"], strict=False))


@contextlib.contextmanager
def opened(folder: Path, basis: dict[str, Any]) -> Iterator[Checkpoint]:
    """The checkpoint in `folder`, for this process alone. ValueError if it is another call's, or in use; OSError if it
    cannot be written."""
    with contextlib.ExitStack() as held:
        if team.first():
            stored = folder / "settings.json"
            if not stored.exists() and folder.exists() and any(p.name[0] != "." for p in folder.iterdir()):
                refuse("checkpoint", str(folder), "an empty folder, a new one, or one that an earlier call has written")
            with folders.written(f"checkpoint={str(folder)!r}", "nothing was computed"):
                folder.mkdir(parents=True, exist_ok=True)
                locked = held.enter_context(folders.alone(folder))
                folders.clean(folder, "**/", older=0 if locked else folders.DAY)
                for progress in folder.glob("block-*/*/.progress-*"):
                    if progress.with_name(progress.name.rpartition("-")[2]).exists():
                        folders.discard(progress)
                before = folders.unseal(stored) if stored.exists() else None
                now = basis if before is None else _joined(folder, before, basis)
                if now != before:
                    folders.seal(stored, now)
        # Of several processes all go by what the first one finds.
        finished = frozenset(path for path in folder.glob("block-*/*/*") if path.name.isdigit())
        yield Checkpoint(folder, team.agreed(finished))


def _joined(folder: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What the folder's numbers hang on after this call; ValueError if it is not what they hang on now."""
    of, out = f"checkpoint {str(folder)!r}", f"delete {folder} to compute all of it anew"
    for name in sorted((stored["settings"].keys() | wanted["settings"].keys()) - set(MAY_DIFFER)):
        found, asked = stored["settings"].get(name), wanted["settings"].get(name)
        if found != asked:
            refuse(name, asked, f"{found!r}, the setting of {of}")
    if not _begin_alike(stored, wanted):
        refuse("n", wanted["sizes"], f"{stored['sizes']}, the set sizes of {of}")
    for kind, what in (("code", "the code"), ("versions", "the versions")):
        other = {n: v for n, v in stored[kind].items() if wanted[kind].get(n, v) != v}
        if other:
            names = ", ".join(f"{n} {v}" if kind == "versions" else n for n, v in other.items())
            refuse("checkpoint", str(folder), f"one of {what} in use; it was written by other {names}: {out}")
    for name, digest in stored["contents"].items():
        if wanted["contents"].get(name) != digest:
            refuse(name, wanted["settings"].get(name), f"what it was in {of}, with the same content; or {out}")
    for label, digest in stored["regimes"].items():
        if wanted["regimes"].get(label, digest) != digest:
            refuse("regimes", wanted["settings"]["regimes"][label], f"the regime that {label!r} was in {of}")
    longer = max(stored["sizes"], wanted["sizes"], key=len)
    return wanted | {k: stored[k] | wanted[k] for k in ("regimes", "code", "versions")} | {"sizes": longer}


@dataclass(frozen=True)
class Checkpoint:
    """A folder of finished generations; `finished` are those found when it was opened."""

    folder: Path
    finished: frozenset[Path]

    def line(self, block: int, label: str, independent: bool) -> Line:
        """The folders of one regime in one block."""
        # Readable and safe as a name; the number tells apart labels that differ only in characters left out.
        name = f"{re.sub(r'[^A-Za-z0-9.]+', '-', label).strip('-')[:80]}-{zlib.crc32(label.encode()):08x}"
        place = self.folder / f"block-{block:04d}"
        return Line(place / (name if independent else "first"), place / name, self.finished)


@dataclass(frozen=True)
class Line:
    """The finished generations of one regime in one block; generation 1 lies where all regimes find it."""

    first: Path
    rest: Path
    finished: frozenset[Path]

    def path(self, generation: int) -> Path:
        return (self.first if generation == 1 else self.rest) / f"{generation:04d}"

    def scratch(self, generation: int) -> Path:
        """Where a fit of this generation may keep its progress; what is there belongs to the call that goes on."""
        return self.path(generation).with_name(f".progress-{generation:04d}")

    def write(self, generation: int, result: dict[str, Any], world) -> None:
        """Store a generation."""
        if not team.first():
            return

        def write(aside: Path) -> None:
            for name in result.keys() & {"real", "synthetic", "model"}:
                world.save(result[name], aside / name)
            folders.save(aside / "fit", {name: result[name] for name in ("scores", "steps", "examples")})

        kept = f"generations up to {generation - 1} are kept"
        with folders.written(f"checkpoint {str(self.path(generation))!r}", kept):
            folders.put(self.path(generation), write)
        folders.discard(self.scratch(generation))

    def read(self, generation: int, world, batches: tuple[str, ...]) -> dict[str, Any] | None:
        """A stored generation with the batches that it drew, or None if it is not finished."""
        target = self.path(generation)
        if target not in self.finished:
            return None
        # A model is only read where the recursion goes on from it: generation 1 for every regime, else the newest.
        goes_on = generation == 1 or self.path(generation + 1) not in self.finished
        parts = (*batches, "model") if goes_on else batches
        folders.check(target, (*parts, "fit"))
        return {name: world.load(target / name) for name in parts} | folders.load(target / "fit")
