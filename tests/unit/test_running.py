"""Running a chapter elsewhere: how long it is said to take, whether a GPU is, and a folder for what is finished."""

import io
import json
import re
import sys
import types

import pytest
import xarray as xr

from lib import checkpoint, distributed, provenance, records
from lib.chapter import display as notebook
from lib.recursion import recurse
from lib.regimes import Accumulate, Replace
from lib.worlds.gaussian import Gaussian
from lib.worlds.images.vae import VAE

SIZES = {"n": 40, "runs": 2, "seed": 5, "scores": ("test_nelbo",)}
WORLD = VAE(steps=3, hidden=8, latent=2, score_draws=1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(checkpoint.VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def fits(monkeypatch):
    """How many fits were computed."""
    made, fit = [], VAE.fit

    def counted(self, *arguments, **more):
        made.append(1)
        return fit(self, *arguments, **more)

    monkeypatch.setattr(VAE, "fit", counted)
    return made


def test_without_a_named_folder_nothing_is_kept(tmp_path, monkeypatch, fits):
    monkeypatch.delenv(checkpoint.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    recurse(WORLD, Replace(), generations=2, **SIZES)
    assert len(fits) == 2 and not list(tmp_path.iterdir())


def test_a_chapter_goes_on_where_it_was_disconnected(folder, fits, monkeypatch):
    monkeypatch.delenv(checkpoint.VARIABLE)
    whole = recurse(WORLD, [Replace(), Accumulate()], generations=3, **SIZES)
    assert len(fits) == 5  # the first generation is shared
    monkeypatch.setenv(checkpoint.VARIABLE, str(folder))

    def lost(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(Accumulate, "compose", lost)
        with pytest.raises(KeyboardInterrupt):
            recurse(WORLD, [Replace(), Accumulate()], generations=3, **SIZES)
    assert len(fits) == 5 + 3
    resumed = recurse(WORLD, [Replace(), Accumulate()], generations=3, **SIZES)
    assert len(fits) == 5 + 3 + 2
    xr.testing.assert_identical(resumed, whole)


def test_calls_have_folders_of_their_own_and_more_generations_go_on(folder, fits):
    recurse(WORLD, Replace(), generations=2, **SIZES)
    recurse(WORLD, Replace(), generations=3, **SIZES)
    assert len(fits) == 3 and len(list(folder.iterdir())) == 1
    recurse(WORLD, Replace(), generations=2, **SIZES | {"n": 50})
    recurse(WORLD, Replace(), generations=2, **SIZES | {"seed": 6})
    recurse(WORLD, Accumulate(), generations=2, **SIZES)
    assert len(list(folder.iterdir())) == 4


def test_sets_that_grow_go_on_too_and_each_schedule_has_its_folder(folder, fits):
    linear, double = (lambda t: 40 * t), (lambda t: 40 * 2 ** (t - 1))
    recurse(WORLD, Replace(), generations=2, **SIZES | {"n": linear})
    recurse(WORLD, Replace(), generations=3, **SIZES | {"n": linear})
    assert len(fits) == 3 and len(list(folder.iterdir())) == 1
    recurse(WORLD, Replace(), generations=3, **SIZES | {"n": double})
    assert len(fits) == 3 + 3 and len(list(folder.iterdir())) == 2
    recurse(WORLD, Replace(), generations=4, **SIZES | {"n": double})
    assert len(fits) == 3 + 3 + 1 and len(list(folder.iterdir())) == 2


def test_other_code_has_a_folder_of_its_own(folder, fits, monkeypatch):
    recurse(WORLD, Replace(), generations=2, **SIZES)
    monkeypatch.setattr(provenance, "version", lambda package: "0.1")
    recurse(WORLD, Replace(), generations=2, **SIZES)
    assert len(fits) == 4 and len(list(folder.iterdir())) == 2


def test_a_world_that_trains_nothing_is_not_slowed_down(folder):
    recurse(Gaussian(), Replace(), n=10, generations=3, runs=2, seed=1)
    assert not folder.exists()


def test_progress_says_how_long_it_will_take(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(distributed, "_terminal", lambda: screen)
    recurse(Gaussian(), Replace(), n=10, generations=3000, runs=2, seed=1, progress=True)
    shown = re.findall(r"Replace: +\d+%\|.*?\| (\d+)/3000 \[[\d:]+<[\d:]+,", screen.getvalue())
    assert len(shown) > 1 and sorted(shown, key=int) == shown  # elapsed<remaining


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Committed results of chapter 2 (a minute on one core) and chapter 6 (eight minutes); nothing recorded."""
    for number, seconds in ((2, 60.0), (6, 480.0)):
        stored = {"seconds": seconds, "provenance": {"device": "a processor"}, "groups": []}
        (tmp_path / f"{number:02d}.json").write_text(json.dumps(stored))
    monkeypatch.setattr(records, "COMMITTED", tmp_path)
    monkeypatch.setattr(records, "RECORDED", (tmp_path / "records",))
    return tmp_path


def test_expected_minutes_of_a_chapter_that_needs_no_gpu(results):
    laptop, paper = notebook.expected(2, gpu=False)
    assert laptop == "Expected at scale laptop: 60 seconds (measured on one core of a processor)."
    assert paper == "Expected at scale paper: about 10 minutes (10 times the work)."
    assert notebook.expected(2, gpu=True) == [laptop, paper]


def test_a_chapter_that_trains_says_whether_there_is_a_gpu(results, monkeypatch):
    laptop, paper, gpu = notebook.expected(6, gpu=False)
    assert laptop.startswith("Expected at scale laptop: 8 minutes") and "not measured" in paper
    assert gpu == "No GPU was found; scale laptop needs none."
    assert notebook.expected(6, gpu=True)[-1] == "A GPU was found and is used."
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert "Change runtime type" in notebook.expected(6, gpu=False)[-1]


def test_a_chapter_without_results_claims_nothing(results):
    assert notebook.expected(3, gpu=False) == ["Expected time: not measured yet."]


def test_on_colab_a_chapter_that_trains_says_how_to_keep_what_is_finished(monkeypatch, tmp_path):
    monkeypatch.delenv(checkpoint.VARIABLE, raising=False)
    assert notebook.kept_line(6) == []
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    (line,) = notebook.kept_line(6)
    assert "drive.mount" in line and "%env LIB_CHECKPOINTS=/content/drive/MyDrive/" in line
    monkeypatch.setattr(notebook, "DRIVE", str(tmp_path))
    (line,) = notebook.kept_line(6)
    assert "drive.mount" not in line and f"%env LIB_CHECKPOINTS={tmp_path}/" in line
    monkeypatch.setenv(checkpoint.VARIABLE, str(tmp_path))
    assert str(tmp_path) in notebook.kept_line(6)[0] and notebook.kept_line(2) == []


def test_the_device_line_of_a_chapter_says_all_of_it(results, monkeypatch):
    chapter = notebook.Chapter(6, {"scale": "laptop"}, {"scale": "laptop"})
    shell = types.SimpleNamespace(user_ns={"chapter": chapter})
    monkeypatch.setattr(notebook, "get_ipython", lambda: shell)
    monkeypatch.setattr(provenance, "gpu", lambda: False)
    lines = notebook.device_line().splitlines()
    assert provenance.device() in lines[0] and "numpy" in lines[0]
    assert lines[1].startswith("Expected at scale laptop") and "No GPU" in lines[3]
    shell.user_ns.clear()
    assert len(notebook.device_line().splitlines()) == 1
