"""The commands behind the Makefile: book, notebooks, records, serve, zip, links."""

import argparse
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import webbrowser
import zipfile

import external
import nbformat
from assemble import PICTURE_SOURCE, assemble, collect_provenance, draw_argument
from execute import Chapter, report, run_all
from setup_cell import ROOT, read_config, stamp

BUILD = ROOT / "_build"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PAGE = BUILD / "html" / "book" / "index.html"


def emptied(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def find(only):
    """Paths of the chapters in the order of their numbers; `only` holds numbers or names, all when empty."""
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    names = {path.stem: path for path in paths} | {path.stem.split("-")[0]: path for path in paths}
    unknown = [name for name in only if name.zfill(2) not in names and name not in names]
    if unknown or not paths:
        listed = ", ".join(path.stem for path in paths) or "none"
        sys.exit(f"No such chapter: {' '.join(unknown) or '(any)'}. There are: {listed}.")
    chosen = [names.get(name, names.get(name.zfill(2))) for name in only] or paths
    return sorted(set(chosen))


def seconds(name):
    """How long a chapter took when its results were stored; one without results may take long."""
    stored = ROOT / "lib" / "stored" / "chapters" / f"{name.split('-')[0]}.json"
    return json.loads(stored.read_text(encoding="utf-8"))["seconds"] if stored.exists() else float("inf")


def longest_first(chapters):
    """The order in which chapters start: the longest ones first, so that none is left alone at the end."""
    return sorted(chapters, key=lambda chapter: seconds(chapter.name), reverse=True)


def tell(failed):
    for chapter in failed:
        print(report(chapter), file=sys.stderr)
    return 1


def book(_):
    """Execute every chapter as it is committed and build the HTML; tracked files are never written."""
    executed, results = emptied(BUILD / "executed"), emptied(BUILD / "results")
    paths = find([])
    chapters = [Chapter(path, executed / path.name, executed / f"{path.stem}.log") for path in paths]
    print(f"Executing {len(chapters)} chapters")
    failed = run_all(longest_first(chapters), results)
    if failed:
        return tell(failed)
    print("Building the pages")
    source = emptied(BUILD / "src")
    took = {f"notebooks/{chapter.name}": chapter.seconds for chapter in chapters}
    assemble(source, executed, results, collect_provenance(took))
    for stale in (BUILD / "html", BUILD / ".doctrees"):
        shutil.rmtree(stale, ignore_errors=True)
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", ".", "--path-output", str(ROOT), "--quiet"]
    command += ["--toc", "book/_toc.yml", "--config", "_config.yml", "-W", "-n", "--keep-going"]
    # Warnings go to the terminal; what Jupyter Book prints besides them names a page that is only half the path.
    with (BUILD / "pages.log").open("w") as log:
        status = subprocess.run(command, cwd=source, stdout=log).returncode
    if status or not PAGE.exists():
        print("The pages could not be built; the messages above say why.", file=sys.stderr)
        return status or 1
    front_door(BUILD / "html")
    external.write(BUILD / "html", BUILD / "external-links.txt")
    print("The book is built. The page to open:")
    print(PAGE)
    return 0


def front_door(html):
    """Write `html`/index.html, which leads to the front page: a reader at once, and whoever shows a card for the
    link."""
    page = (html / "book" / "index.html").read_text(encoding="utf-8")
    metas = re.findall(r'<meta (?:property="og:|name="(?:description|twitter:)).*?>', page)
    title = re.search(r"<title>(.*?)(?:&#8212;.*?)?</title>", page, re.DOTALL).group(1).strip()
    head = "\n".join(meta.replace('content="../', 'content="') for meta in metas)
    (html / "index.html").write_text(
        f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url=book/index.html">
<title>{title}</title>
{head}
</head>
<body><p><a href="book/index.html">{title}</a></p></body>
</html>
""",
        encoding="utf-8",
    )


def tidy(notebook):
    """Drop what changes from run to run without saying anything: times, widget views, versions of the kernel."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if WIDGET_VIEW not in o.get("data", {})]
    return notebook


def notebooks(arguments):
    """Execute committed notebooks again; each is replaced only when all of it succeeded."""
    config, found = read_config(), ROOT / "lib" / "stored" / "chapters"
    work = emptied(BUILD / "notebooks")
    results = work / "results"
    shutil.copytree(found, results) if found.exists() else results.mkdir()
    chapters = []
    for path in find(arguments.only):
        notebook = stamp(nbformat.read(path, as_version=4), path.stem, config)
        source = work / "source" / path.name
        source.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, source)
        chapters.append(Chapter(source, work / path.name, work / f"{path.stem}.log"))
    failed = run_all(longest_first(chapters), results)
    for chapter in chapters:
        if chapter in failed:
            continue
        notebook = tidy(nbformat.read(chapter.output, as_version=4))
        nbformat.write(notebook, chapter.output)
        os.replace(chapter.output, ROOT / "notebooks" / chapter.output.name)
        if chapter.output.name == PICTURE_SOURCE[0]:
            draw_argument(ROOT / "notebooks", ROOT)
        found.mkdir(parents=True, exist_ok=True)
        for ending in (".nc.gz", ".json"):
            if (results / f"{chapter.number}{ending}").exists():
                shutil.copyfile(results / f"{chapter.number}{ending}", found / f"{chapter.number}{ending}")
    return tell(failed) if failed else 0


def records(arguments):
    """Run the sweeps that are recorded and keep a summary of each under lib/stored/sweeps."""
    from lib.batch import load, plan, run
    from lib.batch.cluster import local_workers
    from lib.batch.merge import record

    for stream in (sys.stdout, sys.stderr):  # what its encoding does not know ends no sweep
        stream.reconfigure(errors="replace")
    sweeps = {path.stem: path for path in sorted((ROOT / "book" / "sweeps").glob("*.yaml"))}
    unknown = [name for name in arguments.only if name not in sweeps]
    if unknown:
        sys.exit(f"No such sweep: {' '.join(unknown)}. There are: {', '.join(sweeps) or 'none'}.")
    status = 0
    for name in arguments.only or sweeps:
        sweep = load(sweeps[name])
        if sweep.record is None:
            if arguments.only:
                sys.exit(f"{sweeps[name]} has no key `record`: it is not one that is recorded.")
            continue
        try:
            local_workers(sweep.resources, len(sweep.configurations))
        except ValueError as error:
            print(f"{name} is left out, it cannot run here: {error}", file=sys.stderr)
            status = status or int(bool(arguments.only))
            continue
        out = str(BUILD / "sweeps" / name)
        work = plan(sweep, out, rerun_failed=True)
        print(work.describe(None), flush=True)
        try:
            finished, failed = run(work)
        except (ValueError, OSError) as error:
            sys.exit(f"{name}: {error}")
        if finished < len(work.keys):
            print(f"{name}: {failed} runs failed; what they got to is in {out}/failed", file=sys.stderr)
            status = 1
        else:
            print(record(out, ROOT / "lib" / "stored" / "sweeps"))
    return status


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the built book, with the book's own page for an address that it does not have."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, directory=str(BUILD / "html"), **settings)

    def send_error(self, code, message=None, explain=None):
        page = BUILD / "html" / "404.html"
        if code != 404 or not page.exists():
            return super().send_error(code, message, explain)
        body = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def need_pages():
    if not PAGE.exists():
        sys.exit("There is no built book yet; run make book first.")


def has_screen():
    """Whether somebody sits at a screen on which a browser can open; one in the terminal would hold up the server."""
    return sys.stdout.isatty() and (sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)))


def serve(arguments):
    need_pages()
    with http.server.ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/book/index.html"
        print(f"{address} (stop with Ctrl-C)", flush=True)
        if arguments.open and has_screen():
            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


def pack(_):
    """Put the built book into one file for readers without a network; the same pages give the same bytes."""
    need_pages()
    name = "replace-or-accumulate"
    path = BUILD / f"{name}.zip"
    aside = path.with_suffix(".part")
    # No times, no owners, one order: all that differs between two builds of the same pages.
    with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted((BUILD / "html").rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                place = f"{name}/{file.relative_to(BUILD / 'html').as_posix()}"
                entry = zipfile.ZipInfo(place, date_time=(1980, 1, 1, 0, 0, 0))
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(entry, file.read_bytes())
    os.replace(aside, path)
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB; unpack it and open {name}/index.html)")
    return 0


def links(arguments):
    """Ask for every address that the pages link to, and name those that do not answer."""
    need_pages()
    return external.check(external.collect(BUILD / "html"), arguments.timeout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("book", help=book.__doc__)
    command.set_defaults(run=book)
    command = commands.add_parser("notebooks", help=notebooks.__doc__)
    command.add_argument("only", nargs="*", help="numbers or names of chapters; all when none is given")
    command.set_defaults(run=notebooks)
    command = commands.add_parser("records", help=records.__doc__)
    command.add_argument("only", nargs="*", help="names of sweeps; all that are recorded when none is given")
    command.set_defaults(run=records)
    command = commands.add_parser("serve", help="serve the built book on this machine")
    command.add_argument("--port", type=int, default=8000)
    command.add_argument("--open", action="store_true", help="open the front page in the browser")
    command.set_defaults(run=serve)
    command = commands.add_parser("zip", help=pack.__doc__)
    command.set_defaults(run=pack)
    command = commands.add_parser("links", help=links.__doc__)
    command.add_argument("--timeout", type=float, default=30, help="seconds for one answer")
    command.set_defaults(run=links)
    arguments = parser.parse_args()
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
