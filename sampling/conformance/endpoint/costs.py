"""What the checks of an endpoint take, told before anything is asked.

The numbers are those of runs against an endpoint that conforms. One that deviates takes fewer; chance makes some vary.
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
        requests: To send where n = 16 is honoured.
        alone: To send where each gives one choice.
        sampled: Tokens of all choices where n = 16 is honoured.
    """

    requests: int
    alone: int
    sampled: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.requests + other.requests, self.alone + other.alone, self.sampled + other.sampled)


NOTHING = Cost(0, 0, 0)
SURVEY = Cost(24, 26, 39)
WHOLE = Cost(1060, 1490, 9500)  # all checks and the identification, which share draws

# Each by itself.
COSTS: dict[str, Cost] = {
    "reported.distribution": Cost(2, 2, 2),
    "reported.zero-temperature": Cost(2, 2, 2),
    "reported.truncation": Cost(2, 2, 2),
    "reported.penalties-and-bias": Cost(8, 8, 50),
    "reported.mass": Cost(3, 3, 187),
    "reported.chosen-is-listed": Cost(1, 1, 63),
    "reported.count": Cost(4, 4, 49),
    "reported.bytes": Cost(12, 12, 280),
    "reported.kept-set": Cost(16, 16, 256),  # with reference weights; none without
    "temperature.scale": Cost(64, 130, 1024),
    "temperature.zero": Cost(8, 8, 8),
    "temperature.limit": Cost(32, 32, 512),
    "temperature.range": Cost(2, 2, 0),
    "truncation.temperature-order": Cost(80, 130, 1280),
    "truncation.crossing-token": Cost(32, 36, 512),
    "truncation.no-token-more": Cost(32, 56, 512),
    "truncation.top-p-to-zero": Cost(33, 49, 513),
    "truncation.top-k": Cost(32, 48, 512),
    "truncation.disabled": Cost(35, 35, 515),
    "truncation.joint": Cost(80, 120, 1280),
    "truncation.min-p-order": Cost(80, 130, 1280),
    "penalties.presence-scope": Cost(140, 150, 900),
    "penalties.frequency-counts": Cost(99, 99, 300),
    "penalties.repetition-scope": Cost(150, 160, 900),
    "penalties.temperature-order": Cost(100, 120, 700),
    "penalties.per-choice": Cost(12, 0, 400),
    "bias.ban": Cost(6, 93, 96),
    "bias.force": Cost(6, 6, 96),
    "bias.temperature-order": Cost(64, 80, 1024),
    "randomness.seed-repeats": Cost(20, 20, 240),
    "randomness.seeds-differ": Cost(108, 107, 190),
    "randomness.choices-differ": Cost(21, 1, 168),
    "randomness.unseeded-vary": Cost(110, 110, 220),
    "randomness.uniformity": Cost(32, 160, 512),
    "output.stop-left-out": Cost(3, 3, 20),
    "output.finish-reason": Cost(5, 5, 30),
    "output.constrained": Cost(2, 2, 24),
    "output.parameters": Cost(40, 68, 100),
}


# What these take where each request gives one choice, behind the identification or others with which they share draws.
SHARING = {
    "truncation.temperature-order": 30,
    "truncation.joint": 31,
    "bias.temperature-order": 33,
    "truncation.min-p-order": 60,
    "temperature.scale": 81,
    "penalties.presence-scope": 100,
    "penalties.repetition-scope": 101,
    "penalties.temperature-order": 102,
    "bias.ban": 103,  # behind these, as they share what they measure: three for one
}


def requests_of(check: str) -> int:
    """How many requests a check adds to those of cheaper ones, where each gives one choice."""
    return SHARING.get(check, COSTS.get(check, NOTHING).alone)


def cost(checks: Sequence[str]) -> Cost:
    """Return what some checks take, what has to be learnt before them included; all of them also identify.

    Args:
        checks: Ids.

    Example:
        >>> cost(["temperature.zero"])
        Cost(requests=32, alone=34, sampled=47)
    """
    if len(checks) == len(CHECKS):
        return WHOLE
    return sum((COSTS.get(name, NOTHING) for name in checks), start=SURVEY)


def estimate(checks: Sequence[str]) -> str:
    """Return what some checks take, in words."""
    total = cost(checks)
    return (
        f"{len(checks)} checks: about {total.requests:,} requests, {PROMPT * total.requests:,} prompt tokens and "
        f"{total.sampled:,} sampled tokens if n = 16 is honoured; about {total.alone:,} requests and "
        f"{PROMPT * total.alone:,} prompt tokens if it is not"
    )
