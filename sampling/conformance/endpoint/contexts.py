"""Contexts as they are, and what an endpoint or reference weights tell about the next token there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.natural import Context
from sampling.conformance.endpoint.prompts import CONTEXTS, Messages
from sampling.conformance.endpoint.reply import Position

CONTROL = re.compile(r"<.+>|\[.+\]", re.DOTALL)  # how vocabularies write control tokens
Known = tuple[str, float]  # text and log probability of a token


class Weights(Protocol):
    """Weights that the endpoint serves."""

    def shown(self, messages: Messages) -> list[Known]:
        """Return what messages show of the likeliest tokens, and their log probabilities."""
        ...

    def ids_of(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Return the ids of those texts that are one token each."""
        ...


def known_contexts(listed: Callable[[Messages], Position | None], weights: Weights | None) -> list[Context]:
    """Return the contexts of some use, the broadest first.

    Raises:
        NotTestable: There is none.
    """
    told = [(messages, position) for messages in CONTEXTS if (position := listed(messages))]
    found = [context_of(messages, entries_of(position), listed=True) for messages, position in told]
    if not found and weights is not None:
        found = [context_of(messages, weights.shown(messages), listed=False) for messages in CONTEXTS]
    useful = sorted((c for c in found if c.breadth > 0), key=lambda c: -c.breadth)
    if not useful:
        raise NotTestable(
            "in no context are log probabilities told of several likely tokens, by the endpoint or by reference weights"
        )
    return useful


def entries_of(position: Position) -> list[Known]:
    """Return the listed tokens that have a probability; "" for those that may end a message and show nothing in it."""
    return [
        ("" if CONTROL.fullmatch(entry.token) else entry.token, entry.logprob)
        for entry in position.top_logprobs
        if entry.possible
    ]


def context_of(messages: Messages, known: Sequence[Known], *, listed: bool) -> Context:
    """Return a context; tokens whose texts are empty, broken or those of several tokens cannot be told from others."""
    texts = [text if listed else text.strip() for text, _ in known]
    unclear = repeated(texts) | {""}
    told = {
        text: value
        for text, (_, value) in zip(texts, known, strict=True)
        if text not in unclear and "\ufffd" not in text
    }
    hidden = [value for text, (_, value) in zip(texts, known, strict=True) if text not in told]
    return Context.of(messages, told, hidden, listed)


def repeated(texts: Iterable[str]) -> set[str]:
    """Texts that come more than once."""
    return {text for text, times in Counter(texts).items() if times > 1}
