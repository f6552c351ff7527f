"""The sweeps under book/sweeps: they are valid, and their notebooks do what they say at a small size."""

import os
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
from lib.theory import mixture
from tests.batch.small import ROOT

SWEEPS = sorted((ROOT / "book" / "sweeps").glob("*.yaml"))


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
    assert "records.leave_run(" in code[-1].source
    users = [p for p in SWEEPS if yaml.safe_load(p.read_text())["notebook"] == path.name]
    assert users, "no sweep runs it"
    assert all(parameter.help for parameter in batch.load(users[0]).parameters.values())


def found(tmp_path, name, **parameters):
    """What a shipped notebook leaves with these parameters, its cells executed in this process."""
    cells = nbformat.read(ROOT / "book" / "sweeps" / f"{name}.ipynb", as_version=4).cells
    values = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "LIB_RUN", str(tmp_path))
        patch.setattr("matplotlib.pyplot.show", lambda: None)
        for cell in cells:
            if cell.cell_type == "code":
                exec(cell.source, values)
                if "parameters" in cell.metadata.get("tags", []):
                    assert set(parameters) <= set(values)
                    values |= parameters
    (group,) = xr.open_datatree(tmp_path / "data.nc", engine="h5netcdf").children
    return xr.load_dataset(tmp_path / "data.nc", group=group, engine="h5netcdf")


def z_score(values, law):
    """How many standard errors the mean over runs is from its law, at each generation."""
    error = values.std("run", ddof=1) / np.sqrt(values.sizes["run"])
    return np.abs((values.mean("run") - law) / error).values


@pytest.mark.parametrize("estimator", ["mle", "unbiased"])
@pytest.mark.parametrize("d", [1, 3])
def test_the_gaussian_grid_follows_the_exact_laws(tmp_path, d, estimator):
    """Two-sided, 4 cells × 5 regimes × 4 generations × 2 scores = 160 comparisons, each allowed 4.8 standard errors:
    under normality a false alarm in 3 of 10 000 such tests; the means of 200 skewed runs are a little wider."""
    sizes = {"generations": 4, "runs": 200, "megabytes": 1, "n": 10}
    data = found(tmp_path, "gaussian-grid", dimension=d, estimator=estimator, **sizes)
    assert data["trace_ratio"].dims == ("regime", "generation", "run") and data.sizes["regime"] == 8
    for regime in (Replace(), Accumulate(), AccumulateSubsample(), Keep(0.1), RealOnly()):
        own = data.sel(regime=str(regime))
        variance = theory.expected_variance(regime, 10, 4, estimator)
        error = d * theory.expected_error(regime, 10, 4, estimator)
        assert z_score(own["trace_ratio"], variance).max() < 4.8
        assert z_score(own["squared_mean_error"], error).max() < 4.8


@pytest.mark.parametrize("design", ["fixed", "fresh"])
def test_the_regression_grid_follows_the_exact_laws(tmp_path, design):
    """2 designs × 3 regimes × 4 generations = 24 comparisons at 4.8 standard errors."""
    data = found(tmp_path, "regression-grid", design=design, generations=4, runs=200, dimension=2, n=20)
    for regime in (Replace(), Accumulate(), RealOnly()):
        law = theory.regression.expected_excess_risk(regime, 20, 4, 2, design=design)
        assert z_score(data["excess_risk"].sel(regime=str(regime)), law).max() < 4.8


def test_the_grid_of_kernel_estimates_follows_the_exact_laws(tmp_path):
    """2 regimes × 3 generations = 6 comparisons at 4.8 standard errors."""
    data = found(tmp_path, "kde-grid", bandwidth=0.5, generations=3, runs=200, n=20)
    for regime in (Replace(), Accumulate()):
        law = mixture.expected_variance(regime, 20, 3, 0.5)
        assert z_score(data["variance_ratio"].sel(regime=str(regime)), law).max() < 4.8


def test_a_size_is_fitted_once_and_judged_on_the_validation_part(tmp_path):
    data = found(tmp_path, "language-size", size="laptop", passes=1, blocks=160, batch=4)
    # Better than a guess among all tokens, and worse than a model of the whole text.
    assert 2.5 < data["validation_loss"] < np.log(512) and data["steps"] == 40


def test_what_is_stored_travels_with_the_installed_package(tmp_path):
    """On Colab there is no checkout: records, the explorer's code and the report's notebook are in the package
    itself."""
    shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "lib" / "stored" / "sweeps" / "small.json").write_text('{"groups": [], "runs": 1}')
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", "out", "."]
    subprocess.run([sys.executable, *words], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    assert {"lib/batch/report.ipynb", "lib/batch/report.html", "lib/stored/sweeps/small.json"} <= names
    assert {f"lib/chapter/{path.name}" for path in (ROOT / "lib" / "chapter").glob("*.js")} <= names
