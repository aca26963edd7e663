"""The chunks of a streamed response, from the events of its completion."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sampling.chat.completion import Completion, TokenEvent
from sampling.chat.response import end_tokens, entries, logprobs_object

DONE = "[DONE]"


class ChunkWriter:
    """Turns events into chunks; joined, the chunks say what the response says.

    Args:
        completion: Whose events.
    """

    def __init__(self, completion: Completion) -> None:
        self._completion = completion
        self._head = completion.header("chat.completion.chunk")

    def start(self) -> list[dict[str, Any]]:
        """Return the first chunk of each choice: the role."""
        count = self._completion.prepared.request.n
        return [self._chunk(index, {"role": "assistant"}) for index in range(count)]

    def write(self, events: Sequence[TokenEvent]) -> list[dict[str, Any]]:
        """Return the chunks for what happened in one step: a choice's content if there is any, and its last chunk at its end.

        Args:
            events: All events of the completion in the step.
        """
        chunks: list[dict[str, Any]] = []
        for event in events:
            listed = event.delta.tokens and self._completion.prepared.params.logprobs
            chunks += [self._content(event)] if event.delta.text or listed else []
            chunks += [self._end(event)] if event.ended else []
        return chunks if self._completion.running or not chunks else self._with_usage(chunks)

    def _content(self, event: TokenEvent) -> dict[str, Any]:
        done = self._completion
        listed = [
            *entries(
                event.delta.tokens, done.prepared.params, done.prepared.vocabulary, done.prepared.dialect
            )
        ]
        return self._chunk(
            event.choice, {"content": event.delta.text}, logprobs_object(listed, done.prepared.params)
        )

    def _end(self, event: TokenEvent) -> dict[str, Any]:
        done = self._completion
        choice = done.choices[event.choice]
        last = end_tokens(choice, done.prepared.dialect)
        listed = [*entries(last, done.prepared.params, done.prepared.vocabulary, done.prepared.dialect)]
        logprobs = logprobs_object(listed, done.prepared.params) if listed else None
        chunk = self._chunk(event.choice, {"content": ""}, logprobs, choice.finish_reason)
        if done.prepared.dialect.gives_stop_reason:
            chunk["choices"][0]["stop_reason"] = choice.stop_reason
        return chunk

    def _with_usage(self, chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the usage in the last chunk, or in one of its own where that was asked for."""
        usage = self._completion.usage()
        if not self._completion.prepared.dialect.usage_when_asked:
            return [*chunks[:-1], {**chunks[-1], "usage": usage}]
        return [*chunks, {**self._head, "choices": [], "usage": usage}] if self._asked else chunks

    @property
    def _asked(self) -> bool:
        return self._completion.prepared.request.stream_options.include_usage

    @property
    def _continuous(self) -> bool:
        """Whether each chunk tells the usage of its choice so far."""
        needed = self._completion.prepared.dialect.continuous_needs_usage
        return self._completion.prepared.request.stream_options.continuous_usage_stats and (
            self._asked or not needed
        )

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
    r"""One event of a stream as it goes over the wire.

    Args:
        data: A chunk, or text such as `DONE`.

    Source: "Server-sent events", HTML Living Standard.

    Example:
        >>> server_sent_event({"a": 1}), server_sent_event(DONE)
        ('data: {"a": 1}\n\n', 'data: [DONE]\n\n')
    """
    return f"data: {data if isinstance(data, str) else json.dumps(data, allow_nan=False)}\n\n"
