"""The sweeps under book/sweeps: they are valid, and their notebooks do what they say at a small size."""

import json
import shutil
import subprocess
import sys
import zipfile

import nbformat
import numpy as np
import pytest
import xarray as xr
import yaml

from lib import batch, theory
from lib.regimes import Accumulate, AccumulateSubsample, Keep, RealOnly, Replace
from tests.batch.small import ROOT, environment, here, markers

SWEEPS = sorted((ROOT / "book" / "sweeps").glob("*.yaml"))
# Small enough for a test: what replaces the sweep's grid and the notebook's sizes.
SMALL = {
    "gaussian-grid": {
        "grid": {"dimension": [1, 3], "n": [10], "estimator": ["mle", "unbiased"]},
        "fixed": {"generations": 4, "runs": 200, "megabytes": 1},
    },
    "kde-grid": {
        "grid": {"shape": ["moons"], "bandwidth": [0.1, 0.5]},
        "fixed": {"generations": 3, "runs": 4, "n": 20},
    },
    "regression-grid": {
        "grid": {"design": ["fixed", "fresh"]},
        "fixed": {"generations": 4, "runs": 200, "dimension": 2, "n": 20},
    },
    "language-size": {"grid": {"size": ["llama-1M", "laptop"]}, "fixed": {"passes": 1, "blocks": 160, "batch": 4}},
}


@pytest.mark.parametrize("path", SWEEPS, ids=[path.stem for path in SWEEPS])
def test_a_shipped_sweep_is_valid_and_says_what_it_takes(path):
    found = batch.load(path)
    assert len(found.configurations) > 1 and {"seconds", "megabytes"} <= set(found.estimate)


@pytest.mark.parametrize("path", sorted((ROOT / "book" / "sweeps").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_lean_notebook_has_the_form_of_one(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    assert "records.leave_run(" in code[-1].source
    assert not any(line.startswith(("for t in", "while ")) for cell in code for line in cell.source.splitlines())
    users = [p for p in SWEEPS if yaml.safe_load(p.read_text())["notebook"] == path.name]
    assert users, "no sweep runs it"
    assert all(parameter.help for parameter in batch.load(users[0]).parameters.values())


def small(tmp_path, client, name):
    """Run a shipped sweep at the size of a test. Returns its collected data set."""
    source = yaml.safe_load((ROOT / "book" / "sweeps" / f"{name}.yaml").read_text()) | SMALL[name]
    source["notebook"] = str(ROOT / "book" / "sweeps" / source["notebook"])
    (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(source, sort_keys=False))
    finished, failed, lines = here(tmp_path / f"{name}.yaml", tmp_path / "out", client)
    assert failed == 0 and finished == len(markers(tmp_path / "out")), lines
    names = batch.collect(str(tmp_path / "out"))
    (group,) = json.loads((tmp_path / "out" / names["json"]).read_text())["groups"]
    return xr.load_dataset(tmp_path / "out" / names["nc"], group=group, engine="h5netcdf")


def z_score(values, law):
    """How many standard errors the mean over runs is from its law, at each generation."""
    error = values.std("run", ddof=1) / np.sqrt(values.sizes["run"])
    return np.abs((values.mean("run") - law) / error).values


def test_the_gaussian_grid_follows_the_exact_laws(tmp_path, client):
    """Two-sided, 4 cells × 5 regimes × 4 generations × 2 scores = 160 comparisons, each allowed 4.8 standard errors: under
    normality a false alarm in 3 of 10 000 such tests; the means of 200 skewed runs are a little wider."""
    data = small(tmp_path, client, "gaussian-grid")
    assert data["trace_ratio"].dims == ("dimension", "n", "estimator", "regime", "generation", "run")
    assert data.sizes["regime"] == 8
    for d in (1, 3):
        for estimator in ("mle", "unbiased"):
            cell = data.sel(dimension=d, n=10, estimator=estimator)
            for regime in (Replace(), Accumulate(), AccumulateSubsample(), Keep(0.1), RealOnly()):
                own = cell.sel(regime=str(regime))
                variance = theory.expected_variance(regime, 10, 4, estimator)
                error = d * theory.expected_error(regime, 10, 4, estimator)
                assert z_score(own["trace_ratio"], variance).max() < 4.8
                assert z_score(own["squared_mean_error"], error).max() < 4.8


def test_the_regression_grid_follows_the_exact_laws(tmp_path, client):
    """2 designs × 3 regimes × 4 generations = 24 comparisons at 4.8 standard errors."""
    data = small(tmp_path, client, "regression-grid")
    for design in ("fixed", "fresh"):
        for regime in (Replace(), Accumulate(), RealOnly()):
            law = theory.regression.expected_excess_risk(regime, 20, 4, 2, design=design)
            assert z_score(data["excess_risk"].sel(design=design, regime=str(regime)), law).max() < 4.8


def test_the_kde_grid_scores_every_regime(tmp_path, client):
    data = small(tmp_path, client, "kde-grid")
    assert data["test_nll"].dims == ("shape", "bandwidth", "regime", "generation", "run")
    assert np.isfinite(data["test_nll"]).all() and data.sizes["regime"] == 4
    first = data["test_nll"].isel(generation=0)
    assert (first == first.isel(regime=0)).all(), "generation 1 is shared by the regimes"


def test_the_sizes_are_compared_on_one_validation_part(tmp_path, client):
    data = small(tmp_path, client, "language-size")
    assert data["validation_loss"].dims == ("size",) and (data["steps"] == 40).all()
    assert data["parameters"].sel(size="llama-1M") > 3 * data["parameters"].sel(size="laptop")
    # Better than a guess among all tokens, and worse than a model of the whole text.
    assert ((data["validation_loss"] > 2.5) & (data["validation_loss"] < np.log(512))).all()


def test_make_records_refuses_what_it_does_not_know():
    words = [sys.executable, "book/make.py", "records", "unheard-of"]
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode != 0 and "No such sweep: unheard-of" in done.stderr and "gaussian-grid" in done.stderr


def test_records_travel_with_the_installed_package(tmp_path):
    """On Colab there is no checkout: what `make records` has kept is found in the package itself."""
    ignored = shutil.ignore_patterns("__pycache__", "results")
    shutil.copytree(ROOT / "lib", tmp_path / "lib", symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    kept = tmp_path / "book" / "records"
    kept.mkdir(parents=True)
    xr.Dataset({"score": ("x", [1.0])}).to_netcdf(kept / "small.nc", group="main", engine="h5netcdf")
    (kept / "small.json").write_text('{"groups": ["main"], "runs": 1}')
    words = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        "out",
        ".",
    ]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert "lib/chapter/engine.js" in packed.namelist()
        packed.extractall(tmp_path / "site")
    program = "from lib import records; found = records.record('small'); print(found.data['main'].score.item(), records.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "out", env=environment(PYTHONPATH=str(tmp_path / "site")),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["1.0", str(tmp_path / "site" / "lib" / "records.py")]
