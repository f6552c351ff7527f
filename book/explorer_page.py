"""The explorer's page: for readers without JavaScript a figure and a table of each panel, for all others the module itself.

The module goes into the page as it is. A page opened from a folder may not load a module from a file beside it.
"""

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

PAGE = Path("book", "explorer.md")
MARKS = {name: f"<!-- explorer: {name} -->" for name in ("gaussian", "words", "module")}
PICTURES = {name: f"explorer-{name}.png" for name in ("gaussian", "words")}
LOW, HIGH = 0.05, 0.95


def fill(text, static):
    """Put the panels and the module in place of the page's marker lines; figures go into the folder `static`."""
    from lib.chapter import figures

    for mark in MARKS.values():
        if mark not in text.splitlines():
            raise ValueError(f"{PAGE} needs a line {mark}")
    with mpl.rc_context():
        mpl.use("agg")
        figures.use()
        text = text.replace(MARKS["gaussian"], gaussian(static / PICTURES["gaussian"]))
        text = text.replace(MARKS["words"], words(static / PICTURES["words"]))
    return text.replace(MARKS["module"], module())


def defaults(panel):
    """The settings that the explorer starts with."""
    from lib.chapter.explorer import RANGES

    return {name: start for name, (_, _, start) in RANGES[panel].items()}


def simulated(panel, world, **asked):
    """Both regimes that the explorer starts with, by the book's own recursion."""
    from lib.recursion import recurse
    from lib.regimes import Accumulate, Replace

    return recurse(
        world, {"Replace": Replace(), "Accumulate": Accumulate()}, progress=False, **defaults(panel), **asked
    )


def laws(law, given, **more):
    from lib.regimes import Accumulate, Replace

    return {str(regime): law(regime, given["n"], given["generations"], **more) for regime in (Replace(), Accumulate())}


def gaussian(path):
    """Variance and drift of the mean, drawn into `path`; returns the panel's place on the page."""
    from lib import theory
    from lib.chapter import figures
    from lib.worlds.gaussian import Gaussian

    given = defaults("gaussian")
    data = simulated("gaussian", Gaussian(), scores=("trace_ratio",), keep=("mean",))
    variance, drift = data["trace_ratio"], data["mean"].squeeze("i")
    exact, error = laws(theory.expected_variance, given), laws(theory.expected_error, given)
    fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.2), layout="constrained")
    for regime in data["regime"].values:
        figures.trajectory(axes[0], variance.sel(regime=regime), law=exact[regime])
        figures.trajectory(axes[1], drift.sel(regime=regime), law=error[regime] ** 0.5)
        figures.exact(axes[1], drift["generation"].values, -(error[regime] ** 0.5))
    axes[0].set_yscale("log")
    figures.finish(axes[0], ylabel="variance of the fit (truth = 1)", legend=False)
    figures.finish(axes[1], ylabel="drift of the mean (in σ of the truth)", legend=False)
    axes[0].legend(loc="lower left")
    save(fig, path)
    rows = [
        (t, regime, *quantiles(variance, regime, t), exact[regime][t - 1])
        for t in shown(given["generations"])
        for regime in data["regime"].values
    ]
    return place(
        "gaussian",
        "Two panels over the generations. Left, the variance of the fit on a logarithmic axis: it falls under Replace and stays near the "
        "truth under Accumulate. Right, the drift of the mean: its band widens under Replace and stays narrow under Accumulate.",
        f"The settings that the explorer starts with, simulated by the book: {told(given)}, maximum likelihood. Median and 5 to 95% of runs; thin dark lines are the exact "
        "laws, of the mean of the variance and of the root mean square of the drift. The controls need JavaScript.",
        ("generation", "regime", "median variance", "5%", "95%", "exact mean"),
        rows,
    )


def words(path):
    """Number of words left and diversity, drawn into `path`; returns the panel's place on the page."""
    from lib.chapter import figures
    from lib.theory import discrete
    from lib.worlds.discrete import Discrete

    given, world = defaults("words"), Discrete("words")
    data = simulated("words", world, scores=("support", "heterozygosity_ratio"))
    support, diversity = data["support"], data["heterozygosity_ratio"]
    exact = {
        regime: discrete.expected_support(world.probabilities, given["n"], given["generations"], regime.lower())
        for regime in data["regime"].values
    }
    chance = laws(discrete.expected_heterozygosity, given)
    fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.2), layout="constrained")
    for regime in data["regime"].values:
        figures.trajectory(axes[0], support.sel(regime=regime), law=exact[regime])
        figures.trajectory(axes[1], diversity.sel(regime=regime), law=chance[regime])
    axes[0].set(yscale="log", ylim=(10, 1000))
    axes[1].set_ylim(0, 1.1)
    figures.finish(axes[0], ylabel="words a model can still say", legend=False)
    figures.finish(axes[1], ylabel="diversity (truth = 1)", legend=False)
    axes[1].legend(loc="lower left")
    save(fig, path)
    rows = [
        (t, regime, *quantiles(support, regime, t), exact[regime][t - 1])
        for t in shown(given["generations"])
        for regime in data["regime"].values
    ]
    return place(
        "words",
        "Two panels over the generations. Left, the number of words a model can still say, on a logarithmic axis: it falls under Replace and "
        "stays where the first sample left it under Accumulate. Right, the diversity: it falls slowly under Replace and hardly under "
        "Accumulate.",
        f"The settings that the explorer starts with, simulated by the book: {told(given)}. Median and 5 to 95% of runs; thin dark lines are the exact laws of the "
        "mean. Diversity is the chance that two words differ. The controls need JavaScript.",
        ("generation", "regime", "median words", "5%", "95%", "exact mean"),
        rows,
    )


def told(given):
    return f"n = {given['n']}, {given['runs']} runs, seed {given['seed']}"


def shown(generations):
    """The generations that the tables have a row for."""
    return [1, *(generations * part // 10 for part in (1, 2, 5, 10))]


def quantiles(values, regime, t):
    found = values.sel(regime=regime, generation=t).quantile([0.5, LOW, HIGH], "run").values
    return tuple(float(value) for value in found)


def save(fig, path):
    fig.savefig(path)
    plt.close(fig)


def place(name, alt, caption, head, rows):
    """The element that the explorer is mounted on, holding what is there without it: a figure and a table."""
    line = "| " + " | ".join(head) + " |\n|" + " ---: | :--- |" + " ---: |" * (len(head) - 2)
    cells = ["| " + " | ".join(v if isinstance(v, str) else f"{v:.3g}" for v in row) + " |" for row in rows]
    table = "\n".join([line, *cells])
    figure = f"```{{figure}} _static/{PICTURES[name]}\n:name: fig-explorer-{name}\n:alt: {alt}\n\n{caption}\n```"
    return f"::::{{div}} explorer-{name}\n{figure}\n\n{table}\n::::"


def module():
    """The module and the few lines that mount it, as a script of the page."""
    from lib.chapter import explorer

    table = json.dumps(explorer.word_table(), separators=(",", ":"))
    script = explorer.module() + (
        "\n// The page itself: what stands there without JavaScript gives way to the panels.\n"
        f"const table = {table};\n"
        "for (const [panel, words] of Object.entries({ gaussian: null, words: table })) {\n"
        "  const element = document.querySelector(`.explorer-${panel}`);\n"
        "  element.explorer = mount(element, { panel, words, link: true });\n"
        "}\n"
    )
    fence = "`" * 6
    for sign in ("</script", "<!--", fence):
        if sign in script:
            raise ValueError(f"the explorer's module cannot stand in a page: it contains {sign}")
    return f'{fence}{{raw}} html\n<script type="module">\n{script}</script>\n{fence}'
