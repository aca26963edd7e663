"""Files that are written, the standard streams by whatever name among them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO


def standard_stream(path: str | Path) -> int | None:
    """Return the descriptor of standard output or standard error, if a path leads to the same place; None if it does not.

    Args:
        path: Such as `/dev/stdout`, or a file that standard output was sent to.
    """
    for number, stream in ((1, sys.__stdout__), (2, sys.__stderr__)):
        with suppress(OSError):
            if stream is not None and os.path.samestat(Path(path).stat(), os.fstat(number)):
                return number
    return None


def opened(path: str | Path) -> TextIO:
    """Open a file to write UTF-8 text; what is in it is lost, unless it is a standard stream: there the text comes behind it.

    Raises:
        OSError: It cannot be opened.
    """
    stream = standard_stream(path)
    if stream is None:
        return Path(path).open("w", encoding="utf-8")
    for standard in (sys.stdout, sys.stderr):
        standard.flush()
    return open(stream, "w", encoding="utf-8", closefd=False)
