"""JSON text to values, with nothing lost on the way."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from sampling.core.errors import InvalidRequest, shortened, shown

DEEPEST = 100  # levels of nesting


def read_json(text: str | bytes, name: str = "body", *, constants: bool = False) -> object:
    """Read a JSON text, strictly: nothing in it is dropped, and nothing that is not JSON gets in.

    Args:
        text: The text, or its UTF-8 bytes.
        name: What the text is called in errors.
        constants: Whether NaN and Infinity are let in, which are not JSON, but which Python writes.

    Raises:
        InvalidRequest: Not UTF-8, not JSON (NaN and Infinity are none), a key twice in one object, more than 100 levels, or
            an integer of thousands of digits.

    Source: RFC 8259.

    Example:
        >>> read_json('{"n": 1}')
        {'n': 1}
        >>> read_json('{"n": 1, "n": 2}')
        Traceback (most recent call last):
        ...
        sampling.core.errors.InvalidRequest: body: got 'n' twice in one object, must be JSON that names each key once
    """

    def constant(word: str) -> float:
        if constants:
            return float(word)
        raise InvalidRequest(name, Verbatim(word), "JSON, which has no such number")

    def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
        whole = dict(pairs)
        if len(whole) < len(pairs):
            words = Verbatim(f"{shortened(shown(first_repeat(pairs)), 50)} twice in one object")
            raise InvalidRequest(name, words, "JSON that names each key once")
        return whole

    try:
        decoded = text if isinstance(text, str) else text.decode()
        value = json.loads(decoded, object_pairs_hook=without_repeats, parse_constant=constant)
    except InvalidRequest:
        raise
    except UnicodeDecodeError as error:
        raise InvalidRequest(name, text, f"JSON in UTF-8 ({error.reason} at byte {error.start})") from None
    except RecursionError:
        raise InvalidRequest(name, text, f"JSON of at most {DEEPEST} levels") from None
    except ValueError as error:
        raise InvalidRequest(name, text, f"JSON ({error})") from None
    if depth(value) > DEEPEST:
        raise InvalidRequest(name, text, f"JSON of at most {DEEPEST} levels")
    return value


class Verbatim(str):
    """Text that errors show as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def first_repeat(pairs: Iterable[tuple[str, object]]) -> str | None:
    """Return the first key that was there before."""
    seen: set[str] = set()
    return next((key for key, _ in pairs if key in seen or seen.add(key)), None)


def depth(value: object) -> int:
    """Levels of nesting: 0 for a number, 1 for a list of numbers or of nothing."""
    levels, level = 0, contents([value])
    while level:
        levels += 1
        level = contents(item for one in level for item in one)
    return levels


def contents(values: Iterable[object]) -> list[Collection[object]]:
    """Return what the objects and lists among some values hold."""
    found = (value for value in values if isinstance(value, dict | list))
    return [value.values() if isinstance(value, dict) else value for value in found]
