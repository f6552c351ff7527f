"""Every committed chapter keeps the form that papermill, nbval, the page and Colab rely on."""

import ast
import re

import nbformat
import papermill
import pytest
import yaml
from setup_cell import badge_source, read_config, setup_source

from lib.ledger import CHAPTERS

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def code_cells(chapter):
    return [cell for cell in chapter["cells"] if cell["cell_type"] == "code"]


def tags(cell):
    return cell["metadata"].get("tags", [])


def tagged(chapter, tag):
    return [cell for cell in chapter["cells"] if tag in tags(cell)]


def is_checked(cell):
    """Whether nbval compares what the cell shows."""
    marked = any(line.strip() == "# NBVAL_IGNORE_OUTPUT" for line in cell["source"].splitlines())
    return not marked and "nbval-ignore-output" not in tags(cell)


def parsed(cell):
    """Syntax tree of a cell's Python, without lines that only IPython understands."""
    lines = cell["source"].splitlines()
    return ast.parse("\n".join("pass" if line.lstrip().startswith(("%", "!")) else line for line in lines))


def shows(cell):
    """Whether a cell prints or displays something whenever it runs: a call that stands by itself at the top."""
    calls = [
        node.value.func for node in parsed(cell).body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]
    return bool({getattr(call, "id", None) for call in calls} & {"print", "display", "say"})


def loops_over_generations(tree):
    """Line numbers of statements that count generations; only lib.recursion does that."""
    found = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.For)
            and isinstance(node.iter, ast.Call)
            and getattr(node.iter.func, "id", "") == "range"
        ):
            targets = {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
            counted = any("generation" in n.id for n in ast.walk(node.iter) if isinstance(n, ast.Name))
            if counted or targets & {"t", "gen", "generation"}:
                found.append(node.lineno)
        if isinstance(node, ast.While) and "generation" in ast.dump(node.test):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("for t in range(10):\n    pass", [1]),
        ("for k in range(1, generations + 1):\n    pass", [1]),
        ("generation = 0\nwhile generation < 9:\n    generation += 1", [2]),
        ("for regime in regimes:\n    pass\nfor k in range(3):\n    pass", []),
    ],
)
def test_the_search_for_loops_finds_them(source, lines):
    assert loops_over_generations(ast.parse(source)) == lines


def test_is_a_valid_notebook_of_modest_size(chapter_path):
    nbformat.validate(nbformat.read(chapter_path, as_version=4))
    assert chapter_path.stat().st_size < 1_000_000


def test_opens_with_a_question_and_says_what_comes_next(chapter, chapter_path):
    prose = ["".join(cell["source"]) for cell in chapter["cells"] if cell["cell_type"] == "markdown"]
    assert re.search(r"<!-- /badge -->\n\n\*[^*]+\?\* .* You need [^.]+\.$", prose[0])
    reads = CHAPTERS[int(chapter_path.stem[:2])].reads
    assert reads or any("## What you now know\n" in text for text in prose)
    (following,) = re.findall(r"Next: \[[^\]]+\]\(([^)#]+)\)", prose[-1])
    chapters = [path.stem for path in sorted(chapter_path.parent.glob("*.ipynb"))]
    place = chapters.index(chapter_path.stem) + 1
    assert following == (chapters[place] if place < len(chapters) else "../book/run-it-bigger.md")


def test_was_executed_in_order_from_a_fresh_kernel(chapter):
    counts = [cell["execution_count"] for cell in code_cells(chapter) if cell["source"].strip()]
    assert counts == list(range(1, len(counts) + 1))


def test_stored_no_error(chapter):
    kinds = [output["output_type"] for cell in code_cells(chapter) for output in cell["outputs"]]
    assert "error" not in kinds


def test_what_a_checked_cell_shows_is_stored(chapter):
    silent = [
        cell["source"][:80] for cell in code_cells(chapter) if is_checked(cell) and shows(cell) and not cell["outputs"]
    ]
    assert silent == []


def test_no_cell_is_kept_from_nbval(chapter):
    skipped = [c["source"][:80] for c in code_cells(chapter) if {"nbval-skip", "raises-exception"} & set(tags(c))]
    skipped += [c["source"][:80] for c in code_cells(chapter) if "# NBVAL_SKIP" in c["source"]]
    assert skipped == []


def test_checked_cells_store_no_progress_or_warnings(chapter):
    noisy = [
        cell["source"][:80]
        for cell in code_cells(chapter)
        if is_checked(cell) and any(output.get("name") == "stderr" for output in cell["outputs"])
    ]
    assert noisy == []


def test_opens_with_title_badge_and_setup_cell(chapter, chapter_path):
    config, first = read_config(), chapter["cells"][0]
    number = int(chapter_path.stem.split("-")[0])
    assert first["cell_type"] == "markdown" and first["source"].startswith(f"# {number}. ")
    assert badge_source(config, chapter_path.stem) in first["source"].replace("\r", "")
    (setup,) = tagged(chapter, "setup")
    assert setup["source"] == setup_source(config)
    assert setup["outputs"] == []


def test_parameters_can_be_set_and_are_explained(chapter, chapter_path):
    (cell,) = tagged(chapter, "parameters")
    (before,) = tagged(chapter, "setup")
    assert chapter["cells"].index(before) < chapter["cells"].index(cell)
    body = parsed(cell).body
    assert body and all(isinstance(line, ast.AnnAssign) and line.value is not None for line in body)
    seen = papermill.inspect_notebook(str(chapter_path))
    assert set(seen) == {line.target.id for line in body}, "papermill does not see every parameter"
    assert [name for name, parameter in seen.items() if not parameter["help"].strip()] == []


def test_figures_have_alt_text_and_captions(chapter):
    wanting = []
    for cell in code_cells(chapter):
        if any("image/png" in o.get("data", {}) or "image/svg+xml" in o.get("data", {}) for o in cell["outputs"]):
            page = cell["metadata"].get("mystnb", {})
            alt = page.get("image", {}).get("alt", "")
            figure = page.get("figure", {})
            if (
                len(alt.split()) < 5
                or not figure.get("caption", "").strip()
                or not figure.get("name", "").startswith("fig-")
            ):
                wanting.append(cell["source"][:80])
    assert wanting == []


def test_contains_no_loop_over_generations(chapter, chapter_path):
    """But for the one that opens the book, and the answer to an exercise about it."""
    found = [cell["source"].split("(")[0] for cell in code_cells(chapter) if loops_over_generations(parsed(cell))]
    opens = chapter_path.stem == "01-setting"
    assert found == (["import numpy as np\n\n\ndef refit", "def newest_two"] if opens else [])


HIDING = {"hide-input", "remove-input", "remove-cell", "hide-cell"}


def test_shows_the_idea_and_folds_the_machinery(chapter):
    """Cells of at most 14 lines and 84 columns on the page, and at most six folds; folded in Jupyter and Colab too."""
    cells = code_cells(chapter)
    shown = [cell for cell in cells if not HIDING & set(tags(cell))]
    assert [cell["source"][:60] for cell in shown if len(cell["source"].splitlines()) > 14] == []
    wide = [line for cell in shown for line in cell["source"].splitlines() if len(line) > 84]
    assert wide == []
    folds = [cell for cell in cells if {"hide-input", "hide-cell"} & set(tags(cell))]
    assert len(folds) <= 6
    for cell in cells:
        if {"hide-input", "remove-input"} & set(tags(cell)) and "parameters" not in tags(cell):
            assert cell["metadata"].get("cellView") == "form" and cell["metadata"]["jupyter"] == {"source_hidden": True}


def test_stores_no_widget_and_no_timing(chapter):
    assert set(chapter["metadata"]) == {"kernelspec", "language_info"}
    assert chapter["metadata"]["kernelspec"]["name"] == "python3"
    for cell in code_cells(chapter):
        assert not {"papermill", "execution"} & set(cell["metadata"])
        assert all(WIDGET_VIEW not in output.get("data", {}) for output in cell["outputs"])


def test_cell_names_are_stable(chapter):
    names = [cell.get("id") for cell in chapter["cells"]]
    assert all(names) and len(set(names)) == len(names)


def test_links_lead_to_files(root):
    """In prose and chapters; what the pages link to once they are built is asked in the browser's tests."""
    texts = {path: path.read_text(encoding="utf-8") for path in (root / "book").glob("*.md")}
    for path in (root / "notebooks").glob("*.ipynb"):
        prose = (c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")
        texts[path] = "\n".join(prose)
    link = re.compile(r"\]\((?!https?:|#)([^)#\s]+)|\{doc\}`[^`<]*<?([^`>]+)>?`")
    found = [(path, "".join(target)) for path, text in texts.items() for target in link.findall(text)]
    dead = [
        f"{path.name}: {to}"
        for path, to in found
        if not any((path.parent / (to + end)).exists() for end in ("", ".md", ".ipynb"))
    ]
    assert len(found) > 30 and dead == []


def test_every_chapter_is_in_the_table_of_contents_once(root):
    toc = yaml.safe_load((root / "book" / "_toc.yml").read_text(encoding="utf-8"))
    listed = [e["file"] for part in toc["parts"] for e in part["chapters"] if e["file"].startswith("notebooks/")]
    assert listed == sorted(f"notebooks/{path.stem}" for path in (root / "notebooks").glob("*.ipynb"))


def test_figure_names_are_unique_in_the_book(root):
    names = []
    for path in (root / "notebooks").glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            names += [cell.metadata.get("mystnb", {}).get("figure", {}).get("name")]
    names = [name for name in names if name]
    assert len(names) == len(set(names))
