"""The fields of a request: those of every dialect, and those that a dialect names in its `fields`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sampling.chat.checks import list_of, object_of, text_of
from sampling.chat.formats import Formats
from sampling.chat.kinds import Flag, Kind, Labels, OneOf, Only, Schema, Text, Whole
from sampling.chat.messages import Messages
from sampling.dialects import Dialect
from sampling.errors import InvalidRequest
from sampling.params import boolean

MOST_STOPS = 4
LONGEST_STOP = 1024  # characters
MOST_CHOICES = 1024
MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True)
class Stops:
    """Strings before which a choice ends: one, or a list."""

    @property
    def schema(self) -> Schema:
        """A string or a list of strings."""
        text = {"type": "string", "minLength": 1, "maxLength": LONGEST_STOP}
        return {"anyOf": [text, {"type": "array", "items": text, "maxItems": MOST_STOPS}]}

    def read(self, name: str, value: object) -> tuple[str, ...]:
        """Check the stop strings."""
        given = list_of(value)
        items = [value] if given is None else given
        allowed = (
            f"a list of at most {MOST_STOPS} strings of 1 to {LONGEST_STOP} characters, or one such string"
        )
        texts = [item for item in items if isinstance(item, str) and 1 <= len(item) <= LONGEST_STOP]
        if len(texts) < len(items) or len(texts) > MOST_STOPS:
            raise InvalidRequest(name, value, allowed)
        names = [name] if given is None else [f"{name}[{index}]" for index in range(len(texts))]
        return tuple(map(text_of, names, texts))


@dataclass(frozen=True)
class StreamOptions:
    """What else a stream tells.

    Args:
        include_usage: Whether a stream tells the usage at its end.
    """

    include_usage: bool = False


@dataclass(frozen=True)
class StreamOptionFields:
    """The values of `stream_options`.

    Args:
        keys: The options that a dialect has.
    """

    keys: tuple[str, ...]

    @property
    def schema(self) -> Schema:
        """An object of booleans."""
        flags = {key: {"type": ["boolean", "null"]} for key in self.keys}
        return {"type": "object", "properties": flags, "additionalProperties": {"type": "null"}}

    def read(self, name: str, value: object) -> StreamOptions:
        """Check the options of a stream."""
        given = object_of(name, value, self.keys)
        return StreamOptions(**{str(key): boolean(f"{name}.{key}", item) for key, item in given.items()})


NO_OPTIONS = StreamOptions()

COMMON: Mapping[str, Kind] = {
    "model": Text(),
    "max_tokens": Whole(1, MOST_TOKENS),
    "n": Whole(1, MOST_CHOICES),
    "stop": Stops(),
    "stream": Flag(),
    "response_format": Formats(),
}

NOT_OFFERED: Mapping[str, Only] = {
    "tools": Only(([],), "tools are not offered"),
    "tool_choice": Only(("none",), "tools are not offered"),
    "functions": Only(([],), "functions are not offered"),
    "function_call": Only(("none",), "functions are not offered"),
    "audio": Only((), "audio is not offered"),
    "modalities": Only((["text"],), "text is all that is offered"),
    "moderation": Only((), "moderation is not offered"),
    "reasoning_effort": Only(("none",), "the models do not reason before they answer"),
    "verbosity": Only((), "the length of an answer is the model's own"),
    "web_search_options": Only((), "web search is not offered"),
}

FIELDS: Mapping[str, Kind] = {
    "max_completion_tokens": COMMON["max_tokens"],
    "metadata": Labels(most=16, longest_key=64, longest=512),
    "parallel_tool_calls": Flag(),
    "prompt_cache_key": Text(),
    "prompt_cache_retention": OneOf(("in_memory", "24h")),
    "safety_identifier": Text(128),
    "service_tier": OneOf(("auto", "default", "flex", "scale", "priority", "fast")),
    "store": Flag(),
    "user": Text(),
    **NOT_OFFERED,
}
"""What a dialect can name in its `fields`. Those that `ChatRequest` and `SamplingParams` do not have are checked, no more."""


@lru_cache(maxsize=64)
def kinds_of(dialect: Dialect) -> Mapping[str, Kind]:
    """Return the fields that requests of a dialect may have, besides the sampling parameters of its stages.

    Raises:
        InvalidRequest: The dialect names a field that there is not.
    """
    unknown = next((name for name in dialect.fields if name not in FIELDS), None)
    if unknown is not None:
        raise InvalidRequest("fields", unknown, f"among {', '.join(FIELDS)}")
    own = {"messages": Messages(dialect), "stream_options": StreamOptionFields(dialect.stream_options)}
    return {**COMMON, **own, **{name: FIELDS[name] for name in dialect.fields}}
