"""A price list as tables."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.table import Line, Table, digits, in_unit, setting

UNPRICED = ("refused", "ignored", "not_available")


def duration(us: float) -> str:
    """A time in the unit it is read in, with its sign."""
    size, unit = in_unit(abs(us))
    return f"{'-' if us < 0 else ''}{digits(abs(us) / size)} {unit}"


def row(line: Line) -> list[str]:
    """One parameter."""
    reason = next((f"{word.replace('_', ' ')}" for word in UNPRICED if word in line), None)
    if reason is not None:
        return [line["parameter"], reason, *[""] * 5]
    token = line["per_token"]
    compared = "share_of_greedy" in line
    return [
        line["parameter"],
        digits(line["tokens_per_s"]),
        f"{digits(1e6 / token['p90_us'])}-{digits(1e6 / token['p10_us'])}",
        f"{100 * line['share_of_greedy']:.0f}%" if compared else "",
        duration(line["added_us"]) if compared else "",
        duration(line["request"]["median_us"]),
        digits(line["request_tokens_per_s"]),
    ]


def tables(result: dict[str, Any]) -> list[Table]:
    """The price list, a group for each way."""
    headers = [
        "parameter",
        "tokens/s",
        "p10-p90",
        "of greedy",
        "added per token",
        "first token",
        "whole request",
    ]
    groups: dict[str, list[list[str]]] = {}
    for line in result["lines"]:
        groups.setdefault(f"{result['model']['name']}, {line['way']}", []).append(row(line))
    return [
        Table(
            "What each parameter costs (tokens/s: after the first; whole request: all of it)", headers, groups
        )
    ]


def notes(result: dict[str, Any]) -> list[str]:
    """What stands below: why some have no price, and where it was measured."""
    reasons = [
        f"{line['way']}, {line['parameter']}: {word.replace('_', ' ')}: {line[word]}"
        for line in result["lines"]
        for word in UNPRICED
        if word in line
    ]
    return [*reasons, setting(result)]
