"""What a sweep file may say, and what it is told when it may not."""

import json

import pytest

from lib.batch.kernel import library_version
from lib.batch.sweep import LIMIT, load
from tests.batch.small import notebook, sweep


def refused(path):
    with pytest.raises((ValueError, OSError)) as caught:
        load(path)
    return str(caught.value)


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
    found = load(sweep(tmp_path, grid={"x": [1]}, fixed={"rate": 0.25}, resources=resources, retries=2, seeds=[5, 3]))
    assert [c["rate"] for c in found.configurations] == [0.25, 0.25]
    assert [c["seed"] for c in found.configurations] == [5, 3]
    r = found.resources
    assert (r.cores, r.gpu, r.memory, r.time, found.retries) == (2, 1, 2_000_000_000, 600.0, 2)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"grid": {"y": [1]}}, ["parameter='y'", "x: int = 1", "name: str = 'a'", "a share"]),
        ({"grid": {"x": ["1e2"]}}, ["x='1e2'", "int", "YAML reads 1e2 as text"]),
        ({"grid": {"x": [1.5]}}, ["x=1.5", "int"]),
        ({"grid": {"x": [True]}}, ["x=True", "int"]),
        ({"grid": {"x": [1001]}}, ["x=1001", "from 0 to 1000"]),
        ({"grid": {"name": ["d"]}}, ["name='d'", "'a', 'b', 'c'"]),
        ({"grid": {}}, ["grid", "at least one axis"]),
        ({}, ["grid=None", "at least one axis"]),
        ({"grid": {"x": []}}, ["grid.x=[]", "one value or more"]),
        ({"grid": {"x": 3}}, ["grid.x=3", "a list"]),
        ({"grid": {"x": [1, 1]}}, ["same configuration", "'x': 1"]),
        ({"list": [{"x": 1}, {"x": 1, "name": "a"}]}, ["same configuration"]),
        ({"grid": {"x": [1]}, "list": [{"x": 2}]}, ["list[0]=['x']", "grid does not set"]),
        ({"grid": {"x": [1]}, "fixed": {"x": 2}}, ["fixed=['x']", "grid does not set"]),
        ({"list": []}, ["list=[]", "one parameter set or more"]),
        ({"grid": {"x": [1]}, "seeds": 0}, ["seeds=0", "at least 1"]),
        ({"grid": {"x": [1]}, "retries": -1}, ["retries=-1"]),
        ({"grid": {"x": [1]}, "resources": {"memory": "much"}}, ["resources.memory='much'", "2 GB"]),
        ({"grid": {"x": [1]}, "resources": {"time": 0}}, ["a time above 0"]),
        ({"grid": {"x": [1]}, "resources": {"gpus": 1}}, ["resources='gpus'", "'gpu'"]),
        ({"grid": {"x": [1]}, "estimate": {"hours": 1}}, ["estimate='hours'", "'seconds'"]),
        ({"grid": {"x": [1]}, "seed": 3}, ["key='seed'", "'seeds'"]),
    ],
)
def test_a_wrong_sweep_is_refused_by_name(tmp_path, keys, said):
    path = sweep(tmp_path, **keys)
    message = refused(path)
    assert message.startswith(str(path))
    for words in said:
        assert words in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("notebook: [", "no valid YAML"),
        ("notebook: small.ipynb\ngrid: {x: [1]}\ngrid: {x: [2]}\n", "'grid' is given twice"),
        ("- 1\n- 2\n", "a sweep is a mapping"),
        ("", "a sweep is a mapping"),
        ("grid: {x: [1]}\n", "notebook=None"),
        ("notebook: other.ipynb\ngrid: {x: [1]}\n", "does not exist"),
        ("notebook: small.yaml\ngrid: {x: [1]}\n", "is no notebook"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path, text, said):
    path = sweep(tmp_path, grid={"x": [1]})
    path.write_text(text)
    assert said in refused(path)


def test_a_notebook_without_parameters_is_told_how_to_have_some(tmp_path):
    path = sweep(tmp_path, "print(1)", parameters=None, grid={"x": [1]})
    assert "tag one cell `parameters`" in refused(path)


def test_a_default_that_is_computed_is_refused(tmp_path):
    path = sweep(tmp_path, parameters="x: int = 2 * 3", grid={"x": [1]})
    assert "belongs into the next cell" in refused(path)


def test_a_key_names_configuration_and_code(tmp_path):
    path = sweep(tmp_path, "print(x)", grid={"x": [1, 2]})
    found = load(path)
    keys = [found.key(c, found.code) for c in found.configurations]
    assert len(set(keys)) == 2 and keys == [load(path).key(c, load(path).code) for c in found.configurations]
    notebook(tmp_path / "small.ipynb", "print(x + 1)")
    assert load(path).code != found.code


def test_outputs_of_a_notebook_are_no_part_of_its_version(tmp_path):
    path = sweep(tmp_path, "print(x)", grid={"x": [1, 2]})
    before = load(path)
    stored = json.loads((tmp_path / "small.ipynb").read_text())
    stored["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1\n"}]
    (tmp_path / "small.ipynb").write_text(json.dumps(stored))
    assert load(path).code == before.code and load(path).notebook.cells[1].outputs == []


def test_the_library_has_one_version_wherever_it_lies(tmp_path, monkeypatch):
    import shutil
    from pathlib import Path

    import lib

    here = library_version()
    copy = tmp_path / "lib"
    shutil.copytree(Path(lib.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__", "stored"))
    monkeypatch.setattr(lib, "__file__", str(copy / "__init__.py"))
    assert library_version() == here
    (copy / "batch" / "sweep.py").write_text("pass\n")
    assert library_version() == here
    with (copy / "gaussian.py").open("a") as file:
        file.write("# changed\n")
    assert library_version() != here


@pytest.mark.parametrize("chapter", ["02-gaussian", "06-images"])
def test_chapters_can_be_swept(root, tmp_path, chapter):
    path = tmp_path / "chapter.yaml"
    path.write_text(f"notebook: {root}/notebooks/{chapter}.ipynb\ngrid: {{scale: [laptop, paper], n: [100, 200]}}\n")
    found = load(path)
    assert len(found.configurations) == 4 and "seed" in found.parameters
    path.write_text(f"notebook: {root}/notebooks/{chapter}.ipynb\ngrid: {{scale: [huge]}}\n")
    assert "'laptop', 'paper'" in refused(path)
