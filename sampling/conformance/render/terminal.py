"""A report in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from sampling.conformance.report import Report
from sampling.conformance.table import CHECKS
from sampling.conformance.verdict import Verdict

STYLES = {
    Verdict.CONFORMS: "green",
    Verdict.DEVIATES: "bold red",
    Verdict.IGNORED: "bold red",
    Verdict.AMBIGUOUS: "yellow",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.UNSUPPORTED: "cyan",
    Verdict.NOT_TESTABLE: "dim",
}
INDENT = (0, 0, 0, 4)


def print_report(report: Report, console: Console) -> None:
    """Print a report."""
    head = report.header
    version = f", {head.target_version}" if head.target_version else ""
    console.print(Text.assemble((head.target, "bold"), f"{version}, as {head.dialect}"))
    console.print(
        Text(f"spec {head.spec}, kit {head.kit}, {head.date}, {head.hardware}; {', '.join(head.legs)}", "dim")
    )
    console.print()
    for line in check_lines(report):
        console.print(line)
    if report.identified or len(report.checks) == len(CHECKS):
        console.print(Text(report.headline))
    counts = ", ".join(f"{number} {verdict}" for verdict, number in report.counts().items())
    console.print(Text(counts, style="bold"))
    for note in report.notes:
        console.print(Text(note, style="dim"))


def check_lines(report: Report) -> Iterator[RenderableType]:
    """Yield the checks, group by group: what came out, and beneath it why, and what would have been noticed."""
    widest = max(map(len, report.checks), default=0)
    for _, group in groupby(report.checks.items(), key=lambda item: CHECKS[item[0]].group):
        for name, finding in group:
            verdict = finding.verdict
            draws = f"  {finding.draws:,} draws" if finding.draws else ""
            yield Text.assemble(f"{name:<{widest}}  ", (verdict.value, STYLES[verdict]), (draws, "dim"))
            yield Padding(Text(finding.evidence, overflow="fold"), INDENT, expand=False)
            if finding.detects:
                noticed = Text(f"detects: {finding.detects}", style="dim", overflow="fold")
                yield Padding(noticed, INDENT, expand=False)
        yield ""
