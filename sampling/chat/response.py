"""The response of the published API, from what was sampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sampling.chat.choice import Choice
from sampling.decode import SampledToken
from sampling.dialects import Dialect
from sampling.params import SamplingParams
from sampling.text import Vocabulary

UNLISTED = -9999.0


def logprob_of(value: float, rank: int, dialect: Dialect) -> float:
    """A log probability as the dialect reports it: -9999.0 for -inf and for ranks that it does not list."""
    listed = dialect.listed_ranks is None or rank <= dialect.listed_ranks
    return value if listed and value > -float("inf") else UNLISTED


def described(token_id: int, logprob: float, vocabulary: Vocabulary) -> dict[str, Any]:
    """A token, its log probability and its bytes."""
    raw = vocabulary.bytes_of(token_id)
    return {
        "token": vocabulary.text_of(token_id),
        "logprob": logprob,
        "bytes": None if raw is None else list(raw),
    }


def entry(token: SampledToken, alternatives: int, vocabulary: Vocabulary, dialect: Dialect) -> dict[str, Any]:
    """The `logprobs.content` entry of one sampled token."""
    top = [
        described(token_id, logprob_of(value, rank, dialect), vocabulary)
        for rank, (token_id, value) in enumerate(token.top[:alternatives], start=1)
    ]
    own = described(token.token_id, logprob_of(token.logprob, token.rank, dialect), vocabulary)
    return {**own, "top_logprobs": top}


def choice_object(
    index: int, choice: Choice, params: SamplingParams, vocabulary: Vocabulary, dialect: Dialect
) -> dict[str, Any]:
    """One element of `choices`."""
    entries = [entry(token, params.top_logprobs, vocabulary, dialect) for token in choice.content_tokens()]
    return {
        "index": index,
        "message": {"role": "assistant", "content": choice.content},
        "finish_reason": choice.finish_reason,
        "stop_reason": choice.stop_reason,
        "logprobs": {"content": entries} if params.logprobs else None,
    }


def usage_object(prompt_tokens: int, choices: Sequence[Choice]) -> dict[str, int]:
    """Token counts: the prompt once, and everything that was sampled, end tokens included."""
    completion = sum(len(choice.tokens) for choice in choices)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": prompt_tokens + completion,
    }
