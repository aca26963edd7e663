"""The verdict of a contest between readings, several of which may pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.statistics.pearson import Pearson
from sampling.conformance.verdict import FALSE_ALARM, Finding, Verdict

IGNORED = "ignored"
ENOUGH = 1 / FALSE_ALARM


class Standing:
    """Readings, and what the draws so far say about each.

    The evidence against a reading is the mean of all others' likelihood ratios to it. Whatever is served, the reading that
    it has is excluded with a chance of at most 1e-6; a check is failed when all right readings are excluded, and passed when
    all wrong ones are.

    Args:
        rights: Names of readings under which the check is passed; the first is the dialect's own.
        wrongs: Names of the others.
    """

    def __init__(self, rights: Sequence[str], wrongs: Sequence[str]) -> None:
        self.rights, self.wrongs = rights, wrongs
        self.seen = Likelihoods([*rights, *wrongs])

    def e_value(self, name: str) -> float:
        """The evidence against a reading."""
        return self.seen.against(name, ENOUGH).e_value

    def rejected(self, names: Sequence[str]) -> bool:
        """Whether there is enough against every one of some readings."""
        return all(self.e_value(name) >= ENOUGH for name in names)

    def left(self) -> str:
        """The first right reading that is not excluded; where all are, the best of them."""
        standing = (name for name in self.rights if not self.rejected([name]))
        return next(standing, max(self.rights, key=self.seen.final))

    def finding(self, drawn: int, detects: str, shape: Pearson | None = None) -> Finding:
        """What the draws say.

        Args:
            drawn: How many there were.
            detects: What they would have shown.
            shape: Pearson's test against the reading that is left.
        """
        e_values = {name: self.e_value(name) for name in self.seen.names}
        verdict, evidence = self._verdict(e_values, drawn, shape)
        return Finding(verdict, evidence, drawn, detects, e_values=e_values)

    def _verdict(self, e_values: dict[str, float], drawn: int, shape: Pearson | None) -> tuple[Verdict, str]:
        own, fit = self.rights[0], max(self.seen.names, key=self.seen.final)
        against = "; ".join(f"against {name!r} {shown(e_values[name])}" for name in self.wrongs)
        if self.rejected(self.rights):
            if self.seen.final(fit) == -math.inf or fit in self.rights:
                return (
                    Verdict.DEVIATES,
                    f"no named reading fits; {own!r} is excluded, e-value {shown(e_values[own])}",
                )
            words = f"fits {fit!r}; e-value against {own!r}: {shown(e_values[own])} after {drawn} draws"
            return (Verdict.IGNORED if fit == IGNORED else Verdict.DEVIATES), words
        if not self.rejected(self.wrongs):
            return Verdict.INCONCLUSIVE, f"{drawn} draws do not decide; e-values {against}"
        if shape is not None and shape.p_value < FALSE_ALARM:
            return Verdict.DEVIATES, f"no named reading fits: Pearson's p-value is {shape.p_value:.1e}"
        return Verdict.CONFORMS, f"fits {self.left()!r}; e-values {against}"


def shown(e_value: float) -> str:
    """An e-value for people; a draw that a reading excludes is a proof."""
    return "a proof" if e_value == math.inf else f"{e_value:.1e}"
