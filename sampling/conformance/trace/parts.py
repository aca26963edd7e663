"""A line of a trace as values, and names for parts of it that many lines have in common."""

from __future__ import annotations

import marshal
import secrets
from itertools import chain
from typing import Any, NamedTuple, cast

from pydantic_core import from_json

from sampling.core.reading import read_json

SEEDS = range(2**31)  # that every dialect takes
STYLES = (('"top_logprobs":[[', "],["), ('"top_logprobs": [[', "], ["))  # pydantic's and Python's
MARK = secrets.token_hex()  # no line has it


class Cut(NamedTuple):
    """A line whose `top_logprobs` are taken out as text: many lines have the same lists, and they are most of it.

    Args:
        rest: The line, a mark in their place.
        lists: What stands between the brackets of each.
    """

    rest: str
    lists: list[str]


def cut(line: str) -> Cut | None:
    """Take the lists out of a line, if they stand there as JSON is written in one line; what they hold is not looked at."""
    for key, between in STYLES:
        before, found, after = line.partition(key)
        inner, end, behind = after.partition("]]")
        if found and end:
            return Cut(f'{before}"top_logprobs":"{MARK}"{behind}', inner.split(between))
    return None


def without_lists(parts: Cut) -> dict[str, Any] | None:
    """Return a record that has the mark in place of its lists; None where the rest is none."""
    told = quickly(parts.rest)
    return told if told is not None and told["top_logprobs"] == MARK else None


def parsed(line: str, number: int) -> object:
    """Read a line as JSON, strictly.

    Raises:
        InvalidArgument: It is no JSON, or names a key twice.
    """
    told = quickly(line)
    return read_json(line, f"trace, line {number}") if told is None else told


def quickly(line: str) -> Any:
    """Read a record by the quicker of two parsers; None where its word is not enough.

    It keeps the last of equal keys, so that its values count only where they account for all colons.
    """
    try:
        told = from_json(line, allow_inf_nan=False)
        return told if "\\" not in line and line.count(":") == colons(told) else None
    except (ValueError, TypeError, AttributeError, LookupError):
        return None


def colons(told: Any) -> int:
    """Return the colons of a record's text, escapes aside: those behind its keys and those in its strings; never too many."""
    nested = (told["params"], *(value for value in told["params"].values() if isinstance(value, dict)))
    lists = () if told["top_logprobs"] == MARK else told["top_logprobs"]
    keys = len(told) + sum(map(len, nested)) + sum(map(len, chain.from_iterable(lists)))
    return keys + sum(value.count(":") for value in told.values() if isinstance(value, str))


def name_of(value: Any) -> bytes:
    """One name for values that are the same, their types among them: 1, 1.0 and true have three.

    Raises:
        ValueError: They are nested too deeply.
    """
    return marshal.dumps(value, 2)  # the version that does not depend on who else refers to a value


def name_without_seed(params: object) -> bytes:
    """Return the same of a request's fields, an ordinary seed left out: it differs in each request."""
    if isinstance(params, dict) and type(params.get("seed")) is int and params["seed"] in SEEDS:
        params = {name: value for name, value in cast("dict[str, Any]", params).items() if name != "seed"}
    return name_of(params)
