"""What a chapter draws of a recorded sweep, and how it quotes what a model wrote."""

import numpy as np
import xarray as xr
from numpy.testing import assert_allclose

from lib import records
from lib.chapter.display import passage


def recorded(rows):
    """A data set of a sweep over a list, of which only some rows ran this experiment, as a record keeps it."""
    values = np.random.default_rng(1).random((2, 3, 4))
    data = xr.Dataset(
        {"score": (("regime", "generation", "run"), values), "steps": (("regime", "generation"), np.ones((2, 3)))},
        {"regime": ["Replace", "Accumulate"], "generation": [1, 2, 3], "run": range(4)},
    )
    small = records.summary(data, runs=4)
    empty = small.where(False)
    return data, xr.concat([small if k in rows else empty for k in range(3)], dim="set")


def test_whole_trajectories_come_back_as_runs():
    data, kept = recorded([1])
    found = records.whole_runs(kept)
    assert found["score"].dims == ("regime", "generation", "run")
    assert_allclose(found["score"], data["score"], rtol=1e-6)


def test_rows_of_a_list_that_hold_nothing_are_left_out():
    data, kept = recorded([0, 2])
    found = records.whole_runs(kept)
    assert found.sizes["set"] == 2
    assert_allclose(found["score"].isel(set=1).transpose(*data["score"].dims), data["score"], rtol=1e-6)


def test_a_passage_is_text_and_nothing_else():
    text = "a | b\n*c* <script> `d` [e](f) $g$ &amp; ~~h~~"
    shown = passage(text)
    assert not set("|*<>`[]$~\n") & set(shown)
    assert shown.startswith("a &#124; b &#42;c&#42; &lt;script&gt;")
    assert passage("one two three four", 9) == "one two …"
