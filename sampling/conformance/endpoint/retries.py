"""How long to wait for an endpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from sampling.core.params import integer, number

LONGEST = 1e6  # seconds that a wait may take: eleven days
LONGEST_PAUSE = 60.0  # seconds between two tries; an endpoint that asks for more is not waited for
PARALLEL, MOST_PARALLEL = 8, 256  # requests at a time


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for an endpoint.

    Args:
        seconds: For one answer, its last byte included.
        tries: How often a request is sent before it counts as unanswered.
        pause: Seconds before the first retry; each further one waits about twice as long, or as `Retry-After` says.
    """

    seconds: float = 60.0
    tries: int = 6
    pause: float = 0.5

    def __post_init__(self) -> None:
        """Check the fields."""
        number("patience.seconds", self.seconds, 1e-3, LONGEST)
        integer("patience.tries", self.tries, 1)
        number("patience.pause", self.pause, 0, LONGEST)


def seconds_of(header: str | None) -> float | None:
    """Return the seconds of a `Retry-After`, or those until its date; None where it has neither.

    Example:
        >>> seconds_of("1.5"), seconds_of("nan"), seconds_of("Wed, 21 Oct 2015 07:28:00 GMT")
        (1.5, None, 0.0)

    Source: RFC 9110, 10.2.3.
    """
    if header is None:
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", header.strip()):
        return float(header)
    try:
        due = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    due = due if due.tzinfo else due.replace(tzinfo=UTC)
    return max((due - datetime.now(UTC)).total_seconds(), 0.0)
