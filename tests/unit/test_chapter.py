"""What a chapter leaves when it ends: findings, answers and results, at its default parameters only."""

import json
from pathlib import Path

import pytest

from lib import ledger as claims
from lib import records
from lib.chapter import display as notebook
from lib.recursion import recurse
from lib.regimes import Accumulate, Replace
from lib.worlds.gaussian import Gaussian

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def data():
    return recurse(
        Gaussian(1, "unbiased"), [Replace(), Accumulate()], n=50, generations=16, runs=20, seed=1, progress=False
    )


(CLAIM,) = (claim for claim in claims.of_chapter(1) if claim.id == "thread-accumulates")


def chapter(monkeypatch, data, parameters=()):
    """A chapter of one claim, with what it shows."""
    said = []
    monkeypatch.setattr(claims, "of_chapter", lambda number: (CLAIM,))
    monkeypatch.setattr(notebook, "say", said.append)
    made = notebook.Chapter(1, dict(parameters), {"n": 99})
    made.results["main"] = data
    made.ask("a Gaussian", data)
    return made, said


def test_the_end_of_a_chapter_answers_the_four_questions_and_judges_its_claims(monkeypatch, data):
    made, said = chapter(monkeypatch, data)
    made.end()
    answers, judged = said
    assert answers.startswith("|  | Replace | Accumulate |") and "*a Gaussian, 16 fits*" in answers
    assert judged.startswith("<details>") and "not for simulation" in judged
    assert {a["question"] for a in made.answers} == {"worse", "unbounded", "variety"}


def test_only_default_parameters_enter_the_ledger(tmp_path, monkeypatch, data):
    monkeypatch.setenv("LIB_RESULTS", str(tmp_path))
    for n in (100, 99):
        chapter(monkeypatch, data, {"n": n})[0].end()
        assert (tmp_path / "01.json").exists() == (n == 99)
    stored, found = records.read(1, tmp_path)
    assert stored["key"] == records.key({"n": 99}) != records.key({"n": 100})
    assert [finding["id"] for finding in stored["findings"]] == ["thread-accumulates"]
    assert stored["answers"][0]["world"] == "a Gaussian" and set(found) == {"main"}
    mean = found["main"]["mean_of"].sel(score_name="squared_mean_error", regime="Accumulate", part="estimate")
    ends = data["squared_mean_error"].sel(regime="Accumulate").isel(generation=-1)
    assert mean.isel(generation=-1) == pytest.approx(ends.mean())
    assert {"commit", "date", "versions", "device"} <= set(stored["provenance"])


@pytest.mark.parametrize("number", claims.CHAPTERS)
def test_committed_results_are_small_and_at_default_parameters(number):
    (path,) = NOTEBOOKS.glob(f"{number:02d}-*.ipynb")
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    defaults = next(found for cell in cells if (found := notebook._assignments(cell)))
    stored, _ = records.read(number, records.COMMITTED)
    assert (stored["configuration"], stored["key"]) == (defaults, records.key(defaults))
    for ending in ("nc.gz", "json"):
        assert (records.COMMITTED / f"{number:02d}.{ending}").stat().st_size < 200_000


# The first chapter fits nothing whose answers would be of interest, the last ones read those of the others.
@pytest.mark.parametrize("number", [k for k, about in claims.CHAPTERS.items() if k > 1 and not about.reads])
def test_every_chapter_has_asked_its_four_questions(number):
    assert {a["word"] for a in records.read(number, records.COMMITTED)[0]["answers"]} & {"yes", "no"}


def test_the_parameters_cell_is_found_and_nothing_else():
    found = notebook._assignments('scale: str = "laptop"  # size\nn: int = 100  # samples')
    assert found == {"scale": "laptop", "n": 100}
    assert notebook._assignments("n = 100") == notebook._assignments("import os") == notebook._assignments("x =") == {}


def test_a_sentence_that_its_numbers_no_longer_bear_fails_the_chapter(monkeypatch):
    said = []
    monkeypatch.setattr(notebook, "say", said.append)
    chapter = notebook.Chapter(2, {"n": 100}, {"n": 100})
    chapter.bears(True)
    with pytest.raises(AssertionError, match="no longer bear"):
        chapter.bears([] != [])
    notebook.Chapter(2, {"n": 7}, {"n": 100}).bears(False)
    assert len(said) == 1 and "does not hold" in said[0]
