"""Sphinx extension: where a chapter first uses a word of the glossary, the word leads there and says what it means."""

import re

from docutils import nodes

GLOSSARY = "book/glossary"
PAGES = "notebooks/"
# Words of the glossary that are, as often as not, used in their everyday sense. An author links them with {term} where
# they mean it.
EVERYDAY = ("record", "run", "drift", "rank", "separated", "ledger")
# Names of regimes, written with a capital, and verbs: only the name is meant.
NAMES = ("replace", "accumulate")
LONGEST = 180  # characters of a tooltip


def pattern(word):
    """A regular expression for a word of the glossary, whose group 1 is what becomes the link."""
    if word in NAMES:
        return re.compile(rf"\b[Uu]nder ({word.capitalize()})\b")
    first = f"[{word[0].upper()}{word[0].lower()}]"
    return re.compile(rf"(?<![\w-])({first}{re.escape(word[1:])}s?)(?![\w-])")


def definitions(glossary):
    """Words of the glossary's document with the place and the beginning of their definition."""
    found = {}
    for item in glossary.findall(nodes.definition_list_item):
        for term in item.findall(nodes.term):
            text = " ".join(next(iter(item.findall(nodes.definition))).astext().split())
            text = text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0] + " …"
            found[term.astext()] = (term["ids"][0], text)
    return found


def link_first_uses(doctree, known, address):
    """Turn the first use of each known word in running text into a link; `address` maps an anchor to its target."""
    linked = {
        ref["refid" if "refid" in ref else "refuri"].rpartition("#")[2]
        for ref in doctree.findall(nodes.reference)
        if "refuri" in ref or "refid" in ref
    }
    # Longer words first: a "kernel density estimate" is not an estimate.
    waiting = [(pattern(word), *known[word]) for word in sorted(known, key=len, reverse=True) if word not in EVERYDAY]
    waiting = [entry for entry in waiting if entry[1] not in linked]
    for paragraph in list(doctree.findall(nodes.paragraph)):
        if not isinstance(paragraph.parent, nodes.section | nodes.list_item | nodes.container | nodes.document):
            continue
        for text in [child for child in paragraph.children if isinstance(child, nodes.Text)]:
            pieces = [text]
            for entry in list(waiting):
                for index, piece in enumerate(pieces):
                    match = entry[0].search(piece.astext()) if isinstance(piece, nodes.Text) else None
                    if match:
                        before, word, after = piece[: match.start(1)], match.group(1), piece[match.end(1) :]
                        link = nodes.reference(
                            "",
                            "",
                            nodes.Text(word),
                            internal=True,
                            refuri=address(entry[1]),
                            reftitle=entry[2],
                            classes=["glossary"],
                        )
                        pieces[index : index + 1] = [nodes.Text(before), link, nodes.Text(after)]
                        waiting.remove(entry)
                        break
            if len(pieces) > 1:
                paragraph.replace(text, [piece for piece in pieces if piece.astext()])


def on_resolved(app, doctree, docname):
    if docname.startswith(PAGES) and GLOSSARY in app.env.found_docs and app.builder.name == "html":
        known = definitions(app.env.get_doctree(GLOSSARY))
        base = app.builder.get_relative_uri(docname, GLOSSARY)
        link_first_uses(doctree, known, lambda anchor: f"{base}#{anchor}")


def setup(app):
    app.connect("doctree-resolved", on_resolved)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
