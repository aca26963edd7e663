"""The response of the published API, from what was sampled."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sampling.chat.choice import Choice
from sampling.core.params import SamplingParams
from sampling.dialects import Dialect
from sampling.generate.sampled_token import SampledToken
from sampling.text import Vocabulary

UNLISTED = -9999.0
BROKEN = "\ufffd"  # what stands for a part of a character


def logprob_of(value: float, rank: int, dialect: Dialect) -> float:
    """Return a log probability as the dialect reports it: -9999.0 for -inf and for ranks that it does not list."""
    listed = dialect.max_reported_rank is None or rank <= dialect.max_reported_rank
    return value if listed and value > -float("inf") else UNLISTED


def described(
    token_id: int, logprob: float, vocabulary: Vocabulary, dialect: Dialect, begun: bytes = b""
) -> dict[str, Any]:
    """Return a token, its log probability and its bytes; `begun` are those of a character that others have begun."""
    raw, text = vocabulary.bytes_of(token_id), vocabulary.text_of(token_id)
    if raw is None and dialect.blank_special_tokens:
        text, raw = "", b""
    elif raw is None and dialect.special_tokens_have_bytes:
        raw = text.encode()
    elif raw is not None and dialect.whole_characters and text.endswith(BROKEN):
        whole = (begun + raw).decode("utf-8", errors="replace")
        text = "" if whole.endswith(BROKEN) else whole
        raw = text.encode()
    return {"token": text, "logprob": logprob, "bytes": None if raw is None else list(raw)}


def begun_by(raw: bytes) -> bytes:
    """Return the bytes at the end that begin a character and do not finish it."""
    decoder = getincrementaldecoder("utf-8")(errors="replace")
    decoder.decode(raw)
    return decoder.getstate()[0]


def alternatives(token: SampledToken, count: int, dialect: Dialect) -> list[tuple[int, float, int]]:
    """Return the tokens of `top_logprobs`: id, log probability and rank."""
    listed = [(token_id, value, rank) for rank, (token_id, value) in enumerate(token.top[:count], start=1)]
    if not dialect.sampled_first:
        return listed
    own = (token.token_id, token.logprob, token.rank)
    first = [own, *(other for other in listed if other[0] != token.token_id)]
    return first[:count] if dialect.at_most_k else first


def entry(
    token: SampledToken, count: int, vocabulary: Vocabulary, dialect: Dialect, begun: bytes = b""
) -> dict[str, Any]:
    """Return the `logprobs.content` entry of one sampled token."""
    top = [
        described(token_id, logprob_of(value, rank, dialect), vocabulary, dialect, begun)
        for token_id, value, rank in alternatives(token, count, dialect)
    ]
    value = logprob_of(token.logprob, token.rank, dialect)
    return {**described(token.token_id, value, vocabulary, dialect, begun), "top_logprobs": top}


def entries(
    tokens: Iterable[SampledToken], params: SamplingParams, vocabulary: Vocabulary, dialect: Dialect
) -> Iterator[dict[str, Any]]:
    """Yield the entries of some tokens, the first of which begins a character; none unless log probabilities are wanted."""
    begun = b""
    for token in tokens if params.logprobs else ():
        yield entry(token, params.top_logprobs, vocabulary, dialect, begun)
        begun = begun_by(begun + (vocabulary.bytes_of(token.token_id) or b""))


def end_tokens(choice: Choice, dialect: Dialect) -> list[SampledToken]:
    """Return the token that ended the choice, where the dialect has an entry for it."""
    return [choice.end_token] if dialect.end_token_entry and choice.end_token is not None else []


def logprobs_object(listed: object, params: SamplingParams) -> dict[str, Any] | None:
    """Return the `logprobs` of a choice: null unless asked for."""
    return {"content": listed} if params.logprobs else None


def choice_object(
    index: int,
    choice: Choice,
    params: SamplingParams,
    vocabulary: Vocabulary,
    dialect: Dialect,
    collect: Callable[[Iterator[dict[str, Any]]], object] = list,
) -> dict[str, Any]:
    """One element of `choices`; `collect` makes what `logprobs.content` is of its entries."""
    tokens = [*choice.content_tokens, *end_tokens(choice, dialect)]
    listed = collect(entries(tokens, params, vocabulary, dialect))
    whole = {
        "index": index,
        "message": {"role": "assistant", "content": choice.content},
        "finish_reason": choice.finish_reason,
        "logprobs": logprobs_object(listed, params),
    }
    return {**whole, "stop_reason": choice.stop_reason} if dialect.gives_stop_reason else whole


def usage_object(prompt_tokens: int, choices: Sequence[Choice]) -> dict[str, int]:
    """Token counts: the prompt once, and everything that was sampled, end tokens included."""
    completion = sum(len(choice.tokens) for choice in choices)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": prompt_tokens + completion,
    }
