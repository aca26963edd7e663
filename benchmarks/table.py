"""A result of the sampler benchmark as tables, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Line = dict[str, Any]
COMPARED = ("llama3", "transformers")


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


def timed(line: Line) -> list[str]:
    """Median, spread and multiples of the floor."""
    size, unit = in_unit(line["median_us"])
    median, low, high = (digits(line[name] / size) for name in ("median_us", "p10_us", "p90_us"))
    return [f"{median} {unit}", f"{low}-{high} {unit}", digits(line["x_floor"])]


def grouped(
    lines: list[Line], caption: Callable[[Line], str], row: Callable[[Line], list[str]]
) -> dict[str, list[list[str]]]:
    """The rows of the lines that were timed, under their captions."""
    groups: dict[str, list[list[str]]] = {}
    for line in lines:
        if "median_us" in line:
            groups.setdefault(caption(line), []).append(row(line))
    return groups


def shape(line: Line) -> str:
    """Its logits."""
    return f"{line['kind']}, B = {line['B']}, V = {line['V']}"


def engines(lines: list[Line]) -> Table:
    """All engines, a group for each cell."""

    def row(line: Line) -> list[str]:
        ratios = line["times_as_fast_as"]
        return [line["engine"], *timed(line), *(digits(ratios[p]) if p in ratios else "" for p in COMPARED)]

    headers = ["engine", "median", "p10-p90", "x floor", *(f"x {peer}" for peer in COMPARED)]
    title = "One step, everything on (x peer: how many times as fast)"
    return Table(title, headers, grouped(lines, shape, row))


def features(lines: list[Line], cost: dict[str, float]) -> Table:
    """Our features, a group for each engine, and what log probabilities add to everything else."""

    def caption(line: Line) -> str:
        added = (
            f": log probability, rank and top 20 cost x {cost[line['engine']]:.2f}"
            if line["engine"] in cost
            else ""
        )
        return f"{line['engine']}, {shape(line)}{added}"

    groups = grouped(lines, caption, lambda line: [line["feature"], *timed(line)])
    return Table("Features one by one", ["feature", "median", "p10-p90", "x floor"], groups)


def growth(lines: list[Line]) -> Table:
    """A group for each axis and engine; "x first" is over the first point of the group."""
    first: dict[tuple[str, str], float] = {}

    def row(line: Line) -> list[str]:
        base = first.setdefault((line["axis"], line["engine"]), line["median_us"])
        return [f"{line['value']:,}", *timed(line), digits(line["median_us"] / base)]

    groups = grouped(lines, lambda line: f"{line['axis']}, {line['engine']}", row)
    return Table("Growth, everything on", ["value", "median", "p10-p90", "x floor", "x first"], groups)


def tables(result: dict[str, Any]) -> list[Table]:
    """The tables of the parts that were measured."""

    def part(name: str) -> list[Line]:
        return [line for line in result["lines"] if line["part"] == name]

    made = [
        engines(part("engines")),
        features(part("features"), result["logprobs_cost"]),
        growth(part("growth")),
    ]
    return [table for table in made if table.groups]


def setting(result: dict[str, Any]) -> str:
    """Where and when it was measured, in one line."""
    machine = result["machine"]
    where = machine.get("gpu") or f"{machine['processor']}, threads: {machine['threads']}"
    bandwidth = result["read_bandwidth"]["GB_per_s"]
    return f"{where}; torch {result['versions']['torch']}; reads {bandwidth:,.1f} GB/s; {result['date']}"


def missing(result: dict[str, Any]) -> list[str]:
    """Why engines were not available, each reason once."""
    reasons = ((line["engine"], line["not_available"]) for line in result["lines"] if "not_available" in line)
    return [f"{engine}: not available: {reason}" for engine, reason in dict.fromkeys(reasons)]


def show(result: dict[str, Any]) -> None:
    """Print everything."""
    show_tables(tables(result), [*missing(result), setting(result)])


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


def markdown(result: dict[str, Any]) -> str:
    """Everything as Markdown."""
    blocks = [setting(result) + ".", *map(markdown_table, tables(result))]
    does = [f"- {name}: {e['does']}. Leaves out: {e['leaves_out']}." for name, e in result["engines"].items()]
    return "\n\n".join([*blocks, "\n".join([*does, *(f"- {text}." for text in missing(result))])])
