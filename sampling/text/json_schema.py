"""A JSON schema as a document: its subschemas, where they are, and what their references refer to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urldefrag, urljoin

from sampling.core.errors import InvalidRequest
from sampling.core.reading import DEEPEST, depth

SCHEMA = "response_format.json_schema.schema"
MAPS = ("properties", "patternProperties", "$defs", "definitions")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
SINGLE = ("items", "additionalItems", "additionalProperties")
TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
MOST_SCHEMAS = 20_000
DRAFTS = ("draft-04", "draft-06", "draft-07", "draft/2019-09", "draft/2020-12")
DRAFT_URIS = [f"{http}://json-schema.org/{draft}/schema" for draft in DRAFTS for http in ("http", "https")]

Schema = dict[str, Any]
Path = tuple[str | int, ...]


class Place(NamedTuple):
    """Where a schema is: keys and indices from the root, and the URI that its references are relative to."""

    path: Path
    base: str


class SchemaDocument:
    """A copy of a JSON schema whose references are all within it, as plain JSON pointers.

    Attributes:
        root: The copy, for changes.
        schemas: The root and every subschema that is an object, also those that only a reference reaches.

    Raises:
        InvalidRequest: No JSON object, or one of very many schemas, or a reference that leads nowhere or elsewhere; nothing is
            fetched.

    Source: JSON Schema 2020-12, Core, sections 8 and 9; RFC 6901.
    """

    def __init__(self, schema: Mapping[str, object]) -> None:
        self.root = plain_copy(schema)
        self.schemas: list[Schema] = []
        self._places: dict[int, Place] = {}
        self._resources: dict[str, Schema] = {"": self.root}
        self._anchors: dict[tuple[str, str], Schema] = {}
        self._targets: dict[int, object] = {}
        self._enter(self.root, Place((), ""))
        for one in self.schemas:  # which grows: a reference may lead to where no keyword has a schema
            if "$ref" in one:
                self._refer(one)
        for one in self.schemas:
            self._strip(one)

    def name(self, schema: Schema, keyword: str) -> str:
        """Return what errors call a keyword of a subschema."""
        return ".".join(map(str, (SCHEMA, *self._places[id(schema)].path, keyword)))

    def target(self, schema: Schema) -> object:
        """Return the schema that one with a `$ref` refers to."""
        return self._targets[id(schema)]

    def _enter(self, schema: object, place: Place) -> None:
        """Note a schema and those in it."""
        if not isinstance(schema, dict) or id(schema) in self._places:
            return
        known: Schema = schema
        self._places[id(known)] = place
        base = self._named(known, place.base)
        self._places[id(known)] = Place(place.path, base)
        self.schemas.append(known)
        if len(self.schemas) > MOST_SCHEMAS:
            words = f"a schema of at most {MOST_SCHEMAS} parts, used or not"
            raise InvalidRequest(SCHEMA, f"more than {MOST_SCHEMAS} parts", words)
        for path, child in subschemas(known):
            self._enter(child, Place((*place.path, *path), base))

    def _named(self, schema: Schema, base: str) -> str:
        """Note the names of a schema; return the URI that references in it are relative to."""
        if isinstance(own := schema.get("$id"), str):
            address, anchor = self._resolved(schema, "$id", base)
            if not own.startswith("#"):
                base = address
                self._resources.setdefault(base, schema)
            self._anchors.setdefault((base, anchor), schema)
        if isinstance(anchor := schema.get("$anchor"), str):
            self._anchors.setdefault((base, anchor), schema)
        return base

    def _refer(self, schema: Schema) -> None:
        """Find out what a reference refers to, and write it as a pointer from the root."""
        place = self._places[id(schema)]
        address, fragment = self._resolved(schema, "$ref", place.base)
        fragment = unquote(fragment)
        found: object = self._resources.get(address)
        path = self._places[id(found)].path if isinstance(found, dict) else ()
        if fragment.startswith("/"):
            tokens = pointer_tokens(fragment)
            for token in tokens:
                found = step(found, token)
            path = (*path, *tokens)
        elif fragment:
            found = self._anchors.get((address, fragment))
            path = self._places[id(found)].path if isinstance(found, dict) else ()
        if not isinstance(found, dict | bool):
            words = "a reference to a schema within this one: nothing is fetched"
            raise InvalidRequest(self.name(schema, "$ref"), schema["$ref"], words)
        self._enter(found, Place(path, address))
        self._targets[id(schema)] = found
        schema["$ref"] = "#" + "".join(
            f"/{quote(str(key).replace('~', '~0').replace('/', '~1'), safe='$')}" for key in path
        )

    def _resolved(self, schema: Schema, keyword: str, base: str) -> tuple[str, str]:
        """Return the URI that a keyword has, without and with only its fragment."""
        try:
            address, fragment = urldefrag(urljoin(base, schema[keyword]))
        except (TypeError, ValueError, AttributeError):
            raise InvalidRequest(self.name(schema, keyword), schema[keyword], "a URI reference") from None
        return address, fragment

    def _strip(self, schema: Schema) -> None:
        """Take out what has served its purpose."""
        for keyword in ("$id", "$anchor"):
            schema.pop(keyword, None)
        if "$schema" in schema and str(schema["$schema"]).removesuffix("#") not in DRAFT_URIS:
            words = "left out, or that of a draft from 4 to 2020-12"
            raise InvalidRequest(self.name(schema, "$schema"), schema["$schema"], words)


def plain_copy(schema: Mapping[str, object]) -> Schema:
    """Return a copy that holds what JSON holds.

    Raises:
        InvalidRequest: It holds something else, or too many levels.
    """
    try:
        text = json.dumps(dict(schema), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(SCHEMA, schema, f"a JSON object ({error})") from error
    copy = json.loads(text)
    if depth(copy) > DEEPEST:
        raise InvalidRequest(SCHEMA, schema, f"a JSON object of at most {DEEPEST} levels")
    return copy


def subschemas(schema: Schema) -> Iterator[tuple[Path, object]]:
    """Yield the schemas that a schema holds, and where."""
    for keyword in MAPS:
        if isinstance(held := schema.get(keyword), dict):
            yield from (((keyword, name), child) for name, child in held.items())
    for keyword in (*LISTS, *SINGLE):
        held = schema.get(keyword)
        if isinstance(held, list):
            yield from (((keyword, index), child) for index, child in enumerate(held))
        elif isinstance(held, dict) and keyword in SINGLE:
            yield (keyword,), held


def pointer_tokens(pointer: str) -> list[str]:
    """Return the tokens of a JSON pointer that begins with a slash."""
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]


def step(found: object, token: str) -> object:
    """Return what a token of a JSON pointer leads to; None for nothing."""
    if isinstance(found, dict):
        return found.get(token)
    if isinstance(found, list) and token in map(str, range(len(found))):
        return found[int(token)]
    return None


def types_of(schema: Schema) -> frozenset[str]:
    """Return the types that a schema takes by its `type`, integers where it takes numbers; all where it names none."""
    given = schema.get("type")
    names: list[Any] = given if isinstance(given, list) else [given]
    if not all(isinstance(name, str) and name in TYPES for name in names):
        return TYPES
    return frozenset([*names, "integer"] if "number" in names else names)


def listed(schema: Schema, keyword: str) -> list[Any]:
    """Return the list that a keyword has."""
    value = schema.get(keyword)
    return value if isinstance(value, list) else []


def mapped(schema: Schema, keyword: str) -> dict[str, Any]:
    """Return the object that a keyword has."""
    value = schema.get(keyword)
    return value if isinstance(value, dict) else {}


def counted(schema: Schema, keyword: str) -> int:
    """Return the number that a keyword has."""
    value = schema.get(keyword)
    return value if isinstance(value, int) else 0
