"""Bodies of requests: how many values they have is counted first, since Python reads them in one go, other threads stopped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from sampling.core.errors import InvalidRequest
from sampling.core.reading import Verbatim, read_json

MOST_VALUES = 2**17  # read in some ten milliseconds; a bias for each of Llama-3's tokens is fewer

STRING = rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)'
VALUE = re.compile(rb"(?:%b\s*+:\s*+)?+(?:%b|[\[{]|[^\s\[\]{},:\"]++)" % (STRING, STRING), re.DOTALL)
"""A value with the key before it, if it has one; of a list or an object only the beginning."""


def read_object(text: bytes) -> Mapping[str, object]:
    """Read the body of a request, a JSON object.

    Raises:
        InvalidRequest: It is none, or has very many values.
    """
    require_few_values(text)
    value = read_json(text)
    if not isinstance(value, Mapping):
        raise InvalidRequest("body", value, "a JSON object")
    return cast("Mapping[str, object]", value)


def require_few_values(text: bytes) -> None:
    """Refuse a text of very many values.

    Args:
        text: JSON in UTF-8. What is none may count as anything up to its number of bytes.

    Raises:
        InvalidRequest: It has more than 131,072 lists, objects, strings, numbers and constants; keys do not count.

    Example:
        >>> require_few_values(b'{"logit_bias": {"42": -100}}')
    """
    # each value but the first is behind one of them
    if sum(map(text.count, (b",", b"[", b"{"))) < MOST_VALUES:
        return
    for number, _ in enumerate(VALUE.finditer(text), 1):  # bit by bit, so that others get their turn
        if number > MOST_VALUES:
            words = f"JSON of at most {MOST_VALUES} lists, objects, strings, numbers and constants"
            raise InvalidRequest("body", Verbatim(f"more than {MOST_VALUES} values"), words)
