"""What the book's own Sphinx extensions do to a page, without building one."""

import sys
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))

import finished_page
import glossary_links
import shared_assets

KNOWN = {
    "batch": ("term-batch", "Samples of one origin."),
    "estimator": ("term-estimator", "A rule."),
    "kernel density estimate": ("term-kde", "Bumps."),
    "replace": ("term-replace", "A regime."),
    "run": ("term-run", "A repetition."),
}


def linked(source):
    """The links that a page written in reStructuredText gets: word, target, tooltip."""
    doctree = publish_doctree(source, settings_overrides={"report_level": 5})
    glossary_links.link_first_uses(doctree, KNOWN, lambda anchor: f"g.html#{anchor}")
    found = [r for r in doctree.findall(nodes.reference) if "glossary" in r["classes"]]
    return doctree.astext(), [(r.astext(), r["refuri"], r["reftitle"]) for r in found]


def test_the_first_use_of_a_word_is_linked_and_no_other():
    text, links = linked("Each batch is large. Two batches, and a batch.\n\nAnother batch.")
    assert links == [("batch", "g.html#term-batch", "Samples of one origin.")]
    assert text == "Each batch is large. Two batches, and a batch.\n\nAnother batch."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Batch after Batch", ["Batch"]),
        ("Estimators and a batch", ["Estimators", "batch"]),
        ("mini-batch, batched, estimatory", []),
        ("A kernel density estimate has no estimator.", ["kernel density estimate", "estimator"]),
        ("They replace data under Replace.", ["Replace"]),
        ("They run.", []),
        ("``batch`` and *batch*", []),
        ("`batch <https://a.example/>`_", []),
    ],
)
def test_which_words_are_meant(text, words):
    said, links = linked(text)
    assert [link[0] for link in links] == words
    assert said == text.replace("`", "").replace("*", "").replace(" <https://a.example/>_", "")


def test_headings_and_words_that_an_author_has_linked_stay_as_they_are():
    source = (
        "The batch\n=========\n\nText here.\n\nOther\n=====\n\nSee `here <g.html#term-estimator>`__ for the "
        "estimator.\n"
    )
    assert linked(source)[1] == []


def test_definitions_are_read_from_the_glossary():
    item = nodes.definition_list_item()
    term = nodes.term("", "batch", ids=["term-batch"])
    item += [term, nodes.definition("", nodes.paragraph("", "Samples of\none origin. " + "More words. " * 40))]
    found = glossary_links.definitions(nodes.container("", item))
    anchor, text = found["batch"]
    assert (
        anchor == "term-batch" and text.startswith("Samples of one origin.") and len(text) < 190 and text.endswith(" …")
    )


def test_what_no_page_can_ask_for_is_deleted(tmp_path):
    files = {
        "a/page.html": '<link href="../_static/main.css?v=1"><script '
        'src="../_static/x.js"></script><img src="../_static/p.png">',
        "_static/main.css": '@import "more.css"; @font-face { src: url("f.woff2") '
        'format("woff2"), url("f.ttf") format("truetype") }',
        "_static/more.css": "a { background: url(i.svg) }",
        "_static/f.woff2": "", "_static/f.ttf": "", "_static/i.svg": "", "_static/x.js": "",
        "_static/x.js.LICENSE.txt": "",
        "_static/x.js.map": "", "_static/p.png": "", "_static/alone/y.js": "", "_static/y.js.LICENSE.txt": "",
        "_static/mathjax/output/chtml/fonts/woff-v2/m.woff": "", "_static/mathjax/input/tex/extensions/bbox.js": "",
        "_static/mathjax/input/tex/extensions/all-packages.js": "", "_static/mathjax/tex-svg.js": "",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    shared_assets.prune(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    gone = {
        "_static/f.ttf",
        "_static/x.js.map",
        "_static/alone/y.js",
        "_static/y.js.LICENSE.txt",
        "_static/mathjax/tex-svg.js",
    }
    assert left == set(files) - gone - {"_static/mathjax/input/tex/extensions/all-packages.js"}
    assert (
        not (tmp_path / "_static" / "alone").exists() and ".ttf" not in (tmp_path / "_static" / "main.css").read_text()
    )


def test_icons_come_from_the_font_and_are_passed_over_by_screen_readers():
    page = (
        '<script src="../_static/scripts/fontawesome.js?digest=1"></script><i class="fa-solid fa-bars"></i><i '
        'class="x"></i>'
    )
    assert (
        shared_assets.without_icon_script(page)
        == '<i class="fa-solid fa-bars" aria-hidden="true"></i><i class="x"></i>'
    )


def test_a_description_is_what_the_reader_will_see():
    page = "<p>On Colab: a link.</p><p><em>You will see</em> a law &lt; 1.</p><p>" + "Other words. " * 9 + "</p>"
    assert finished_page.describe(page) == "You will see a law < 1."
    cited = (
        "<p>It decays [<a>Shumailov <em>et al.</em>, 2024</a>, "
        "<a>Dey, 2024</a>]. A reply says [0, 1] and keeps all of the data.</p>"
    )
    assert finished_page.describe(cited) == "It decays. A reply says [0, 1] and keeps all of the data."
    long = finished_page.describe("<p>" + "A sentence of words. " * 30 + "</p>")
    assert len(long) <= 200 and long.endswith(" …")


def test_figures_become_links_and_the_first_is_the_pages_picture():
    body = (
        '<figure class="a" id="f">\n<img alt="Two lines fall &amp; rise" src="../_images/x.png"/>\n</figure><img '
        'src="y.png">'
    )
    changed = finished_page.open_at_full_size(body)
    assert '<a class="full-size" href="../_images/x.png"' in changed and changed.count("<a ") == 1
    assert finished_page.picture(body, "notebooks/a") == ("_images/x.png", "Two lines fall & rise")
    assert finished_page.picture("<p>none</p>", "notebooks/a")[0] == "_images/argument.png"
