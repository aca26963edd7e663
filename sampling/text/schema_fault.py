"""Where in a JSON schema the part is that a compiler refuses, which says what is wrong and not where."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from sampling.core.errors import InvalidRequest
from sampling.helper import BoundExceeded
from sampling.text.json_schema import MAPS, Path, Schema, pointer_tokens, step, subschemas

MOST_TRIALS = 64
SECONDS = 5.0  # for all of them
DEFINITIONS = ("$defs", "definitions")


def fault_of(schema: Mapping[str, object], refusal: Callable[[Schema], str | None]) -> tuple[Path, object]:
    """Find the innermost part of a schema that is refused as the whole is, by some trials of what the compiler has against one.

    Returns:
        The keys that lead to the part, and its value; no keys where no part is refused by itself.

    Example:
        >>> name = {"type": "string", "pattern": "("}
        >>> fault_of({"properties": {"name": name}}, lambda one: "(" in str(one) and "unclosed group" or None)
        (('properties', 'name', 'pattern'), '(')
    """
    root: Schema = {**schema}
    trials = Trials(root, refusal)
    path: Path = ()
    found, seen = root, [root]
    while (inner := trials.inner(found)) is not None:
        keys, part = inner
        if any(part is one for one in seen):
            break
        path = keys[1:] if keys[0] == "#" else (*path, *keys)
        found = part
        seen.append(found)
    keyword = trials.keyword(found) if path else None
    return (path, found) if keyword is None else ((*path, keyword), found[keyword])


class Trials:
    """What is refused as the whole schema is; after so many trials, or so long, nothing any more."""

    def __init__(self, root: Schema, refusal: Callable[[Schema], str | None]) -> None:
        self._root, self._refusal = root, refusal
        self._left, self._end = MOST_TRIALS, time.monotonic() + SECONDS
        self._words = refusal(root)

    def inner(self, schema: Schema) -> tuple[Path, Schema] | None:
        """Return a part of a schema that is refused by itself, or what its reference refers to (from "#" on)."""
        parts = ((path, part) for path, part in subschemas(schema) if path[0] not in DEFINITIONS)
        plain: list[tuple[Path, Schema]] = [(path, part) for path, part in parts if isinstance(part, dict)]
        for path, part in sorted(plain, key=lambda each: "$ref" in each[1]):  # a reference may lead back
            if self._alike(part):
                return path, part
        target, keys = self._target(schema)
        return (("#", *keys), target) if isinstance(target, dict) and self._alike(target) else None

    def keyword(self, schema: Schema) -> str | None:
        """Return the keyword without which a schema is not refused so; its type only where no other is to blame."""
        for keyword in sorted(schema, key=lambda name: name == "type"):
            less = {name: value for name, value in schema.items() if name != keyword}
            if keyword not in MAPS and not self._alike(less) and self._left:
                return keyword
        return None

    def _alike(self, part: Schema) -> bool:
        self._left = 0 if time.monotonic() > self._end else self._left
        if not self._left:
            return False
        self._left -= 1
        named = {name: self._root[name] for name in DEFINITIONS if name in self._root}
        try:
            return self._refusal({**named, **part}) == self._words
        except (InvalidRequest, BoundExceeded):  # by itself it lacks what it refers to
            return False

    def _target(self, schema: Schema) -> tuple[Any, Path]:
        """Return what a reference from the root refers to, and where that is."""
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None, ()
        keys = pointer_tokens(unquote(reference[1:]))
        found: object = self._root
        for key in keys:
            found = step(found, key)
        return found, tuple(keys)
