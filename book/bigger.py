"""The page *Run it bigger*: what was recorded of the Gaussian grid and of a decoder's size, put into words and drawn
when the pages are assembled."""

import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

PAGE = Path("book", "run-it-bigger.md")
MARK = "<!-- gaussian-grid -->"
NAME = "gaussian-grid"
SIZE_MARK = "<!-- language-size -->"
SIZE_NAME = "language-size"
LOST = 0.1  # a variance ratio below which a fit counts as having lost its spread
SPREAD, ERROR = "gaussian-grid-variance.png", "gaussian-grid-error.png"


def fill(text, static):
    """Put the recorded sweeps in place of the page's marker lines; figures go into the folder `static`."""
    from lib import records
    from lib.chapter import figures

    for mark in (MARK, SIZE_MARK):
        if mark not in text.splitlines():
            raise ValueError(f"{PAGE} needs a line {mark}")
    record = records.record(SIZE_NAME)
    text = text.replace(SIZE_MARK, records.not_recorded(SIZE_NAME) if record is None else size_words(record))
    record = records.record(NAME)
    if record is None:
        return text.replace(MARK, records.not_recorded(NAME))
    grid = record.data["gaussian"]
    with mpl.rc_context():
        mpl.use("agg")
        figures.use()
        save(spread(grid), static / SPREAD)
        save(error(grid), static / ERROR)
    return text.replace(MARK, "\n\n".join(words(record)))


def size_words(record):
    """A table of decoders by size, and the one with the lowest validation loss."""
    data = record.data["size"].sortby("parameters")
    best = data.isel(size=int(data["validation_loss"].values.argmin()))
    rows = [
        f"| `{name}` | {one['parameters'].item() / 1e6:.2f} | {one['validation_loss'].item():.3f} | "
        f"{one['test_perplexity'].item():.1f} | {one['bits_per_byte'].item():.3f} |"
        for name in data["size"].values
        for one in [data.sel(size=name)]
    ]
    largest = data["size"].values[-1]
    bound = (
        " It is the largest that was tried, so a larger one may do better still."
        if best["size"].item() == largest
        else " The larger ones that were tried do worse."
    )
    second = data.sortby("validation_loss").isel(size=1)
    gap = second["validation_loss"].item() - best["validation_loss"].item()
    return "\n\n".join(
        [
            f"*{record.line}*",
            "\n".join(
                [
                    "| size | parameters (millions) | validation loss (nats per token) | test perplexity | bits per "
                    "byte, test |",
                    "|---|---|---|---|---|",
                    *rows,
                ]
            ),
            f"The lowest loss on the validation part is that of `{best['size'].item()}`, by {gap:.3f} nats before "
            f"`{second['size'].item()}`. Each was fitted once, so a small difference may be one of seeds.{bound}",
        ]
    )


def save(fig, path):
    fig.savefig(path)
    plt.close(fig)


def middle(grid, score):
    """Medians over runs with dims (estimator, dimension, n, regime, generation), axes in ascending order."""
    from lib.chapter.looks import LOOKS

    values = grid["quantile_of"].sel(score_name=score, quantile=0.5).sortby(["dimension", "n"])
    order = np.argsort([list(LOOKS).index(str(family)) for family in values["family"].values], kind="stable")
    return values.isel(regime=order).transpose("estimator", "dimension", "n", "regime", "generation")


def spread(grid):
    """A panel for each dimension and sample size: the variance ratio against the generation, under maximum
    likelihood."""
    from lib.chapter import figures

    values = middle(grid, "trace_ratio").sel(estimator="mle")
    dimensions, sizes = values["dimension"].values, values["n"].values
    fig, axes = plt.subplots(
        len(dimensions),
        len(sizes),
        figsize=(8.6, 1.55 * len(dimensions) + 0.8),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for (i, d), (j, n) in ((a, b) for a in enumerate(dimensions) for b in enumerate(sizes)):
        ax, cell = axes[i, j], values.sel(dimension=d, n=n)
        for regime in values["regime"].values:
            look = {**figures.style(cell.sel(regime=regime)), "markersize": 3, "linewidth": 1.4}
            ax.plot(cell["generation"], cell.sel(regime=regime), label=str(regime), markevery=3, **look)
        ax.set(xscale="log", ylim=(0, 1.15))
        if i == 0:
            ax.set_title(f"$n = {n}$")
        if j == 0:
            ax.set_ylabel(f"$d = {d}$")
    for ax in axes[-1]:
        ax.set_xlabel("generation $t$", fontsize=9.5)
    fig.tight_layout()
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncol=4, bbox_to_anchor=(0.5, -0.07))
    return fig


def error(grid):
    """A map over dimension and sample size for each regime and estimator: the last error over that of a first fit to
    real data."""
    values = middle(grid, "squared_mean_error")
    ratio = values.isel(generation=-1) / first_error(values)
    regimes = ratio["regime"].values
    fig, axes = plt.subplots(
        len(ratio["estimator"]),
        len(regimes),
        figsize=(8.6, 3.0),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    scale = LogNorm(ratio.min().item(), ratio.max().item())
    for (i, estimator), (j, regime) in (
        (a, b) for a in enumerate(ratio["estimator"].values) for b in enumerate(regimes)
    ):
        ax = axes[i, j]
        image = ax.imshow(ratio.sel(estimator=estimator, regime=regime), norm=scale, cmap="cividis", origin="lower")
        ax.grid(False)
        ax.set_xticks(range(ratio.sizes["n"]), ratio["n"].values, rotation=90, fontsize=7.5)
        ax.set_yticks(range(ratio.sizes["dimension"]), ratio["dimension"].values, fontsize=7.5)
        if i == 0:
            ax.set_title(re.sub(r"(?<=[a-z])(?=[A-Z(])", "\n", str(regime)), fontsize=8, loc="center")
        else:
            ax.set_xlabel("$n$")
        if j == 0:
            ax.set_ylabel({"mle": "maximum likelihood", "unbiased": "unbiased"}[str(estimator)] + "\n$d$", fontsize=8.5)
    fig.colorbar(image, ax=axes, label="squared error (first fit = 1)", shrink=0.9)
    return fig


def first_error(values):
    """The expected squared error of a mean of n real samples, d/n; the truth is N(0, I)."""
    return values["dimension"] / values["n"]


def words(record):
    """The page's paragraphs and figures, every number from the record."""
    from lib import records

    grid, about = record.data["gaussian"], record.about
    last = middle(grid, "trace_ratio").isel(generation=-1)
    mle = last.sel(estimator="mle")
    end, cells = int(last["generation"]), mle.sizes["dimension"] * mle.sizes["n"]
    below = {name: (mle.sel(regime=name) < LOST).values for name in ("Replace", "Accumulate")}
    poor = (mle["n"] - 1 < mle["dimension"]).values.sum()
    ratio = (middle(grid, "squared_mean_error").isel(generation=-1) / first_error(last)).sel(estimator="mle")
    order = (ratio.sel(regime="Accumulate") < ratio.sel(regime="Replace")).values
    between = (ratio.sel(regime="Accumulate") < ratio.sel(regime="AccumulateSubsample")).values & (
        ratio.sel(regime="AccumulateSubsample") < ratio.sel(regime="Replace")
    ).values
    sizes = mle["n"].values
    rows = len(below["Replace"])
    lost = join(f"{below['Replace'][:, k].sum()} of {rows} at n = {n}" for k, n in enumerate(sizes))
    seeds = int(grid.attrs["runs"])
    return [
        f"*{record.line}* Each run holds {mle.sizes['regime']} regimes, {seeds} seeds and {end} generations. "
        f"From the start of the first run to the end of the last passed {records.spent(about['span'])}.",
        figure(
            f"_static/{SPREAD}",
            "fig-grid-variance",
            f"{cells} small panels, dimension downwards and sample size across. In each the variance ratio is drawn "
            f"against the generation for every regime. The lines of Replace fall towards 0 on the left, where "
            f"samples are few, and stay high on the right; the lines of Accumulate stay high in most panels.",
            f"*Recorded.* The whole grid, maximum likelihood: median variance ratio (truth 1) over {seeds} seeds. "
            f"The fewer the samples, the faster Replace loses its spread, and it goes on losing. Under Accumulate "
            f"the loss stops.",
        ),
        f"After {end} generations the median variance under Replace is below a tenth of the truth in "
        f"{below['Replace'].sum()} of {cells} cells: {lost}. "
        f"Under Accumulate this is so in {below['Accumulate'].sum() or 'none'}. "
        f"The lowest median under Accumulate is {mle.sel(regime='Accumulate').min().item():.2f}, "
        f"{place(mle.sel(regime='Accumulate'))}. In {poor} of {cells} cells the first sample has too few points to "
        f"span the space (n − 1 < d). The directions it missed never return, whatever is kept; only new real data "
        f"bring them back.",
        figure(
            f"_static/{ERROR}",
            "fig-grid-error",
            "Two rows of small maps, one row for each estimator and one map for each regime, with the sample size "
            "across and the dimension upwards. Colours go from dark, a small error, to bright, a large one. The maps "
            "of Replace are the brightest, those of RealOnly the darkest.",
            f"*Recorded.* Squared error of the mean at generation {end}, in units of a first fit's expected error: "
            f"medians over {seeds} seeds. It is the regime that decides, at nearly every size and with either "
            f"estimator.",
        ),
        f"In {order.sum()} of {cells} cells the mean is closer to the truth under Accumulate than under Replace "
        f"(medians, maximum likelihood). AccumulateSubsample, which keeps everything and fits a part of constant "
        f"size, lies between the two in {between.sum()}. Over the cells the error under Accumulate is "
        f"{ratio.sel(regime='Accumulate').min().item():.2g} to {ratio.sel(regime='Accumulate').max().item():.2g} "
        f"first-fit errors, under Replace {ratio.sel(regime='Replace').min().item():.2g} to "
        f"{ratio.sel(regime='Replace').max().item():.2g}, and with as many real data as Accumulate has, at most "
        f"{ratio.sel(regime='RealOnly').max().item():.2g}.",
    ]


def place(values):
    """Where the smallest value lies, in words."""
    i, j = np.unravel_index(np.argmin(values.values), values.shape)
    return f"at d = {values['dimension'].values[i]} and n = {values['n'].values[j]}"


def join(parts):
    """Parts of a sentence, with commas and a final *and*."""
    parts = list(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def figure(path, name, alt, caption):
    """A MyST figure."""
    return f"```{{figure}} {path}\n:name: {name}\n:alt: {alt}\n\n{caption}\n```"
