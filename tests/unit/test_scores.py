"""What worlds say of their scores is true: with old data thrown away, each goes the way that its world calls worse."""

import math

import pytest

from lib.recursion import recurse
from lib.regimes import Replace
from lib.world import KINDS
from lib.worlds.discrete import Discrete
from lib.worlds.gaussian import Gaussian
from lib.worlds.regression import Regression


@pytest.mark.parametrize("world", [Gaussian(2), Discrete("zipf", 60), Regression(3)], ids=lambda w: type(w).__name__)
def test_scores_go_the_way_that_is_worse(world):
    data = recurse(world, Replace(), n=30, generations=40, runs=100, seed=20240724).isel(regime=0)
    for name, score in world.scores.items():
        told = data[name].attrs
        assert (told["kind"], told["worse"]) == (score.kind, score.worse) and score.kind in KINDS and score.label
        first, last = (float(data[name].median("run")[t]) for t in (0, -1))
        if score.kind != "fidelity" and math.isfinite(first):  # a fit without bias is as faithful as the first
            assert last > first if score.worse == "more" else last < first, (name, score.worse, first, last)
