"""What a check can find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sampling.core.errors import printable

FALSE_ALARM = 1e-6
POWER = 0.99
LONGEST = 2000  # characters of a finding's evidence
# What an e-process and Pearson's test each take of the false alarm, where a check has both.
SHARE = FALSE_ALARM / 2


class Verdict(StrEnum):
    """How a check ends. Only the first is a pass."""

    CONFORMS = "conforms"
    DEVIATES = "deviates"
    AMBIGUOUS = "ambiguous in the spec"
    UNSUPPORTED = "unsupported"
    IGNORED = "ignored silently"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTABLE = "not testable here"


@dataclass(frozen=True)
class Finding:
    """What one check found about one target.

    Args:
        verdict: How it ended.
        evidence: Why, in one sentence with its numbers.
        draws: How many sampled tokens it looked at.
        detects: The smallest effect that so many draws show with probability `POWER`, in words.
        false_alarm: The chance of `DEVIATES` or `IGNORED` for a target that conforms.
        e_values: By name of a reading of the specification, the evidence against it: under that reading the expectation
            is at most 1, so that a value of 1e6 has a chance of at most 1e-6.
    """

    verdict: Verdict
    evidence: str
    draws: int = 0
    detects: str = ""
    false_alarm: float = FALSE_ALARM
    e_values: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        """Let nothing that a target has said reach a terminal or a file as it is, nor at any length."""
        words = printable(self.evidence)
        object.__setattr__(self, "evidence", words if len(words) <= LONGEST else f"{words[:LONGEST]}...")


def certain(verdict: Verdict, evidence: str, draws: int = 0, *, detects: str) -> Finding:
    """Return what a look at values or messages found; chance has no part in it."""
    return Finding(verdict, evidence, draws, detects, false_alarm=0.0)
