"""Standard output and standard error as a shell redirects them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def redirected(number: int, path: Path, mode: str = "w") -> Iterator[None]:
    """Let a descriptor lead to a file, as `>` does, or `>>` in mode "a"."""
    kept = os.dup(number)
    try:
        with path.open(mode) as file:
            os.dup2(file.fileno(), number)
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)
