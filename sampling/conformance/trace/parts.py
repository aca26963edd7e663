"""A line of a trace as values, and names for parts of it that many lines have in common."""

from __future__ import annotations

import marshal
from itertools import chain
from typing import Any, cast

from pydantic_core import from_json

from sampling.core.reading import read_json

SEEDS = range(2**31)  # that every dialect takes


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
    keys = len(told) + sum(map(len, nested)) + sum(map(len, chain.from_iterable(told["top_logprobs"])))
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
