"""The verdict of a contest between readings, several of which may pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.statistics.pearson import Pearson
from sampling.conformance.verdict import FALSE_ALARM, SHARE, Finding, Verdict

IGNORED = "ignored"
ANYTHING = "anything else"
SAME = 1e-3  # distributions closer than this are one: log probabilities are told with few digits
ALIKE = 1e-3  # log likelihoods closer than this are equal
ENOUGH = 1 / FALSE_ALARM  # against a wrong reading: a pass that is none
ENOUGH_TO_FAIL = 1 / SHARE  # against a right one
DOUBTFUL = 1e-3  # a reading that its own test finds as unlikely is not named


class HypothesisTest:
    """Readings, and what the draws so far say about each.

    The evidence against a reading is the mean of all others' likelihood ratios to it. A check is failed when every right
    reading is out, by its e-value or by Pearson's test, and passed when all wrong ones are. A target that has one of the right
    readings fails only if that one is out: by its e-value, looked at whenever one likes, with a chance of at most `SHARE`, and
    by the one look of Pearson's test as often again, however many readings there are.

    Args:
        rights: Names of readings under which the check is passed; the first is the dialect's own.
        wrongs: Names of the others.
        rivals: Names of what else speaks against a reading, without being one: `ANYTHING`.
    """

    def __init__(
        self,
        rights: Sequence[str],
        wrongs: Sequence[str],
        rivals: Sequence[str] = (),
    ) -> None:
        self.rights, self.wrongs = rights, wrongs
        self.seen = Likelihoods([*rights, *wrongs, *rivals])

    def e_value(self, name: str) -> float:
        """Return the evidence against a reading."""
        return self.seen.against(name, ENOUGH).e_value

    @property
    def failed(self) -> bool:
        """Whether there is enough against every right reading."""
        return not self._left

    @property
    def passed(self) -> bool:
        """Whether there is enough against every wrong reading."""
        return all(self.e_value(name) >= ENOUGH for name in self.wrongs)

    @property
    def decided(self) -> bool:
        """Whether there is enough."""
        return self.passed or self.failed

    @property
    def _left(self) -> list[str]:
        """The right readings that are not excluded."""
        return [name for name in self.rights if self.e_value(name) < ENOUGH_TO_FAIL]

    def finding(self, drawn: int, detects: str, shapes: Mapping[str, Pearson] | None = None) -> Finding:
        """Return what the draws say.

        Args:
            drawn: How many there were.
            detects: What they would have shown.
            shapes: Pearson's test against readings, on as many of the first draws as was planned beforehand.
        """
        e_values = {name: self.e_value(name) for name in self.seen.names}
        verdict, evidence = self._verdict(e_values, drawn, shapes or {})
        return Finding(verdict, evidence, drawn, detects, e_values=e_values)

    def _verdict(
        self, e_values: Mapping[str, float], drawn: int, shapes: Mapping[str, Pearson]
    ) -> tuple[Verdict, str]:
        own, fit = self.rights[0], self._named(shapes)
        against = "; ".join(f"against {name!r} {shown(e_values[name])}" for name in self.wrongs)
        if self.failed:
            if not fit:
                words = f"no named reading fits; {own!r} is excluded, e-value {shown(e_values[own])}"
                return Verdict.DEVIATES, words
            names = " or ".join(map(repr, fit))
            words = f"fits {names}; e-value against {own!r}: {shown(e_values[own])} after {drawn} draws"
            return (Verdict.IGNORED if IGNORED in fit else Verdict.DEVIATES), words
        if not self.passed:
            return Verdict.INCONCLUSIVE, f"{drawn} draws do not decide; e-values {against}"
        fitting = [name for name in self._left if name not in shapes or shapes[name].p_value >= SHARE]
        if not fitting:
            largest = max(shapes[name].p_value for name in self._left)
            return Verdict.DEVIATES, f"no named reading fits: Pearson's p-value is {largest:.1e}"
        return Verdict.CONFORMS, f"fits {fitting[0]!r}; e-values {against}"

    def _named(self, shapes: Mapping[str, Pearson]) -> list[str]:
        """Return the most likely wrong readings, if no test speaks against them; of those that are alike, all."""
        seen = self.seen
        most = max((seen.final(name) for name in (*self.rights, *self.wrongs)), default=-math.inf)
        rival = max(map(seen.final, seen.names), default=-math.inf)
        if most == -math.inf or rival - most >= -math.log(DOUBTFUL):
            return []
        fitting = [name for name in self.wrongs if most - seen.final(name) <= ALIKE]
        return [name for name in fitting if name not in shapes or shapes[name].p_value >= DOUBTFUL]


def shown(e_value: float) -> str:
    """Return an e-value for people; a draw that a reading excludes is a proof."""
    return "a proof" if e_value == math.inf else f"{e_value:.1e}"
