"""A report as one HTML page that needs nothing else: style and plots are inside."""

from __future__ import annotations

from html import escape

from sampling.conformance.render import plots
from sampling.conformance.render.methods import methods
from sampling.conformance.report import Report
from sampling.conformance.table import CHECKS, GROUPS
from sampling.conformance.verdict import Finding

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top; padding: .3rem .5rem; }
tr { border-top: 1px solid #ddd; } code { font-size: .9em; } .small { color: #666; font-size: .85em; }
td.verdict { font-weight: 600; white-space: nowrap; } td.draws { text-align: right; } svg { max-width: 100%; height: auto; }
"""


def html(report: Report) -> str:
    """Return a report as one HTML page."""
    head = report.header
    title = f"{head.target} as {head.dialect}"
    counts = ", ".join(f"{number} {verdict}" for verdict, number in report.counts().items())
    facts = {
        name.replace("_", " "): ", ".join(v) if isinstance(v, tuple) else v for name, v in vars(head).items()
    }
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p><strong>{escape(report.headline)}</strong></p><p>{escape(counts)}</p>",
        "<table>"
        + "".join(row(escape(name), escape(value or "not known")) for name, value in facts.items())
        + "</table>",
        *(f"<p>{escape(note)}</p>" for note in report.notes),
        section("Dialects", plots.dialects(report)),
        section("Evidence", plots.checks(report)),
        *(section(group.capitalize(), group_table(report, group)) for group in GROUPS),
        section("Methods", f"<p>{escape(methods(report))}</p>"),
    ]
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def section(title: str, content: str) -> str:
    """Return a part of the page; nothing without content."""
    return f"<h2>{escape(title)}</h2>\n{content}" if content else ""


def row(*cells: str) -> str:
    """Return a row of a table."""
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def group_table(report: Report, group: str) -> str:
    """Return the checks of a group."""
    rows = "\n".join(check_row(name, f) for name, f in report.checks.items() if CHECKS[name].group == group)
    return f"<table>\n{rows}\n</table>" if rows else ""


def check_row(name: str, finding: Finding) -> str:
    """One check."""
    colour = plots.COLOURS[finding.verdict]
    detects = f'<br><span class="small">detects: {escape(finding.detects)}</span>' if finding.detects else ""
    asked = f'<code>{escape(name)}</code><br><span class="small">{escape(CHECKS[name].asks)}</span>'
    return (
        f'<tr><td>{asked}</td><td class="verdict" style="color:{colour}">{escape(finding.verdict.value)}</td>'
        f'<td class="draws">{finding.draws or ""}</td><td>{escape(finding.evidence)}{detects}</td></tr>'
    )
