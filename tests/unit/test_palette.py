"""The colours of regimes: each stands out from the page, and any two from each other, for colour-blind readers too."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lib.chapter import looks

# What a reader sees who lacks the cones for long or for middle waves (Machado, Oliveira and Fernandes 2009).
SEEN = {
    "all cones": np.eye(3),
    "no long cones": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "no middle cones": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
GROUNDS = {"color": "#FFFFFF", "dark": "#14181E"}
OWN = [look for look in looks.LOOKS.values() if look.start is not None]  # not what other tests have registered


def linear(colors):
    rgb = np.array([to_rgb(color) for color in colors])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    x, y, z = np.cbrt(np.clip(rgb, 0, 1) @ XYZ.T / XYZ.sum(axis=1)).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@pytest.mark.parametrize("ground", GROUNDS)
def test_every_colour_stands_out_from_its_ground(ground):
    light = linear([GROUNDS[ground], *(getattr(look, ground) for look in OWN)]) @ XYZ[1]
    high, low = np.maximum(light[1:], light[0]), np.minimum(light[1:], light[0])
    assert ((high + 0.05) / (low + 0.05)).min() >= 3


@pytest.mark.parametrize("cones", SEEN)
@pytest.mark.parametrize("ground", GROUNDS)
def test_any_two_colours_differ(ground, cones):
    colors = sorted({getattr(look, ground) for look in OWN})
    seen = lab(linear(colors) @ np.transpose(SEEN[cones]))
    apart = np.linalg.norm(seen[:, None] - seen, axis=-1)[np.triu_indices(len(colors), 1)]
    assert len(colors) == 10 and apart.min() > 10
