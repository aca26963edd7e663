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


def duration(us: float | None) -> str:
    """In the unit it is read in; nothing where it was not measured."""
    size, unit = in_unit(us or 0)
    return "" if us is None else f"{digits(us / size)} {unit}"


def timed(line: Line) -> list[str]:
    """Median, spread and multiples of the floor."""
    size, unit = in_unit(line["median_us"])
    median, low, high = (digits(line[name] / size) for name in ("median_us", "p10_us", "p90_us"))
    return [f"{median} {unit}", f"{low}-{high} {unit}", digits(line["x_floor"])]


def grouped(
    lines: list[Line], has: str, caption: Callable[[Line], str], row: Callable[[Line], list[str]]
) -> dict[str, list[list[str]]]:
    """Rows of the lines that have a figure, under their captions."""
    groups: dict[str, list[list[str]]] = {}
    for line in lines:
        if line.get(has) is not None:
            groups.setdefault(caption(line), []).append(row(line))
    return groups


def shape(line: Line) -> str:
    """Its logits."""
    return f"{line['kind']}, B = {line['B']}, V = {line['V']}"


def engines(lines: list[Line]) -> Table:
    """All engines, a group for each cell."""

    def row(line: Line) -> list[str]:
        ratios = line["times_as_fast_as"]
        peers = (digits(ratios[peer]) if peer in ratios else "" for peer in COMPARED)
        return [line["engine"], *timed(line), duration(line.get("first_of_a_turn_us")), *peers]

    peers = (f"x {peer}" for peer in COMPARED)
    headers = ["engine", "median", "p10-p90", "x floor", "first of a turn", *peers]
    title = "One step, everything on (x peer: how many times as fast)"
    return Table(title, headers, grouped(lines, "median_us", shape, row))


def features(lines: list[Line], cost: dict[str, float]) -> Table:
    """Our features, a group for each engine, and what log probabilities add to everything else."""

    def caption(line: Line) -> str:
        added = (
            f": log probability, rank and top 20 cost x {cost[line['engine']]:.2f}"
            if line["engine"] in cost
            else ""
        )
        return f"{line['engine']}, {shape(line)}{added}"

    groups = grouped(lines, "median_us", caption, lambda line: [line["feature"], *timed(line)])
    return Table("Features one by one", ["feature", "median", "p10-p90", "x floor"], groups)


def growth(lines: list[Line]) -> Table:
    """A group for each axis and engine; "x first" is over the first point of the group."""
    first: dict[tuple[str, str], float] = {}

    def row(line: Line) -> list[str]:
        base = first.setdefault((line["axis"], line["engine"]), line["median_us"])
        return [f"{line['value']:,}", *timed(line), digits(line["median_us"] / base)]

    groups = grouped(lines, "median_us", lambda line: f"{line['axis']}, {line['engine']}", row)
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
