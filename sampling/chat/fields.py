"""The fields of a request: those of every dialect, and those that a dialect names in its `fields`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sampling.chat.checks import list_of, object_of, text_of
from sampling.chat.formats import Formats
from sampling.chat.kinds import Flag, Identifier, Kind, Real, Schema, Text, Whole, WholeOr
from sampling.chat.messages import Messages
from sampling.chat.not_offered import NOT_OFFERED
from sampling.chat.template_kwargs import TemplateKwargs
from sampling.chat.without_effect import WITHOUT_EFFECT
from sampling.core.errors import InvalidRequest
from sampling.core.params import PAGE, boolean, token_ids
from sampling.dialects import Dialect

LONGEST_STOP = 1024  # characters
MOST_TOKEN_IDS = 128
MOST_CHOICES = 1024
LONGEST_REQUEST_ID = 256
MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True)
class Stops:
    """Strings before which a choice ends: one, or a list.

    Args:
        most: How many there may be; the page's limit when left out.
    """

    most: int = 4

    @property
    def schema(self) -> Schema:
        """A string or a list of strings."""
        text = {"type": "string", "minLength": 1, "maxLength": LONGEST_STOP}
        return {"anyOf": [text, {"type": "array", "items": text, "maxItems": self.most}]}

    def read(self, name: str, value: object) -> tuple[str, ...]:
        """Check the stop strings."""
        given = list_of(value)
        items = [value] if given is None else given
        allowed = (
            f"a list of at most {self.most} strings of 1 to {LONGEST_STOP} characters, or one such string"
        )
        texts = [item for item in items if isinstance(item, str) and 1 <= len(item) <= LONGEST_STOP]
        if len(texts) < len(items) or len(texts) > self.most:
            raise InvalidRequest(name, value, allowed)
        names = [name] if given is None else [f"{name}[{index}]" for index in range(len(texts))]
        return tuple(map(text_of, names, texts))


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
        padding = {"include_obfuscation": {"enum": [False, None]}} if "include_obfuscation" in flags else {}
        return {"type": "object", "properties": flags | padding, "additionalProperties": {"type": "null"}}

    def read(self, name: str, value: object) -> StreamOptions:
        """Check the options of a stream."""
        given = object_of(name, value, self.keys)
        options = {str(key): boolean(f"{name}.{key}", item) for key, item in given.items()}
        if options.get("include_obfuscation"):
            raise InvalidRequest(
                f"{name}.include_obfuscation", value=True, allowed="false: chunks are not padded"
            )
        return StreamOptions(**options)


NO_OPTIONS = StreamOptions()


@dataclass(frozen=True)
class TokenIds:
    """A list of token ids."""

    @property
    def schema(self) -> Schema:
        """A list of integers."""
        return {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": MOST_TOKEN_IDS}

    def read(self, name: str, value: object) -> tuple[int, ...]:
        """Check a list of token ids."""
        return token_ids(name, value, MOST_TOKEN_IDS)


COMMON: Mapping[str, Kind] = {
    "model": Text(),
    "max_tokens": Whole(1, MOST_TOKENS),
    "n": Whole(1, MOST_CHOICES),
    "stop": Stops(),
    "stream": Flag(),
    "response_format": Formats(),
}

FIELDS: Mapping[str, Kind] = {
    "add_generation_prompt": Flag(),
    "chat_template_kwargs": TemplateKwargs(),
    "continue_final_message": Flag(),
    "ignore_eos": Flag(),
    "max_completion_tokens": COMMON["max_tokens"],
    "min_tokens": Whole(*PAGE.min_tokens),
    "n_predict": COMMON["max_tokens"],
    "repeat_penalty": Real(*PAGE.repetition_penalty),
    "request_id": Identifier(LONGEST_REQUEST_ID),
    "rid": Identifier(LONGEST_REQUEST_ID),
    "stop_token_ids": TokenIds(),
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
        "messages": Messages(dialect),
        "stop": Stops(dialect.most_stop_strings),
        "stream_options": StreamOptionFields(dialect.stream_options),
    }
    kinds = {**COMMON, **own, **{name: FIELDS[name] for name in dialect.fields}}
    if dialect.max_tokens_minus_one:
        limit = WholeOr(-1, Whole(1, MOST_TOKENS))
        limits = (name for name in kinds if OTHER_NAMES.get(name, name) == "max_tokens")
        kinds |= dict.fromkeys(limits, limit)
    return kinds
