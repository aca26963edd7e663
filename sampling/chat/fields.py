"""The fields of a request: those of every dialect, and those that a dialect names in its `fields`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

from sampling.chat.checks import list_of, object_of, text_of
from sampling.chat.formats import RESPONSE_FORMATS
from sampling.chat.kinds import FLAG, Kind, identifier, real, text, whole, whole_or
from sampling.chat.messages import messages
from sampling.chat.not_offered import NOT_OFFERED
from sampling.chat.template_kwargs import VARIABLES
from sampling.chat.without_effect import WITHOUT_EFFECT
from sampling.core.errors import InvalidRequest
from sampling.core.params import PAGE, boolean, token_ids
from sampling.dialects import Dialect

LONGEST_STOP = 1024  # characters
MOST_TOKEN_IDS = 128
MOST_CHOICES = 1024
LONGEST_REQUEST_ID = 256
MOST_TOKENS = 2**31 - 1


def stops(most: int) -> Kind:
    """Return the kind of strings before which a choice ends: one, or a list of at most so many."""

    def read(name: str, value: object) -> tuple[str, ...]:
        given = list_of(value)
        items = [value] if given is None else given
        fit = [item for item in items if isinstance(item, str) and 1 <= len(item) <= LONGEST_STOP]
        if len(fit) < len(items) or len(fit) > most:
            words = f"a list of at most {most} strings of 1 to {LONGEST_STOP} characters, or one such string"
            raise InvalidRequest(name, value, words)
        names = [name] if given is None else [f"{name}[{index}]" for index in range(len(fit))]
        return tuple(map(text_of, names, fit))

    stop = {"type": "string", "minLength": 1, "maxLength": LONGEST_STOP}
    return Kind({"anyOf": [stop, {"type": "array", "items": stop, "maxItems": most}]}, read)


@dataclass(frozen=True)
class StreamOptions:
    """What else a stream tells.

    Args:
        include_usage: Whether a stream tells the usage at its end.
        continuous_usage_stats: Whether each chunk tells the usage of its choice so far.
        include_obfuscation: Whether chunks are padded, which is not offered.
    """

    include_usage: bool = False
    continuous_usage_stats: bool = False
    include_obfuscation: bool = False


def stream_options(keys: tuple[str, ...]) -> Kind:
    """Return the kind of what else a stream may be asked to tell: an object of booleans with these keys."""

    def read(name: str, value: object) -> StreamOptions:
        given = object_of(name, value, keys)
        options = {str(key): boolean(f"{name}.{key}", item) for key, item in given.items()}
        if options.get("include_obfuscation"):
            words = "false: chunks are not padded"
            raise InvalidRequest(f"{name}.include_obfuscation", value=True, allowed=words)
        return StreamOptions(**options)

    flags = {key: {"type": ["boolean", "null"]} for key in keys}
    padding = {"include_obfuscation": {"enum": [False, None]}} if "include_obfuscation" in flags else {}
    properties = flags | padding
    return Kind({"type": "object", "properties": properties, "additionalProperties": {"type": "null"}}, read)


NO_OPTIONS = StreamOptions()
TOKEN_IDS = Kind(
    {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": MOST_TOKEN_IDS},
    partial(token_ids, most=MOST_TOKEN_IDS),
)

COMMON: Mapping[str, Kind] = {
    "model": text(),
    "max_tokens": whole(1, MOST_TOKENS),
    "n": whole(1, MOST_CHOICES),
    "stream": FLAG,
    "response_format": RESPONSE_FORMATS,
}

FIELDS: Mapping[str, Kind] = {
    "add_generation_prompt": FLAG,
    "chat_template_kwargs": VARIABLES,
    "continue_final_message": FLAG,
    "ignore_eos": FLAG,
    "max_completion_tokens": COMMON["max_tokens"],
    "min_tokens": whole(*PAGE.min_tokens),
    "n_predict": COMMON["max_tokens"],
    "repeat_penalty": real(*PAGE.repetition_penalty),
    "request_id": identifier(LONGEST_REQUEST_ID),
    "rid": identifier(LONGEST_REQUEST_ID),
    "stop_token_ids": TOKEN_IDS,
    **WITHOUT_EFFECT,
    **NOT_OFFERED,
}
"""What a dialect can name in its `fields`."""

OTHER_NAMES: Mapping[str, str] = {
    "max_completion_tokens": "max_tokens",
    "n_predict": "max_tokens",
    "repeat_penalty": "repetition_penalty",
    "rid": "request_id",
}
"""Second names of fields."""


@lru_cache(maxsize=64)
def kinds_of(dialect: Dialect) -> Mapping[str, Kind]:
    """Return the fields that requests of a dialect may have, besides the sampling parameters of its stages.

    Raises:
        InvalidRequest: The dialect names a field that there is not.
    """
    unknown = next((name for name in dialect.fields if name not in FIELDS), None)
    if unknown is not None:
        raise InvalidRequest("fields", unknown, "a name in sampling.chat.fields.FIELDS")
    own = {
        "messages": messages(dialect),
        "stop": stops(dialect.most_stop_strings),
        "stream_options": stream_options(dialect.stream_options),
    }
    kinds = {**COMMON, **own, **{name: FIELDS[name] for name in dialect.fields}}
    return with_limits(kinds, dialect, least=1)


def with_limits(kinds: Mapping[str, Kind], dialect: Dialect, least: int) -> dict[str, Kind]:
    """Return fields with the kind of numbers by which those are read that limit the tokens of a choice."""
    limit = whole(least, MOST_TOKENS)
    limit = whole_or(-1, limit) if dialect.max_tokens_minus_one else limit
    limits = (name for name in kinds if OTHER_NAMES.get(name, name) == "max_tokens")
    return {**kinds, **dict.fromkeys(limits, limit)}
