"""The fields of a request: those of every dialect, and those that a dialect names in its `fields`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sampling.chat.checks import list_of, object_of, text_of
from sampling.chat.formats import Formats
from sampling.chat.kinds import Flag, Kind, Labels, Members, OneOf, Only, Schema, Text, Whole
from sampling.chat.messages import Content, Messages
from sampling.chat.template_kwargs import TemplateKwargs
from sampling.dialects import Dialect
from sampling.errors import InvalidRequest
from sampling.params import INTEGERS, boolean, token_ids

MOST_STOPS = 4
LONGEST_STOP = 1024  # characters
MOST_TOKEN_IDS = 128
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
    "add_special_tokens": Only((False,), "the chat template has all of them"),
    "allowed_token_ids": Only((), "a list of allowed tokens is not offered"),
    "bad_words": Only(([],), "banned words are not offered; logit_bias bans tokens"),
    "best_of": Only((1,), "a choice among more completions is not offered"),
    "ebnf": Only((), "other grammars than those of response_format are not offered"),
    "echo": Only((False,), "the messages are not repeated"),
    "include_stop_str_in_output": Only((False,), "a stop string is no part of the content"),
    "length_penalty": Only((1.0,), "beam search is not offered"),
    "no_stop_trim": Only((False,), "a stop string is no part of the content"),
    "prompt_logprobs": Only((), "log probabilities of the prompt are not offered"),
    "regex": Only((), "other grammars than those of response_format are not offered"),
    "skip_special_tokens": Only((True,), "special tokens are no part of the content"),
    "spaces_between_special_tokens": Only((True,), "special tokens are no part of the content"),
    "stop_regex": Only((), "stop strings are literal"),
    "truncate_prompt_tokens": Only((), "a prompt is never cut"),
    "use_beam_search": Only((False,), "beam search is not offered"),
}

FIELDS: Mapping[str, Kind] = {
    "add_generation_prompt": Flag(),
    "chat_template_kwargs": TemplateKwargs(),
    "continue_final_message": Flag(),
    "ignore_eos": Flag(),
    "max_completion_tokens": COMMON["max_tokens"],
    "metadata": Labels(most=16, longest_key=64, longest=512),
    "min_tokens": Whole(*INTEGERS["min_tokens"]),
    "parallel_tool_calls": Flag(),
    "prediction": Members({"type": OneOf(("content",)), "content": Content()}),
    "prompt_cache_key": Text(),
    "prompt_cache_options": Members({"mode": OneOf(("implicit", "explicit")), "ttl": OneOf(("30m",))}),
    "prompt_cache_retention": OneOf(("in_memory", "24h")),
    "safety_identifier": Text(128),
    "service_tier": OneOf(("auto", "default", "flex", "scale", "priority", "fast")),
    "stop_token_ids": TokenIds(),
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
        raise InvalidRequest("fields", unknown, "a name in sampling.chat.fields.FIELDS")
    own = {"messages": Messages(dialect), "stream_options": StreamOptionFields(dialect.stream_options)}
    return {**COMMON, **own, **{name: FIELDS[name] for name in dialect.fields}}
