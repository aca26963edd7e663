"""A chat request, checked field by field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

from sampling.dialects import Dialect
from sampling.errors import InvalidRequest
from sampling.params import SamplingParams, boolean, integer

ROLES = ("system", "user", "assistant")
MOST_MESSAGES = 4096
MOST_STOPS = 4
LONGEST_STOP = 1024  # characters
MOST_CHOICES = 1024
MOST_TOKENS = 2**31 - 1
SAMPLING_FIELDS = tuple(field.name for field in fields(SamplingParams))
MESSAGES = f"a list of 1 to {MOST_MESSAGES} messages"
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


@dataclass(frozen=True)
class StreamOptions:
    """What else a stream tells.

    Args:
        include_usage: Whether a last chunk has the usage.
    """

    include_usage: bool = False


TEXT = ResponseFormat("text")


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """One request of the published API.

    Args:
        messages: The conversation so far, at most 4096; each has `role`, `content` and perhaps `name`.
        params: The sampling parameters.
        model: The name to answer under; None for the model's own.
        max_tokens: Most tokens of a choice; None for what is left of the context.
        n: How many choices, at most 1024.
        stop: Strings before which a choice ends, at most four of at most 1024 characters.
        stream: Whether the answer comes in chunks.
        stream_options: What else a stream tells.
        response_format: What the message has to be.
    """

    messages: tuple[Mapping[str, str], ...]
    params: SamplingParams
    model: str | None = None
    max_tokens: int | None = None
    n: int = 1
    stop: tuple[str, ...] = ()
    stream: bool = False
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat = TEXT

    @property
    def include_usage(self) -> bool:
        """Whether a stream is asked for its usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def check_stream_options(self, dialect: Dialect) -> None:
        """Refuse stream options where the dialect has none."""
        if self.stream_options is None:
            return
        given = {"include_usage": self.include_usage}
        if not dialect.usage_when_asked:
            words = f"left out: the dialect {dialect.name!r} tells the usage in the last chunk"
            raise InvalidRequest("stream_options", given, words)
        if not self.stream:
            raise InvalidRequest("stream_options", given, "left out unless stream is true")

    @staticmethod
    def parse(request: Mapping[str, object]) -> ChatRequest:
        """Read a request; an optional field that is None counts as left out.

        Args:
            request: The fields of the API by name.

        Raises:
            InvalidRequest: An unknown field, or a value that is not allowed.
        """
        known = {**PARSERS, **dict.fromkeys(SAMPLING_FIELDS)}
        unknown = next((name for name in request if name not in known), None)
        if unknown is not None:
            raise InvalidRequest(unknown, request[unknown], "left out: there is no such field")
        given = {name: value for name, value in request.items() if value is not None}
        sampling: dict[str, Any] = {name: given[name] for name in SAMPLING_FIELDS if name in given}
        own: dict[str, Any] = {name: parse(given[name]) for name, parse in PARSERS.items() if name in given}
        own = {name: value for name, value in own.items() if name in OWN_FIELDS}
        if "messages" not in own:
            raise InvalidRequest("messages", None, MESSAGES)
        return ChatRequest(params=SamplingParams(**sampling), **own)


OWN_FIELDS = tuple(field.name for field in fields(ChatRequest))


def messages_of(value: object) -> tuple[Mapping[str, str], ...]:
    """Check the list of messages."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not value:
        raise InvalidRequest("messages", value, MESSAGES)
    if len(cast("Sequence[object]", value)) > MOST_MESSAGES:
        raise InvalidRequest("messages", f"{len(cast('Sequence[object]', value))} messages", MESSAGES)
    return tuple(message_of(index, one) for index, one in enumerate(cast("Sequence[object]", value)))


def message_of(index: int, value: object) -> Mapping[str, str]:
    """Check one message."""
    name = f"messages[{index}]"
    if not isinstance(value, Mapping):
        raise InvalidRequest(name, value, "an object with role and content")
    message = cast("Mapping[object, object]", value)
    for key, content in message.items():
        if key not in ("role", "content", "name"):
            raise InvalidRequest(f"{name}.{key}", content, "left out: a message has role, content and name")
    if message.get("role") not in ROLES:
        raise InvalidRequest(f"{name}.role", message.get("role"), f"one of {', '.join(ROLES)}")
    return {
        key: text_of(f"{name}.{key}", message.get(key))
        for key in ("role", "content", "name")
        if key in message or key == "content"
    }


def text_of(name: str, value: object) -> str:
    """Check a string."""
    if not isinstance(value, str):
        raise InvalidRequest(name, value, "a string")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidRequest(name, value, "valid Unicode: a lone surrogate has no UTF-8 bytes")
    return value


def stops_of(value: object) -> tuple[str, ...]:
    """Check the list of stop strings."""
    allowed = f"a list of at most {MOST_STOPS} strings of 1 to {LONGEST_STOP} characters"
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InvalidRequest("stop", value, allowed)
    items = cast("Sequence[object]", value)
    if len(items) > MOST_STOPS or not all(
        isinstance(item, str) and 1 <= len(item) <= LONGEST_STOP for item in items
    ):
        raise InvalidRequest("stop", value, allowed)
    return tuple(text_of(f"stop[{index}]", item) for index, item in enumerate(items))


def stream_options_of(value: object) -> StreamOptions:
    """Check `stream_options`."""
    given = object_of("stream_options", value, ("include_usage",))
    return StreamOptions(boolean("stream_options.include_usage", given.get("include_usage", False)))


def response_format_of(value: object) -> ResponseFormat:
    """Check `response_format`."""
    given = object_of("response_format", value, ("type", "json_schema"))
    kind = given.get("type")
    if kind not in FORMATS:
        raise InvalidRequest("response_format.type", kind, f"one of {', '.join(FORMATS)}")
    if kind != "json_schema":
        if "json_schema" in given:
            words = "left out unless the type is json_schema"
            raise InvalidRequest("response_format.json_schema", given["json_schema"], words)
        return ResponseFormat(str(kind))
    name = "response_format.json_schema"
    described = object_of(name, given.get("json_schema"), ("name", "description", "schema", "strict"))
    for key in ("name", "description"):
        text_of(f"{name}.{key}", described.get(key, ""))
    boolean(f"{name}.strict", described.get("strict", True))
    schema = described.get("schema")
    if not isinstance(schema, Mapping):
        raise InvalidRequest(f"{name}.schema", schema, "a JSON schema, an object")
    return ResponseFormat(str(kind), cast("Mapping[str, object]", schema))


def object_of(name: str, value: object, keys: Sequence[str]) -> Mapping[object, object]:
    """Check an object that may have certain keys only."""
    if not isinstance(value, Mapping):
        raise InvalidRequest(name, value, f"an object with {', '.join(keys)}")
    given = cast("Mapping[object, object]", value)
    unknown = next((key for key in given if key not in keys), None)
    if unknown is not None:
        raise InvalidRequest(f"{name}.{unknown}", given[unknown], f"left out: known are {', '.join(keys)}")
    return {key: item for key, item in given.items() if item is not None}


PARSERS: dict[str, Callable[[object], object]] = {
    "messages": messages_of,
    "model": lambda value: text_of("model", value),
    "max_tokens": lambda value: integer("max_tokens", value, 1, MOST_TOKENS),
    "n": lambda value: integer("n", value, 1, MOST_CHOICES),
    "stop": stops_of,
    "stream": lambda value: boolean("stream", value),
    "stream_options": stream_options_of,
    "response_format": response_format_of,
}
