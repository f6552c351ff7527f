"""Where `recurse` leaves what is finished: append-only folders, written aside and renamed into place.

    folder/settings.json
    folder/block-0000/first/0001/            real data, model, scores of generation 1 (shared by all regimes)
    folder/block-0000/Accumulate/0002/       new batches, model, scores

A folder that exists is complete; a call that was killed leaves at most one unfinished folder with another name.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib import distributed as team
from lib.errors import refuse

# A folder for all calls that train networks and name none themselves: a chapter then goes on after a lost connection.
VARIABLE = "LIB_CHECKPOINTS"
# More generations or regimes continue what is there; every other setting would make other numbers.
MAY_DIFFER = ("generations", "n", "regimes")


def named_by_reader(settings: dict[str, Any]) -> Path | None:
    """The folder of a call with these settings below the one that LIB_CHECKPOINTS names; None if it names none.

    Calls that differ in anything but the number of generations have folders of their own.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        return None
    same = {name: value for name, value in settings.items() if name != "generations"}
    number = zlib.crc32(json.dumps(same, sort_keys=True).encode())
    return Path(folder).expanduser() / f"{settings['world']}-{number:08x}"


@dataclass(frozen=True)
class Checkpoint:
    """A folder of finished generations that belong to one set of settings; `finished` are those found when it was opened."""

    folder: Path
    finished: frozenset[Path] = frozenset()

    @classmethod
    def open(cls, folder: str | Path, settings: dict[str, Any], sizes: list[int]) -> Checkpoint:
        """The checkpoint in `folder`, new or continued. ValueError if it belongs to other settings; OSError, naming
        the folder, if it cannot be written."""
        folder = Path(folder)
        if team.first():
            cls._prepare(folder, settings, sizes)
        # Of several processes all go by what the first one finds.
        return cls(folder, team.agreed(cls._finished(folder)))

    @staticmethod
    def _prepare(folder: Path, settings: dict[str, Any], sizes: list[int]) -> None:
        stored_file = folder / "settings.json"
        wanted = json.loads(json.dumps(settings | {"sizes": sizes}))
        if stored_file.exists():
            stored = json.loads(stored_file.read_text())
            _compare(folder, stored, wanted)
            wanted["regimes"] = stored["regimes"] | wanted["regimes"]
            if len(stored["sizes"]) > len(sizes):
                wanted["sizes"] = stored["sizes"]
        elif folder.exists() and any(folder.iterdir()):
            refuse("checkpoint", str(folder), "an empty folder, a new one, or one that an earlier call has written")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.rglob(".unfinished-*"):
                shutil.rmtree(left, ignore_errors=True)
            aside = folder / f".settings-{os.getpid()}.json"
            aside.write_text(json.dumps(wanted, indent=1))
            aside.replace(stored_file)
        except OSError as error:
            raise OSError(error.errno, f"checkpoint={str(folder)!r} cannot be written: {error.strerror}") from error

    @classmethod
    def find(cls, folder: str | Path) -> Checkpoint:
        """The checkpoint that an earlier call has left in `folder`, to be read; ValueError if there is none."""
        folder = Path(folder)
        if not (folder / "settings.json").exists():
            refuse("checkpoint", str(folder), "a folder in which a call of recurse has kept its generations")
        return cls(folder, cls._finished(folder))

    @staticmethod
    def _finished(folder: Path) -> frozenset[Path]:
        return frozenset(path for path in folder.glob("block-*/*/*") if path.name.isdigit())

    def synthetic(self, world) -> dict[str, dict[int, list[Any]]]:
        """What the models wrote for those after them: by regime, by the generation of the model that wrote it, the batch of each
        block of runs. Generations that are not finished in every block are left out."""
        stored = json.loads((self.folder / "settings.json").read_text())
        for name, value in json.loads(json.dumps(world.settings())).items():
            if stored.get(name) != value:
                refuse(name, value, f"{stored.get(name)!r}, the setting of checkpoint {str(self.folder)!r}")
        held = min(stored["block"] or stored["runs"], stored["runs"])
        out = {}
        for label in stored["regimes"]:
            places = [self.line(index, label, False).rest for index in range(-(-stored["runs"] // held))]
            names = sorted(path.name for path in self.finished if path.parent == places[0] and int(path.name) > 1)
            whole = [name for name in names if all((place / name / "synthetic").exists() for place in places)]
            out[label] = {int(name) - 1: [world.load(place / name / "synthetic") for place in places] for name in whole}
        return out

    def line(self, block: int, label: str, independent: bool) -> Line:
        """The folders of one regime in one block."""
        # Readable and safe as a name; the number tells apart labels that differ only in characters left out.
        name = f"{re.sub(r'[^A-Za-z0-9.]+', '-', label).strip('-')}-{zlib.crc32(label.encode()):08x}"
        place = self.folder / f"block-{block:04d}"
        return Line(place / (name if independent else "first"), place / name, self.finished)


@dataclass(frozen=True)
class Line:
    """The finished generations of one regime in one block; generation 1 lies where all regimes find it."""

    first: Path
    rest: Path
    finished: frozenset[Path] = frozenset()

    def path(self, generation: int) -> Path:
        return (self.first if generation == 1 else self.rest) / f"{generation:04d}"

    def scratch(self, generation: int) -> Path:
        """Where a fit of this generation may keep its progress; what is there belongs to the call that goes on."""
        return self.path(generation).with_name(f".progress-{generation:04d}")

    def write(self, generation: int, result: dict[str, Any], world) -> None:
        """Store a generation: written aside, then renamed, so that it is there entirely or not at all."""
        if not team.first():
            return
        target, aside = self.path(generation), None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=target.parent))
            for name in ("real", "synthetic", "model"):
                if name in result:
                    world.save(result[name], aside / name)
            np.savez(aside / "scores.npz", **result["scores"])
            (aside / "compute.json").write_text(json.dumps({k: result[k] for k in ("steps", "examples")}))
            aside.rename(target)
            shutil.rmtree(self.scratch(generation), ignore_errors=True)
        except OSError as error:
            if aside is not None:
                shutil.rmtree(aside, ignore_errors=True)  # a full disk needs the room
            done = f"generations up to {generation - 1} are kept"
            raise OSError(
                error.errno, f"checkpoint {str(target)!r} cannot be written ({error.strerror or error}); {done}"
            ) from error

    def read(self, generation: int, world) -> dict[str, Any] | None:
        """A stored generation, or None if it is not finished."""
        target = self.path(generation)
        if target not in self.finished:
            return None
        # A model is only read where the recursion goes on from it: generation 1 for every regime, else the newest.
        goes_on = generation == 1 or self.path(generation + 1) not in self.finished
        names = ("real", "synthetic", "model") if goes_on else ("real", "synthetic")
        result = {n: world.load(target / n) for n in names if (target / n).exists()}
        with np.load(target / "scores.npz", allow_pickle=False) as scores:
            result["scores"] = dict(scores)
        return result | json.loads((target / "compute.json").read_text())


def _compare(folder: Path, stored: dict, wanted: dict) -> None:
    for name in sorted((stored.keys() | wanted.keys()) - {"sizes", *MAY_DIFFER}):
        if stored.get(name) != wanted.get(name):
            refuse(name, wanted.get(name), f"{stored.get(name)!r}, the setting of checkpoint {str(folder)!r}")
    common = min(len(stored["sizes"]), len(wanted["sizes"]))
    if stored["sizes"][:common] != wanted["sizes"][:common]:
        refuse(
            "n", wanted["sizes"][:common], f"{stored['sizes'][:common]}, the set sizes of checkpoint {str(folder)!r}"
        )
    for label in stored["regimes"].keys() & wanted["regimes"].keys():
        if stored["regimes"][label] != wanted["regimes"][label]:
            refuse(
                "regimes",
                wanted["regimes"][label],
                f"{stored['regimes'][label]} under the label {label!r}, as in checkpoint {str(folder)!r}",
            )
