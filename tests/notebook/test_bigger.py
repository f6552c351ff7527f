"""The page about sweeps: its commands exist, and what it shows of the recorded grid comes from the record."""

import re
import shlex

import bigger
import numpy as np
import pytest
import xarray as xr
import yaml

from lib import records
from lib.batch import load
from lib.batch.__main__ import parser
from lib.worlds.language.transformer import SIZES

REGIMES = [
    "Replace",
    "ReplaceGrown",
    "Accumulate",
    "Keep(0.1, fixed)",
    "FreshReal(0.1)",
    "RealOnly",
    "AccumulateSubsample",
    "Keep(0.1)",
]


@pytest.fixture(scope="module")
def page(root):
    return (root / bigger.PAGE).read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def grid(lost):
    """A recorded grid in which Replace has lost its spread where n is in `lost`."""
    dimensions, sizes, estimators = [10, 1], [100, 10], ["mle", "unbiased"]
    axes = ("dimension", "n", "estimator", "regime", "generation")
    coords = dict(zip(axes, (dimensions, sizes, estimators, REGIMES, [1, 10, 100]), strict=True))
    variance = xr.DataArray(np.full((2, 2, 2, len(REGIMES), 3), 0.9), coords, axes)
    error = xr.ones_like(variance) * variance["dimension"] / variance["n"]
    for name, factor in zip(REGIMES, (50, 6, 1.5, 9, 5, 0.01, 3, 6), strict=True):
        error.loc[{"regime": name, "generation": 100}] *= factor
    for n in lost:
        variance.loc[{"regime": "Replace", "generation": 100, "n": n}] = 0.01
    medians = xr.concat([variance, error], xr.Variable("score_name", ["trace_ratio", "squared_mean_error"]))
    families = [name.split("(")[0] for name in REGIMES]
    data = xr.Dataset({"quantile_of": medians.expand_dims({"quantile": [0.5]})}, attrs={"runs": 100})
    return data.assign_coords(family=("regime", families))


def recorded(lost=(10,)):
    about = {
        "date": "2026-01-02T03:04:05",
        "commit": "0123456789abcdef",
        "changed": False,
        "seconds": 600.0,
        "span": 320.0,
        "runs": 8,
    }
    about |= {"device": "a processor"}
    return records.Record("gaussian-grid", {"gaussian": grid(lost)}, about)


def sized(losses):
    """Recorded sizes of a decoder with these validation losses, the largest first."""
    values = {
        "validation_loss": losses,
        "test_perplexity": np.exp(losses),
        "bits_per_byte": [2.0, 2.1],
        "parameters": [5e6, 2.5e5],
    }
    data = xr.Dataset({name: ("size", list(found)) for name, found in values.items()}, {"size": ["large", "small"]})
    return records.Record("language-size", {"size": data}, recorded().about)


def test_figures_and_numbers_come_from_the_record(page, tmp_path, monkeypatch):
    found = {"gaussian-grid": recorded(), "language-size": sized([2.0, 3.0])}
    monkeypatch.setattr(records, "record", found.get)
    text = bigger.fill(page, tmp_path)
    assert bigger.MARK not in text and bigger.SIZE_MARK not in text
    for name in (bigger.SPREAD, bigger.ERROR):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG") and f"_static/{name}" in text
    for told in (
        "2026-01-02, commit 0123456789: 8 runs",
        "in 2 of 4 cells: 2 of 2 at n = 10 and 0 of 2 at n = 100.",
        "under Accumulate is 1.5 to 1.5 first-fit errors, under Replace 50 to 50",
        "In 1 of 4 cells the first sample",  # n − 1 < d at n = 10, d = 10 only
    ):
        assert told in text
    found["gaussian-grid"] = recorded(lost=(10, 100))
    assert "in 4 of 4 cells: 2 of 2 at n = 10 and 2 of 2 at n = 100." in bigger.fill(page, tmp_path)


def test_the_size_with_the_lowest_validation_loss_is_named():
    text = bigger.size_words(sized([2.0, 3.0]))
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == ["| `small` | 0.25 | 3.000 | 20.1 | 2.100 |", "| `large` | 5.00 | 2.000 | 7.4 | 2.000 |"]
    assert "that of `large`, by 1.000 nats before `small`." in text and "It is the largest that was tried" in text
    text = bigger.size_words(sized([3.0, 2.0]))
    assert (
        "that of `small`, by 1.000 nats before `large`." in text and "The larger ones that were tried do worse" in text
    )


def test_the_size_for_the_embedded_text_is_the_one_that_the_record_chose():
    losses = records.record("language-size").data["size"]["validation_loss"]
    assert losses.sizes["size"] >= 4 and SIZES["corpus"] == SIZES[losses.idxmin().item()]


def test_a_page_without_a_record_or_a_marker(page, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "record", lambda name: None)
    assert "make records ONLY=gaussian-grid" in bigger.fill(page, tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=bigger.MARK):
        bigger.fill("# Run it bigger\n", tmp_path)


def test_the_commands_of_the_page_are_commands(page, root):
    found = []
    for line in "".join(blocks(page, "bash")).splitlines():
        words = shlex.split(line)
        if words[:3] == [".venv/bin/python", "-m", "lib.batch"]:
            arguments = parser().parse_args(words[3:])
            found.append(words[3])
            if words[3] == "run":
                load(root / arguments.sweep)
        else:
            assert words[:2] == ["make", "records"] or words[1:3] == ["-m", "dask"], line
    assert set(found) == {"run", "status", "collect", "report"}


def test_the_sweep_on_the_page_is_valid(page, root, tmp_path):
    text, options = blocks(page, "yaml")
    source = yaml.safe_load(text)
    source["notebook"] = str(root / "book" / "sweeps" / source["notebook"])
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(source))
    assert len(load(tmp_path / "own.yaml").configurations) == 6
    assert yaml.safe_load(options)["system"] == "slurm"
