"""Checkpoints and the store: nothing is lost or mixed by kills, two at once, damage, other code or other data."""

import functools
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass

import numpy as np
import pytest
import scipy
import xarray as xr

from lib import checkpoint, provenance, recursion
from lib.checkpoint import folders
from lib.errors import Refused
from lib.recursion import recurse
from lib.regimes import Accumulate, Replace
from lib.worlds.discrete import Discrete
from lib.worlds.gaussian import Gaussian
from lib.worlds.images.vae import VAE
from lib.worlds.regression import Regression
from tests import kills
from tests.conftest import ROOT
from tests.kills import REGIMES
from tests.unit import idx
from tests.unit.toy import Toy

SMALL = {"n": 10, "generations": 4, "runs": 5, "seed": 3}
EXPLICIT = Gaussian(2, sampler="explicit")


def unbroken(**change):
    return recurse(EXPLICIT, REGIMES, **SMALL | change, block=2)


@pytest.fixture
def changed(monkeypatch):
    """Call it with the name of a module: its source has another line from then on."""
    source = provenance.source

    def change(module):
        monkeypatch.setattr(provenance, "source", lambda name: source(name) + "# changed\n" * (name == module))
        provenance._read.cache_clear()

    yield change
    monkeypatch.undo()
    provenance._read.cache_clear()


@pytest.fixture
def no_work(monkeypatch):
    """Call it, and from then on nothing is computed."""
    return lambda: monkeypatch.setattr(recursion._Line, "_fitted", lambda *_: pytest.fail("fitted again"))


# What goes on, and what is refused


def test_a_continued_checkpoint_returns_the_same_numbers(tmp_path, no_work):
    whole = unbroken()
    recurse(EXPLICIT, REGIMES[:3], **SMALL | {"generations": 2}, block=2, checkpoint=tmp_path)
    grown = recurse(EXPLICIT, REGIMES, **SMALL, block=2, checkpoint=tmp_path)
    xr.testing.assert_identical(grown, whole)
    no_work()
    xr.testing.assert_identical(recurse(EXPLICIT, REGIMES, **SMALL, block=2, checkpoint=tmp_path), whole)


@pytest.mark.parametrize(
    "change", [{"n": 11}, {"seed": 4}, {"runs": 6}, {"scores": ["trace_ratio"]}, {"independent": True}]
)
def test_a_checkpoint_of_other_settings_is_refused_and_kept(tmp_path, change):
    whole = recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path)
    with pytest.raises(Refused) as refused:
        recurse(Gaussian(), Replace(), **SMALL | change, checkpoint=tmp_path)
    assert refused.value.setting == next(iter(change)) and str(tmp_path) in refused.value.allowed
    with pytest.raises(Refused) as refused:
        recurse(Gaussian(estimator="unbiased"), Replace(), **SMALL, checkpoint=tmp_path)
    assert (refused.value.setting, refused.value.value) == ("estimator", "unbiased")
    xr.testing.assert_identical(recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path), whole)


def test_sizes_that_grow_go_on(tmp_path):
    def growing(t):
        return 10 * t

    whole = recurse(Gaussian(), Accumulate(), **SMALL | {"n": growing})
    recurse(Gaussian(), Accumulate(), **SMALL | {"n": growing, "generations": 2}, checkpoint=tmp_path)
    xr.testing.assert_identical(recurse(Gaussian(), Accumulate(), **SMALL | {"n": growing}, checkpoint=tmp_path), whole)
    with pytest.raises(Refused) as refused:
        recurse(Gaussian(), Accumulate(), **SMALL | {"n": lambda t: 10 * t * t}, checkpoint=tmp_path)
    assert refused.value.setting == "n"


def test_a_checkpoint_of_other_code_is_refused_by_name(tmp_path, changed):
    recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path)
    changed("lib.worlds.densities")  # which has nothing to do with it
    recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path)
    changed("lib.worlds.gaussian")
    with pytest.raises(Refused) as refused:
        recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path)
    assert refused.value.setting == "checkpoint"
    assert "other lib.worlds.gaussian: delete" in refused.value.allowed


def test_a_checkpoint_of_other_versions_is_refused_by_name(tmp_path, monkeypatch):
    recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path)
    monkeypatch.setattr(provenance, "version", {"scipy": "0.1"}.get)
    with pytest.raises(Refused) as refused:
        recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path)
    assert refused.value.setting == "checkpoint" and f"scipy {scipy.__version__}" in refused.value.allowed


def test_a_world_of_ones_own_is_known_by_its_code(tmp_path):
    def toy(times):
        @dataclass(frozen=True)
        class Mine(Toy):
            def fit(self, train, rng):
                fit = super().fit(train, rng)
                return type(fit)(type(fit.model)(times * fit.model.mean), fit.steps, fit.examples)

        return Mine()

    recurse(toy(1.0), Replace(), **SMALL, checkpoint=tmp_path)
    recurse(toy(1.0), Replace(), **SMALL, checkpoint=tmp_path)
    with pytest.raises(Refused) as refused:
        recurse(toy(1.5), Replace(), **SMALL, checkpoint=tmp_path)
    assert refused.value.setting == "world"


def test_filters_that_are_different_lambdas_never_share_a_checkpoint(tmp_path, no_work):
    filters = [lambda batch, rng: batch, lambda batch, rng: type(batch)(batch.values[:, :3])]
    call = SMALL | {"checkpoint": tmp_path}
    whole = recurse(Toy(), Replace(), select=filters[0], **call)
    with pytest.raises(Refused) as refused:
        recurse(Toy(), Replace(), select=filters[1], **call)
    assert refused.value.setting == "select"
    no_work()
    again = recurse(Toy(), Replace(), select=lambda batch, rng: batch, **call)
    xr.testing.assert_identical(again, whole)


@pytest.mark.parametrize("other", [2.0, 3.0])
def test_a_truth_is_known_by_its_content(tmp_path, other):
    def world(shift):
        return Regression(2, weights=np.array([0.0, shift]))

    recurse(world(2.0), Replace(), **SMALL, checkpoint=tmp_path)
    if other == 2.0:
        recurse(world(other), Replace(), **SMALL, checkpoint=tmp_path)
    else:
        with pytest.raises(Refused) as refused:
            recurse(world(other), Replace(), **SMALL, checkpoint=tmp_path)
        assert refused.value.setting == "weights"


def test_data_that_were_replaced_are_refused(tmp_path):
    call = {"n": 20, "generations": 2, "runs": 1, "seed": 5, "scores": ("test_nelbo",), "checkpoint": tmp_path / "run"}
    settings = {"steps": 2, "hidden": 4, "latent": 2, "score_draws": 1}
    idx.write(tmp_path / "idx", side=8)
    recurse(VAE(data=f"idx:{tmp_path}/idx", **settings), Replace(), **call)
    idx.write(tmp_path / "idx", side=8, train=121)
    with pytest.raises(Refused) as refused:
        recurse(VAE(data=f"idx:{tmp_path}/idx", **settings), Replace(), **call)
    assert refused.value.setting == "data"


def test_what_cannot_be_known_by_content_is_refused_by_name_and_not_stored(tmp_path, monkeypatch):
    with open(os.devnull) as file:

        def select(batch, rng):
            assert not file.closed
            return batch

        with pytest.raises(Refused) as refused:
            recurse(Toy(), Replace(), select=select, **SMALL, checkpoint=tmp_path / "run")
        assert refused.value.setting == "checkpoint" and "select: file" in refused.value.value
        monkeypatch.setenv(checkpoint.STORE, str(tmp_path / "store"))
        recurse(Toy(), Replace(), select=select, **SMALL)
        assert not (tmp_path / "store").exists()


# The folder


def test_a_folder_with_other_things_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(Refused) as refused:
        recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path)
    assert (refused.value.setting, refused.value.value) == ("checkpoint", str(tmp_path))


@pytest.mark.parametrize("wrong", ["", True, 5])
def test_what_is_no_folder_is_refused(wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused) as refused:
        recurse(Gaussian(), Replace(), **SMALL, checkpoint=wrong)
    assert (refused.value.setting, refused.value.value) == ("checkpoint", wrong)
    assert not list(tmp_path.iterdir())


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    recurse(Gaussian(), Replace(), **SMALL, checkpoint="~/run")
    assert (tmp_path / "home" / "run" / "settings.json").exists() and not (tmp_path / "~").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="checkpoint=.*file/below.* cannot be written"):
        recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path / "file" / "below")


def test_a_second_process_on_one_folder_is_refused_by_name(tmp_path):
    code = """
    import sys, time
    from pathlib import Path
    from lib.checkpoint import folders
    with folders.alone(Path(sys.argv[1])):
        print("mine", flush=True)
        time.sleep(600)
    """
    whole = recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path)
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    other = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(Refused) as refused:
            recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path)
        assert refused.value.value == str(tmp_path) and f"process {other.pid} on" in refused.value.allowed
    finally:
        other.kill()
        other.communicate()
    xr.testing.assert_identical(recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path), whole)


def test_without_locks_nobody_is_kept_out(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "fcntl", None)
    with folders.alone(tmp_path) as locked:
        assert not locked
        whole = recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path)
    xr.testing.assert_identical(recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path), whole)


@pytest.mark.parametrize("locks", [True, False])
def test_what_may_be_in_use_is_cleared_away_after_a_day(tmp_path, monkeypatch, locks):
    if not locks:
        monkeypatch.setattr(folders, "fcntl", None)
    recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path)
    new, old = (tmp_path / "block-0000" / "first" / f".unfinished-{name}" for name in ("new", "old"))
    for path in (new, old):
        path.mkdir()
    os.utime(old, times=(0, 0))
    recurse(Gaussian(), Replace(), **SMALL, checkpoint=tmp_path)
    assert not old.exists() and new.exists() != locks


# Kills and a full disk


def dying(operation, work):
    """Do the work in a process that ends, as a kill ends it, at its so many-th operation on files. Whether it did."""
    sys.stdout.flush()
    if not (child := os.fork()):
        seen = iter(range(operation))

        def hook(event, _):
            if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir") and next(seen, None) is None:
                os._exit(9)

        sys.addaudithook(hook)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_killed_at_any_operation_on_files_it_goes_on(tmp_path):
    call = SMALL | {"generations": 2, "runs": 2}
    whole = recurse(EXPLICIT, Replace(), **call)
    for operation in range(200):
        folder = tmp_path / str(operation)
        if not dying(operation, lambda folder=folder: recurse(EXPLICIT, Replace(), **call, checkpoint=folder)):
            break
        xr.testing.assert_identical(recurse(EXPLICIT, Replace(), **call, checkpoint=folder), whole)
        assert not list(folder.rglob(".unfinished-*"))
    assert 30 < operation < 199


def test_progress_of_a_fit_killed_at_any_operation_on_files_goes_on(tmp_path):
    def work(scratch, start=0):
        """What a fit does that saves its progress at every step."""
        steps = sorted(scratch.glob("step-*"))
        total = folders.kept(steps[-1]) if steps else 0
        for step in range(total, 3):
            older = list(scratch.glob("step-*"))
            folders.keep(scratch / f"step-{step + 1}", step + 1)
            for folder in older:
                folders.discard(folder)
        folders.discard(scratch)
        return total

    for operation in range(200):
        scratch = tmp_path / str(operation) / "progress"
        if not dying(operation, lambda scratch=scratch: work(scratch)):
            break
        work(scratch)
        assert not scratch.exists()
    assert 20 < operation < 199


def test_killed_three_times_and_started_again_it_returns_the_same_numbers(tmp_path):
    assert kills.campaign(tmp_path / "run", 3, seed=1)[1]


FULL = """
import resource, signal, sys
from tests.unit.test_checkpoint import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
recurse(EXPLICIT, REGIMES, **SMALL | {"n": 1000}, block=2, checkpoint=sys.argv[1])
"""


@pytest.mark.parametrize(("room", "said"), [(10_000, "generations up to"), (100, "cannot be written")])
def test_a_full_disk_loses_nothing(tmp_path, room, said):
    folder = tmp_path / "run"
    large = SMALL | {"n": 1000}
    if room > 1000:
        recurse(EXPLICIT, REGIMES[:1], **large | {"generations": 2}, block=2, checkpoint=folder)
    # A limit on the size of files stands in for a full disk: settings fit, arrays do not; or nothing does.
    command = [sys.executable, "-c", FULL, str(folder), str(room)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode != 0 and "cannot be written" in done.stderr and said in done.stderr
    resumed = recurse(EXPLICIT, REGIMES, **large, block=2, checkpoint=folder)
    xr.testing.assert_identical(resumed, unbroken(n=1000))


# Damage


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def digit(path):
    text = path.read_text()
    place = max(k for k, sign in enumerate(text) if sign.isdigit())
    path.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])


DAMAGE = [
    ("0004/model/arrays.npz", cut),
    ("0004/model/arrays.npz", flipped),
    ("0004/model/values.json", lambda path: path.write_text("{")),
    ("0003/fit/arrays.npz", flipped),
    ("0003/fit/values.json", digit),
    ("0003/synthetic/arrays.npz", flipped),
    ("0003/synthetic", shutil.rmtree),
    ("0003/files.json", digit),
    ("0003/files.json", cut),
    ("0003/files.json", lambda path: path.unlink()),
    ("0003/fit", shutil.rmtree),
    ("0004/model", shutil.rmtree),
]


@pytest.mark.parametrize(("file", "damage"), DAMAGE)
def test_damage_is_named_with_what_to_do(tmp_path, file, damage):
    whole = recurse(EXPLICIT, Replace(), **SMALL, checkpoint=tmp_path)
    (path,) = tmp_path.glob(f"block-0000/Replace-*/{file}")
    damage(path)
    with pytest.raises(Refused) as refused:
        recurse(EXPLICIT, Replace(), **SMALL | {"generations": 5}, checkpoint=tmp_path)
    folder = next(p for p in (path, *path.parents) if p.name.isdigit())
    assert refused.value.setting == "checkpoint" and refused.value.value.startswith(str(path))
    assert f"Delete {folder} and run again" in refused.value.allowed
    shutil.rmtree(folder)
    xr.testing.assert_identical(recurse(EXPLICIT, Replace(), **SMALL, checkpoint=tmp_path), whole)


@pytest.mark.parametrize("damage", [cut, digit, lambda path: path.write_text(json.dumps({"seed": 3}))])
def test_damaged_settings_are_named(tmp_path, damage):
    recurse(EXPLICIT, Replace(), **SMALL, checkpoint=tmp_path)
    damage(tmp_path / "settings.json")
    with pytest.raises(Refused) as refused:
        recurse(EXPLICIT, Replace(), **SMALL, checkpoint=tmp_path)
    assert refused.value.value == str(tmp_path / "settings.json") and f"Delete {tmp_path}" in refused.value.allowed


# The store


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv(checkpoint.STORE, str(tmp_path / "store"))
    return tmp_path / "store"


def entries(store):
    return sorted(path.name for path in store.iterdir()) if store.exists() else []


CALLS = [
    lambda: recurse(Gaussian(2), [Replace(), Accumulate()], **SMALL, keep="covariance"),
    lambda: recurse(Toy(), {"one": Accumulate(), "ünd": Replace()}, **SMALL, keep="pair"),
    lambda: recurse(Discrete("zipf", 5), Replace(), **SMALL | {"n": 10**13}, keep="present"),
    lambda: recurse(Gaussian(), Accumulate(), **SMALL | {"seed": 2**70, "n": lambda t: 10 * t}),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_result_is_the_same_with_and_without_the_store(store, monkeypatch, call, no_work):
    with monkeypatch.context() as without:
        without.delenv(checkpoint.STORE)
        whole = call()
    first = call()
    assert len(entries(store)) == 1
    no_work()
    found = call()
    for data in (first, found):
        xr.testing.assert_identical(data, whole)
        assert repr(data) == repr(whole) and list(data.variables) == list(whole.variables)
        assert [(type(v), v) for v in data.attrs.values()] == [(type(v), v) for v in whole.attrs.values()]
        for name, values in whole.variables.items():
            assert (data[name].dtype, list(data[name].attrs)) == (values.dtype, list(values.attrs))
            assert data[name].values.flags.writeable == values.values.flags.writeable


def test_whatever_a_number_hangs_on_is_part_of_the_key(store, changed, monkeypatch):
    def computed(world=Gaussian(), regimes=(Replace(), Accumulate()), **change):  # noqa: B008
        recurse(world, list(regimes), **SMALL | change)
        return len(entries(store))

    assert computed() == computed(progress=False) == 1
    assert computed(seed=4) == 2 and computed(n=11) == 3 and computed(generations=5) == 4
    assert computed(Gaussian(temperature=2.0)) == 5 and computed(Gaussian(temperature=3.0)) == 6
    assert computed(regimes=(Accumulate(), Replace())) == 7 and computed(scores="trace_ratio") == 8
    assert computed(keep="mean") == 9 and computed(block=2) == 10 and computed(independent=True) == 11
    monkeypatch.setattr(provenance, "version", lambda package: "0.1" if package == "numpy" else None)
    assert computed() == 12 and computed() == 12
    for number, module in enumerate(("lib.worlds.gaussian", "lib.pool", "lib.recursion"), 13):
        changed(module)
        assert computed() == number


@pytest.mark.parametrize("file", ["value/arrays.npz", "value/values.json", "files.json"])
@pytest.mark.parametrize("damage", [cut, flipped, lambda path: path.unlink()])
def test_a_torn_result_is_computed_anew_and_never_read(store, file, damage):
    whole = CALLS[0]()
    (entry,) = entries(store)
    damage(store / entry / file)
    xr.testing.assert_identical(CALLS[0](), whole)
    assert entries(store) == [entry]
    folders.kept(store / entry)  # whole again


def test_a_store_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv(checkpoint.STORE, str(tmp_path / "file"))
    assert CALLS[0]().sizes["run"] == 5


def test_processes_that_compute_the_same_at_once_leave_one_whole_result(store):
    whole, children = CALLS[1](), []
    shutil.rmtree(store)
    for _ in range(4):
        if not (child := os.fork()):
            status = 1
            try:
                status = 0 if CALLS[1]().identical(whole) else 1
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    (entry,) = entries(store)
    assert folders.kept(store / entry)["value"].identical(whole)


def test_time_that_the_store_has_spared_is_counted(store):
    """What is found again counts as the seconds that it took; what is found in it again, once."""

    def inner():
        time.sleep(0.2)
        return 1

    def outer():
        return checkpoint.remembered((inner,), inner) + 1

    for _ in range(3):
        began, told = time.perf_counter(), checkpoint.clock()
        assert checkpoint.remembered((outer,), outer) == 2
        took, said = time.perf_counter() - began, checkpoint.clock() - told
        assert 0.2 <= said and said - max(took, 0.2) < 0.15


def test_other_values_are_remembered_by_function_and_arguments(store):
    made = []

    def value(times):
        return {"a": (times * np.arange(3), [1, None, "x", np.float32(2)]), 3: True}

    def asked(times, function=value):
        def compute():
            made.append(times)
            return value(times)

        return checkpoint.remembered((function, times), compute)

    first, again = asked(2), asked(2)
    assert made == [2] and list(first) == list(again) and again["a"][1] == first["a"][1]
    np.testing.assert_array_equal(first["a"][0], again["a"][0])
    assert type(again["a"][1][3]) is np.float32
    asked(3), asked(2, functools.partial(value, 2))
    assert made == [2, 3, 2]
