"""Writes llms.txt beside the pages: every page of the table of contents with its first sentence, for language models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

LONGEST = 240  # characters of a description


def first_sentence(page: nodes.document) -> str:
    """Return the first sentence of a page's first paragraph, on one line."""
    words = next((found.astext() for found in page.findall(nodes.paragraph)), "")
    text = " ".join(words.split())
    sentence = re.split(r"(?<=[.:]) (?=[A-Z`])", text, maxsplit=1)[0].rstrip(":")
    return sentence if len(sentence) <= LONGEST else sentence[:LONGEST].rsplit(" ", 1)[0] + " ..."


def address(env: BuildEnvironment, name: str) -> str:
    """Return where a page is read best by a program: its source, or HTML where the source holds directives or pictures."""
    source = Path(env.doc2path(name)).relative_to(env.srcdir).as_posix()
    plain = source.endswith(".md") and "/reference/" not in source
    return f"_sources/{source}.txt" if plain else f"{name}.html"


def entries(env: BuildEnvironment, pages: Iterable[tuple[str | None, str]]) -> Iterator[str]:
    """Yield a line for each page, with the pages below it behind it."""
    for title, name in pages:
        words = title or env.titles[name].astext()
        yield f"- [{words}]({address(env, name)}): {first_sentence(env.get_doctree(name))}"
        yield from entries(env, ((None, below) for below in env.toctree_includes.get(name, ())))


def lines(env: BuildEnvironment, root: str) -> Iterator[str]:
    """Yield the lines of llms.txt, a section for each caption of the table of contents."""
    start = env.get_doctree(root)
    yield f"# {env.config.project}"
    yield f"\n> {first_sentence(start)}"
    for toctree in start.findall(addnodes.toctree):
        yield f"\n## {toctree['caption']}\n"
        yield from entries(env, toctree["entries"])


def write(app: Sphinx, error: Exception | None) -> None:
    """Write llms.txt after the pages."""
    if error is None and app.builder.format == "html":
        text = "\n".join(lines(app.env, app.config.root_doc)) + "\n"
        (Path(app.outdir) / "llms.txt").write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
