"""A chat request, checked field by field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

from sampling.errors import InvalidRequest
from sampling.params import SamplingParams, boolean, integer

ROLES = ("system", "user", "assistant")
MOST_STOPS = 4
MOST_CHOICES = 1024
SAMPLING_FIELDS = tuple(field.name for field in fields(SamplingParams))


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """One request of the published API.

    Args:
        messages: The conversation so far; each has `role`, `content` and perhaps `name`.
        params: The sampling parameters.
        model: The name to answer under; None for the model's own.
        max_tokens: Most tokens of a choice; None for what is left of the context.
        n: How many choices, at most 1024.
        stop: Strings before which a choice ends, at most four.
    """

    messages: tuple[Mapping[str, str], ...]
    params: SamplingParams
    model: str | None = None
    max_tokens: int | None = None
    n: int = 1
    stop: tuple[str, ...] = ()

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
            raise InvalidRequest("messages", None, "a list with at least one message")
        return ChatRequest(params=SamplingParams(**sampling), **own)


OWN_FIELDS = tuple(field.name for field in fields(ChatRequest))


def messages_of(value: object) -> tuple[Mapping[str, str], ...]:
    """Check the list of messages."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not value:
        raise InvalidRequest("messages", value, "a list with at least one message")
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
    allowed = f"a list of at most {MOST_STOPS} strings that are not empty"
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InvalidRequest("stop", value, allowed)
    items = cast("Sequence[object]", value)
    if len(items) > MOST_STOPS or not all(isinstance(item, str) and item for item in items):
        raise InvalidRequest("stop", value, allowed)
    return tuple(text_of(f"stop[{index}]", item) for index, item in enumerate(items))


def not_streaming(value: object) -> bool:
    """Check `stream`, of which only false is there yet."""
    if boolean("stream", value):
        raise InvalidRequest("stream", value, "false: streaming is not there yet")
    return False


def text_format(value: object) -> str:
    """Check `response_format`, of which only text is there yet."""
    if value == {"type": "text"}:
        return "text"
    if value == {"type": "json_object"}:
        raise InvalidRequest("response_format", value, '{"type": "text"}: JSON mode is not there yet')
    raise InvalidRequest("response_format", value, '{"type": "text"}')


PARSERS: dict[str, Callable[[object], object]] = {
    "messages": messages_of,
    "model": lambda value: text_of("model", value),
    "max_tokens": lambda value: integer("max_tokens", value, 1),
    "n": lambda value: integer("n", value, 1, MOST_CHOICES),
    "stop": stops_of,
    "stream": not_streaming,
    "response_format": text_format,
}
