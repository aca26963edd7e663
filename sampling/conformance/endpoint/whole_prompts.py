"""Log probabilities of a prompt's own tokens, where an engine tells them: a request for them, and what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sampling.conformance.endings import CheckEnded
from sampling.conformance.endpoint.client import Client
from sampling.conformance.endpoint.prompts import Messages
from sampling.conformance.endpoint.reply import Part, read

Told = list[tuple[int, float]]  # ids of a prompt's tokens from the second on, and their log probabilities


class Value(Part):
    """What vLLM says of a token."""

    logprob: float


class OfChat(Part):
    """A chat completion of vLLM: by position the sampled token, then others, by id."""

    prompt_logprobs: list[dict[str, Value] | None] | None = None


class Meta(Part):
    """What SGLang says of a prompt: log probability, id, and text by position."""

    input_token_logprobs: list[list[Any]]


class Generated(Part):
    """An answer of SGLang's own route."""

    meta_info: Meta


def whole_prompt(client: Client, messages: Messages, prompt_ids: Sequence[int]) -> Told:
    """Return the ids and log probabilities of a prompt's tokens as an engine has them; none if it does not tell.

    Source: vLLM, ChatCompletionRequest.prompt_logprobs; SGLang, docs/basic_usage/native_api, `return_logprob`.
    """
    return of_chat(client, messages) or of_route(client, prompt_ids)


def of_chat(client: Client, messages: Messages) -> Told:
    """Return what vLLM tells in a chat completion."""
    try:
        fields = {"messages": [*messages], "max_tokens": 1, "prompt_logprobs": 0}
        told = read(OfChat, client.text(fields, 1)).prompt_logprobs or []
    except CheckEnded:
        return []
    return [pair for values in told[1:] if (pair := first(values or {})) is not None]


def first(values: Mapping[str, Value]) -> tuple[int, float] | None:
    """Return the prompt's own token at a position, which comes first."""
    for token, value in values.items():
        return (int(token), value.logprob) if token.isdecimal() else None
    return None


def of_route(client: Client, prompt_ids: Sequence[int]) -> Told:
    """Return what SGLang tells on its own route."""
    asked = {"input_ids": [*prompt_ids], "sampling_params": {"max_new_tokens": 1}, "return_logprob": True}
    try:
        told = read(Generated, client.post("/generate", {**asked, "logprob_start_len": 0}))
    except CheckEnded:
        return []
    return [
        (entry[1], float(entry[0]))
        for entry in told.meta_info.input_token_logprobs[1:]
        if len(entry) > 1 and type(entry[1]) is int and isinstance(entry[0], int | float)
    ]
