"""Arguments of the kit that have to be of some type."""

from __future__ import annotations

from types import UnionType

from sampling.core.errors import InvalidArgument


def typed(name: str, value: object, kind: type | UnionType, allowed: str) -> None:
    """Check the type of an argument; `allowed` says the same in words that follow "must be".

    Raises:
        InvalidArgument: It is something else.

    Example:
        >>> typed("model", 3, str | None, "a name, or None")
        Traceback (most recent call last):
        sampling.core.errors.InvalidArgument: model: got 3, must be a name, or None
    """
    if not isinstance(value, kind):
        raise InvalidArgument(name, value, allowed)
