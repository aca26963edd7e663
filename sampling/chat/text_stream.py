"""The chunks of a stream of text, from the events of its completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sampling.chat.completion import TokenEvent
from sampling.chat.stream import Frame
from sampling.chat.text_completion import Entry, TextCompletion, TextPart, sampled_entries


class TextWriter:
    """Turns the events of one prompt into chunks; joined, the chunks say what the response says.

    A chunk has whole tokens: text of which a part may still become a stop string waits with its token.

    Args:
        answer: The request's prompts.
        part: One of them.
    """

    def __init__(self, answer: TextCompletion, part: TextPart) -> None:
        self._answer, self._part = answer, part
        self._frame = Frame(answer.header, part.completion.prepared, answer.usage)
        self._choices = [_Sent() for _ in part.completion.choices]

    def start(self) -> list[dict[str, Any]]:
        """Return what comes before the first token: the prompt, where it is wanted."""
        asked, echoed = self._part.request, self._part.echoed
        chunks: list[dict[str, Any]] = []
        for index, choice in enumerate(self._part.completion.choices):
            first: dict[str, Any] = {}
            if asked.return_token_ids:
                first = {"prompt_token_ids": [*self._part.prompt.ids], "token_ids": []}
            if asked.echo or first:
                chunks.append(self._chunk(index, echoed, first))
            if choice.finish_reason is not None:
                chunks.append(self._end(index))
        return self._finished(chunks)

    def write(self, events: Sequence[TokenEvent]) -> list[dict[str, Any]]:
        """Return the chunks for all events of a step: what is new of a choice, and its last chunk at its end."""
        asked = self._part.request
        chunks: list[dict[str, Any]] = []
        for event in events:
            entries = self._new(event)
            tokens_told = asked.params.logprobs or asked.return_token_ids
            if (entries and tokens_told) or any(entry.text for entry in entries):
                ids = [entry.token_id for entry in entries]
                more = {"token_ids": ids} if asked.return_token_ids else {}
                chunks.append(self._chunk(event.choice, entries, more))
            if event.ended:
                chunks.append(self._end(event.choice))
        return self._finished(chunks)

    def _new(self, event: TokenEvent) -> list[Entry]:
        """Return the tokens of a choice whose text has become certain; at its end all others."""
        choice, sent = self._part.completion.choices[event.choice], self._choices[event.choice]
        if event.ended:
            return [*sampled_entries(choice)][sent.tokens :]
        sent.certain += len(event.delta.text)
        entries: list[Entry] = []
        for token, text in zip(choice.tokens[sent.tokens :], choice.texts[sent.tokens :], strict=True):
            sent.certain -= len(text)
            if sent.certain < 0:
                sent.certain += len(text)
                break
            entries.append(Entry(token.token_id, text, token))
        sent.tokens += len(entries)
        return entries

    def _end(self, index: int) -> dict[str, Any]:
        choice = self._part.completion.choices[index]
        more = {"stop_reason": choice.stop_reason}
        told = more if self._part.completion.prepared.dialect.gives_stop_reason else {}
        return self._chunk(index, [], told, choice.finish_reason)

    def _finished(self, chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return chunks, with the usage where they are the last of all."""
        return self._frame.ended(chunks) if chunks and not self._answer.running else chunks

    def _chunk(
        self,
        index: int,
        entries: Sequence[Entry],
        more: Mapping[str, object],
        finish_reason: str | None = None,
    ) -> dict[str, Any]:
        completion, sent, text = self._part.completion, self._choices[index], "".join(e.text for e in entries)
        choice = {
            "index": completion.prepared.first_choice + index,
            "text": text,
            "logprobs": self._part.logprobs(entries, sent.characters) if entries else None,
            "finish_reason": finish_reason,
            **more,
        }
        sent.characters += len(text)
        return self._frame.chunk(choice, completion, index)


class _Sent:
    """How far a choice has been sent: tokens, characters, and characters that are certain beyond those tokens."""

    def __init__(self) -> None:
        self.tokens = self.characters = self.certain = 0
