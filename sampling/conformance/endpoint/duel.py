"""A race between two tokens, of which one has come before."""

from __future__ import annotations

from dataclasses import dataclass

BASE = 50.0  # the bias of both: no other token comes up
RUNS = 2  # times that the first token comes before the race that is looked at, at most


@dataclass(frozen=True)
class Duel:
    """Two tokens under some parameters, the most likely one taken at each position.

    Args:
        first: The place of the token that is to come again.
        other: The place of the one that takes over when it is favoured enough.
        params: Of the requests, by name.
    """

    first: int
    other: int
    params: tuple[tuple[str, float], ...] = ()
