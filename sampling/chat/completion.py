"""One chat completion, from the request to the response."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sampling.chat.choice import Choice
from sampling.chat.request import ChatRequest
from sampling.chat.response import choice_object, usage_object
from sampling.decode import Generation, SampledToken
from sampling.dialects import Dialect
from sampling.errors import InvalidRequest
from sampling.loaded_model import LoadedModel
from sampling.text import encode_chat


@dataclass(frozen=True)
class Event:
    """One sampled token of one choice.

    Args:
        choice: Index of the choice.
        token: The token.
        text: The text that became certain with it, often the token's own, sometimes none.
    """

    choice: int
    token: SampledToken
    text: str


class Completion:
    """A request in progress: iterate over its events, then ask for the response.

    Args:
        loaded: Model and tokenizer.
        request: What is wanted.
        dialect: How to sample and to answer.
    """

    def __init__(self, loaded: LoadedModel, request: ChatRequest, dialect: Dialect) -> None:
        self.request, self.dialect = request, dialect
        self._loaded = loaded
        self.fresh_seed = request.params.seed is None
        self.seed = secrets.randbits(64) if request.params.seed is None else request.params.seed
        self.created = int(time.time())
        self.prompt_ids = encode_chat(
            loaded.tokenizer,
            request.messages,
            double_bos=dialect.double_bos,
            parse_control_tokens=dialect.parse_control_tokens,
        )
        self.vocabulary = loaded.vocabulary
        limit = self._token_limit()
        self.choices = [Choice(self.vocabulary, request.stop, limit) for _ in range(request.n)]
        self.generation = Generation(
            loaded.model,
            self.prompt_ids,
            replace(request.params, seed=self.seed),
            choices=request.n,
            max_tokens=limit,
            usable_ids=min(len(self.vocabulary), loaded.model.config.vocab_size),
            dialect=dialect,
        )

    def step(self) -> list[Event]:
        """Sample one token for every unfinished choice."""
        events: list[Event] = []
        for index, token in enumerate(self.generation.step()):
            if token is not None:
                events.append(Event(index, token, self.choices[index].accept(token)))
                if self.choices[index].finish_reason is not None:
                    self.generation.finish(index)
        return events

    @property
    def running(self) -> bool:
        """Whether a choice is unfinished."""
        return any(choice.finish_reason is None for choice in self.choices)

    def __iter__(self) -> Iterator[Event]:
        while self.running:
            yield from self.step()

    def response(self) -> dict[str, Any]:
        """The whole response; a seed of our own choosing is named in it, so that the output can be replayed."""
        params = self.request.params
        body = {
            "id": f"{self.dialect.id_prefix}{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": self.created,
            "model": self.request.model or self._loaded.name,
            "system_fingerprint": self._loaded.fingerprint(self.dialect.name),
            "choices": [
                choice_object(index, choice, params, self.vocabulary, self.dialect)
                for index, choice in enumerate(self.choices)
            ],
            "usage": usage_object(len(self.prompt_ids), self.choices),
        }
        return {**body, "seed": self.seed} if self.fresh_seed else body

    def _token_limit(self) -> int:
        context = self._loaded.model.config.max_position_embeddings
        room = context - len(self.prompt_ids)
        if room < 1:
            words = f"shorter: the model's context of {context} tokens must leave room for at least one more"
            raise InvalidRequest("messages", f"a prompt of {len(self.prompt_ids)} tokens", words)
        return room if self.request.max_tokens is None else min(room, self.request.max_tokens)
