"""Types of `LanguageModel.chat`: messages, the request's other fields, the response, and the chunks of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from sampling.core.params import Bias


class TextPart(TypedDict):
    """A part of a message's text."""

    type: Literal["text"]
    text: str


class RefusalPart(TypedDict):
    """A part in which the assistant has refused, as some dialects have it."""

    type: Literal["refusal"]
    refusal: str


class ChatMessage(TypedDict):
    """A message of a conversation.

    Which roles and parts a dialect has, and which messages may have no content, `LanguageModel.chat` says when it is called.
    """

    role: Literal["developer", "system", "user", "assistant"]
    content: str | Sequence[TextPart | RefusalPart] | None
    name: NotRequired[str | None]


class ChatFields(TypedDict, total=False):
    """The fields of a request that have an effect, besides `messages` and `stream`; None counts as left out.

    Which of them a dialect has, and between which values, `LanguageModel.chat` says when it is called.
    """

    model: str | None
    max_tokens: int | None
    max_completion_tokens: int | None
    n_predict: int | None
    n: int | None
    stop: str | Sequence[str] | None
    response_format: Mapping[str, Any] | None
    stream_options: Mapping[str, bool | None] | None
    temperature: float | None
    top_p: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    repetition_penalty: float | None
    repeat_penalty: float | None
    logit_bias: Bias | None
    seed: int | None
    logprobs: bool | None
    top_logprobs: int | None
    top_k: int | None
    min_p: float | None
    min_tokens: int | None
    stop_token_ids: Sequence[int] | None
    ignore_eos: bool | None
    add_generation_prompt: bool | None
    continue_final_message: bool | None
    chat_template_kwargs: Mapping[str, Any] | None
    request_id: str | None
    rid: str | None


class TokenLogprob(TypedDict):
    """A token and its log probability."""

    token: str
    logprob: float
    bytes: list[int] | None


class SampledTokenLogprob(TokenLogprob):
    """The token of one position, and its alternatives."""

    top_logprobs: list[TokenLogprob]


class ChoiceLogprobs(TypedDict):
    """The tokens of a choice, or of a part of it."""

    content: list[SampledTokenLogprob]


class ResponseMessage(TypedDict):
    """What the model says."""

    role: Literal["assistant"]
    content: str


FinishReason = Literal["stop", "length"]


class ResponseChoice(TypedDict):
    """One of the n answers."""

    index: int
    message: ResponseMessage
    finish_reason: FinishReason
    logprobs: ChoiceLogprobs | None
    stop_reason: NotRequired[str | int | None]


class Usage(TypedDict):
    """Counts of tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Header(TypedDict):
    """What a response and each chunk of a stream begin with."""

    id: str
    created: int
    model: str
    system_fingerprint: str
    seed: NotRequired[int]
    chat_template_kwargs: NotRequired[dict[str, Any]]


class ChatCompletion(Header):
    """The response of a chat completion."""

    object: Literal["chat.completion"]
    choices: list[ResponseChoice]
    usage: Usage


class Delta(TypedDict, total=False):
    """What a chunk adds to the message."""

    role: Literal["assistant"]
    content: str


class ChunkChoice(TypedDict):
    """What a chunk adds to a choice."""

    index: int
    delta: Delta
    finish_reason: FinishReason | None
    logprobs: ChoiceLogprobs | None
    stop_reason: NotRequired[str | int | None]


class ChatCompletionChunk(Header):
    """One chunk of a stream; the usage is in the last one, or where `stream_options` asks for it."""

    object: Literal["chat.completion.chunk"]
    choices: list[ChunkChoice]
    usage: NotRequired[Usage | None]
