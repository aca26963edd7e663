"""Several findings as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sampling.conformance.verdict import Finding, Verdict

# The first that occurs is the verdict of all.
GRAVEST = (
    Verdict.DEVIATES,
    Verdict.IGNORED,
    Verdict.INCONCLUSIVE,
    Verdict.UNSUPPORTED,
    Verdict.AMBIGUOUS,
    Verdict.CONFORMS,
    Verdict.NOT_TESTABLE,
)


def combine_findings(findings: Sequence[tuple[str, Finding]]) -> Finding:
    """Return the findings of one check's parts as the check's.

    Returns:
        The gravest verdict; the evidence of the parts that have it, or of all if it is a pass.

    Example:
        >>> fine, wrong = Finding(Verdict.CONFORMS, "as it should be", 5), Finding(Verdict.DEVIATES, "two", 3)
        >>> combine_findings([("k = 1", fine), ("k = 2", wrong)]).evidence
        'k = 2: two'
    """
    verdicts = {finding.verdict for _, finding in findings}
    gravest = next(verdict for verdict in GRAVEST if verdict in verdicts)
    shown = [(name, finding) for name, finding in findings if finding.verdict == gravest]
    first = shown[0][1]
    many = len(findings) > 1
    values = {
        f"{name}: {reading}" if many else reading: value
        for name, finding in findings
        for reading, value in finding.e_values.items()
    }
    return replace(
        first,
        evidence="; ".join(
            f"{name}: {finding.evidence}" if many else finding.evidence for name, finding in shown
        ),
        draws=sum(finding.draws for _, finding in findings),
        detects="; ".join(f"{name}: {f.detects}" if many else f.detects for name, f in findings if f.detects),
        false_alarm=sum(finding.false_alarm for _, finding in findings),
        e_values=values,
    )
