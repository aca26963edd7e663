"""The plots of a report, as SVG text."""

from __future__ import annotations

import io
import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sampling.conformance.report import Report
from sampling.conformance.verdict import FALSE_ALARM, Verdict

LONGEST = 30.0  # decades that are drawn; what is more ends in an arrow
NEEDED = -math.log10(FALSE_ALARM)
COLOURS = {
    Verdict.CONFORMS: "#2e7d32",
    Verdict.DEVIATES: "#c62828",
    Verdict.IGNORED: "#c62828",
    Verdict.AMBIGUOUS: "#b8860b",
    Verdict.INCONCLUSIVE: "#b8860b",
    Verdict.UNSUPPORTED: "#00838f",
    Verdict.NOT_TESTABLE: "#9e9e9e",
}


def decades(e_value: float) -> float:
    """How long the bar of an e-value is."""
    return min(
        max(math.log10(e_value), 0.0) if 0 < e_value < math.inf else (LONGEST if e_value else 0.0), LONGEST
    )


def dialects(report: Report) -> str:
    """Return the evidence against each dialect, as an SVG; nothing if none was looked for."""
    found = report.identified
    if found is None:
        return ""
    rows = dict.fromkeys(found.winners, 0.0) | {name: out.e_value for name, out in found.excluded.items()}
    figure = Figure(figsize=(8, 0.6 + 0.32 * len(rows)))
    axes = figure.subplots()
    lengths = [decades(value) for value in rows.values()]
    axes.barh([*rows], lengths, color=["#2e7d32" if name in found.winners else "#c62828" for name in rows])
    for place, value in enumerate(rows.values()):
        words = "proof" if value == math.inf else f"{value:.0e}" if value else "consistent"
        axes.annotate(
            words, (lengths[place], place), (4, 0), textcoords="offset points", va="center", fontsize=8
        )
    return finished(figure, axes, "evidence against each dialect: decades of the e-value")


def checks(report: Report) -> str:
    """Return the evidence against each named reading in each check, as an SVG; nothing if there is none."""
    rows = {name: finding for name, finding in report.checks.items() if finding.e_values}
    if not rows:
        return ""
    figure = Figure(figsize=(8, 0.8 + 0.24 * len(rows)))
    axes = figure.subplots()
    for place, finding in enumerate(rows.values()):
        lengths = [decades(value) for value in finding.e_values.values()]
        axes.plot(
            lengths, [place] * len(lengths), "o", color=COLOURS[finding.verdict], alpha=0.7, markersize=5
        )
    axes.set_yticks(range(len(rows)), [*rows], fontsize=8)
    return finished(
        figure, axes, "evidence against each named reading: decades of the e-value, coloured by verdict"
    )


def finished(figure: Figure, axes: Axes, label: str) -> str:
    """Label a plot and give its SVG."""
    axes.axvline(NEEDED, color="#555555", linestyle=":", linewidth=1)
    axes.set_xlim(-0.5, LONGEST + 3)
    axes.invert_yaxis()
    axes.set_xlabel(label, fontsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
