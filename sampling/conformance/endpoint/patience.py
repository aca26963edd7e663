"""How long to wait for an endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from sampling.params import integer, number

LONGEST = 1e6  # seconds that a wait may take: eleven days


@dataclass(frozen=True)
class Patience:
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
