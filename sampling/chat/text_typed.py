"""Types of `LanguageModel.complete` and `LanguageModel.prompt_logprobs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from sampling.chat.typed import FinishReason, Header, Usage
from sampling.core.params import Bias

Prompt = str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]]


class TextFields(TypedDict, total=False):
    """The fields of a request that have an effect, besides `prompt` and `stream`; None counts as left out.

    Which of them a dialect has, and between which values, `LanguageModel.complete` says when it is called.
    """

    model: str | None
    max_tokens: int | None
    n_predict: int | None
    n: int | None
    stop: str | Sequence[str] | None
    echo: bool | None
    logprobs: int | None
    prompt_logprobs: int | None
    return_token_ids: bool | None
    add_special_tokens: bool | None
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
    top_k: int | None
    min_p: float | None
    min_tokens: int | None
    stop_token_ids: Sequence[int] | None
    ignore_eos: bool | None
    request_id: str | None
    rid: str | None


class TextLogprobs(TypedDict):
    """The tokens of a choice, or of a part of it, in lists of one length; null where nothing comes before a token."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]
    bytes: list[list[int] | None]


class TextChoice(TypedDict):
    """One of the n texts after one of the prompts, or a part of it."""

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: FinishReason | None
    stop_reason: NotRequired[str | int | None]
    prompt_logprobs: NotRequired[list[dict[str, dict[str, Any]] | None]]
    prompt_token_ids: NotRequired[list[int]]
    token_ids: NotRequired[list[int]]


class TextResponse(Header):
    """The response of a text completion, or one chunk of its stream; of chunks the last one has the usage, or as in chats."""

    object: Literal["text_completion"]
    choices: list[TextChoice]
    usage: NotRequired[Usage | None]


class TokenId(TypedDict):
    """A token: its text by itself, and the vocabulary's bytes."""

    token_id: int
    token: str
    bytes: list[int] | None


class ListedToken(TokenId):
    """A token and its log probability."""

    logprob: float


class PromptToken(TokenId):
    """A token of a prompt: its log probability after those before it, its rank, and the most likely tokens in its place."""

    logprob: float | None
    rank: int | None
    top_logprobs: list[ListedToken]
