"""One prompt's completion, from the prepared request to the response of a chat."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sampling.chat.choice import Choice, TextDelta
from sampling.chat.prepared import PreparedRequest
from sampling.chat.response import choice_object, usage_object
from sampling.dialects import Dialect
from sampling.generate.sampled_token import SampledToken
from sampling.processors import Constraint


@dataclass(frozen=True)
class TokenEvent:
    """What one sampled token did to its choice.

    Args:
        choice: Index of the choice.
        delta: What became certain to be content.
        ended: Whether the choice has ended with it.
    """

    choice: int
    delta: TextDelta
    ended: bool


class Completion:
    """A prepared request and what has come of it so far.

    Args:
        prepared: The request.
        named: The response's id; None for one of the request's or a random one.

    Attributes:
        id: The response's.
        created: Unix seconds.
        choices: The n choices.
        prompt_scores: The tokens of the prompt after the first with their log probabilities, once it is through, where wanted.
        error: Why the completion ended without an answer, if it did.
    """

    def __init__(self, prepared: PreparedRequest, named: str | None = None) -> None:
        self.prepared = prepared
        own = response_id(prepared.request.request_id, prepared.dialect, prepared.dialect.id_prefix)
        self.id = named or own
        self.created = int(time.time())
        self.choices = [
            Choice(prepared.vocabulary, prepared.stop_rules, count_all=prepared.dialect.end_token_entry)
            for _ in range(prepared.request.n)
        ]
        self.prompt_scores: list[SampledToken] = []
        self.error: Exception | None = None

    @property
    def running(self) -> bool:
        """Whether a choice is unfinished."""
        return self.error is None and any(choice.finish_reason is None for choice in self.choices)

    def constraints(self) -> list[Constraint | None]:
        """Which tokens may come next in each choice, as the response format has it."""
        grammar = self.prepared.grammar
        self._constraints = [grammar and grammar.constraint() for _ in self.choices]
        return [*self._constraints]

    def trouble(self, choice: int) -> str:
        """Why the response format of a choice allows no token any more; empty where it does."""
        constraint = self._constraints[choice]
        return constraint.trouble if constraint else ""

    def accept(self, choice: int, token: SampledToken) -> TokenEvent:
        """Take the next token of a choice."""
        delta = self.choices[choice].accept(token)
        return TokenEvent(choice, delta, self.choices[choice].finish_reason is not None)

    def header(self, kind: str) -> dict[str, Any]:
        """Return what a response and the chunks of a stream begin with; `kind` is their `object`.

        What is not of the request's own choosing is named, so that the output can be replayed.
        """
        fields = {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.prepared.request.model or self.prepared.loaded.name,
            "system_fingerprint": self.prepared.loaded.fingerprint(self.prepared.dialect),
        }
        return fields | self.replay

    @property
    def replay(self) -> dict[str, Any]:
        """Fields that the request lacks to give the same output again."""
        prepared = self.prepared
        fresh = prepared.request.params.seed is None
        fields: dict[str, Any] = {"seed": prepared.params.seed} if fresh else {}
        if prepared.template_kwargs:
            fields["chat_template_kwargs"] = {**prepared.template_kwargs}
        return fields

    def response(self, collect: Callable[[Iterator[dict[str, Any]]], object] = list) -> dict[str, Any]:
        """Return the whole response.

        Args:
            collect: What becomes of members that may be long: lists, or with `iter` iterators that make each item when it is
                asked for.
        """
        prepared = self.prepared
        choices = (
            choice_object(index, choice, prepared.params, prepared.vocabulary, prepared.dialect, collect)
            for index, choice in enumerate(self.choices)
        )
        return {**self.header("chat.completion"), "choices": collect(choices), "usage": self.usage()}

    def usage(self, choice: int | None = None) -> dict[str, int]:
        """How many tokens the request, or one of its choices, took so far."""
        counted = self.choices if choice is None else [self.choices[choice]]
        return usage_object(len(self.prepared.prompt_ids), counted)


def response_id(given: str | None, dialect: Dialect, prefix: str) -> str:
    """Return the id of a response: the request's own, or a random one."""
    if given is not None and dialect.request_id_is_whole:
        return given
    return prefix + (uuid.uuid4().hex if given is None else given)
