"""Sweeps that are really run, by the command line on a local cluster."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from lib import batch, records
from lib.batch.__main__ import main
from lib.batch.merge import record, seeds_as_runs
from lib.batch.runner import execute
from lib.batch.sweep import Resources
from tests.batch.small import LEAVE, ROOT, command, here, instant, leftovers, markers, parameters_of, sweep

LIST = [{"name": "a"}, {"name": "b"}]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A sweep of six runs, finished and collected."""
    folder = tmp_path_factory.mktemp("done")
    path = sweep(folder, "assert x < 4", LEAVE, grid={"x": [1, 2, 3]}, list=LIST, record={"keep_runs": 2})
    return folder, path, command("run", path, "--out", folder / "out", "--workers", 2)


def test_all_runs_finish_in_one_command(done, capsys):
    folder, path, result = done
    assert result.returncode == 0, result.stderr
    assert "6 of 6 runs are finished, 0 failed" in result.stdout
    assert "Dask dashboard: http://127.0.0.1:" in result.stderr
    assert not leftovers(folder / "out")
    before = markers(folder / "out")
    assert main(["run", str(path), "--out", f"{folder}/out"]) == 0 and markers(folder / "out") == before
    assert main(["status", f"{folder}/out"]) == 0
    said = capsys.readouterr().out
    assert "6 are finished, 0 failed, 0 to do" in said and "6 runs, 6 finished, 0 failed, 0 missing" in said


def test_a_run_leaves_what_it_was_and_what_it_found(done):
    folder, path, _ = done
    assert sorted(map(str, parameters_of(folder / "out").values())) == sorted(map(str, batch.load(path).configurations))
    for key, marker in markers(folder / "out").items():
        place = folder / "out" / "runs" / key
        stored = json.loads((place / "config.json").read_text())
        assert {"commit", "device", "versions", "date", "threads"} <= set(stored["provenance"])
        files = {p.relative_to(place).as_posix(): p.stat().st_size for p in place.rglob("*") if p.is_file()}
        assert marker["files"] == {name: size for name, size in files.items() if name != "finished.json"}
        assert {"run.ipynb", "config.json", "log.txt", "results/data.nc", "results/findings.json"} < files.keys()


def test_collected_runs_are_one_table_and_one_array(done, capsys):
    folder, _, _ = done
    assert main(["collect", f"{folder}/out"]) == 0
    assert capsys.readouterr().out.split()[0] == f"{folder}/out/collected/small.parquet"
    table = pd.read_parquet(folder / "out" / "collected" / "small.parquet")
    assert len(table) == 6 * 1 * 2 * 3
    assert list(table.columns[:6]) == ["x", "name", "dataset", "regime", "generation", "run"]
    row = table[(table.x == 2) & (table.name == "b") & (table.generation == 2) & (table.run == 1)]
    assert row.score.tolist() == [2 + 4.0] and row.regime.tolist() == ["R0"] and row.real_share.tolist() == [0.5]
    data = xr.load_dataset(folder / "out" / "collected" / "small.nc", group="main", engine="h5netcdf")
    assert data["score"].dims == ("set", "x", "regime", "generation", "run")
    assert data["name"].values.tolist() == ["a", "b"] and data["x"].values.tolist() == [1, 2, 3]
    assert data["family"].values.tolist() == ["R", "R"]
    np.testing.assert_array_equal(data["score"].sel(x=3, regime="R1", set=0), 3 + np.arange(6.0).reshape(2, 3))
    assert data["score"].sel(x=3, regime="R0").isnull().all()
    assert data.attrs["world"] == "toy" and "x" not in data.attrs  # x differs from run to run: it is an axis
    about = json.loads((folder / "out" / "collected" / "small.json").read_text())
    assert about["runs"] == about["of"] == 6 and about["found"][0]["notes"] == {"x": 1}


def test_a_grid_that_grows_does_only_what_is_missing_and_a_report_tells(done, tmp_path, client):
    folder, _, _ = done
    shutil.copytree(folder, tmp_path / "copy")
    out, before = tmp_path / "copy" / "out", markers(folder / "out")
    path = sweep(tmp_path / "copy", "assert x < 4", LEAVE, grid={"x": [1, 2, 3, 4]}, list=LIST)
    work = batch.plan(batch.load(path), str(out))
    assert (len(work.finished), len(work.missing)) == (6, 2)
    assert work.estimate()[0] == pytest.approx(np.mean([marker["seconds"] for marker in before.values()]))
    assert here(path, out, client)[:2] == (6, 2) and markers(out) == before
    assert main(["report", str(out)]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search("<(script|link|iframe)|(src|href)=['\"](?!data:)", page)
    alts = re.findall("<img alt='(.*?)'", page)
    assert len(alts) == 2 and all(len(alt.split()) >= 5 for alt in alts)
    for told in (
        "6 of 8 finished, 2 failed",
        "x = [1, 2, 3, 4]",
        "fails: 4, holds: 2",
        "an effect of 3 [2.5, 3.5]",
        "cell 2: AssertionError",
    ):
        assert told in page
    assert (out / "report.ipynb").exists()


def test_a_record_is_a_summary_with_provenance(done, tmp_path, monkeypatch):
    folder, _, _ = done
    record(str(folder / "out"), tmp_path / "records")
    monkeypatch.setattr(records, "RECORDED", (tmp_path / "nothing", tmp_path / "records"))
    found = records.record("small")
    kept, mean = found.data["main"]["score"], found.data["main"]["mean_of"].sel(score_name="score", part="estimate")
    assert kept.dims == ("set", "x", "regime", "generation", "run") and kept.sizes["run"] == 2
    assert mean.sel(x=1, regime="R1", generation=1).values.tolist() == [2, 2]
    assert kept.sel(x=1, regime="R1", generation=1).isel(run=1).values.tolist() == [2, 2]
    assert found.about["runs"] == 6 and found.about["sweep"]["grid"] == {"x": [1, 2, 3]} and found.about["device"]
    assert found.about["commit"] is None or isinstance(found.about["commit"], str)
    assert "6 runs" in found.line and found.about["device"] in found.line
    assert records.record("other") is None


def test_seeds_count_as_runs_and_only_a_whole_sweep_is_recorded(tmp_path, client, monkeypatch):
    monkeypatch.setattr("lib.batch.drive.execute", instant)
    path = sweep(tmp_path, LEAVE, grid={"x": [1, 3]}, seeds=[10, 20], record=True)
    assert here(path, tmp_path / "out", client)[:2] == (4, 0)
    names = batch.collect(str(tmp_path / "out"))
    data = xr.load_dataset(tmp_path / "out" / names["nc"], group="main", engine="h5netcdf")
    data["score"][:, 1] += 100
    flat = seeds_as_runs(data)
    assert flat["score"].dims == ("x", "regime", "generation", "run")
    assert flat["score"].isel(x=0, regime=0, generation=0).values.tolist() == [1, 2, 3, 101, 102, 103]
    assert flat["real_share"].dims == ("x", "regime", "generation")
    (tmp_path / "out" / "runs" / min(markers(tmp_path / "out")) / "finished.json").unlink()
    with pytest.raises(ValueError, match="1 of 4 runs are not finished"):
        record(str(tmp_path / "out"), tmp_path / "records")
    assert not (tmp_path / "records").exists()


def test_a_kernel_has_this_library_and_a_checkpoint_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("LIB_CHECKPOINTS", "~/kept")
    cell = "import lib, os\nprint(lib.__file__, os.environ['LIB_CHECKPOINTS'], os.environ['MPLBACKEND'])"
    work = batch.plan(batch.load(sweep(tmp_path, cell, grid={"x": [1]})), str(tmp_path / "out"))
    work.folder.put("notebook.ipynb", (tmp_path / "small.ipynb").read_text())
    (key,) = work.keys
    execute(str(tmp_path / "out"), key, work.keys[key], Resources())
    text = str(json.loads((tmp_path / "out" / "runs" / key / "run.ipynb").read_text())["cells"][2]["outputs"])
    assert f"{ROOT}/lib/__init__.py" in text and f"/kept/{key} module://matplotlib_inline" in text and "~" not in text
