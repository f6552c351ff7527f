"""The house style: a regime always looks the same, no two look alike, and a label says nothing of it."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb

from lib.chapter import figures, looks
from lib.chapter.looks import LOOKS, NEUTRAL, Look
from lib.errors import Refused
from lib.recursion import recurse
from lib.regimes import Accumulate, FreshReal, Keep, RealOnly, Replace
from lib.worlds.gaussian import Gaussian


class Mine(Replace):
    """A regime of one's own."""


def luminance(color):
    return float(np.dot([0.2126, 0.7152, 0.0722], to_rgb(color)))


def test_every_family_has_a_look_of_its_own():
    drawn = [*LOOKS.values(), NEUTRAL]
    assert len({(look.color, look.line) for look in drawn}) == len(drawn)
    colours = {look.color for family, look in LOOKS.items() if "," not in family}
    assert len(colours) == sum("," not in family for family in LOOKS)  # a variant may share its kind's
    assert abs(luminance(LOOKS["Replace"].color) - luminance(LOOKS["Accumulate"].color)) > 0.03


def test_a_look_is_found_by_family_by_regime_and_in_data():
    assert figures.style("Keep") == figures.style(Keep(0.1)) == figures.style(Keep(0.5))
    assert figures.style(Accumulate(kept=0)) != figures.style(Accumulate(fresh=0.2)) != figures.style(Accumulate())
    assert figures.style(RealOnly(grow=False)) != figures.style(RealOnly())
    named = {"FreshReal(0.99), shift 1": FreshReal(0.5), "whatever": Accumulate(fresh=0.2)}
    data = recurse(Gaussian(), named, n=10, generations=2, runs=2, seed=1, progress=False)
    for label, regime in named.items():
        assert figures.style(data["trace_ratio"].sel(regime=label)) == figures.style(regime)


def test_what_is_not_in_the_table_is_refused_or_neutral(monkeypatch):
    with pytest.raises(Refused) as told:
        figures.style("Keep(0.1)")
    assert told.value.setting == "family"
    neutral = {"color": NEUTRAL.color, "marker": NEUTRAL.marker, "linestyle": NEUTRAL.line}
    assert figures.style(Mine()) == figures.style(xr.DataArray(0)) == neutral
    monkeypatch.setattr(looks, "LOOKS", dict(LOOKS))
    for _ in range(2):
        looks.register("Mine", Look("#117733", "<", "--"))
    assert figures.style(Mine()) == {"color": "#117733", "marker": "<", "linestyle": "--"}
    with pytest.raises(Refused):
        looks.register("Other", Look("#d55e00", "s", "-"))


@pytest.mark.parametrize("band", [(0.05, 0.95), "mean", None])
def test_a_trajectory_draws_its_middle_its_band_and_its_law(band):
    rng = np.random.default_rng(0)
    coords = {"generation": range(1, 8), "regime": "Replace, n = 5", "family": "Replace"}
    values = xr.DataArray(rng.normal(size=(7, 50)), dims=("generation", "run"), coords=coords)
    fig, ax = plt.subplots()
    figures.trajectory(ax, values, band=band, center="mean", law=np.zeros(7))
    middle, law = ax.lines
    np.testing.assert_allclose(middle.get_ydata(), values.mean("run"))
    assert (middle.get_color(), middle.get_label()) == (LOOKS["Replace"].color, "Replace, n = 5")
    assert law.get_color() == figures.INK
    assert len(ax.collections) == (band is not None)
    plt.close(fig)


def test_pictures_are_tiled():
    fig = figures.images(np.zeros((2, 3, 7, 8, 8)), ["a", "b"], ["1", "2", "3"])
    assert len(fig.axes) == 6
    assert fig.axes[0].images[0].get_array().shape == (20, 50)
    plt.close(fig)
