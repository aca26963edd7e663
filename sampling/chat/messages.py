"""The messages of a request, as clients write them and as chat templates read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import cast

from sampling.chat.checks import given_of, list_of, object_of, text_of
from sampling.chat.kinds import Kind, Schema
from sampling.core.errors import InvalidRequest
from sampling.dialects import Dialect

MOST_MESSAGES = 4096
MOST_PARTS = 4096  # of one message
KEYS = ("role", "content", "name")
ALLOWED = f"a list of 1 to {MOST_MESSAGES} messages"
NOT_OFFERED: Mapping[str, str] = {
    "tool_calls": "tool calls are not offered",
    "tool_call_id": "tool calls are not offered",
    "function_call": "function calls are not offered",
    "audio": "audio is not offered",
    "refusal": "a model cannot be told that it has refused; put the text into content",
    "annotations": "web search is not offered",
}
"""Members of messages that other APIs have, and why they are refused where they say something."""

LISTS = ("tool_calls", "annotations")
"""Those of which an empty list says nothing."""

PARSED = "parsed"
"""What the openai package makes of an answer's content, and sends along with it."""

ROLES_NOT_OFFERED: Mapping[str, str] = {
    "tool": "tool calls are not offered",
    "function": "function calls are not offered",
}
TEXT_SCHEMA: Schema = {"type": "string"}
TEXT_PART = 'a text part, {"type": "text", "text": TEXT}'

PARTS_NOT_OFFERED: Mapping[str, str] = {
    **dict.fromkeys(
        ("image", "image_url", "input_image", "image_pil", "image_embeds"), "images are not offered"
    ),
    **dict.fromkeys(("audio", "audio_url", "input_audio", "audio_embeds"), "audio is not offered"),
    **dict.fromkeys(("video", "video_url"), "video is not offered"),
    **dict.fromkeys(("file", "input_file", "document"), "files are not offered"),
    **dict.fromkeys(("tool_use", "tool_result", "tool_reference"), "tool calls are not offered"),
    **dict.fromkeys(("input_text", "output_text"), f"it is of another API; {TEXT_PART} says the same here"),
    "refusal": f"{NOT_OFFERED['refusal'].partition(';')[0]}; put its words into {TEXT_PART}",
    "thinking": "the models do not reason before they answer",
}
"""Types of parts that APIs have, and why they are refused."""


def messages(dialect: Dialect) -> Kind:
    """Return the kind of conversations that a dialect takes, each message read as chat templates know it."""
    return Kind(schema_of(dialect), partial(read_messages, dialect))


def schema_of(dialect: Dialect) -> Schema:
    """Return what a list of messages is."""
    absent = {name: {"type": "null"} for name in NOT_OFFERED}
    absent |= {name: {"type": ["array", "null"], "maxItems": 0} for name in LISTS}
    members = {
        "role": {"enum": [*dialect.roles]},
        "content": content(dialect.part_separator).schema,
        "name": {"type": ["string", "null"]},
    }
    message = {
        "type": "object",
        "properties": {**members, **absent, PARSED: {}},
        "required": ["role", "content"],
        "additionalProperties": {"type": "null"},
    }
    items = {"anyOf": [message, *of_the_assistant(message, dialect)]}
    return {"type": "array", "items": items, "minItems": 1, "maxItems": MOST_MESSAGES}


def of_the_assistant(message: Schema, dialect: Dialect) -> Iterator[Schema]:
    """Yield what messages the assistant alone has: with parts of its own, or without content."""
    own = {**message["properties"], "role": {"const": "assistant"}}
    if dialect.assistant_parts != ("text",):
        parts = content(dialect.part_separator, dialect.assistant_parts).schema
        yield {**message, "properties": {**own, "content": parts}}
    if dialect.silent_assistant:
        yield {**message, "properties": {**own, "content": {"type": "null"}}, "required": ["role"]}


def read_messages(dialect: Dialect, name: str, value: object) -> tuple[Mapping[str, str], ...]:
    """Check the list of messages, and bring each into the form of chat templates: role, content, perhaps a name."""
    given = list_of(value)
    if not given:
        raise InvalidRequest(name, value, ALLOWED)
    if len(given) > MOST_MESSAGES:
        raise InvalidRequest(name, f"{len(given)} messages", ALLOWED)
    return tuple(read_message(dialect, f"{name}[{index}]", one) for index, one in enumerate(given))


def read_message(dialect: Dialect, name: str, value: object) -> Mapping[str, str]:
    """Check a message."""
    if not isinstance(value, Mapping):
        raise InvalidRequest(name, value, "an object with role and content")
    message = given_of(cast("Mapping[object, object]", value))
    for key, item in message.items():
        if key not in (*KEYS, PARSED) and not (key in LISTS and item == []):
            words = NOT_OFFERED.get(str(key), "a message has role, content and name")
            raise InvalidRequest(f"{name}.{key}", item, f"left out: {words}")
    role = read_role(dialect, f"{name}.role", message.get("role"))
    silent = role == "assistant" and dialect.silent_assistant and "content" not in message
    whole = {"role": role, "content": ""}
    if not silent:
        kinds = dialect.assistant_parts if role == "assistant" else ("text",)
        text = read_content(dialect.part_separator, kinds, f"{name}.content", message.get("content"))
        whole["content"] = text
    return {**whole, "name": text_of(f"{name}.name", message["name"])} if "name" in message else whole


def read_role(dialect: Dialect, name: str, value: object) -> str:
    """Check a role; return the one that chat templates know it by."""
    if not isinstance(value, str) or value not in dialect.roles:
        reason = ROLES_NOT_OFFERED.get(value) if isinstance(value, str) else None
        words = f"one of {', '.join(dialect.roles)}"
        raise InvalidRequest(name, value, f"{words}: {reason}" if reason else words)
    return "system" if value == "developer" else value


def content(separator: str = "", kinds: Sequence[str] = ("text",)) -> Kind:
    """Return the kind of texts, whole or in parts.

    Args:
        separator: What joins the parts.
        kinds: The types of parts; each has its text in a member of the type's name.
    """
    part = {"anyOf": [part_schema(kind) for kind in kinds]}
    parts = {"type": "array", "items": part, "minItems": 1, "maxItems": MOST_PARTS}
    return Kind({"anyOf": [TEXT_SCHEMA, parts]}, partial(read_content, separator, kinds))


def read_content(separator: str, kinds: Sequence[str], name: str, value: object) -> str:
    """Read a text, or the text of its parts."""
    parts = list_of(value)
    if parts is None:
        return text_of(name, value)
    if not 1 <= len(parts) <= MOST_PARTS:
        given = f"{len(parts)} parts" if parts else value
        raise InvalidRequest(name, given, f"a string, or a list of 1 to {MOST_PARTS} text parts")
    return separator.join(read_part(kinds, f"{name}[{index}]", part) for index, part in enumerate(parts))


def read_part(kinds: Sequence[str], name: str, value: object) -> str:
    """Return the text of a part."""
    if not isinstance(value, Mapping):
        raise InvalidRequest(name, value, TEXT_PART)
    kind = cast("Mapping[object, object]", value).get("type")
    if not isinstance(kind, str) or kind not in kinds:
        reason = PARTS_NOT_OFFERED.get(kind) if isinstance(kind, str) else None
        words = " or ".join(f"'{known}'" for known in kinds)
        raise InvalidRequest(f"{name}.type", kind, f"{words}: {reason or f'what is taken is {TEXT_PART}'}")
    return text_of(f"{name}.{kind}", object_of(name, value, ("type", kind)).get(kind))


def part_schema(kind: str) -> Schema:
    """Return a part of a type."""
    return {
        "type": "object",
        "properties": {"type": {"const": kind}, kind: TEXT_SCHEMA},
        "required": ["type", kind],
        "additionalProperties": {"type": "null"},
    }
