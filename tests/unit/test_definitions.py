"""The eight definitions, read off answers and off what is produced; and what the last chapters read of the others."""

import json
from math import inf, nan

import numpy as np
import pytest
import xarray as xr

from lib import ledger as claims
from lib import records
from lib.ledger import definitions, evidence, questions


def answer(question, word, regime="Accumulate", interval=None, times=nan, world="one"):
    by = "runs" if interval else "law"
    about = {"world": world, "errs": questions.SAMPLE, "regime": regime, "question": question, "fits": 9, "runs": 4}
    return about | {"word": word, "said": "so", "score": "s", "by": by, "interval": interval, "times": times}


def says(*answers, regime="Accumulate"):
    return definitions.of_world(answers, "one", regime)


def test_four_definitions_are_the_questions_themselves():
    found = says(answer("worse", "yes", times=2.0), answer("unbounded", "no"), answer("variety", "undecided"))
    assert [found[name] for name in ("increase", "divergence", "variance", "tails")] == ["yes", "no", "undecided", ""]


@pytest.mark.parametrize(("times", "word"), [(inf, "yes"), (10.0, "yes"), (9.9, "no"), (nan, "undecided")])
def test_catastrophic_is_tenfold_by_law(times, word):
    assert says(answer("worse", "yes", times=times))["catastrophic"] == word


@pytest.mark.parametrize(("low", "high", "word"), [(0.9, 1.1, "yes"), (0.2, 1.8, "undecided"), (0.1, 0.6, "no")])
def test_catastrophic_is_tenfold_by_the_whole_interval(low, high, word):
    """The rise is 1 in some unit, which is 11 first-fit errors."""
    ends = {"estimate": 1.0, "low": low, "high": high, "level": 0.99}
    assert says(answer("worse", "yes", interval=ends, times=12.0))["catastrophic"] == word


def test_scaling_is_asked_beside_real_data():
    real = answer("worse", "no", "RealOnly", times=0.1)
    assert says(answer("worse", "yes", times=2.0), real)["scaling"] == "yes"
    assert says(answer("worse", "no", times=0.5), real)["scaling"] == "undecided"
    assert says(answer("worse", "yes", times=2.0))["scaling"] == ""
    assert says(answer("worse", "yes", "Replace", times=2.0), real, regime="Replace")["scaling"] == ""
    level = answer("worse", "no", "RealOnly", times=1.0)
    assert says(answer("worse", "yes", times=2.0), level)["scaling"] == "undecided"
    assert says(real, regime="RealOnly")["scaling"] == "no"


def test_what_is_produced_is_asked_for_modes_and_hallucination():
    rise = np.linspace(0, 0.5, 9)[None, :, None] + 0.001 * np.random.default_rng(1).normal(size=(1, 9, 8))
    about = {"kind": "fidelity", "worse": "more", "units": ""}
    coords = {"regime": ["Replace"], "generation": np.arange(1, 10)}
    data = xr.Dataset({"between_modes": (("regime", "generation", "run"), rise, about)}, coords)
    assert definitions.of_produced(records.summary(data), "Replace") == {"modes": "yes"}
    flat = data.assign(between_modes=data["between_modes"] * 0)
    assert definitions.of_produced(records.summary(flat), "Replace") == {"modes": "no"}


def test_answers_of_all_chapters_are_read_together(tmp_path):
    with pytest.raises(FileNotFoundError, match="make notebooks"):
        evidence.answers(tmp_path)
    for k, about in claims.CHAPTERS.items():
        if not about.reads:
            stored = {"answers": [answer("worse", "no", world=f"world {k}")]}
            (tmp_path / f"{k:02d}.json").write_text(json.dumps(stored))
    found = evidence.gather(tmp_path)["answers"]
    assert found.sizes["world"] == 11 and found.attrs["recorded"]
    assert (found["word"].sel(question="worse", regime="Accumulate") == "no").all()


def test_a_sentence_is_borne_by_words_or_says_so():
    found = {"thread-cause": {"id": "thread-cause", "word": "holds", "note": ""}}
    assert evidence.borne(found, "So it is.", thread_cause="holds") == "So it is. (`thread-cause`)"
    said = evidence.borne(found, "So it is.", thread_cause="fails")
    assert said.startswith("*Here these results say otherwise: `thread-cause` is **holds**.*")


def test_no_sentence_of_the_last_chapter_is_without_its_words():
    (path,) = (claims.Path(__file__).parents[2] / "notebooks").glob("13-*.ipynb")
    assert "say otherwise" not in "".join(
        "".join(output["data"].get("text/markdown", ""))
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        for output in cell.get("outputs", [])
        if "data" in output
    )


@pytest.mark.parametrize(
    ("sample", "model", "word"),
    [
        (("no", "no"), ("no",), claims.HOLDS),
        (("no", "no"), ("yes",), claims.HOLDS),
        (("no", "no"), ("undecided",), claims.HOLDS),
        (("no", "undecided"), ("yes",), claims.UNDECIDED),
        (("yes", "undecided"), ("no",), claims.FAILS),
    ],
)
def test_a_universal_over_worlds_is_judged_as_one(sample, model, word):
    """Whatever else is undecided, one world of its kind that collapses makes it fail; worlds of another kind do not."""
    told = [answer(q, w, world=f"sample {k}") for k, w in enumerate(sample) for q in questions.COLLAPSE]
    for k, w in enumerate(model):
        told += [answer(q, w, world=f"model {k}") | {"errs": questions.MODEL} for q in questions.COLLAPSE]
    (induced,) = (claim for claim in claims.of_chapter(13) if claim.id == "thread-induced")
    found = induced.judge({"answers": questions.as_data(told)})
    assert found.word == word
    assert (found.numbers["plain"], found.numbers["no"], found.numbers["others"]) == (2, sample.count("no"), len(model))
