"""Takes the empty line away that ends each doctest in a Markdown page, where it is needed to end the expected output."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx


def trim(_: Sphinx, page: nodes.document) -> None:
    """Take empty lines off the ends of all blocks of code."""
    for block in page.findall(nodes.literal_block):
        block.rawsource = block.rawsource.rstrip("\n")
        block[:] = [nodes.Text(block.astext().rstrip("\n"))] if block.children else []


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-read", trim)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
