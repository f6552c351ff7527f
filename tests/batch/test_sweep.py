"""What a sweep file may say, and what it is told when it may not."""

import json
import shutil

import pytest

from lib import provenance
from lib.batch.parameters import imports_of, read_notebook
from lib.batch.sweep import LIMIT, load
from lib.errors import Refused
from tests.batch.small import ROOT, notebook, sweep

GRID = {"x": [1]}


def refused(path):
    """Which setting of a sweep is refused."""
    with pytest.raises(Refused) as caught:
        load(path)
    return caught.value.setting


def test_a_grid_a_list_and_seeds_are_multiplied(tmp_path):
    found = load(sweep(tmp_path, grid={"x": [1, 2, 3]}, list=[{"name": "b"}, {"name": "c", "rate": 1}], seeds=2))
    assert len(found.configurations) == 3 * 2 * 2
    assert found.axes == {"x": (1, 2, 3), "seed": (7, 8)}
    assert found.sets == ({"name": "b", "rate": 0.5}, {"name": "c", "rate": 1.0})
    assert found.configurations[0] == {"x": 1, "name": "b", "rate": 0.5, "seed": 7}
    assert found.configurations[-1] == {"x": 3, "name": "c", "rate": 1.0, "seed": 8}
    assert found.varied == ("x", "seed", "name", "rate")
    assert found.resources.time == LIMIT and found.retries == 0


def test_fixed_values_and_resources_are_read(tmp_path):
    resources = {"cores": 2, "gpu": 1, "memory": "2 GB", "time": "10 min"}
    found = load(sweep(tmp_path, grid=GRID, fixed={"rate": 0.25}, resources=resources, retries=2, seeds=[5, 3]))
    assert [(c["rate"], c["seed"]) for c in found.configurations] == [(0.25, 5), (0.25, 3)]
    r = found.resources
    assert (r.cores, r.gpu, r.memory, r.time, found.retries) == (2, 1, 2_000_000_000, 600.0, 2)


@pytest.mark.parametrize(
    ("keys", "setting"),
    [
        ({"grid": {"y": [1]}}, "parameter"),
        ({"grid": {"x": ["1e2"]}}, "x"),
        ({"grid": {"x": [True]}}, "x"),
        ({"grid": {"x": [1001]}}, "x"),
        ({"grid": {"name": ["d"]}}, "name"),
        ({"grid": {"rate": [float("inf")]}}, "rate"),
        ({}, "grid"),
        ({"grid": {"x": []}}, "grid.x"),
        ({"grid": {"x": 3}}, "grid.x"),
        ({"grid": {"x": [1, 1]}}, "configuration"),
        ({"grid": GRID, "list": [{"x": 2}]}, "list"),
        ({"grid": GRID, "fixed": {"x": 2}}, "fixed"),
        ({"grid": {"seed": [100, 200, 300]}, "seeds": 2}, "seeds"),
        ({"list": []}, "list"),
        ({"grid": GRID, "seeds": 0}, "seeds"),
        ({"grid": GRID, "seeds": 1_000_000_000}, "seeds"),
        ({"grid": GRID, "retries": -1}, "retries"),
        ({"grid": GRID, "resources": {"memory": "much"}}, "resources.memory"),
        ({"grid": GRID, "resources": {"memory": float("inf")}}, "resources.memory"),
        ({"grid": GRID, "resources": {"time": "10"}}, "resources.time"),
        ({"grid": GRID, "resources": {"time": float("nan")}}, "resources.time"),
        ({"grid": GRID, "resources": {"gpus": 1}}, "resources"),
        ({"grid": GRID, "estimate": {"hours": 1}}, "estimate"),
        ({"grid": GRID, "estimate": {"seconds": float("nan")}}, "estimate.seconds"),
        ({"grid": GRID, "seed": 3}, "key"),
    ],
)
def test_a_wrong_sweep_is_refused_by_name(tmp_path, keys, setting):
    assert refused(sweep(tmp_path, **keys)) == setting


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        (b"", "sweep"),
        (b"grid: {x: [1]}\n", "notebook"),
        (b"notebook: other.ipynb\ngrid: {x: [1]}\n", "notebook"),
        (b"notebook: small.yaml\ngrid: {x: [1]}\n", "notebook"),
        (b"notebook: [", None),
        (b"notebook: small.ipynb\ngrid: {x: [1]}\ngrid: {x: [2]}\n", None),  # the same key twice
        ("notebook: größe.ipynb".encode("latin-1"), None),
    ],
)
def test_a_malformed_file_is_refused(tmp_path, text, setting):
    path = sweep(tmp_path, grid=GRID)
    path.write_bytes(text)
    if setting:
        assert refused(path) == setting
    else:
        with pytest.raises(ValueError, match=r"small\.yaml is no valid YAML"):
            load(path)


def test_a_notebook_needs_parameters_that_are_constants(tmp_path):
    assert refused(sweep(tmp_path, "print(1)", parameters=None, grid=GRID)) == "notebook"
    assert refused(sweep(tmp_path, parameters="x: int = 2 * 3", grid=GRID)) == "x"


def test_a_key_names_configuration_and_code(tmp_path):
    path = sweep(tmp_path, "print(x)", grid={"x": [1, 2]})
    keys = [load(path).key(c) for c in load(path).configurations]
    assert len(set(keys)) == 2
    # Outputs are no part of it.
    stored = json.loads((tmp_path / "small.ipynb").read_text())
    stored["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1\n"}]
    (tmp_path / "small.ipynb").write_text(json.dumps(stored))
    assert [load(path).key(c) for c in load(path).configurations] == keys
    notebook(tmp_path / "small.ipynb", "print(x + 1)")
    assert not {load(path).key(c) for c in load(path).configurations} & set(keys)


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of lib that is read in place of it; what was read of the copy is forgotten again."""
    caches = (provenance._path, provenance._read)
    shutil.copytree(provenance.ROOT, tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__", "stored"))
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "lib")
    for cache in caches:
        cache.cache_clear()
    yield tmp_path / "lib"
    monkeypatch.undo()
    for cache in caches:
        cache.cache_clear()


def test_only_what_a_notebook_imports_is_part_of_its_version(copied):
    """A comment in a module that a notebook has nothing to do with must not make its sweep start anew."""
    versions = []
    for name in ("chapter/display", "batch/sweep", "pool"):
        with (copied / f"{name}.py").open("a") as file:
            file.write("# a comment\n")
        provenance._read.cache_clear()
        versions.append(load(ROOT / "book" / "sweeps" / "gaussian-grid.yaml").code)
    assert versions[0] == versions[1] != versions[2]


def test_imports_are_found_wherever_they_stand(tmp_path):
    cells = ["%matplotlib inline\nimport lib.pool as p, json", "def f():\n    from lib.regimes import Keep", "if :"]
    found = imports_of(read_notebook(notebook(tmp_path / "a.ipynb", *cells)))
    assert {"json", "lib.pool", "lib.regimes"} <= set(found)


def test_a_chapter_can_be_swept(tmp_path):
    text = f"notebook: {ROOT}/notebooks/06-images.ipynb\ngrid: {{scale: [laptop, paper], n: [100, 200]}}\n"
    path = tmp_path / "chapter.yaml"
    path.write_text(text)
    assert len(load(path).configurations) == 4
    path.write_text(text.replace("paper", "huge"))
    assert refused(path) == "scale"
