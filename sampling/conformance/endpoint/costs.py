"""What the checks of an endpoint take, told before anything is asked.

The numbers are those of a run against an endpoint that conforms and honours n = 16. One that deviates takes fewer; one that
does not honour n takes a request for every choice; those that are decided by chance vary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sampling.conformance.table import CHECKS

PROMPT = 25  # tokens of a prompt, most of them the chat template's


@dataclass(frozen=True)
class Cost:
    """What something takes.

    Args:
        requests: To send.
        choices: To get.
        sampled: Tokens of those choices.
    """

    requests: int
    choices: int
    sampled: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.requests + other.requests, self.choices + other.choices, self.sampled + other.sampled
        )


NOTHING = Cost(0, 0, 0)
SURVEY = Cost(24, 39, 39)
IDENTIFICATION = Cost(44, 284, 284)
FENCED = Cost(32, 512, 512)

COSTS: dict[str, Cost] = {
    "reported.distribution": Cost(2, 2, 2),
    "reported.zero-temperature": Cost(2, 2, 2),
    "reported.truncation": Cost(2, 2, 2),
    "reported.penalties-and-bias": Cost(7, 7, 42),
    "reported.mass": Cost(3, 48, 187),
    "reported.chosen-is-listed": Cost(1, 16, 63),
    "reported.count": Cost(4, 49, 49),
    "reported.bytes": Cost(12, 42, 280),
    "temperature.scale": Cost(61, 976, 976),
    "temperature.zero": Cost(8, 8, 8),
    "temperature.limit": FENCED,
    "temperature.range": Cost(2, 0, 0),
    "truncation.temperature-order": FENCED,
    "truncation.crossing-token": FENCED,
    "truncation.no-token-more": NOTHING,  # looks at the draws of the one before
    "truncation.top-p-to-zero": Cost(33, 513, 513),
    "truncation.top-k": FENCED,
    "truncation.disabled": Cost(35, 515, 515),
    "truncation.joint": FENCED,
    "truncation.min-p-order": FENCED,
    "penalties.presence-scope": Cost(104, 600, 700),
    "penalties.frequency-counts": Cost(61, 61, 183),
    "penalties.repetition-scope": Cost(97, 600, 700),
    "penalties.temperature-order": Cost(65, 400, 500),
    "penalties.per-choice": Cost(14, 224, 448),
    "bias.ban": Cost(6, 96, 96),
    "bias.force": Cost(6, 96, 96),
    "bias.temperature-order": FENCED,
    "randomness.seed-repeats": Cost(20, 20, 240),
    "randomness.seeds-differ": Cost(162, 162, 162),
    "randomness.choices-differ": Cost(21, 168, 168),
    "randomness.unseeded-vary": Cost(162, 162, 162),
    "randomness.uniformity": Cost(21, 336, 336),
    "output.stop-left-out": Cost(2, 2, 12),
    "output.finish-reason": Cost(4, 4, 22),
    "output.constrained": Cost(2, 2, 24),
    "output.parameters": Cost(41, 52, 54),
}


def requests_of(check: str) -> int:
    """How many requests a check takes by itself, where each gives one choice."""
    known = COSTS.get(check, NOTHING)
    return max(known.requests, known.choices)


def cost(checks: Sequence[str]) -> Cost:
    """What some checks take, what has to be learnt before them included; all of them also identify.

    Args:
        checks: Ids.

    Example:
        >>> cost(["temperature.zero"])
        Cost(requests=32, choices=47, sampled=47)
    """
    first = SURVEY + IDENTIFICATION if len(checks) == len(CHECKS) else SURVEY
    return sum((COSTS.get(name, NOTHING) for name in checks), start=first)


def estimate(checks: Sequence[str]) -> str:
    """What some checks take, in words."""
    total = cost(checks)
    alone = max(total.requests, total.choices)
    return (
        f"{len(checks)} checks: about {total.requests:,} requests, {PROMPT * total.requests:,} prompt tokens and "
        f"{total.sampled:,} sampled tokens if n = 16 is honoured; about {alone:,} requests and {PROMPT * alone:,} "
        "prompt tokens if it is not"
    )
