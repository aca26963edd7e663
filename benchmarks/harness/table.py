"""Results as tables, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Line = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows in groups that have a caption each."""

    title: str
    headers: list[str]
    groups: dict[str, list[list[str]]]


def in_unit(us: float) -> tuple[float, str]:
    """The unit a duration is read in, as its size in microseconds and its name."""
    return next((unit for unit in ((1e6, "s"), (1e3, "ms")) if us >= unit[0]), (1.0, "us"))


def digits(value: float) -> str:
    """Three digits, or all of a larger number."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def grouped(
    lines: list[Line], has: str, caption: Callable[[Line], str], row: Callable[[Line], list[str]]
) -> dict[str, list[list[str]]]:
    """Rows of the lines that have a figure, under their captions."""
    groups: dict[str, list[list[str]]] = {}
    for line in lines:
        if line.get(has) is not None:
            groups.setdefault(caption(line), []).append(row(line))
    return groups


def setting(result: dict[str, Any]) -> str:
    """Where and when it was measured, in one line."""
    machine = result["machine"]
    where = machine.get("gpu") or f"{machine['processor']}, threads: {machine['threads']}"
    return "; ".join([where, f"torch {result['versions']['torch']}", *read(result), result["date"]])


def read(result: dict[str, Any]) -> list[str]:
    """The read bandwidth, if it was measured: once, or beside every line."""
    once, lines = result.get("read_bandwidth"), result["lines"]
    measured = (
        [once["GB_per_s"]] if once else [line["read_GB_per_s"] for line in lines if "read_GB_per_s" in line]
    )
    ends = dict.fromkeys(f"{end(measured):,.1f}" for end in (min, max) if measured)
    return [f"reads {' to '.join(ends)} GB/s"] if ends else []


def missing(result: dict[str, Any]) -> list[str]:
    """Why engines have no figures, each reason once."""
    reasons = [
        f"{line['engine']}: {word.replace('_', ' ')}: {line[word]}"
        for line in result["lines"]
        for word in ("not_available", "error")
        if word in line
    ]
    return list(dict.fromkeys(reasons))


def show_tables(tables: list[Table], notes: list[str]) -> None:
    """Print tables, and notes below them: as Markdown where rich is not installed."""
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table as Printed
    except ImportError:
        print("\n\n".join([*map(markdown_table, tables), *notes]))
        return

    console = Console(highlight=False)
    for table in tables:
        console.print(f"[bold]{table.title}\n")
        for caption, rows in table.groups.items():
            console.print(caption, markup=False)
            printed = Printed(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
            for place, header in enumerate(table.headers):
                printed.add_column(
                    header, no_wrap=True, justify="right" if place else "left", min_width=0 if place else 16
                )
            for row in rows:
                printed.add_row(*row)
            console.print(printed, "")
    for text in notes:
        console.print(text, markup=False)


def markdown_table(table: Table) -> str:
    """A table with its title, as Markdown."""
    rows = [table.headers, [":--", *["--:"] * (len(table.headers) - 1)]]
    for caption, group in table.groups.items():
        rows += [[f"**{caption}**", *[""] * (len(table.headers) - 1)], *group]
    return f"### {table.title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)
