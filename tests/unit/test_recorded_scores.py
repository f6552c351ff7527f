"""Tables of recorded runs in a chapter."""

import pytest
import xarray as xr

from lib import records
from lib.chapter import display as notebook
from lib.recursion import recurse
from lib.regimes import Accumulate, Replace
from lib.worlds.gaussian import Gaussian


@pytest.fixture
def said(monkeypatch):
    texts = []
    monkeypatch.setattr(notebook, "say", texts.append)
    return texts


def found(runs=4):
    return recurse(Gaussian(), [Replace(), Accumulate()], n=20, generations=5, runs=runs, seed=3)


def test_one_table_for_each_parameter_set_with_the_runs_own_numbers(said):
    one, two = found(), found() * 2
    swept = xr.concat([one, two], dim=xr.Variable("data", ["small", "large"])).expand_dims(scale=["paper"])
    notebook.recorded_scores(records.summary(swept), {"trace_ratio": ("variance", ".6f")})
    assert len(said) == 2
    for text, data in zip(said, (one, two), strict=True):
        end = data["trace_ratio"].sel(regime="Accumulate").isel(generation=-1).mean().item()
        assert f"{end:.6f} [" in text and "generation 5" in text and "4 runs" in text and "scale = `paper`" in text
    assert "data = `small`" in said[0] and "data = `large`" in said[1]


def test_a_record_without_axes_and_one_without_the_score(said):
    kept = records.summary(found())
    notebook.recorded_scores(kept, {"trace_ratio": ("variance", ".3f")})
    assert len(said) == 1 and "Replace" in said[0]
    with pytest.raises(ValueError, match="no_such_score"):
        notebook.recorded_scores(kept, {"no_such_score": ("x", ".3f")})
