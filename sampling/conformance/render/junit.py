"""A report as JUnit XML, for build servers."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

from sampling.conformance.report import Report
from sampling.conformance.table import CHECKS
from sampling.conformance.verdict import Finding, Verdict

# What a build server calls a verdict; a pass has no element.
ELEMENTS = {
    Verdict.DEVIATES: "failure",
    Verdict.IGNORED: "failure",
    Verdict.INCONCLUSIVE: "error",
    Verdict.AMBIGUOUS: "skipped",
    Verdict.UNSUPPORTED: "skipped",
    Verdict.NOT_TESTABLE: "skipped",
}
CONTROL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """Return a report as JUnit XML: a deviation is a failure, what was not decided an error, what cannot be asked skipped."""
    head = report.header
    kinds = [ELEMENTS.get(finding.verdict, "") for finding in report.checks.values()]
    suite = Xml.Element(
        "testsuite",
        name=clean(f"sampling verify: {head.target} as {head.dialect}"),
        tests=str(len(report.checks)),
        failures=str(kinds.count("failure")),
        errors=str(kinds.count("error")),
        skipped=str(kinds.count("skipped")),
        timestamp=head.date.partition("+")[0],
    )
    told = Xml.SubElement(suite, "properties")
    for name, value in (
        *vars(head).items(),
        ("headline", report.headline),
        ("notes", "; ".join(report.notes)),
    ):
        Xml.SubElement(
            told, "property", name=name, value=clean(", ".join(value) if isinstance(value, tuple) else value)
        )
    for name, finding in report.checks.items():
        add_case(suite, name, finding)
    Xml.indent(suite)
    return Xml.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def add_case(suite: Xml.Element, name: str, finding: Finding) -> None:
    """Add one check."""
    case = Xml.SubElement(suite, "testcase", classname=f"sampling.{CHECKS[name].group}", name=name)
    kind = ELEMENTS.get(finding.verdict)
    if kind:
        Xml.SubElement(case, kind, type=finding.verdict.value, message=clean(finding.evidence))
    said = f"{CHECKS[name].asks}\n{finding.verdict}: {finding.evidence}\ndraws: {finding.draws}; detects: {finding.detects}"
    Xml.SubElement(case, "system-out").text = clean(said)


def clean(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return CONTROL.sub("\ufffd", text)
