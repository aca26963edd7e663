"""Refusals that name the dialects that would not refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sampling.core.errors import InvalidArgument, InvalidRequest
from sampling.dialects import DIALECTS, Dialect

T = TypeVar("T")


def naming_others(read: Callable[[Dialect], T], dialect: Dialect) -> T:
    """Read something by a function that takes the dialect; a refusal names the dialects that it could be read in.

    Raises:
        InvalidRequest: The dialect refuses.
    """
    try:
        return read(dialect)
    except InvalidArgument as error:
        others = [other.name for other in DIALECTS.values() if other != dialect and takes(read, other)]
        if not others:
            raise
        raise InvalidRequest(error.param, error.value, f"{error.allowed}{alternative(others)}") from None


def takes(read: Callable[[Dialect], object], dialect: Dialect) -> bool:
    """Return True if something can be read in a dialect."""
    try:
        read(dialect)
    except InvalidArgument:
        return False
    return True


def alternative(names: list[str]) -> str:
    """Return the words for dialects that would not refuse.

    Example:
        >>> alternative(["openai", "vllm", "sglang"])
        '; or serve with --dialect openai (in Python dialect="openai"), vllm or sglang'
    """
    first, *rest = names
    words = f'; or serve with --dialect {first} (in Python dialect="{first}")'
    *more, last = rest or [""]
    return words + "".join(f", {name}" for name in more) + (f" or {last}" if last else "")
