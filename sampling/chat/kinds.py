"""Kinds of request fields: each reads a value and describes it as a JSON schema, so that the two agree."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from sampling.chat.checks import list_of, object_of, text_of
from sampling.core.errors import InvalidArgument, InvalidRequest
from sampling.core.params import LARGEST, boolean, json_integer, number

Schema = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """What the values of a field are like.

    Args:
        schema: The values as a JSON schema, null left aside.
        read: Checks a value that is not None, given the field's name and the value: returns it in its canonical type, or raises
            `InvalidArgument`.
    """

    schema: Schema
    read: Callable[[str, object], Any]


FLAG = Kind({"type": "boolean"}, boolean)


def whole(low: int, high: int) -> Kind:
    """Return the kind of integers in a closed range."""
    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Kind(schema, partial(json_integer, low=low, high=high))


def whole_or(none: int, others: Kind) -> Kind:
    """Return a kind of integers, and one integer that stands for no limit and is read as None."""

    def read(name: str, value: object) -> int | None:
        if isinstance(value, int | float) and not isinstance(value, bool) and value == none:
            return None
        try:
            return others.read(name, value)
        except InvalidArgument as error:
            raise InvalidRequest(name, value, f"{error.allowed}, or {none} for no limit") from None

    return Kind({"anyOf": [{"const": none}, others.schema]}, read)


def real(low: float = -LARGEST, high: float = LARGEST) -> Kind:
    """Return the kind of numbers in a closed range."""
    schema = {"type": "number", "minimum": low, "maximum": high}
    return Kind(schema, partial(number, low=low, high=high))


def text(longest: int | None = None) -> Kind:
    """Return the kind of strings; of at most so many characters, where there is a limit."""

    def read(name: str, value: object) -> str:
        given = text_of(name, value)
        if longest is not None and len(given) > longest:
            raise InvalidRequest(name, value, f"a string of at most {longest} characters")
        return given

    limit = {} if longest is None else {"maxLength": longest}
    return Kind({"type": "string", **limit}, read)


def identifier(longest: int) -> Kind:
    """Return the kind of strings that an HTTP header can hold as they are: visible ASCII characters."""

    def read(name: str, value: object) -> str:
        given = text_of(name, value)
        if not 1 <= len(given) <= longest or not all("!" <= character <= "~" for character in given):
            raise InvalidRequest(name, value, f"1 to {longest} visible ASCII characters")
        return given

    return Kind({"type": "string", "pattern": f"^[!-~]{{1,{longest}}}$"}, read)


def texts(most: int) -> Kind:
    """Return the kind of lists of at most so many strings."""

    def read(name: str, value: object) -> tuple[str, ...]:
        items = list_of(value)
        if items is None or len(items) > most:
            raise InvalidRequest(name, value, f"a list of at most {most} strings")
        return tuple(text_of(f"{name}[{index}]", item) for index, item in enumerate(items))

    return Kind({"type": "array", "items": text().schema, "maxItems": most}, read)


def one_of(*values: str) -> Kind:
    """Return the kind of some strings."""

    def read(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in values:
            raise InvalidRequest(name, value, f"one of {', '.join(values)}")
        return value

    return Kind({"enum": [*values]}, read)


def labels(most: int, longest_key: int, longest: int) -> Kind:
    """Return the kind of objects of strings, such as what a client notes about a request."""
    label = text(longest)

    def read(name: str, value: object) -> Mapping[str, str]:
        words = f"an object of at most {most} strings of at most {longest} characters"
        if not isinstance(value, Mapping):
            raise InvalidRequest(name, value, words)
        given = cast("Mapping[object, object]", value)
        if len(given) > most:
            raise InvalidRequest(name, f"{len(given)} of them", words)
        wrong = next((key for key in given if not isinstance(key, str) or len(key) > longest_key), None)
        if wrong is not None:
            raise InvalidRequest(name, wrong, f"keyed by strings of at most {longest_key} characters")
        return {str(key): label.read(f"{name}.{key}", item) for key, item in given.items()}

    limits = {"maxProperties": most, "propertyNames": {"maxLength": longest_key}}
    return Kind({"type": "object", **limits, "additionalProperties": label.schema}, read)


def members(kinds: Mapping[str, Kind]) -> Kind:
    """Return the kind of objects whose members are known, none of them needed."""

    def read(name: str, value: object) -> Mapping[str, object]:
        given = object_of(name, value, [*kinds])
        return {str(key): kinds[str(key)].read(f"{name}.{key}", item) for key, item in given.items()}

    optional = {name: {"anyOf": [kind.schema, {"type": "null"}]} for name, kind in kinds.items()}
    return Kind({"type": "object", "properties": optional, "additionalProperties": {"type": "null"}}, read)


@dataclass(frozen=True)
class Only(Kind):
    """A field that would change the answer in a way that is not offered: only values that change nothing are taken.

    Args:
        schema: An enumeration of them.
        read: Checks that a value is one of them.
        neutral: The JSON values that change nothing.
        reason: Why the others are refused.
    """

    neutral: tuple[object, ...]
    reason: str


def only(neutral: tuple[object, ...], reason: str) -> Only:
    """Return the kind of a field that takes only values that change nothing."""

    def read(name: str, value: object) -> object:
        plain = list_of(value)
        given = value if plain is None else [*plain]
        if any(given == one and isinstance(given, bool) == isinstance(one, bool) for one in neutral):
            return given
        words = "".join(f"{json.dumps(one)} or " for one in neutral)
        raise InvalidRequest(name, value, f"{words}left out: {reason}")

    return Only({"enum": [*neutral]}, read, neutral, reason)
