"""Single tokens of a replayed trace, as many of them as a reader can look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from sampling.replay.tokens import ReplayedTokens

MOST = 5000  # tokens that are kept whatever they are, and as many again that are not as the rule says


class Likeness(StrEnum):
    """What a rule says of a token."""

    AS_SAID = "as the rule says"
    WITHIN_MARGIN = "within the margin"
    DIFFERS = "differs"


class Judged(NamedTuple):
    """A token and what a rule says of it.

    Args:
        record: The record's number in the trace, from 1.
        position: The token's place in it, from 0.
        recorded: The token.
        drawn: What the rule draws.
        likeness: The verdict.
        distance: How far the drawn token was ahead of the next, in the unit of the rule's scores.
        tolerance: Within which distance it is too close to tell.
        logprob: ln of the recorded token's probability; -inf where it is not kept.
    """

    record: int
    position: int
    recorded: int
    drawn: int
    likeness: Likeness
    distance: float
    tolerance: float
    logprob: float


def judged(said: ReplayedTokens, record: int, begin: int) -> Iterator[Judged]:
    """Yield the tokens of a part of a record, of which the first stands at a position."""
    told = (
        said.recorded,
        said.drawn,
        said.differs,
        said.within_margin,
        said.margin.distance,
        said.margin.tolerance,
        said.logprobs,
    )
    columns = zip(*(column.tolist() for column in told), strict=True)
    for position, (recorded, drawn, differs, close, distance, tolerance, logprob) in enumerate(
        columns, begin
    ):
        likeness = Likeness.DIFFERS if differs else Likeness.WITHIN_MARGIN if close else Likeness.AS_SAID
        yield Judged(record, position, recorded, drawn, likeness, distance, tolerance, logprob)


def keep(kept: list[Judged], more: Iterable[Judged]) -> None:
    """Take tokens behind others; once there are many, no more that are as the rule says, and at last none."""
    for one in more:
        if len(kept) < (MOST if one.likeness is Likeness.AS_SAID else 2 * MOST):
            kept.append(one)
