"""What the chapters have left, read together by those that weigh it."""

import json
from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from lib import ledger as claims
from lib import records
from lib.ledger import questions


def answers(folder: str | Path | None = None) -> list[dict]:
    """The answers to the four questions of all chapters that do not themselves read others'."""
    folder, found = Path(folder or records.results_folder()), []
    for chapter in (k for k, about in claims.CHAPTERS.items() if not about.reads):
        path = folder / f"{chapter:02d}.json"
        if not path.exists():
            raise FileNotFoundError(f"{path}: chapter {chapter} has left no results; `make notebooks` writes them")
        found += [{"chapter": chapter, **answer} for answer in json.loads(path.read_text())["answers"]]
    return found


def gather(folder: str | Path | None = None) -> dict[str, xr.Dataset]:
    """The data set that chapters 10 and 13 are judged on."""
    return {"answers": questions.as_data(answers(folder)).assign_attrs(recorded="chapters")}


def words(folder: str | Path | None = None, chapters: tuple[int, ...] | None = None) -> dict[str, Mapping]:
    """The findings of chapters, all but the last unless told, by the id of the claim."""
    chapters = tuple(k for k in claims.CHAPTERS if k != 13) if chapters is None else chapters
    return {claim.id: found for claim, found in claims.ledger(folder or records.results_folder(), chapters)}


def borne(found: Mapping[str, Mapping], sentence: str, **expected: str) -> str:
    """A sentence written by hand if the words of the ledger bear it, else which of them do not. `expected` maps ids of
    claims, with underscores, to the words that the sentence rests on."""
    named = {name.replace("_", "-"): word for name, word in expected.items()}
    other = [
        f"`{name}` is {claims.verdict(found[name])}" for name, word in named.items() if found[name]["word"] != word
    ]
    if other:
        return f"*Here these results say otherwise: {'; '.join(other)}.* {sentence}"
    return f"{sentence} ({', '.join(f'`{name}`' for name in named)})"
