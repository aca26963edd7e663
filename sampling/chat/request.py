"""Requests, checked field by field; and that of a chat."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from sampling.chat.fields import FIELDS, NO_OPTIONS, OTHER_NAMES, StreamOptions, kinds_of
from sampling.chat.formats import TEXT, ResponseFormat
from sampling.chat.kinds import Kind
from sampling.chat.messages import ALLOWED as MESSAGES
from sampling.chat.not_offered import NOT_OFFERED
from sampling.core.errors import InvalidRequest, reading_request
from sampling.core.params import SamplingParams
from sampling.dialects import Dialect, DialectName
from sampling.dialects import dialect as dialect_named
from sampling.dialects.others import naming_others
from sampling.pipeline.effective import effective_params, top_k_of

SAMPLING_FIELDS = tuple(field.name for field in fields(SamplingParams) if field.name != "ranges")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What every request says, whatever its prompt is.

    Args:
        params: The sampling parameters.
        model: The name to answer under; None for the model's own.
        max_tokens: Most tokens of a choice; None for what is left of the context.
        n: How many choices, at most 1024.
        stop: Strings before which a choice ends, at most four (in some dialects more) of at most 1024 characters.
        stream: Whether the answer comes in chunks.
        stream_options: What else a stream tells.
        response_format: What the answer has to be.
        ignore_eos: Whether a choice goes on after the model's end tokens.
        request_id: What the response's id ends with; None for something random.
        given: The names of the fields that were not left out; equal requests may differ in them.
    """

    params: SamplingParams
    model: str | None = None
    max_tokens: int | None = None
    n: int = 1
    stop: tuple[str, ...] = ()
    stream: bool = False
    stream_options: StreamOptions = NO_OPTIONS
    response_format: ResponseFormat = TEXT
    ignore_eos: bool = False
    request_id: str | None = None
    given: frozenset[str] = field(default=frozenset(), compare=False)

    def filled(self, defaults: Mapping[str, Any]) -> Self:
        """Fill sampling parameters and `max_tokens` where they were left out, with defaults by field."""
        values = {name: value for name, value in defaults.items() if name not in self.given}
        max_tokens = values.pop("max_tokens", self.max_tokens)
        return replace(self, params=replace(self.params, **values), max_tokens=max_tokens)


@dataclass(frozen=True, kw_only=True)
class ChatRequest(Request):
    """A request for the next message of a conversation, as its dialect reads it; besides those of `Request` it has these.

    Args:
        messages: The conversation so far, at most 4096; each has `role`, `content` and perhaps `name`.
        add_generation_prompt: Whether the prompt ends with the beginning of an answer; None for yes unless the final message
            is continued.
        continue_final_message: Whether the answer goes on from the end of the final message, which is the assistant's.
        chat_template_kwargs: What else the chat template may read.
    """

    messages: tuple[Mapping[str, str], ...]
    add_generation_prompt: bool | None = None
    continue_final_message: bool = False
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @staticmethod
    def parse(request: Mapping[str, object], dialect: DialectName | Dialect = "qstash") -> ChatRequest:
        """Read a request; a field that is None counts as left out, whatever its name.

        Args:
            request: The fields of the API by name.
            dialect: Whose fields and values they are.

        Returns:
            The request.

        Raises:
            InvalidRequest: An unknown field, or a value that is not allowed; where another dialect would take the request, the
                message says which.

        Example:
            >>> ask = {"messages": [{"role": "user", "content": "?"}], "max_completion_tokens": 5, "user": None}
            >>> ChatRequest.parse(ask, "openai").max_tokens
            5
        """
        style = dialect_named(dialect)
        kinds_of(style)  # a dialect that is wrong in itself is no other dialect's business
        return naming_others(lambda one: read(request, one), style)


OWN_FIELDS = tuple(field.name for field in fields(ChatRequest))


@reading_request()
def read(request: Mapping[str, object], dialect: Dialect) -> ChatRequest:
    """Read a request in a dialect."""
    given, values = read_fields(request, kinds_of(dialect), dialect)
    if "messages" not in values:
        raise InvalidRequest("messages", None, MESSAGES)
    own = {name: values[name] for name in OWN_FIELDS if name in values}
    parsed = ChatRequest(params=sampling_params(values, dialect), given=frozenset(values), **own)
    check_together(parsed, given)
    check_final_message(parsed)
    return parsed


def read_fields(
    request: Mapping[str, object], kinds: Mapping[str, Kind], dialect: Dialect
) -> tuple[dict[str, object], dict[str, Any]]:
    """Return what a request gives, as it is and as it is read, the latter under the first names of fields."""
    given = {name: value for name, value in request.items() if value is not None}
    for name, value in given.items():
        # whether the dialect has a stage for a sampling parameter is asked of its value
        if name not in kinds and (name not in SAMPLING_FIELDS or name in FIELDS):
            raise InvalidRequest(name, value, f"left out: {why_unknown(name, dialect)}")
    values: dict[str, Any] = {
        name: kinds[name].read(name, value) if name in kinds else value for name, value in given.items()
    }
    return given, values | by_their_first_names(values)


def sampling_params(values: dict[str, Any], dialect: Dialect) -> SamplingParams:
    """Return the sampling parameters of a request, checked against the dialect; values that mean none are taken out."""
    if "top_k" in values:
        values["top_k"] = top_k_of(values["top_k"], dialect)
    if dialect.seed_minus_one and isinstance(values.get("seed"), int | float) and values["seed"] == -1:
        del values["seed"]
    asked = {name: values[name] for name in SAMPLING_FIELDS if name in values}
    params = SamplingParams(**asked, ranges=dialect.ranges)
    effective_params(params, dialect)
    return params


def check_together(request: Request, given: Mapping[str, object]) -> None:
    """Refuse fields that do not go with others."""
    if "stream_options" in given and not request.stream:
        raise InvalidRequest("stream_options", given["stream_options"], "left out unless stream is true")
    if request.response_format != TEXT:  # a finished value cannot go on
        for name in ("ignore_eos", "min_tokens"):
            if getattr(request, name, False) or getattr(request.params, name, 0):
                raise InvalidRequest(name, given[name], "left out with a response_format other than text")


def check_final_message(request: ChatRequest) -> None:
    """Refuse what a conversation cannot end with."""
    if request.continue_final_message and request.messages[-1]["role"] != "assistant":
        words = "left out (or false) unless the final message is the assistant's"
        raise InvalidRequest("continue_final_message", True, words)
    if request.continue_final_message and request.add_generation_prompt:
        raise InvalidRequest("add_generation_prompt", True, "false with continue_final_message")


def why_unknown(name: str, dialect: Dialect) -> str:
    """Say why a dialect has no such field."""
    if name in NOT_OFFERED:
        return NOT_OFFERED[name].reason
    return f"the dialect {dialect.name!r} has no {name}" if name in FIELDS else "there is no such field"


def by_their_first_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of fields that were given by another name."""
    renamed: dict[str, Any] = {}
    for name, first in OTHER_NAMES.items():
        if name not in values:
            continue
        value, known = values[name], {**values, **renamed}
        if first in known and known[first] != value:
            words = f"{json.dumps(known[first])} like {first}, or one of the two left out"
            raise InvalidRequest(name, value, words)
        renamed[first] = value
    return renamed
