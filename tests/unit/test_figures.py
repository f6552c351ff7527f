"""The house style: a regime always looks the same, and no two look alike."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb

from lib.chapter import figures


def luminance(color):
    return float(np.dot([0.2126, 0.7152, 0.0722], to_rgb(color)))


def test_every_regime_has_a_look_of_its_own():
    looks = [figures.style(name) for name in figures._STYLES]
    for part in ("color", "marker"):
        assert len({look[part] for look in looks}) == len(looks)
    assert len({(look["color"], look["linestyle"]) for look in looks}) == len(looks)
    assert abs(luminance(figures.style("Replace")["color"]) - luminance(figures.style("Accumulate")["color"])) > 0.03


def test_variants_share_the_look_of_their_regime():
    assert figures.style("Keep(0.1)") == figures.style("Keep(0.1, fixed)")
    assert figures.style("RealOnly(refit)") == figures.style("RealOnly")
    assert figures.style("something else") == figures.style("Mixture")


@pytest.mark.parametrize("band", [(0.05, 0.95), "mean", None])
def test_a_trajectory_draws_its_middle_its_band_and_its_law(band):
    rng = np.random.default_rng(0)
    values = xr.DataArray(
        rng.normal(size=(7, 50)), dims=("generation", "run"), coords={"generation": range(1, 8), "regime": "Replace"}
    )
    fig, ax = plt.subplots()
    figures.trajectory(ax, values, band=band, center="mean", law=np.zeros(7))
    middle, law = ax.lines
    np.testing.assert_allclose(middle.get_ydata(), values.mean("run"))
    assert law.get_color() == figures.INK
    assert len(ax.collections) == (band is not None)
    plt.close(fig)


def test_pictures_are_tiled():
    fig = figures.images(np.zeros((2, 3, 7, 8, 8)), ["a", "b"], ["1", "2", "3"])
    assert len(fig.axes) == 6
    assert fig.axes[0].images[0].get_array().shape == (20, 50)
    plt.close(fig)
