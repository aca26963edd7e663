"""The speed results and their pictures, for the notebook about tokens per second."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
COLOURS: dict[str, str] = json.loads((RESULTS.parent / "harness" / "colours.json").read_text())
OURS = ("eager", "compiled")
Line = dict[str, Any]


def results(pattern: str) -> list[dict[str, Any]]:
    """The full results of a kind, by name; short runs are left out."""
    paths = sorted(path for path in RESULTS.glob(pattern) if "-short" not in path.stem)
    return [json.loads(path.read_text()) for path in paths]


def lines(measured: Iterable[dict[str, Any]], part: str, figure: str, **fields: Any) -> list[Line]:
    """The lines of a part that have a figure, and these values in these fields."""
    return [
        line
        for result in measured
        for line in result["lines"]
        if line.get("part", part) == part
        and figure in line
        and all(line[name] == value for name, value in fields.items())
    ]


def job(measured: Iterable[dict[str, Any]], **fields: Any) -> list[Line]:
    """The engines of one job, out of the run that has the most of them."""
    return max((lines([result], "engines", "tpot", **fields) for result in measured), key=len)


def preferred(values: Iterable[Any], wish: Any) -> Any:
    """The wish if it was measured, or else the first."""
    there = list(values)
    return wish if wish in there else there[0]


def name(engine: str) -> str:
    """An engine as the pictures have it."""
    return f"ours, {engine}" if engine in OURS else engine


def two_lengths(axes: Axes, engines: Sequence[Line]) -> None:
    """From the first token of every engine to its last: the slope is the time of a token."""
    for line in engines:
        first, token, new = (
            line["ttft"]["median_us"] / 1e6,
            line["tpot"]["median_us"] / 1e6,
            line["new"],
        )
        ends = [first, first + new * token]
        colour, label = COLOURS[line["engine"]], name(line["engine"])
        axes.plot([1, 1 + new], ends, marker="o", ms=4, color=colour, label=label)
    floor = engines[0]["bytes_per_step"] / 1e9 / engines[0]["read_GB_per_s"]
    lowest, new = min(line["ttft"]["median_us"] for line in engines) / 1e6, engines[0]["new"]
    axes.plot([1, 1 + new], [lowest, lowest + new * floor], ls="--", lw=1, color="black")
    axes.set(xlabel="tokens", ylabel="seconds since the request", ylim=(0, None))
    axes.legend(fontsize=8)
    axes.grid(color="#eeeeee")


def shares(axes: Axes, engines: Sequence[Line]) -> None:
    """A bar for each engine: how much of the bandwidth its weights and cache take, were each byte read once."""
    values = [100 * line["share_of_bandwidth"] for line in engines]
    places = [name(line["engine"]) for line in engines]
    bars = axes.barh(places, values, height=0.65, color=[COLOURS[line["engine"]] for line in engines])
    axes.bar_label(bars, [f"{value:.0f}%" for value in values], padding=3, fontsize=9)
    axes.axvline(100, color="black", lw=1, ls="--")
    axes.invert_yaxis()
    axes.set(xlim=(0, max(115.0, *values)), xlabel="share of measured read bandwidth")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}%"))
    axes.tick_params(axis="y", length=0)


def growth(axes: Axes, sweep: Sequence[Line], label: str) -> None:
    """The time of a step over an axis, with its p10 and p90, and what it must read."""
    for engine in dict.fromkeys(line["engine"] for line in sweep):
        own = sorted((line for line in sweep if line["engine"] == engine), key=lambda line: line["value"])
        at, colour = [line["value"] for line in own], COLOURS[engine]
        median, low, high = (
            [line["step"][key] / 1e3 for line in own] for key in ("median_us", "p10_us", "p90_us")
        )
        axes.plot(at, median, marker="o", ms=4, color=colour, label=name(engine))
        axes.fill_between(at, low, high, color=colour, alpha=0.15, lw=0)
        floors = [line["bytes_per_step"] / 1e6 / line["read_GB_per_s"] for line in own]
        axes.plot(at, floors, ls="--", lw=1, color=colour)
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="milliseconds a step")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(color="#eeeeee")


def memory(axes: Axes, engines: Sequence[Line]) -> None:
    """A bar for each engine: the most memory while it decodes; the line is what a step reads."""
    places = [name(line["engine"]) for line in engines]
    bars = axes.barh(
        places,
        [line["peak_bytes"] / 2**30 for line in engines],
        height=0.65,
        color=[COLOURS[line["engine"]] for line in engines],
    )
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=9)
    axes.axvline(engines[0]["bytes_per_step"] / 2**30, color="black", lw=1, ls="--")
    axes.invert_yaxis()
    axes.set(xlabel="GiB at the most")
    axes.tick_params(axis="y", length=0)


def prices(axes: Axes, priced: Sequence[Line]) -> None:
    """A bar for each parameter: its tokens per second as a share of greedy decoding."""
    values = [100 * line["share_of_greedy"] for line in priced]
    bars = axes.barh([line["parameter"] for line in priced], values, height=0.7, color=COLOURS["eager"])
    axes.bar_label(bars, [f"{value:.0f}%" for value in values], padding=3, fontsize=8)
    axes.axvline(100, color="black", lw=1, ls="--")
    axes.invert_yaxis()
    axes.set(xlabel="tokens per second, % of greedy")
    axes.tick_params(axis="y", length=0, labelsize=8)
