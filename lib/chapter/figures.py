"""The one style of the book's figures: a regime looks the same everywhere, as `lib.chapter.looks` has it.

Simulations are a median with a quantile band; the exact law is a dashed grey line under them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from scipy import stats

from lib.chapter.looks import look_of

INK = "#222222"


def use() -> None:
    """Set the house style for the figures of a notebook."""
    plt.style.use(Path(__file__).with_name("book.mplstyle"))


def style(what: Any) -> dict[str, Any]:
    """Colour, marker and line style of a regime, named by its family, such as "Keep", itself, or data of it."""
    look = look_of(what)
    return {"color": look.color, "marker": look.marker, "linestyle": look.line}


def trajectory(
    ax: plt.Axes,
    values: xr.DataArray,
    *,
    label: str | None = None,
    band: tuple[float, float] | str | None = (0.05, 0.95),
    center: str = "median",
    law: np.ndarray | None = None,
    marks: int = 8,
    **look: Any,
) -> None:
    """Draw one regime's score, dims (generation, run), against the generation: median (or mean) over runs, a band, the
    exact law. `band` is a pair of quantiles over runs, or "mean" for the 95% interval of the mean, or None."""
    look = style(values) | look
    t = values["generation"].values
    middle = values.median("run") if center == "median" else values.mean("run")
    every = max(1, len(t) // marks)
    ax.plot(t, middle, label=label or str(values.coords["regime"].item()), markevery=every, **look)
    if band is not None:
        if band == "mean":
            runs = values.sizes["run"]
            half = stats.t.ppf(0.975, runs - 1) * values.std("run", ddof=1) / np.sqrt(runs)
            low, high = middle - half, middle + half
        else:
            low, high = values.quantile(list(band), dim="run")
        ax.fill_between(t, low, high, color=look["color"], alpha=0.16, linewidth=0)
    if law is not None:
        exact(ax, t, law)


def exact(ax: plt.Axes, t: np.ndarray, law: np.ndarray, label: str | None = None) -> None:
    """Draw an exact law: a dashed grey line under what was simulated, wide enough to be seen beside it."""
    ax.plot(
        t, law, color=INK, linewidth=3.4, alpha=0.45, linestyle=(0, (1.2, 0.6)), marker=None, zorder=1.9, label=label
    )


def deviations(ax: plt.Axes, z: Mapping[Any, np.ndarray]) -> None:
    """The shares of deviations from a law, in standard errors, that are at most so large, by regime; dashed, those of a
    standard normal sample: what a true law leaves."""
    at = np.linspace(-4, 4, 200)
    ax.plot(at, stats.norm.cdf(at), color=INK, linewidth=0.9, linestyle="--", label="if the laws are true")
    for regime, values in z.items():
        look = style(regime) | {"marker": None}
        ax.ecdf(np.clip(values, at[0], at[-1]), label=str(regime), linewidth=1.4, **look)
    ax.set(xlim=(at[0], at[-1]), xlabel="published mean less law (standard errors)", ylabel="share of the means")


def images(pictures: np.ndarray, rows: list[str], columns: list[str], across: int = 5) -> plt.Figure:
    """A table of small grey pictures, dark on light: shape (rows, columns, per cell, height, width), values in [0, 1],
    each cell a block `across` pictures wide."""
    r, c, k = pictures.shape[:3]
    fig, axes = plt.subplots(r, c, figsize=(8.2, 0.3 + 7.6 * r / c * -(-k // across) / across), squeeze=False)
    for i, j in np.ndindex(r, c):
        framed = np.pad(np.clip(pictures[i, j], 0, 1), ((0, -k % across), (1, 1), (1, 1)))
        block = np.block([list(framed[line : line + across]) for line in range(0, len(framed), across)])
        axes[i, j].imshow(1 - block, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes[i, j].set(xticks=[], yticks=[])
        axes[i, j].grid(False)
        axes[i, j].spines[:].set_visible(False)
        if i == 0:
            axes[i, j].set_title(columns[j], fontsize=9.5, loc="center")
        if j == 0:
            axes[i, j].set_ylabel(rows[i], fontsize=9.5)
    fig.tight_layout(pad=0.4)
    return fig


def finish(
    ax: plt.Axes, *, xlabel: str = "generation $t$", ylabel: str = "", title: str = "", legend: bool = True
) -> None:
    """Name the axes with their units, and place the legend where it covers no data."""
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if xlabel.startswith("generation") and ax.get_xscale() == "linear":
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))  # there is no generation one and a half
    if legend:
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


ELEMENTS = {"C": "#444444", "N": "#0072B2", "O": "#D55E00"}


def overlay(
    ax: plt.Axes, positions: np.ndarray, bonds: np.ndarray, elements: tuple[str, ...], frame: tuple[int, int, int]
) -> None:
    """Draw conformers (count, atoms, 3) over each other in three dimensions, laid by the three atoms of `frame`."""
    laid = _laid(positions, *frame)
    for a, b in bonds:
        gaps = np.full((len(laid), 1, 3), np.nan)
        ax.plot(*np.concatenate([laid[:, [a, b]], gaps], axis=1).reshape(-1, 3).T, color=INK, linewidth=0.7, alpha=0.3)
    colors = [ELEMENTS.get(element, "#777777") for element in elements] * len(laid)
    ax.scatter(*laid.reshape(-1, 3).T, s=8, c=colors, alpha=0.7, linewidths=0, depthshade=False)
    # Samples can be anywhere; the middle of them decides what is shown, and how large.
    low, high = np.quantile(laid.reshape(-1, 3), [0.01, 0.99], axis=0)
    reach = np.abs([low[1:], high[1:]]).max() + 0.3
    ax.set(xlim=(low[0] - 0.3, high[0] + 0.3), ylim=(-reach, reach), zlim=(-reach, reach))
    ax.set_box_aspect((high[0] - low[0] + 0.6, 2 * reach, 2 * reach), zoom=1.5)
    ax.view_init(elev=10, azim=-14)
    ax.set_axis_off()


def conformers(
    pictures: list[list[np.ndarray]],
    bonds: np.ndarray,
    elements: tuple[str, ...],
    frame: tuple[int, int, int],
    rows: list[str],
    columns: list[str],
) -> plt.Figure:
    """A table of overlaid conformers: each cell of `pictures` holds positions (count, atoms, 3), see `overlay`."""
    r, c = len(rows), len(columns)
    fig, axes = plt.subplots(
        r, c, figsize=(8.2, 8.2 * r / c), squeeze=False, subplot_kw={"projection": "3d", "computed_zorder": False}
    )
    upright = {"rotation": 90, "va": "center", "ha": "right"}
    for i, j in np.ndindex(r, c):
        overlay(axes[i, j], pictures[i][j], bonds, elements, frame)
        if i == 0:
            axes[i, j].set_title(columns[j], fontsize=9.5, loc="center")
        if j == 0:
            axes[i, j].text2D(0, 0.5, rows[i], fontsize=9.5, transform=axes[i, j].transAxes, **upright)
    fig.subplots_adjust(left=0.05, right=1, top=0.95, bottom=0, wspace=0, hspace=0)
    return fig


def _laid(positions: np.ndarray, a: int, b: int, c: int) -> np.ndarray:
    """Conformers turned: atom b at the origin, c on the first axis, a in the plane of the first two."""
    x = positions - positions[:, [b]]
    first = x[:, c] / np.linalg.norm(x[:, c], axis=1, keepdims=True)
    second = x[:, a] - (x[:, a] * first).sum(axis=1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return x @ np.stack([first, second, np.cross(first, second)], axis=2)
