"""Whether the words of the ledger hang on the seed: chapters that train nothing, run again at other seeds.

Writes `lib/stored/seeds.json`, which the page *How we judge* reads. For maintainers: `make seeds`, about a quarter of
an hour.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "book")]

from execute import Chapter, report, run_all  # noqa: E402

CHAPTERS, SEEDS = (1, 2, 3, 4, 5, 11, 12), (1, 2, 3)


def at_seed(seed, folder):
    """Execute the chapters with another default seed; the findings of each, by claim."""
    results, chapters = folder / "results", []
    results.mkdir()
    for number in CHAPTERS:
        (path,) = (ROOT / "notebooks").glob(f"{number:02d}-*.ipynb")
        notebook = nbformat.read(path, as_version=4)
        (cell,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
        lines = [f"seed: int = {seed}  # changed" if x.startswith("seed:") else x for x in cell.source.splitlines()]
        assert sum(line.endswith("# changed") for line in lines) == 1, path
        cell.source = "\n".join(lines)
        source = folder / path.name
        nbformat.write(notebook, source)
        chapters.append(Chapter(source, folder / f"done-{path.name}", folder / f"{path.stem}.log"))
    failed = run_all(chapters, results)
    if failed:
        sys.exit("\n".join(map(report, failed)))
    found = (json.loads((results / f"{number:02d}.json").read_text())["findings"] for number in CHAPTERS)
    return {finding["id"]: finding["word"] for findings in found for finding in findings}


def main():
    words = {}
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            words[str(seed)] = at_seed(seed, Path(folder))
    stored = json.dumps({"chapters": list(CHAPTERS), "words": words}, indent=1) + "\n"
    (ROOT / "lib" / "stored" / "seeds.json").write_text(stored)


if __name__ == "__main__":
    os.environ.pop("LIB_STORE", None)
    main()
