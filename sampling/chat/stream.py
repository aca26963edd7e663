"""The chunks of a streamed response, from the events of its completion."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from sampling.chat.completion import Completion, TokenEvent
from sampling.chat.prepared import PreparedRequest
from sampling.chat.response import end_tokens, entries, logprobs_object
from sampling.generate.sampled_token import SampledToken

DONE = "[DONE]"


class Writer(Protocol):
    """Turns the events of one completion into chunks."""

    def start(self) -> list[dict[str, Any]]:
        """Return what comes before the first token, once the prompt is through."""
        ...

    def write(self, events: Sequence[TokenEvent]) -> list[dict[str, Any]]:
        """Return the chunks for all events of a step."""
        ...


class Frame:
    """What the chunks of a stream have besides their choices: the header, and usage where it is told.

    Args:
        head: What each chunk begins with.
        prepared: What was asked, by any of its prompts.
        usage: How many tokens the whole request took so far.
    """

    def __init__(
        self, head: Mapping[str, Any], prepared: PreparedRequest, usage: Callable[[], dict[str, int]]
    ) -> None:
        self._head, self._usage = head, usage
        asked, dialect = prepared.request.stream_options, prepared.dialect
        self._asked, self._when_asked = asked.include_usage, dialect.usage_when_asked
        # whether each chunk tells the usage of its choice so far
        self._continuous = asked.continuous_usage_stats and (
            self._asked or not dialect.continuous_needs_usage
        )

    def chunk(self, choice: dict[str, Any], completion: Completion, index: int) -> dict[str, Any]:
        """Return a chunk of one choice, that of an index in its completion."""
        chunk = {**self._head, "choices": [choice]}
        if self._continuous:
            return {**chunk, "usage": completion.usage(index)}
        return {**chunk, "usage": None} if self._asked else chunk

    def ended(self, chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the last chunks with the usage in the very last, or in one of its own where that was asked for."""
        if not self._when_asked:
            return [*chunks[:-1], {**chunks[-1], "usage": self._usage()}]
        return [*chunks, {**self._head, "choices": [], "usage": self._usage()}] if self._asked else chunks


class ChunkWriter:
    """Turns a completion's events into chunks; joined, the chunks say what the response says."""

    def __init__(self, completion: Completion) -> None:
        self._completion, self._prepared = completion, completion.prepared
        self._frame = Frame(completion.header("chat.completion.chunk"), completion.prepared, completion.usage)

    def start(self) -> list[dict[str, Any]]:
        """Return the first chunk of each choice: the role."""
        return [self._chunk(index, {"role": "assistant"}) for index in range(self._prepared.request.n)]

    def write(self, events: Sequence[TokenEvent]) -> list[dict[str, Any]]:
        """Return the chunks for all events of a step: a choice's content if there is any, and its last chunk at its end."""
        chunks: list[dict[str, Any]] = []
        for event in events:
            text, tokens = event.delta.text, event.delta.tokens
            if text or (tokens and self._prepared.params.logprobs):
                chunks.append(self._chunk(event.choice, {"content": text}, self._logprobs(tokens)))
            if event.ended:
                chunks.append(self._end(event.choice))
        return chunks if self._completion.running or not chunks else self._frame.ended(chunks)

    def _logprobs(self, tokens: Iterable[SampledToken]) -> dict[str, Any] | None:
        params, dialect = self._prepared.params, self._prepared.dialect
        return logprobs_object([*entries(tokens, params, self._prepared.vocabulary, dialect)], params)

    def _end(self, index: int) -> dict[str, Any]:
        choice, dialect = self._completion.choices[index], self._prepared.dialect
        last = end_tokens(choice, dialect)
        chunk = self._chunk(
            index, {"content": ""}, self._logprobs(last) if last else None, choice.finish_reason
        )
        if dialect.gives_stop_reason:
            chunk["choices"][0]["stop_reason"] = choice.stop_reason
        return chunk

    def _chunk(
        self,
        index: int,
        delta: dict[str, str],
        logprobs: dict[str, Any] | None = None,
        finish_reason: str | None = None,
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}
        return self._frame.chunk(choice, self._completion, index)


def server_sent_event(data: dict[str, Any] | str) -> str:
    r"""Return one event of a stream, a chunk or text such as `DONE`, as it goes over the wire.

    Source: "Server-sent events", HTML Living Standard.

    Example:
        >>> server_sent_event({"a": 1}), server_sent_event(DONE)
        ('data: {"a": 1}\n\n', 'data: [DONE]\n\n')
    """
    return f"data: {data if isinstance(data, str) else json.dumps(data, allow_nan=False)}\n\n"
