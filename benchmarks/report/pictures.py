"""The pictures of the report. Each draws what it finds into an SVG file, and says whether there was anything to draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from benchmarks.harness.colours import COLOURS, OURS, name
from benchmarks.sampler.plot import STYLE, time_of

Result = dict[str, Any]
Line = dict[str, Any]
WIDE = 5  # a time that grows by more than this has a logarithmic axis


def lines_of(results: Iterable[Result], part: str, figure: str) -> list[Line]:
    """The measured lines of a part, each with where it was measured."""
    return [
        line | {"where": where(result)}
        for result in results
        for line in result["lines"]
        if line["part"] == part and figure in line
    ]


def where(result: Result) -> str:
    """A machine in a few words."""
    return result["machine"].get("gpu") or f"CPU, {result['machine']['threads']} threads"


def distinct(lines: Iterable[Line], *keys: str) -> list[tuple[Any, ...]]:
    """The values that these fields have together, in order of appearance."""
    return list(dict.fromkeys(tuple(line[key] for key in keys) for line in lines))


def saved(path: Path, groups: list[Any], draw: Callable[[Axes, Any], None], height: float = 4.0) -> bool:
    """A panel for each group, two side by side, one legend below."""
    if not groups:
        return False
    columns = min(2, len(groups))
    rows = -(-len(groups) // columns)
    with plt.rc_context(STYLE):
        size = (5.6 * columns, height * rows + 0.6)
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
        for place, group in zip(axes.flat, groups, strict=False):
            draw(place, group)
        for spare in axes.flat[len(groups) :]:
            spare.set_visible(False)
        labels = {
            label: handle
            for place in axes.flat
            for handle, label in zip(*place.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            labels.values(), labels.keys(), loc="outside lower center", ncols=2 * columns, frameon=False
        )
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
    return True


def roofline(results: list[Result], path: Path) -> bool:
    """Steps a second over bytes that a step reads, under the measured bandwidth; a panel for each machine and B.

    What fits the cache is left out: no bandwidth of the memory limits it.
    """
    lines = lines_of(filter(beyond_cache, results), "engines", "tpot")
    return saved(path, groups_of(lines, "where", "B"), roof)


def beyond_cache(result: Result) -> bool:
    """Whether the largest cache is smaller than what any of the steps reads."""
    cache = result["machine"]["last_level_cache_bytes"] or 0
    return all(line["bytes_per_step"] > cache for line in result["lines"] if line["part"] == "engines")


def roof(axes: Axes, group: tuple[tuple[Any, ...], list[Line]]) -> None:
    """One panel of the roofline."""
    (machine, rows), lines = group
    sizes = [1e-9 * line["bytes_per_step"] for line in lines]
    read = [line["read_GB_per_s"] for line in lines]
    ends = [0.7 * min(sizes), 1.4 * max(sizes)]
    low, high = ([bandwidth / end for end in ends] for bandwidth in (min(read), max(read)))
    axes.fill_between(ends, low, high, color="black", alpha=0.15, lw=0)
    axes.plot(ends, high, lw=1, color="black", label="measured read bandwidth, lowest to highest")
    for engine in dict.fromkeys(line["engine"] for line in lines):
        own = [line for line in lines if line["engine"] == engine]
        at = [1e-9 * line["bytes_per_step"] for line in own]
        steps = [1e6 / line["tpot"]["median_us"] for line in own]
        big = 60 if engine in OURS else 30
        axes.scatter(at, steps, s=big, color=COLOURS.get(engine, "grey"), label=name(engine), zorder=3)
    for shape, dtype in distinct(lines, "shape", "dtype"):
        where = 1e-9 * min(
            line["bytes_per_step"] for line in lines if (line["shape"], line["dtype"]) == (shape, dtype)
        )
        axes.axvline(where, color="#dddddd", lw=1, zorder=0)
        across, words = axes.get_xaxis_transform(), f"{shape}\n{dtype}"
        axes.text(where, 0.01, words, fontsize=7, rotation=90, ha="right", transform=across)
    slowest = min(1e6 / line["tpot"]["median_us"] for line in lines)
    axes.set_ylim(bottom=0.4 * slowest)  # room for the names
    axes.set(xscale="log", yscale="log", xlabel="GB that a step reads", ylabel="steps per second")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="y", alpha=0.3)
    axes.set_title(f"{machine}, B = {rows}")


def groups_of(lines: list[Line], *keys: str) -> list[tuple[tuple[Any, ...], list[Line]]]:
    """The lines by what these fields have together."""
    return [
        (values, [line for line in lines if tuple(line[key] for key in keys) == values])
        for values in distinct(lines, *keys)
    ]


def decode_growth(results: list[Result], path: Path) -> bool:
    """Time of a step over rows and over context, and its floor."""
    lines = lines_of(results, "growth", "step")
    return saved(path, groups_of(lines, "where", "shape", "dtype", "axis"), growing_step)


def growing_step(axes: Axes, group: tuple[tuple[Any, ...], list[Line]]) -> None:
    """One sweep of the decode step."""
    (machine, shape, dtype, axis), lines = group
    for engine in dict.fromkeys(line["engine"] for line in lines):
        own = sorted((line for line in lines if line["engine"] == engine), key=lambda line: line["value"])
        spread(axes, own, "step", COLOURS[engine], name(engine))
        floors = [1e-3 * line["bytes_per_step"] / line["read_GB_per_s"] for line in own]
        axes.plot([line["value"] for line in own], floors, ls="--", lw=1, color=COLOURS[engine], alpha=0.6)
    timed_axes(axes, "rows B" if axis == "rows" else "context, tokens")
    axes.set_title(f"{shape}, {dtype}: {machine}")


def spread(axes: Axes, lines: list[Line], figure: str | None, colour: str, label: str) -> None:
    """Median with p10 and p90 over the values of an axis."""
    at = [line["value"] for line in lines]
    times = [line[figure] if figure else line for line in lines]
    axes.plot(at, [time["median_us"] for time in times], marker="o", ms=4, lw=1.8, color=colour, label=label)
    axes.fill_between(
        at,
        [time["p10_us"] for time in times],
        [time["p90_us"] for time in times],
        color=colour,
        alpha=0.15,
        lw=0,
    )


def timed_axes(axes: Axes, label: str) -> None:
    """A time over something: from zero on where it hardly grows, logarithmic where it does."""
    low, high = axes.dataLim.intervaly
    if high > WIDE * low:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    else:
        axes.set_ylim(0, 1.1 * high)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set(xscale="log" if axes.dataLim.x0 > 0 else "symlog", xlabel=label)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda us, _: time_of(us)))
    axes.grid(alpha=0.3)


def price_list(results: list[Result], path: Path) -> bool:
    """A bar for each parameter: its tokens per second as a share of greedy decoding; a panel for each way."""
    groups: list[tuple[str, list[Line]]] = []
    for result in results:
        priced = [line for line in result["lines"] if "share_of_greedy" in line]
        for (way,) in distinct(priced, "way"):
            title = f"{result['model']['name']}, {way}"
            groups.append((title, [line for line in priced if line["way"] == way]))
    return saved(path, groups, prices, height=5.5)


def prices(axes: Axes, group: tuple[str, list[Line]]) -> None:
    """One way's bars."""
    title, lines = group
    shares = [100 * line["share_of_greedy"] for line in lines]
    bars = axes.barh([line["parameter"] for line in lines], shares, color=COLOURS["eager"], height=0.7)
    axes.bar_label(bars, [f"{share:.0f}%" for share in shares], padding=3, fontsize=8)
    axes.axvline(100, color="black", lw=1, ls="--")
    axes.invert_yaxis()
    axes.set_xlabel("tokens per second, % of greedy")
    axes.tick_params(axis="y", labelsize=8, length=0)
    axes.set_title(title)


def sampler_growth(results: list[Result], path: Path) -> bool:
    """Time of a sampling step over each axis of its sweeps."""
    lines = lines_of(results, "growth", "median_us")
    return saved(path, groups_of(lines, "where", "axis"), growing_sampler, height=3.2)


def growing_sampler(axes: Axes, group: tuple[tuple[Any, ...], list[Line]]) -> None:
    """One sweep of the sampling step."""
    (machine, axis), lines = group
    for engine in dict.fromkeys(line["engine"] for line in lines):
        spread(
            axes, [line for line in lines if line["engine"] == engine], None, COLOURS[engine], name(engine)
        )
    timed_axes(axes, axis)
    axes.set_title(machine)
