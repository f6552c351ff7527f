"""What a chapter draws of a recorded sweep, and how it quotes what a model wrote."""

import numpy as np
import xarray as xr
from numpy.testing import assert_allclose

from lib import records
from lib.chapter.display import passage


def swept(rows):
    """A data set of a sweep over a list, of which only some rows ran this experiment."""
    values = np.random.default_rng(1).random((2, 3, 4))
    data = xr.Dataset(
        {"tail": (("regime", "generation", "run"), values), "steps": (("regime", "generation"), np.ones((2, 3)))},
        {"regime": ["Replace", "Accumulate"], "generation": [1, 2, 3], "run": range(4)},
    )
    return data, xr.concat([data if k in rows else data.where(False) for k in range(3)], dim="set")


def test_of_a_list_the_rows_that_hold_something_are_kept():
    data, several = swept([0, 2])
    found = records.summary(several)
    assert found.sizes["set"] == 2
    assert_allclose(found["tail"].isel(set=1).transpose(*data["tail"].dims), data["tail"], rtol=1e-6)
    data, one = swept([1])
    assert records.summary(one)["tail"].dims == ("regime", "generation", "run")


def test_a_summary_keeps_quantiles_means_changes_and_gaps_of_all_runs():
    values = np.exp(np.random.default_rng(2).normal(size=(3, 40, 50)).cumsum(axis=1))
    regimes = ["Replace", "Accumulate", "RealOnly"]
    data = xr.Dataset(
        {"tail": (("regime", "generation", "run"), values), "spread": (("regime", "generation", "run"), values)},
        {"regime": regimes, "generation": np.arange(1, 41)},
    )
    data["tail"].attrs.update(kind="tail", worse="less", units="")
    data["spread"].attrs.update(kind="variance", worse="less", units="")
    found = records.summary(data)
    assert found["score_name"].values.tolist() == ["tail", "spread"] and records.summary(found) is found
    assert found["tail"].attrs == data["tail"].attrs and found.sizes["run"] == 6 and found.attrs["runs"] == 50
    of = found.sel(score_name="tail", regime="Accumulate")
    t = found["generation"].values - 1
    assert_allclose(of["quantile_of"].sel(quantile=0.25), np.quantile(values[1][t], 0.25, axis=-1), rtol=1e-6)
    assert_allclose(of["mean_of"].sel(part="error"), values[1][t].std(axis=-1, ddof=1) / 50**0.5, rtol=1e-6)
    for name, first, last in (("whole", 1, 40), ("last", 20, 40), ("before", 10, 20), ("both", 10, 40)):
        change = values[1, last - 1] - values[1, first - 1]
        assert_allclose(of["change_of"].sel(change=name), [change.mean(), change.std(ddof=1) / 50**0.5], rtol=1e-5)
        assert [int(of[end].sel(change=name)) for end in ("since", "until")] == [first, last]
    gap = values[1, -1] - values[0, -1]
    assert_allclose(of["gap_of"].sel(other="Replace"), [gap.mean(), gap.std(ddof=1) / 50**0.5], rtol=1e-5)
    typical = np.median(np.log(values[1, -1] / values[1, 0]))
    assert_allclose(
        found["change_of"].sel(score_name="spread", regime="Accumulate", change="whole")[0], typical, rtol=1e-5
    )
    assert records.summary(data.isel(run=[0]))["change_of"].sel(part="error").isnull().all()
    assert "tail" not in records.summary(data, runs=0)


def test_a_passage_is_text_and_nothing_else():
    text = "a | b\n*c* <script> `d` [e](f) $g$ &amp; ~~h~~"
    shown = passage(text)
    assert not set("|*<>`[]$~\n") & set(shown)
    assert shown.startswith("a &#124; b &#42;c&#42; &lt;script&gt;")
    assert passage("one two three four", 9) == "one two …"
