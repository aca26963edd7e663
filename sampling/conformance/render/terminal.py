"""A report as a table in the terminal."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console
from rich.table import Table
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


def print_report(report: Report, console: Console) -> None:
    """Print a report.

    Args:
        report: The report.
        console: Where to.
    """
    head = report.header
    version = f", {head.target_version}" if head.target_version else ""
    console.print(Text.assemble((head.target, "bold"), f"{version}, as {head.dialect}"))
    console.print(
        Text(f"spec {head.spec}, kit {head.kit}, {head.date}, {head.hardware}; {', '.join(head.legs)}", "dim")
    )
    console.print()
    console.print(table(report))
    console.print()
    if report.identified:
        console.print(Text(report.headline))
    counts = ", ".join(f"{number} {verdict}" for verdict, number in report.counts().items())
    console.print(Text(counts, style="bold"))
    for note in report.notes:
        console.print(Text(note, style="dim"))


def table(report: Report) -> Table:
    """The checks, group by group."""
    shown = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    shown.add_column("check", no_wrap=True)
    shown.add_column("verdict", no_wrap=True)
    shown.add_column("draws", justify="right")
    shown.add_column("evidence", overflow="fold")
    for _, group in groupby(report.checks.items(), key=lambda item: CHECKS[item[0]].group):
        for name, finding in group:
            verdict = Text(finding.verdict.value, style=STYLES[finding.verdict])
            draws = f"{finding.draws:,}" if finding.draws else ""
            shown.add_row(name, verdict, draws, Text(finding.evidence))
        shown.add_row()
    return shown
