"""Ends the build where a page would load something from elsewhere: the site works without a network."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']((?:https?:)?//[^\"']+)")


def look(app: Sphinx, error: Exception | None) -> None:
    """Look at all pages after the build."""
    pages = [] if error else Path(app.outdir).rglob("*.html")
    found = {
        (page.name, address) for page in pages for address in LOADED.findall(page.read_text(encoding="utf-8"))
    }
    if found:
        raise ExtensionError(f"loaded from elsewhere: {sorted(found)}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", look)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
