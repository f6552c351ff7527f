"""What language worlds share: errors that name what is wrong and lose nothing."""

import contextlib
import resource
import signal

import numpy as np
import pytest
import torch

from lib.checkpoint import folders
from lib.errors import Refused
from lib.pool import Part, Rows
from lib.recursion import recurse
from lib.regimes import Keep, Replace
from lib.worlds.language import training
from lib.worlds.language.ngram import NGram
from lib.worlds.language.transformer import Transformer
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


def test_tokens_of_a_block_and_blocks_of_runs_are_both_recorded(worlds):
    found = recurse(worlds("ngram"), [Replace()], block=2, **CALL)
    assert (found.attrs["block_tokens"], found.attrs["block"]) == (8, 2)


# Texts, blocks, tokenizers


@pytest.mark.parametrize("kind", [NGram, Transformer])
@pytest.mark.parametrize(
    ("content", "settings", "setting"),
    [
        ("A line.\nAnother line.", {}, "text"),
        ("\n".join(f"{k}" for k in range(12)), {"vocabulary": 300, "tokenizer": "bpe"}, "vocabulary"),
        ("\n".join(tiny.articles(12)), {"vocabulary": 270, "tokenizer": "bpe", "block": 2000}, "block"),
    ],
)
def test_a_text_that_is_too_short_is_refused(tmp_path, kind, content, settings, setting):
    path = tmp_path / "some.txt"
    path.write_text(content)
    with pytest.raises(Refused) as found:
        kind(data=f"file:{path}", **settings)
    assert found.value.setting == setting


def test_a_small_text_has_a_vocabulary_of_its_own(data):
    world = NGram(data=data, **SCORED)
    assert world.vocabulary == world.settings()["vocabulary"] == world.corpus.tokenizer.size < 16000


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("transformer", {"hidden": 0}),
        ("transformer", {"hidden": True}),
        ("transformer", {"width": 1.5}),
        ("transformer", {"base_rate": "fast"}),
        ("transformer", {"rate": True}),
        ("transformer", {"epochs": True}),
        ("transformer", {"temperature": np.nan}),
        ("transformer", {"top_p": 1.5}),
        ("transformer", {"prompts": "no"}),
        ("transformer", {"dtype": "float16"}),
        ("ngram", {"prompts": 1}),
        ("ngram", {"order": True}),
    ],
)
def test_settings_that_mean_nothing_are_refused(worlds, kind, settings):
    ((name, value),) = settings.items()
    with pytest.raises(Refused) as found:
        worlds(kind, **settings)
    assert found.value.setting == name and found.value.value is value


def test_numbers_of_other_types_are_the_numbers_they_are(worlds):
    plain = worlds("transformer", hidden=32, rate=0.25)
    other = worlds("transformer", hidden=32.0, rate=np.float32(0.25), steps=8.0, width=np.int64(16), layers=1.0)
    assert other == plain and other.settings() == plain.settings() and type(other.hidden) is int
    assert worlds("ngram", order=2.0, block=8.0).order == 2


def test_a_model_of_another_vocabulary_is_refused(worlds):
    small, other = worlds("transformer"), worlds("transformer", vocabulary=280)
    train = (Part(Rows(other.corpus.train[None, :10]), 1.0),)
    model = other.fit(train, np.random.default_rng(0)).model
    with pytest.raises(Refused) as found:
        small.log_probabilities(model, small.corpus.test[None, :2])
    assert (found.value.setting, found.value.value) == ("weights", "embedding.weight")


def test_torch_s_random_state_comes_back_after_an_exception_too(worlds, monkeypatch):
    small = worlds("transformer")
    network, blocks = small.network(None), small.corpus.train[:10]
    monkeypatch.setattr(training, "batches", lambda *_: 1 / 0)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        training.train(network, blocks, training.Schedule(2, 4, 0.01), np.random.default_rng(0))
    assert torch.equal(torch.get_rng_state(), before)


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


@contextlib.contextmanager
def full(limit):
    """A disk where no file may be longer than that; what the error there says."""
    said, (soft, hard) = [], resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        yield said
        raise AssertionError("everything was written")
    except OSError as error:
        said.append(str(error))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("kind", ["ngram", "transformer", "pretrained"])
def test_a_full_disk_is_named_and_loses_nothing(worlds, tmp_path, kind):
    small, call = worlds(kind), CALL | {"runs": 1}
    folder = tmp_path / "run"
    unbroken = recurse(small, [Replace(), Keep(0.1)], **call)
    recurse(small, [Replace()], checkpoint=folder, **(call | {"generations": 2}))
    before = {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("settings.json", ".lock")
    }
    with full(4000 if kind == "ngram" else 8000) as told:
        recurse(small, [Replace(), Keep(0.1)], checkpoint=folder, **call)
    (said,) = told
    assert "checkpoint '" in said and "/0003' cannot be written" in said
    assert "generations up to 2 are kept" in said and str(folder) in said
    assert {path: path.read_bytes() for path in before} == before
    assert not list(folder.rglob(".unfinished-*"))
    assert recurse(small, [Replace(), Keep(0.1)], checkpoint=folder, **call).identical(unbroken)


def test_a_full_disk_within_a_fit_is_named_and_loses_nothing(worlds, tmp_path, monkeypatch):
    small, call = worlds("transformer", steps=40), CALL | {"runs": 2, "generations": 2}
    folder = tmp_path / "run"
    unbroken = recurse(small, [Replace(), Keep(0.1)], **call)
    recurse(small, [Replace()], checkpoint=folder, **(call | {"generations": 1}))
    with full(8000) as told, monkeypatch.context() as patch:
        patch.setattr(training, "SAVE_SECONDS", -1.0)
        recurse(small, [Replace(), Keep(0.1)], checkpoint=folder, **call)
    (said,) = told
    assert "progress '" in said and "cannot be written (" in said
    assert f"{folder}/" in said and "/.progress-0002/fit-0000'" in said and "what was kept before stays" in said
    assert not list(folder.rglob(".unfinished-*"))
    # The weights of a run that is finished are kept for the runs after it; that may be what does not fit.
    with full(8000) as told:
        recurse(small, [Replace(), Keep(0.1)], checkpoint=folder, **call)
    (said,) = told
    assert "/.progress-0002/run-0000' cannot be written" in said and "the runs before it are kept" in said
    assert not list(folder.rglob(".unfinished-*"))
    assert recurse(small, [Replace(), Keep(0.1)], checkpoint=folder, **call).identical(unbroken)


def test_older_progress_stays_where_newer_cannot_be_written(worlds, tmp_path, monkeypatch):
    small = worlds("transformer", steps=20)
    train = (Part(Rows(small.corpus.train[None, :20]), 1.0),)
    unbroken = small.fit(train, np.random.default_rng(1)).model
    monkeypatch.setattr(training, "SAVE_SECONDS", -1.0)
    save, saves = folders.save, []

    def no_room(folder, value):
        saves.append(folder)
        if len(saves) == 8:
            folder.mkdir()
            (folder / "arrays.npz").write_bytes(b"half of it")
            raise OSError(28, "No space left on device")
        save(folder, value)

    monkeypatch.setattr(folders, "save", no_room)
    with pytest.raises(OSError, match="progress .*No space left on device.*what was kept before stays"):
        small.fit(train, np.random.default_rng(1), scratch=tmp_path / "progress")
    monkeypatch.setattr(folders, "save", save)
    steps, count = [], training.batches
    monkeypatch.setattr(training, "batches", lambda *a: steps.append(a[-1]) or count(*a))
    resumed = small.fit(train, np.random.default_rng(1), scratch=tmp_path / "progress").model
    assert steps == list(range(7, 20))
    assert all((resumed.networks[0][name] == w).all() for name, w in unbroken.networks[0].items())
