"""What a message has to be: the field `response_format`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from sampling.chat.checks import object_of, text_of
from sampling.chat.kinds import Kind, Schema
from sampling.core.errors import InvalidRequest
from sampling.core.params import boolean

FORMATS = ("text", "json_object", "json_schema")


@dataclass(frozen=True)
class ResponseFormat:
    """What the message has to be.

    Args:
        kind: "text", "json_object" or "json_schema".
        schema: The JSON schema of the last.
    """

    kind: str
    schema: Mapping[str, object] | None = None


TEXT = ResponseFormat("text")


def read_format(name: str, value: object) -> ResponseFormat:
    """Check a response format."""
    given = object_of(name, value, ("type", "json_schema"))
    kind = given.get("type")
    if kind not in FORMATS:
        raise InvalidRequest(f"{name}.type", kind, f"one of {', '.join(FORMATS)}")
    if kind == "json_schema":
        return ResponseFormat(str(kind), schema_of(f"{name}.json_schema", given.get("json_schema")))
    if "json_schema" in given:
        words = "left out unless the type is json_schema"
        raise InvalidRequest(f"{name}.json_schema", given["json_schema"], words)
    return ResponseFormat(str(kind))


def schema_of(name: str, value: object) -> Mapping[str, object]:
    """Check the description of a JSON schema; return the schema."""
    described = object_of(name, value, ("name", "description", "schema", "strict"))
    for key in ("name", "description"):
        text_of(f"{name}.{key}", described.get(key, ""))
    boolean(f"{name}.strict", described.get("strict", True))
    schema = described.get("schema")
    if not isinstance(schema, Mapping):
        raise InvalidRequest(f"{name}.schema", schema, "a JSON schema, an object")
    return cast("Mapping[str, object]", schema)


def closed(properties: Mapping[str, Schema], *required: str) -> Schema:
    """Return an object that says nothing else."""
    return {
        "type": "object",
        "properties": {**properties},
        "required": [*required],
        "additionalProperties": {"type": "null"},
    }


DESCRIBED: Schema = {
    "name": {"type": ["string", "null"]},
    "description": {"type": ["string", "null"]},
    "strict": {"type": ["boolean", "null"]},
    "schema": {"type": "object"},
}
FREE: Schema = {"type": {"enum": ["text", "json_object"]}, "json_schema": {"type": "null"}}
BOUND: Schema = {"type": {"const": "json_schema"}, "json_schema": closed(DESCRIBED, "schema")}
RESPONSE_FORMATS = Kind({"anyOf": [closed(FREE, "type"), closed(BOUND, *BOUND)]}, read_format)
