"""The chunks of a streamed response, from the events of its completion."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sampling.chat.completion import Completion, TokenEvent
from sampling.chat.response import end_tokens, entries, logprobs_object
from sampling.generate.decode import SampledToken

DONE = "[DONE]"


class ChunkWriter:
    """Turns a completion's events into chunks; joined, the chunks say what the response says."""

    def __init__(self, completion: Completion) -> None:
        self._completion, self._prepared = completion, completion.prepared
        self._head = completion.header("chat.completion.chunk")
        asked, dialect = self._prepared.request.stream_options, self._prepared.dialect
        self._asked = asked.include_usage
        # whether each chunk tells the usage of its choice so far
        self._continuous = asked.continuous_usage_stats and (
            self._asked or not dialect.continuous_needs_usage
        )

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
        return chunks if self._completion.running or not chunks else self._with_usage(chunks)

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

    def _with_usage(self, chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the usage in the last chunk, or in one of its own where that was asked for."""
        usage = self._completion.usage()
        if not self._prepared.dialect.usage_when_asked:
            return [*chunks[:-1], {**chunks[-1], "usage": usage}]
        return [*chunks, {**self._head, "choices": [], "usage": usage}] if self._asked else chunks

    def _chunk(
        self,
        index: int,
        delta: dict[str, str],
        logprobs: dict[str, Any] | None = None,
        finish_reason: str | None = None,
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}
        chunk = {**self._head, "choices": [choice]}
        if self._continuous:
            return {**chunk, "usage": self._completion.usage(index)}
        return {**chunk, "usage": None} if self._asked else chunk


def server_sent_event(data: dict[str, Any] | str) -> str:
    r"""Return one event of a stream, a chunk or text such as `DONE`, as it goes over the wire.

    Source: "Server-sent events", HTML Living Standard.

    Example:
        >>> server_sent_event({"a": 1}), server_sent_event(DONE)
        ('data: {"a": 1}\n\n', 'data: [DONE]\n\n')
    """
    return f"data: {data if isinstance(data, str) else json.dumps(data, allow_nan=False)}\n\n"
