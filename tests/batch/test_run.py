"""Sweeps that are really run, by the command line on a local cluster."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from lib import records
from lib.batch import collect, load, plan
from lib.batch.__main__ import main
from lib.batch.record import write
from tests.batch.small import LEAVE, command, here, markers, parameters_of, sweep


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A sweep of six runs, finished and collected."""
    folder = tmp_path_factory.mktemp("done")
    path = sweep(folder, LEAVE, grid={"x": [1, 2, 3]}, list=[{"name": "a"}, {"name": "b"}], record={"keep_runs": 2})
    result = command("run", path, "--out", folder / "out", "--workers", 2)
    return folder, path, result


def test_all_runs_finish_in_one_command(done):
    folder, _, result = done
    assert result.returncode == 0, result.stderr
    assert "6 of 6 runs are finished, 0 failed" in result.stdout
    assert "Dask dashboard: http://127.0.0.1:" in result.stderr
    assert len(markers(folder / "out")) == 6
    assert not (folder / "out" / ".unfinished").exists()


def test_a_run_leaves_what_it_was_and_what_it_found(done):
    folder, path, _ = done
    assert sorted(map(str, parameters_of(folder / "out").values())) == sorted(map(str, load(path).configurations))
    for key, marker in markers(folder / "out").items():
        place = folder / "out" / "runs" / key
        stored = json.loads((place / "config.json").read_text())
        assert set(stored["configuration"]) == {"x", "name", "rate", "seed"}
        assert {"commit", "device", "versions", "date", "threads"} <= set(stored["provenance"])
        assert marker["files"] == {
            p.relative_to(place).as_posix(): p.stat().st_size
            for p in place.rglob("*")
            if p.is_file() and p.name != "finished.json"
        }
        assert {"run.ipynb", "config.json", "log.txt", "results/data.nc", "results/findings.json"} <= set(
            marker["files"]
        )


def test_the_overhead_of_a_run_is_small(done):
    folder, _, _ = done
    above = [marker["seconds"] - marker["cell_seconds"] for marker in markers(folder / "out").values()]
    assert np.median(above) <= 2


def test_started_again_nothing_is_done_twice(done, capsys):
    folder, path, _ = done
    before = markers(folder / "out")
    assert main(["run", str(path), "--out", f"{folder}/out"]) == 0
    assert "6 are finished, 0 failed, 0 to do" in capsys.readouterr().out
    assert markers(folder / "out") == before


def test_a_grid_that_grows_does_only_what_is_missing(done, tmp_path, client):
    import shutil

    folder, path, _ = done
    shutil.copytree(folder, tmp_path / "copy")
    path = sweep(tmp_path / "copy", LEAVE, grid={"x": [1, 2, 3, 4]}, list=[{"name": "a"}, {"name": "b"}])
    before = markers(tmp_path / "copy" / "out")
    assert "6 are finished, 0 failed, 2 to do" in plan(load(path), str(tmp_path / "copy" / "out")).describe(1)
    assert here(path, tmp_path / "copy" / "out", client)[:2] == (8, 0)
    after = markers(tmp_path / "copy" / "out")
    assert len(after) == 8 and before.items() <= after.items()


def test_status_counts(done, capsys):
    folder, _, _ = done
    assert main(["status", f"{folder}/out"]) == 0
    assert "6 runs, 6 finished, 0 failed, 0 missing" in capsys.readouterr().out


def test_collected_runs_are_one_table_and_one_array(done, capsys):
    folder, _, _ = done
    assert main(["collect", f"{folder}/out"]) == 0
    assert capsys.readouterr().out.split()[0] == f"{folder}/out/collected/small.parquet"
    table = pd.read_parquet(folder / "out" / "collected" / "small.parquet")
    assert len(table) == 6 * 1 * 2 * 3
    assert list(table.columns) == ["x", "name", "dataset", "regime", "generation", "run", "score", "real_share"]
    row = table[(table.x == 2) & (table.name == "b") & (table.generation == 2) & (table.run == 1)]
    assert row.score.tolist() == [2 + 4.0] and row.regime.tolist() == ["R0"] and row.real_share.tolist() == [0.5]
    data = xr.load_dataset(folder / "out" / "collected" / "small.nc", group="main", engine="h5netcdf")
    assert data["score"].dims == ("set", "x", "regime", "generation", "run")
    assert data["name"].values.tolist() == ["a", "b"] and data["x"].values.tolist() == [1, 2, 3]
    at = data["score"].sel(x=3, regime="R1").isel(set=0)
    np.testing.assert_array_equal(at, 3 + np.arange(6.0).reshape(2, 3))
    assert data["score"].sel(x=3, regime="R0").isnull().all()
    assert data.attrs == {"world": "toy"}  # x differs from run to run: it is an axis and no attribute
    about = json.loads((folder / "out" / "collected" / "small.json").read_text())
    assert about["runs"] == about["of"] == 6 and about["found"][0]["notes"] == {"x": 1}


def test_a_record_is_a_summary_with_provenance(done, tmp_path, monkeypatch):
    folder, _, _ = done
    write(str(folder / "out"), tmp_path / "records")
    monkeypatch.setattr(records, "RECORDED", (tmp_path / "nothing", tmp_path / "records"))
    found = records.record("small")
    kept, mean = found.data["main"]["score"], found.data["main"]["mean_of"].sel(score_name="score", part="estimate")
    assert kept.dims == ("set", "x", "regime", "generation", "run") and kept.sizes["run"] == 2
    assert mean.sel(x=1, regime="R1", generation=1).values.tolist() == [2, 2]
    assert kept.sel(x=1, regime="R1", generation=1).isel(run=1).values.tolist() == [2, 2]
    assert found.about["runs"] == 6 and found.about["sweep"]["grid"] == {"x": [1, 2, 3]} and found.about["device"]
    assert found.line.startswith("Recorded on 20") and "6 runs" in found.line and found.about["device"] in found.line
    assert records.record("other") is None and "make records ONLY=other" in records.not_recorded("other")


def test_seeds_count_as_runs_in_a_record(tmp_path, client, monkeypatch):
    cell = LEAVE.replace("values = x +", "values = seed +")
    path = sweep(tmp_path, cell, grid={"x": [1]}, seeds=[10, 20], record={"keep_runs": 6})
    assert here(path, tmp_path / "out", client)[:2] == (2, 0)
    write(str(tmp_path / "out"), tmp_path / "records")
    monkeypatch.setattr(records, "RECORDED", (tmp_path / "records",))
    kept = records.record("small").data["main"]
    assert kept["score"].dims == ("x", "regime", "generation", "run")
    values = kept.isel(x=0, regime=0, generation=0)
    assert values["score"].values.tolist() == [10, 11, 12, 20, 21, 22]
    assert values["mean_of"].sel(score_name="score", part="estimate").item() == 16
    assert kept["real_share"].dims == ("x", "regime", "generation")


def test_only_a_whole_sweep_is_recorded(tmp_path, client):
    path = sweep(tmp_path, "assert x != 2", LEAVE, grid={"x": [1, 2]}, record=True)
    assert here(path, tmp_path / "out", client)[:2] == (1, 1)
    with pytest.raises(ValueError, match="1 of 2 runs are not finished"):
        write(str(tmp_path / "out"), tmp_path / "records")
    assert not (tmp_path / "records").exists()
    assert set(collect(str(tmp_path / "out"))) == {"parquet", "nc", "json"}
