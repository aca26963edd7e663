"""What a target reports: the parts of an API choice that checks look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sampling.conformance.endings import CouldNotRun, Refused
from sampling.core.errors import shown

Key = tuple[str, tuple[int, ...] | None]


@dataclass(frozen=True)
class Listed:
    """A token with its log probability.

    Args:
        token: Its text.
        raw: Its bytes; None where it has none.
        logprob: As reported, sentinels included.
    """

    token: str
    raw: tuple[int, ...] | None
    logprob: float

    @property
    def key(self) -> Key:
        """What tells it from other tokens."""
        return self.token, self.raw


@dataclass(frozen=True)
class Entry(Listed):
    """A sampled token and the alternatives at its position."""

    alternatives: tuple[Listed, ...] = ()


def content_of(choice: Mapping[str, Any]) -> str:
    """Return the text of a choice's message.

    Raises:
        CouldNotRun: There is none.
    """
    content = choice["message"].get("content")
    if not isinstance(content, str):
        raise CouldNotRun(f"message.content is {shown(content)}, no string")
    return content


def entries_of(choice: Mapping[str, Any]) -> list[Entry]:
    """Return the entries of a choice's sampled tokens.

    Raises:
        Refused: The choice has no log probabilities, though they were asked for.
        CouldNotRun: They are not what the API has.
    """
    logprobs = choice.get("logprobs")
    if not logprobs:
        raise Refused(f"logprobs true gives logprobs {shown(logprobs)}")
    try:
        return [entry_of(one) for one in logprobs["content"]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CouldNotRun(f"logprobs of another form: {type(error).__name__}: {error}") from error


def entry_of(one: Mapping[str, Any]) -> Entry:
    """One entry with its alternatives."""
    own = listed_of(one)
    others = cast("Sequence[Mapping[str, Any]]", one.get("top_logprobs") or ())
    return Entry(own.token, own.raw, own.logprob, tuple(listed_of(other) for other in others))


def listed_of(one: Mapping[str, Any]) -> Listed:
    """Return a token with its log probability."""
    raw = one.get("bytes")
    value = float(one["logprob"])
    if math.isnan(value):
        raise ValueError(f"the log probability of {one['token']!r} is NaN")
    return Listed(str(one["token"]), None if raw is None else tuple(int(byte) for byte in raw), value)
