"""What ends a check before it has an answer."""

from __future__ import annotations

from typing import ClassVar

from sampling.conformance.verdict import Finding, Verdict


class CheckEnded(Exception):
    """Base of what ends a check early; its text is the evidence."""

    verdict: ClassVar[Verdict] = Verdict.INCONCLUSIVE

    def finding(self) -> Finding:
        """Return the check's result."""
        return Finding(self.verdict, str(self))


class Refused(CheckEnded):
    """The target refused a parameter that the check needs."""

    verdict = Verdict.UNSUPPORTED


class NotTestable(CheckEnded):
    """This kind of target, or this dialect, does not have what the check is about."""

    verdict = Verdict.NOT_TESTABLE


class CouldNotRun(CheckEnded):
    """The target gave what no sampler gives, or nothing at all."""
