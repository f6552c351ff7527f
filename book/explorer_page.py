"""Pages with the explorer: without JavaScript a figure and a table of each panel, for all other readers the module.

The module goes into the page as it is. A page opened from a folder may not load a module from a file beside it.
"""

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

PAGES = Path("book", "explorer.md"), Path("book", "index.md")  # the front page has the Gaussian alone
MARKS = {name: f"<!-- explorer: {name} -->" for name in ("gaussian", "words", "module")}
PICTURES = {name: f"explorer-{name}.png" for name in ("gaussian", "words")}


def fill(text, static):
    """Put the panels and the module in place of a page's marker lines; figures go into the folder `static`."""
    from lib.chapter import figures

    for name in ("gaussian", "module"):
        if MARKS[name] not in text.splitlines():
            raise ValueError(f"a page with the explorer needs a line {MARKS[name]}")
    panels = {"gaussian": gaussian, "words": words}
    with mpl.rc_context():
        mpl.use("agg")
        figures.use()
        for name in [name for name in panels if MARKS[name] in text]:
            text = text.replace(MARKS[name], panels[name](static))
    return text.replace(MARKS["module"], module())


def simulated(panel, world, **asked):
    """The two regimes that the explorer starts with, its settings, and what the book's own recursion finds."""
    from lib.chapter.explorer import RANGES
    from lib.recursion import recurse
    from lib.regimes import Accumulate, Replace

    given = {name: start for name, (_, _, start) in RANGES[panel].items()}
    regimes = {str(regime): regime for regime in (Replace(), Accumulate())}
    return regimes, given, recurse(world, regimes, progress=False, **given, **asked)


def gaussian(static):
    """The Gaussian's place on the page: variance and drift of the mean."""
    from lib import theory
    from lib.worlds.gaussian import Gaussian

    regimes, given, data = simulated("gaussian", Gaussian(), scores=("trace_ratio",), keep=("mean",))
    at = given["n"], given["generations"]
    root = {name: theory.expected_error(regime, *at) ** 0.5 for name, regime in regimes.items()}
    variance = {name: [theory.expected_variance(regime, *at)] for name, regime in regimes.items()}
    charts = {
        "variance of the fit (truth = 1)": (data["trace_ratio"], variance, {"yscale": "log"}),
        "drift of the mean (in σ of the truth)": (
            data["mean"].squeeze("i"),
            {name: [spread, -spread] for name, spread in root.items()},
            {},
        ),
    }
    return place(
        "gaussian",
        static,
        charts,
        "Two panels over the generations. Left, the variance of the fit on a logarithmic axis: it falls under Replace "
        "and stays near the truth under Accumulate. Right, the drift of the mean: its band widens under Replace and "
        "stays narrow under Accumulate.",
        f"{told(given)}, maximum likelihood. Median and 5 to 95% of runs; dashed grey lines are the exact laws, of the "
        "mean of the variance and of the root mean square of the drift. The controls need JavaScript.",
        "median variance",
    )


def words(static):
    """The words' place on the page: number of words left and diversity."""
    from lib.theory import discrete
    from lib.worlds.discrete import Discrete

    world = Discrete("words")
    regimes, given, data = simulated("words", world, scores=("support", "heterozygosity_ratio"))
    at = given["n"], given["generations"]
    left = {name: [discrete.expected_support(world.probabilities, *at, name.lower())] for name in regimes}
    chance = {name: [discrete.expected_heterozygosity(regime, *at)] for name, regime in regimes.items()}
    charts = {
        "words a model can still say": (data["support"], left, {"yscale": "log", "ylim": (10, 1000)}),
        "diversity (truth = 1)": (data["heterozygosity_ratio"], chance, {"ylim": (0, 1.1)}),
    }
    return place(
        "words",
        static,
        charts,
        "Two panels over the generations. Left, the number of words a model can still say, on a logarithmic axis: it "
        "falls under Replace and stays where the first sample left it under Accumulate. Right, the diversity: it falls "
        "slowly under Replace and hardly under Accumulate.",
        f"{told(given)}. Median and 5 to 95% of runs; dashed grey lines are the exact laws of the mean. Diversity is "
        "the chance that two words differ. The controls need JavaScript.",
        "median words",
    )


def told(given):
    said = f"n = {given['n']}, {given['runs']} runs, seed {given['seed']}"
    return f"The settings that the explorer starts with, simulated by the book: {said}"


def place(name, static, charts, alt, caption, median):
    """The element that the explorer is mounted on, holding what is there without it: a figure, and a table of its left
    half. `charts` has for each label the values, the exact laws of each regime and settings of the axes."""
    from lib.chapter import figures

    fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.2), layout="constrained")
    for ax, (label, (values, laws, settings)) in zip(axes, charts.items(), strict=True):
        for regime, lines in laws.items():
            figures.trajectory(ax, values.sel(regime=regime))
            for law in lines:
                figures.exact(ax, values["generation"].values, law)
        ax.set(**settings)
        figures.finish(ax, ylabel=label, legend=False)
    axes[0 if name == "gaussian" else 1].legend(loc="lower left")
    fig.savefig(static / PICTURES[name])
    plt.close(fig)
    values, laws, _ = next(iter(charts.values()))
    last = values.sizes["generation"]
    rows = [f"| generation | regime | {median} | 5% | 95% | exact mean |", "| ---: | :--- |" + " ---: |" * 4]
    for t in (1, *(last * tenths // 10 for tenths in (1, 2, 5, 10))):
        for regime, (law, *_) in laws.items():
            found = values.sel(regime=regime, generation=t).quantile([0.5, 0.05, 0.95], "run").values
            numbers = " | ".join(f"{value:.3g}" for value in (*found, law[t - 1]))
            rows.append(f"| {t} | {regime} | {numbers} |")
    figure = f"```{{figure}} _static/{PICTURES[name]}\n:alt: {alt}\n\n{caption}\n```"
    return f"::::{{div}} explorer-{name}\n{figure}\n\n" + "\n".join(rows) + "\n::::"


def module():
    """The module and the few lines that mount it, as a script of the page."""
    from lib.chapter import explorer

    table = json.dumps(explorer.word_table(), separators=(",", ":"))
    script = explorer.module() + (
        "\n// The page itself: what stands there without JavaScript gives way to the panels.\n"
        f"const table = {table};\n"
        "for (const [panel, words] of Object.entries({ gaussian: null, words: table })) {\n"
        "  const element = document.querySelector(`.explorer-${panel}`);\n"
        "  if (element) element.explorer = mount(element, { panel, words, link: true });\n"
        "}\n"
    )
    fence = "`" * 6
    for sign in ("</script", "<!--", fence):
        if sign in script:
            raise ValueError(f"the explorer's module cannot stand in a page: it contains {sign}")
    return f'{fence}{{raw}} html\n<script type="module">\n{script}</script>\n{fence}'
