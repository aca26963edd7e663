"""Checks of texts and objects in a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from sampling.core.errors import InvalidRequest


class Place(NamedTuple):
    """Where a value is, put into words when it is asked for: a value may have many others, and a key be long.

    Args:
        within: The field, or the place of what holds the value.
        step: Its key, or its index.

    Example:
        >>> str(Place(Place("chat_template_kwargs", "names"), 3))
        'chat_template_kwargs.names[3]'
    """

    within: str | Place
    step: object

    def __str__(self) -> str:
        return f"{self.within}[{self.step}]" if isinstance(self.step, int) else f"{self.within}.{self.step}"


def text_of(name: str | Place, value: object) -> str:
    """Check a string; `name` is what errors call it.

    Raises:
        InvalidRequest: No string, or one that UTF-8 cannot hold.
    """
    if not isinstance(value, str):
        raise InvalidRequest(str(name), value, "a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        words = "valid Unicode: a lone surrogate has no UTF-8 bytes"
        raise InvalidRequest(str(name), value, words) from None
    return value


def object_of(name: str, value: object, keys: Sequence[str]) -> Mapping[object, object]:
    """Check an object that may have certain keys only; return it without those of the value None, which count as left out.

    Raises:
        InvalidRequest: No object, or an unknown key.
    """
    if not isinstance(value, Mapping):
        raise InvalidRequest(name, value, f"an object with {', '.join(keys)}")
    given = given_of(cast("Mapping[object, object]", value))
    unknown = next((key for key in given if key not in keys), None)
    if unknown is not None:
        raise InvalidRequest(f"{name}.{unknown}", given[unknown], f"left out: known are {', '.join(keys)}")
    return given


def given_of(value: Mapping[object, object]) -> dict[object, object]:
    """Return what an object says: null counts as left out."""
    return {key: item for key, item in value.items() if item is not None}


def list_of(value: object) -> Sequence[object] | None:
    """Return a list as it is, and None for what is no list; a string is none."""
    return (
        cast("Sequence[object]", value)
        if isinstance(value, Sequence) and not isinstance(value, str | bytes)
        else None
    )
