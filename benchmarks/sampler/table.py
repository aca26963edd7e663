"""A result of the sampler benchmark as tables."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.table import (
    Line,
    Table,
    digits,
    grouped,
    in_unit,
    markdown_table,
    missing,
    setting,
    show_tables,
)

COMPARED = ("llama3", "transformers")


def duration(us: float | None) -> str:
    """In the unit it is read in; nothing where it was not measured."""
    size, unit = in_unit(us or 0)
    return "" if us is None else f"{digits(us / size)} {unit}"


def timed(line: Line) -> list[str]:
    """Median, spread and multiples of the floor."""
    size, unit = in_unit(line["median_us"])
    median, low, high = (digits(line[name] / size) for name in ("median_us", "p10_us", "p90_us"))
    return [f"{median} {unit}", f"{low}-{high} {unit}", digits(line["x_floor"])]


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


def show(result: dict[str, Any]) -> None:
    """Print everything."""
    show_tables(tables(result), [*missing(result), setting(result)])


def markdown(result: dict[str, Any]) -> str:
    """Everything as Markdown."""
    blocks = [setting(result) + ".", *map(markdown_table, tables(result))]
    does = [f"- {name}: {e['does']}. Leaves out: {e['leaves_out']}." for name, e in result["engines"].items()]
    return "\n\n".join([*blocks, "\n".join([*does, *(f"- {text}." for text in missing(result))])])
