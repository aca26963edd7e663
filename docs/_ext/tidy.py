"""Leaves out of the pages what is there for machines: empty lines that end a doctest, and defaults that are objects."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

# A call, with calls and tuples among its arguments, or what dataclasses show for a factory.
OBJECT = re.compile(r"(= ?)(?:[A-Z]\w*\((?:[^()]|\([^()]*\))*\)|<factory>)")


def trim(_: Sphinx, page: nodes.document) -> None:
    """Take empty lines off the ends of all blocks of code."""
    for block in page.findall(nodes.literal_block):
        block.rawsource = block.rawsource.rstrip("\n")
        block[:] = [nodes.Text(block.astext().rstrip("\n"))] if block.children else []


def shorten(*event: Any) -> tuple[str | None, str | None]:
    """Show `...` for a default whose value fills lines."""
    *_, arguments, returned = event
    return arguments and OBJECT.sub(r"\1...", arguments), returned


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-read", trim)
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
