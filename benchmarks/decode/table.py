"""A result of the decode benchmark as tables."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.table import Line, Table, digits, grouped, in_unit, missing, setting

COMPARED = ("transformers", "llama.cpp")


def job_of(line: Line) -> str:
    """What the engines of a group did."""
    return f"{line['shape']}, {line['dtype']}, B = {line['B']}, context {line['context']}, {line['sampling']}"


def spread(times: dict[str, float]) -> list[str]:
    """Median, and p10 to p90 in the same unit."""
    size, unit = in_unit(times["median_us"])
    median, low, high = (digits(times[name] / size) for name in ("median_us", "p10_us", "p90_us"))
    return [f"{median} {unit}", f"{low}-{high}"]


def percent(share: float) -> str:
    """A share."""
    return f"{100 * share:.1f}%"


def decoded(lines: list[Line]) -> Table:
    """How fast every engine decodes, a group for each job."""

    def row(line: Line) -> list[str]:
        ratios = line["times_as_fast_as"]
        return [
            line["engine"],
            digits(line["decode_tokens_per_s"]),
            *spread(line["tpot"]),
            *(digits(ratios[peer]) if peer in ratios else "" for peer in COMPARED),
        ]

    headers = ["engine", "tokens/s", "TPOT", "p10-p90", *(f"x {peer}" for peer in COMPARED)]
    title = "Decode (x peer: how many times as fast)"
    return Table(title, headers, grouped(lines, "tpot", job_of, row))


def limits(lines: list[Line]) -> Table:
    """What the step is made of, and the prefill before it."""

    def row(line: Line) -> list[str]:
        return [
            line["engine"],
            percent(line["share_of_bandwidth"]),
            percent(line["sampler_share"]) if "sampler_share" in line else "",
            *spread(line["ttft"]),
            digits(line["prefill_tokens_per_s"]),
        ]

    headers = ["engine", "of bandwidth", "sampler", "TTFT", "p10-p90", "tokens/s"]
    title = "Shares of a decode step; time to the first token and tokens/s of prefill"
    return Table(title, headers, grouped(lines, "tpot", job_of, row))


def growth(lines: list[Line]) -> Table:
    """A group for each model, axis and engine; "x first" is over the first point of the group."""
    first: dict[str, float] = {}

    def caption(line: Line) -> str:
        return f"{line['shape']}, {line['dtype']}, {line['axis']}, {line['engine']}"

    def row(line: Line) -> list[str]:
        step = line["step"]
        base = first.setdefault(caption(line), step["median_us"])
        return [
            f"{line['value']:,}",
            *spread(step),
            digits(line["decode_tokens_per_s"]),
            percent(line["share_of_bandwidth"]),
            digits(step["median_us"] / base),
        ]

    headers = ["value", "step", "p10-p90", "tokens/s", "of bandwidth", "x first"]
    return Table("Growth of our step", headers, grouped(lines, "step", caption, row))


def memory(lines: list[Line]) -> Table:
    """A group for each job; the floor is the weights and the cache."""

    def row(line: Line) -> list[str]:
        peak, floor = line["peak_bytes"], line["bytes_per_step"]
        return [line["engine"], f"{peak / 2**20:,.0f} MiB", f"{floor / 2**20:,.0f} MiB", digits(peak / floor)]

    headers = ["engine", "peak", "read by a step", "x"]
    return Table("Peak memory while decoding", headers, grouped(lines, "peak_bytes", job_of, row))


def tables(result: dict[str, Any]) -> list[Table]:
    """The tables of the parts that were measured."""

    def part(name: str) -> list[Line]:
        return [line for line in result["lines"] if line["part"] == name]

    made = [decoded(part("engines")), limits(part("engines")), growth(part("growth")), memory(part("memory"))]
    return [table for table in made if table.groups]


def notes(result: dict[str, Any]) -> list[str]:
    """What stands below the tables."""
    return [*missing(result), f"weights: {result['weights']}", setting(result)]
