"""One chat completion, from the request to the response."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sampling.chat.choice import Choice, Ending, Piece
from sampling.chat.loaded_model import LoadedModel
from sampling.chat.request import ChatRequest
from sampling.chat.response import choice_object, usage_object
from sampling.core.errors import InvalidRequest
from sampling.dialects import Dialect
from sampling.generate.decode import SampledToken
from sampling.processors import Constraint
from sampling.sampler.sampler import check_params
from sampling.text import CLOCK, PromptLimit, chat_prompt


@dataclass(frozen=True)
class Event:
    """What one sampled token did to its choice.

    Args:
        choice: Index of the choice.
        piece: What became certain to be content.
        ended: Whether the choice has ended with it.
    """

    choice: int
    piece: Piece
    ended: bool


class Completion:
    """A request and what has come of it so far; all of it is checked here, nothing is decoded.

    Args:
        loaded: Model and tokenizer.
        request: What is wanted; the checkpoint's defaults fill it, where the dialect applies them.
        dialect: How to sample and to answer.
        context: Most tokens of prompt and answer; None for the model's own.

    Attributes:
        id: The response's.
        created: Unix seconds.
        defaults: What the dialect takes from the checkpoint's `generation_config.json` for fields that are left out.
        prompt_ids: The prompt.
        clock: What the chat template has read of the clock: texts by their format of `strftime`.
        params: The sampling parameters, with a seed: the request's or a fresh one.
        max_tokens: Most tokens of a choice.
        choices: The n choices.
        error: Why the completion ended without an answer, if it did.

    Raises:
        InvalidRequest: The model, its tokenizer or the dialect cannot serve the request.
    """

    def __init__(
        self, loaded: LoadedModel, request: ChatRequest, dialect: Dialect, context: int | None = None
    ) -> None:
        self.defaults = loaded.defaults(dialect)
        request = request.filled(self.defaults)
        self.loaded, self.request, self.dialect = loaded, request, dialect
        self.id = response_id(request.request_id, dialect)
        self.created = int(time.time())
        check_params(request.params, loaded.model.config.vocab_size, dialect)
        self.fresh_seed = request.params.seed is None
        seed = loaded.fresh_seed() if self.fresh_seed else request.params.seed
        limit = PromptLimit(loaded.token_floor, context or loaded.model.config.max_position_embeddings)
        prompt = chat_prompt(
            loaded.tokenizer,
            request.messages,
            double_bos=dialect.double_bos,
            parse_control_tokens=dialect.parse_control_tokens,
            limit=limit,
            add_generation_prompt=request.add_generation_prompt,
            continue_final_message=request.continue_final_message,
            append_final_message=dialect.append_final_message,
            variables=request.chat_template_kwargs,
            now=loaded.now(),
        )
        self.prompt_ids, self.clock = prompt.ids, prompt.read
        loaded.tell_unknown(prompt.unknown)
        self.vocabulary = loaded.vocabulary
        room = limit.room(len(self.prompt_ids))
        self.max_tokens = room if request.max_tokens is None else min(room, request.max_tokens)
        self._grammar = loaded.grammars.grammar(request.response_format.kind, request.response_format.schema)
        self.params = replace(request.params, seed=seed, stop_token_ids=self._banned_first())
        self.choices = [
            Choice(self.vocabulary, self._ending(), count_all=dialect.end_token_entry)
            for _ in range(request.n)
        ]
        self.error: Exception | None = None

    @property
    def seed(self) -> int | None:
        """What replays the tokens: the request's seed or a fresh one."""
        return self.params.seed

    @property
    def capacity(self) -> int:
        """Most tokens of a choice, the prompt's included."""
        return len(self.prompt_ids) + self.max_tokens

    @property
    def running(self) -> bool:
        """Whether a choice is unfinished."""
        return self.error is None and any(choice.finish_reason is None for choice in self.choices)

    def constraints(self) -> list[Constraint | None]:
        """Which tokens may come next in each choice, as the response format has it."""
        self._constraints = [self._grammar and self._grammar.constraint() for _ in self.choices]
        return [*self._constraints]

    def trouble(self, choice: int) -> str:
        """Why the response format of a choice allows no token any more; empty where it does."""
        constraint = self._constraints[choice]
        return constraint.trouble if constraint else ""

    def accept(self, choice: int, token: SampledToken) -> Event:
        """Take the next token of a choice."""
        piece = self.choices[choice].accept(token)
        return Event(choice, piece, self.choices[choice].finish_reason is not None)

    def header(self, kind: str) -> dict[str, Any]:
        """Return what a response and the chunks of a stream begin with.

        What is not of the request's own choosing is named, so that the output can be replayed.

        Args:
            kind: The `object`.
        """
        fields = {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.request.model or self.loaded.name,
            "system_fingerprint": self.loaded.fingerprint(self.dialect),
        }
        return fields | self.replay

    @property
    def replay(self) -> dict[str, Any]:
        """Fields that the request lacks to give the same output again."""
        fields: dict[str, Any] = {"seed": self.params.seed} if self.fresh_seed else {}
        if self.clock:
            given = self.request.chat_template_kwargs
            fields["chat_template_kwargs"] = {**given, CLOCK: {**given.get(CLOCK, {}), **self.clock}}
        return fields

    def response(self, collect: Callable[[Iterator[dict[str, Any]]], object] = list) -> dict[str, Any]:
        """Return the whole response.

        Args:
            collect: What becomes of members that may be long: lists, or with `iter` iterators that make each item when it is
                asked for.
        """
        choices = (
            choice_object(index, choice, self.params, self.vocabulary, self.dialect, collect)
            for index, choice in enumerate(self.choices)
        )
        return {**self.header("chat.completion"), "choices": collect(choices), "usage": self.usage()}

    def usage(self, choice: int | None = None) -> dict[str, int]:
        """How many tokens the request, or one of its choices, took so far."""
        counted = self.choices if choice is None else [self.choices[choice]]
        return usage_object(len(self.prompt_ids), counted)

    def _banned_first(self) -> list[int]:
        """Return the tokens that must not come before `min_tokens` others: all that could end a choice."""
        asked, size = self.request.params, self.loaded.model.config.vocab_size
        if asked.min_tokens > self.max_tokens:
            words = f"at most {self.max_tokens}, the most tokens of a choice"
            raise InvalidRequest("min_tokens", asked.min_tokens, words)
        ends = self.vocabulary.end_ids if asked.min_tokens else ()
        return [*asked.stop_token_ids, *(token for token in sorted(ends) if token < size)]

    def _ending(self) -> Ending:
        """Return what ends a choice."""
        asked, rules = self.request, self.dialect
        deaf, first = asked.ignore_eos and rules.ignore_eos_ignores_stop_ids, rules.stop_strings_from
        return Ending(
            max_tokens=self.max_tokens,
            stop=asked.stop,
            end_ids=() if asked.ignore_eos else self.vocabulary.end_ids,
            stop_token_ids=() if deaf else asked.params.stop_token_ids,
            stop_after=0 if first is None else max(asked.params.min_tokens + first - 1, 0),
        )


def response_id(given: str | None, dialect: Dialect) -> str:
    """Return the id of a response: the request's own, or a random one."""
    if given is not None and dialect.request_id_is_whole:
        return given
    return dialect.id_prefix + (uuid.uuid4().hex if given is None else given)
