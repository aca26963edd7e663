"""The examples in docs/ do what they show."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [page for page in sorted(DOCS.glob("*.md")) if ">>>" in page.read_text()]
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="a source distribution holds no docs")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples(page: Path) -> None:
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    done = doctest.testfile(str(page), module_relative=False, optionflags=flags)
    assert done.attempted > 0
    assert done.failed == 0


def test_pages_have_examples() -> None:
    assert {"own_processor", "verify"} <= {page.stem for page in PAGES}
