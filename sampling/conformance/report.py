"""The report of a verification."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from sampling.conformance.identity import Identification
from sampling.conformance.table import CHECKS
from sampling.conformance.verdict import Finding, Verdict
from sampling.core.errors import printable
from sampling.version import __version__

SPEC_VERSION = "2026-11"  # of the checks and the specification that they ask about, together

CONFORMS, DEVIATES, COULD_NOT_RUN = 0, 1, 2

# What a target that refuses everything passes, in as many draws as there are refusals.
BY_REFUSAL, REFUSALS = ("temperature.zero", "temperature.range"), 3


@dataclass(frozen=True)
class Header:
    """What was verified, against what, where and when.

    Args:
        dialect: The name of the dialect.
        target: The target's name.
        target_version: Its version.
        kind: Its kind.
        legs: Which comparisons ran: "self-consistency", "reference weights", or "fixtures" for callables.
        date: UTC, ISO 8601.
        hardware: The machine that asked.
        spec: The version of the specification and the checks.
        kit: The version of this library.
    """

    dialect: str
    target: str
    target_version: str
    kind: str
    legs: tuple[str, ...] = ("fixtures",)
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    hardware: str = field(default_factory=lambda: f"{platform.machine()}, {platform.system()}")
    spec: str = SPEC_VERSION
    kit: str = __version__

    def __post_init__(self) -> None:
        """Let no name that a target gives itself reach a terminal or a file as it is."""
        for name in ("target", "target_version"):
            object.__setattr__(self, name, printable(getattr(self, name)))


@dataclass(frozen=True)
class Report:
    """What a verification found.

    Args:
        header: What was verified.
        identified: Which dialects the target is consistent with; None if it could not be asked.
        checks: A finding for every check, by id.
        notes: What else a reader should know.
        ended: What ended the run before it had asked everything; nothing if nothing did.
    """

    header: Header
    identified: Identification | None
    checks: Mapping[str, Finding]
    notes: tuple[str, ...] = ()
    ended: str = ""

    @property
    def exit_code(self) -> int:
        """Return 0 if something conforms, 1 if something deviates, and 2 if the run could not be finished or decides nothing.

        It is 0 only if something conforms not by refusal, and nothing deviates, is ignored or is inconclusive.
        """
        if self.ended:
            return COULD_NOT_RUN
        verdicts = {finding.verdict for finding in self.checks.values()}
        if verdicts & {Verdict.DEVIATES, Verdict.IGNORED}:
            return DEVIATES
        passed = any(shows(name, f) for name, f in self.checks.items() if f.verdict is Verdict.CONFORMS)
        return CONFORMS if passed and Verdict.INCONCLUSIVE not in verdicts else COULD_NOT_RUN

    @property
    def headline(self) -> str:
        """One sentence."""
        return self.identified.headline if self.identified else "not identified"

    def counts(self) -> dict[Verdict, int]:
        """How many checks ended in each verdict."""
        ended = [finding.verdict for finding in self.checks.values()]
        return {verdict: ended.count(verdict) for verdict in Verdict if verdict in ended}

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data; infinite e-values are the string "Infinity"."""
        return plain(
            {
                "header": asdict(self.header),
                "headline": self.headline,
                "exit_code": self.exit_code,
                "identified": asdict(self.identified) if self.identified else None,
                "checks": {
                    name: {"asks": CHECKS[name].asks, **asdict(finding)}
                    for name, finding in self.checks.items()
                },
                "notes": list(self.notes),
                "ended": self.ended,
            }
        )


def shows(name: str, finding: Finding) -> bool:
    """Whether a pass shows more than that something was refused."""
    return name not in BY_REFUSAL or finding.draws > REFUSALS


def plain(value: Any) -> Any:
    """Return data that JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[object, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    return "Infinity" if isinstance(value, float) and value == math.inf else value
