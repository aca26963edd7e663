"""Texts under a grammar, byte by byte: what it admits, and what a hand that likes certain bytes writes under it."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from sampling.text import Vocabulary
from sampling.text.grammar import Grammar


class Listed(Vocabulary):
    """A vocabulary that is a list of bytes; None is a special token or an id that no token has."""

    def __init__(self, listed: Sequence[bytes | None], end_ids: Collection[int]) -> None:
        self._bytes = list(listed)
        self._special = {}
        self.end_ids = frozenset(end_ids)


END = 256
BYTES = Listed([*(bytes([byte]) for byte in range(256)), None], {END})


def admits(grammar: Grammar, text: str) -> bool:
    """Whether a grammar over BYTES lets a model write a text and end."""
    constraint, tokens = grammar.constraint(), [*text.encode(), END]
    return all(constraint.allowed(tokens[:place])[token] for place, token in enumerate(tokens))


def begins(grammar: Grammar, text: str) -> bool:
    """Whether a grammar over BYTES lets a model write a text, and go on or end."""
    constraint, tokens = grammar.constraint(), [*text.encode()]
    return all(constraint.allowed(tokens[:place])[token] for place, token in enumerate(tokens)) and bool(
        constraint.allowed(tokens).any()
    )


def written(grammar: Grammar, likes: bytes, seed: int, most: int = 400) -> str | None:
    """What a hand writes that takes one of the bytes it likes wherever it may; None for a text that does not end."""
    rng, constraint, tokens = random.Random(seed), grammar.constraint(), list[int]()
    for _ in range(most):
        allowed = constraint.allowed(tokens).nonzero()[:, 0].tolist()
        assert allowed, f"stuck after {bytes(tokens)!r}"
        liked = [token for token in allowed if token in {*likes}]
        tokens.append(rng.choice(liked or allowed))
        if tokens[-1] == END:
            return bytes(tokens[:-1]).decode()
    return None
