"""Values as JSON, written bit by bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
LEVELS = 5  # from a response to the entry of one token


def json_bytes(value: object) -> bytes:
    """Write a value as JSON; iterators become lists.

    `json.dumps` stops all other threads until it has written everything, tens of milliseconds for the log probabilities of a
    long answer. Here they get their turn in between, and what iterators give is forgotten once it is written.

    Example:
        >>> json_bytes({"choices": iter([{"index": 0}])})
        b'{"choices": [{"index": 0}]}'
    """
    # What UTF-8 cannot hold, a lone surrogate, becomes the escape that JSON has for it.
    return b"".join(piece.encode(errors="backslashreplace") for piece in pieces(value, LEVELS))


def pieces(value: object, levels: int) -> Iterator[str]:
    """Yield the text of a value: what is so many levels deep is one piece."""
    if levels and isinstance(value, dict):
        yield "{"
        for index, (key, item) in enumerate(cast("dict[str, Any]", value).items()):
            yield f"{', ' if index else ''}{ENCODER.encode(key)}: "
            yield from pieces(item, levels - 1)
        yield "}"
    elif levels and isinstance(value, list | Iterator):
        yield "["
        for index, item in enumerate(cast("Iterator[object]", value)):
            yield ", " if index else ""
            yield from pieces(item, levels - 1)
        yield "]"
    else:
        yield ENCODER.encode(value)
