"""What language worlds share: generated sets as text, and errors that name what is wrong and lose nothing."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from lib.pool import Part, Rows
from lib.recursion import recurse
from lib.regimes import Accumulate, Keep, RealOnly, Replace
from lib.worlds.language import weights
from lib.worlds.language.base import generated
from lib.worlds.language.ngram import NGram
from lib.worlds.language.transformer import Transformer
from tests.conftest import ROOT
from tests.unit import tiny

CALL = {"n": 30, "generations": 3, "runs": 3, "seed": 5}
SCORED = {"block": 8, "test_blocks": 10, "score_samples": 10, "shown": 2}
SMALL = SCORED | {"vocabulary": 300, "width": 16, "layers": 1, "heads": 2, "steps": 8, "epochs": None, "batch": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.text_file(tmp_path_factory.mktemp("text"))


@pytest.fixture
def worlds(data, tmp_path_factory):
    """The language worlds, small, by name, with some settings changed."""
    from lib.worlds.language.pretrained import Pretrained

    def made(kind, **settings):
        if kind == "ngram":
            return NGram(**({"data": data} | SCORED | {"vocabulary": 20} | settings))
        if kind == "transformer":
            return Transformer(**({"data": data} | SMALL | settings))
        folder = tiny.saved(tmp_path_factory.mktemp("model"))
        return Pretrained(model=str(folder), **({"data": data} | SCORED | {"epochs": 1, "beams": 2} | settings))

    return made


# Generated sets


@pytest.mark.parametrize("block", [None, 2])
@pytest.mark.parametrize("kind", ["ngram", "transformer"])
def test_generated_sets_are_in_the_checkpoint_as_text(worlds, tmp_path, kind, block):
    small = worlds(kind)
    written = []

    def seen(batch, rng):
        written.append(batch.values)
        return batch

    found = recurse(small, [Replace(), Keep(0.1), RealOnly()], select=seen, checkpoint=tmp_path, block=block, **CALL)
    texts = generated(small, tmp_path)
    assert list(texts) == list(found["regime"].values)
    assert texts["RealOnly"] == {} and list(texts["Replace"]) == list(texts["Keep(0.1)"]) == [1, 2]
    runs = texts["Replace"][2]
    assert len(runs) == 3 and all(len(blocks) == 30 for blocks in runs)
    # What Replace was given at generations 2 and 3, in the first block of runs: the first and second batch of the call.
    decode = small.corpus.tokenizer.decode
    for generation, batch in zip((1, 2), written, strict=False):
        held = texts["Replace"][generation][: len(batch)]
        assert held == [[decode(row) for row in run] for run in batch]


def test_generated_sets_of_a_call_that_was_cut_short(worlds, tmp_path):
    small = worlds("ngram")
    recurse(small, [Replace(), Accumulate()], checkpoint=tmp_path, block=2, **CALL)
    last = next(path for path in (tmp_path / "block-0001").glob("Replace-*/0003"))
    last.rename(last.with_name(".unfinished"))
    texts = generated(small, tmp_path)
    assert list(texts["Replace"]) == [1] and list(texts["Accumulate"]) == [1, 2]


def test_generated_sets_of_another_world_or_of_no_call_are_refused(worlds, tmp_path):
    recurse(worlds("ngram"), [Replace()], checkpoint=tmp_path / "run", **CALL)
    with pytest.raises(ValueError, match="order=2 is not allowed: 3, the setting of checkpoint"):
        generated(worlds("ngram", order=2), tmp_path / "run")
    with pytest.raises(ValueError, match="checkpoint=.*a folder in which a call of recurse has kept"):
        generated(worlds("ngram"), tmp_path)


def test_tokens_of_a_block_and_blocks_of_runs_are_both_recorded(worlds):
    found = recurse(worlds("ngram"), [Replace()], block=2, **CALL)
    assert (found.attrs["block_tokens"], found.attrs["block"]) == (8, 2)


# Texts, blocks, tokenizers


@pytest.mark.parametrize("kind", [NGram, Transformer])
@pytest.mark.parametrize(
    ("content", "settings", "says"),
    [
        ("", {}, "file.*this one is empty"),
        ("A line.\nAnother line.", {}, "at least 10 different articles"),
        ("\n".join(f"{k}" for k in range(12)), {"vocabulary": 300, "tokenizer": "bpe"}, "vocabulary=300.*at most"),
        (
            "\n".join(tiny.articles(12)),
            {"vocabulary": 270, "tokenizer": "bpe", "block": 2000},
            "block=2000 .*at most .*tokens in the",
        ),
    ],
)
def test_a_text_that_is_empty_or_too_short_is_refused(tmp_path, kind, content, settings, says):
    path = tmp_path / "some.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"(?s)is not allowed.*{says}|{says}"):
        kind(data=f"file:{path}", **settings)


def test_a_model_of_another_vocabulary_is_refused(worlds):
    small, other = worlds("transformer"), worlds("transformer", vocabulary=280)
    train = (Part(Rows(other.corpus.train[None, :10]), 1.0),)
    model = other.fit(train, np.random.default_rng(0)).model
    with pytest.raises(ValueError, match=r"weights='embedding.weight' .*\(280, 16\) in one, \(300, 16\) in the other"):
        small.log_probabilities(model, small.corpus.test[None, :2])


@pytest.mark.parametrize(
    ("kind", "change"),
    [("ngram", {"order": 2}), ("ngram", {"block": 9}), ("transformer", {"heads": 1}), ("pretrained", {"beams": 3})],
)
def test_a_checkpoint_of_another_configuration_is_refused_and_kept(worlds, tmp_path, kind, change):
    small = worlds(kind)
    call = CALL | {"generations": 2, "runs": 1}
    stored = recurse(small, [Replace()], checkpoint=tmp_path, **call)
    other = type(small)(**({f: getattr(small, f) for f in small.__dataclass_fields__} | change))
    (name,) = change
    said = {"block": "block_tokens"}.get(name, name)
    with pytest.raises(ValueError, match=f"{said}={change[name]} is not allowed: .*the setting of checkpoint"):
        recurse(other, [Replace()], checkpoint=tmp_path, **call)
    assert recurse(small, [Replace()], checkpoint=tmp_path, **call).identical(stored)


def test_a_checkpoint_of_another_text_is_refused(worlds, data, tmp_path):
    recurse(worlds("ngram"), [Replace()], checkpoint=tmp_path / "run", **CALL)
    path = tmp_path / "tiny.txt"
    path.write_text("\n".join(tiny.articles(seed=3)))
    with pytest.raises(ValueError, match="is not allowed: .*the setting of checkpoint"):
        recurse(worlds("ngram", data=f"file:{path}"), [Replace()], checkpoint=tmp_path / "run", **CALL)


# A full disk, for which a limit on the size of files stands in: text still fits, weights do not


SCRIPT = """
import resource, signal, sys
import numpy as np
from lib.worlds.language import training
from lib.pool import Part, Rows
from lib.recursion import recurse
from lib.regimes import Keep, Replace
from lib.worlds.language.ngram import NGram
from lib.worlds.language.transformer import Transformer
from lib.worlds.language.pretrained import Pretrained
world = eval(sys.argv[1])
_ = world.settings()
call = eval(sys.argv[4])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
training.SAVE_SECONDS = float(sys.argv[5])
recurse(world, [Replace(), Keep(0.1)], checkpoint=sys.argv[2], **call)
"""


def full(world, folder, limit, call, seconds=300.0):
    """What a call says on a disk where no file may be longer than that."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), repr(world), folder, limit, call, seconds]
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("kind", ["ngram", "transformer", "pretrained"])
def test_a_full_disk_is_named_and_loses_nothing(worlds, tmp_path, kind):
    small, call = worlds(kind), CALL | {"runs": 1}
    folder = tmp_path / "run"
    unbroken = recurse(small, [Replace(), Keep(0.1)], **call)
    recurse(small, [Replace()], checkpoint=folder, **(call | {"generations": 2}))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "settings.json"}
    said = full(small, folder, 3000, call)
    assert said.startswith("OSError: ") and "checkpoint '" in said and "/0003' cannot be written" in said
    assert "generations up to 2 are kept" in said and str(folder) in said
    assert {path: path.read_bytes() for path in before} == before
    assert not list(folder.rglob(".unfinished-*"))
    assert recurse(small, [Replace(), Keep(0.1)], checkpoint=folder, **call).identical(unbroken)


def test_a_full_disk_within_a_fit_is_named_and_loses_nothing(worlds, tmp_path):
    small, call = worlds("transformer", steps=40), CALL | {"runs": 2, "generations": 2}
    folder = tmp_path / "run"
    unbroken = recurse(small, [Replace(), Keep(0.1)], **call)
    recurse(small, [Replace()], checkpoint=folder, **(call | {"generations": 1}))
    said = full(small, folder, 5000, call, seconds=-1.0)
    assert said.startswith("OSError: ") and "progress '" in said and "cannot be written (" in said
    assert f"{folder}/" in said and "/.progress-0002/run-0000'" in said and "none had been kept before" in said
    assert not list(folder.rglob("*-new"))
    # The weights of a run that is finished are kept for the runs after it; that may be what does not fit.
    said = full(small, folder, 5000, call)
    assert "/.progress-0002/run-0000.safetensors' cannot be written" in said and "the runs before it are kept" in said
    assert not list(folder.rglob("*.new"))
    assert recurse(small, [Replace(), Keep(0.1)], checkpoint=folder, **call).identical(unbroken)


def test_older_progress_stays_where_newer_cannot_be_written(worlds, tmp_path, monkeypatch):
    from lib.worlds.language import training

    small = worlds("transformer", steps=20)
    train = (Part(Rows(small.corpus.train[None, :20]), 1.0),)
    unbroken = small.fit(train, np.random.default_rng(1)).model
    monkeypatch.setattr(training, "SAVE_SECONDS", -1.0)
    save, saves = weights.save, []

    def no_room(found, path):
        saves.append(path.name)
        if saves.count("weights.safetensors") == 8 and path.name == "optimiser.safetensors":
            path.write_bytes(b"half of it")
            raise OSError(28, "No space left on device")
        save(found, path)

    monkeypatch.setattr(weights, "save", no_room)
    with pytest.raises(OSError, match="progress .*No space left on device.*what was kept before stays"):
        small.fit(train, np.random.default_rng(1), scratch=tmp_path / "progress")
    monkeypatch.setattr(weights, "save", save)
    steps, count = [], training.batches
    monkeypatch.setattr(training, "batches", lambda *a: steps.append(a[-1]) or count(*a))
    resumed = small.fit(train, np.random.default_rng(1), scratch=tmp_path / "progress").model
    assert steps == list(range(7, 20))
    assert all((resumed.networks[0][name] == w).all() for name, w in unbroken.networks[0].items())


def test_a_file_of_weights_that_is_cut_off_is_named(tmp_path):
    path = tmp_path / "some.safetensors"
    path.write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(ValueError, match="weights='.*some.safetensors' is not allowed: a whole safetensors file"):
        weights.load(path)
