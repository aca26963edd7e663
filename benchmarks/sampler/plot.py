"""The page about the sampler's speed: tables and a picture, made from the results.

    python -m benchmarks.sampler.plot [benchmarks/results/sampler-cpu.json ...] [--out docs]

Writes sampler_speed.md and sampler_speed.svg. A row of the picture is a machine: time by batch, and by kind of logits.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from benchmarks.harness.colours import COLOURS, OURS, name
from benchmarks.harness.paths import RESULTS, ROOT
from benchmarks.harness.table import Line, in_unit
from benchmarks.sampler.table import markdown

DOCS = ROOT / "docs"
PREFERRED_WIDTH, PREFERRED_KIND = 128256, "llm"
STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "svg.hashsalt": "sampler_speed",  # the same picture from the same results
}


def preferred(values: list[Any], wish: Any) -> Any:
    """The wish if it was measured, or else the last."""
    return wish if wish in values else values[-1]


def label(engine: str, leaves_out: str) -> str:
    """An engine as the legend has it, with what it leaves out."""
    return name(engine) + " (token only)" * (engine not in OURS and "log prob" in leaves_out)


def by_batch(axes: Axes, lines: list[Line], names: dict[str, str]) -> None:
    """Median with p10 and p90 over B, and the floor."""
    batches = sorted({line["B"] for line in lines})
    for engine in dict.fromkeys(line["engine"] for line in lines):
        points = sorted((line for line in lines if line["engine"] == engine), key=lambda line: line["B"])
        at, median, low, high = (
            [point[key] for point in points] for key in ("B", "median_us", "p10_us", "p90_us")
        )
        width = 2.4 if engine in OURS else 1.4
        axes.plot(at, median, marker="o", ms=4, lw=width, color=COLOURS[engine], label=names[engine])
        axes.fill_between(at, low, high, color=COLOURS[engine], alpha=0.15, lw=0)
    floor = {line["B"]: line["floor_us"] for line in lines}
    floors = [floor[b] for b in batches]
    axes.plot(
        batches, floors, ls="--", marker=".", color="black", lw=1, label="floor: reading the logits once"
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(batches, [str(batch) for batch in batches])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda us, _: time_of(us)))
    axes.grid(axis="y", alpha=0.3)
    axes.set_xlabel("rows B")


def by_kind(axes: Axes, lines: list[Line]) -> None:
    """One row of dots for each kind of logits."""
    kinds = list(dict.fromkeys(line["kind"] for line in lines))
    for line in lines:
        big = 60 if line["engine"] in OURS else 30
        axes.scatter(
            line["median_us"], kinds.index(line["kind"]), s=big, color=COLOURS[line["engine"]], zorder=3
        )
    axes.axvline(lines[0]["floor_us"], ls="--", color="black", lw=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda us, _: time_of(us)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(kinds)), kinds)
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.grid(axis="both", alpha=0.3)


def time_of(us: float) -> str:
    """A tick's time."""
    size, unit = in_unit(us)
    return f"{us / size:g} {unit}"


def row(panels: Any, result: dict[str, Any]) -> None:
    """The two panels of one machine."""
    timed = [line for line in result["lines"] if line["part"] == "engines" and "median_us" in line]
    width = preferred(sorted({line["V"] for line in timed}), PREFERRED_WIDTH)
    wide = [line for line in timed if line["V"] == width]
    kind = preferred([line["kind"] for line in wide], PREFERRED_KIND)
    fewest = min(line["B"] for line in wide)
    names = {engine: label(engine, says["leaves_out"]) for engine, says in result["engines"].items()}
    by_batch(panels[0], [line for line in wide if line["kind"] == kind], names)
    by_kind(panels[1], [line for line in wide if line["B"] == fewest])
    where = result["machine"].get("gpu") or f"CPU, {result['machine']['threads']} threads"
    panels[0].set_title(f"time of a step: {where}, {kind} logits, V = {width}")
    panels[1].set_title(f"by kind of logits, B = {fewest}")


def picture(results: list[dict[str, Any]], path: Path) -> None:
    """Draw all machines on which engines were compared into one file, of the type that its name says."""
    results = [result for result in results if len(result["engines"]) > 1]
    with plt.rc_context(STYLE):
        size = (11, 3.8 * len(results) + 0.8)
        figure, axes = plt.subplots(len(results), 2, figsize=size, squeeze=False, layout="constrained")
        for panels, result in zip(axes, results, strict=True):
            row(panels, result)
        labels = {
            label: handle
            for panels in axes
            for handle, label in zip(*panels[0].get_legend_handles_labels(), strict=True)
        }
        figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=5, frameon=False)
        figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
        plt.close(figure)


def page(results: list[dict[str, Any]]) -> str:
    """The tables, a section for each machine."""
    sections = [f"## {result['device']}\n\n{markdown(result)}" for result in results]
    head = (
        "# The speed of a sampling step\n\nMade by `python -m benchmarks.sampler.plot` from `benchmarks/results/`; "
        "measured by `python -m benchmarks.sampler`.\n\n![Time of a step](sampler_speed.svg)"
    )
    return "\n\n".join([head, *sections]) + "\n"


def main() -> None:
    """Read the results, write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="*", help="JSON files; else every full one in results/")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the page and the picture")
    parser.add_argument("--type", choices=("svg", "png"), default="svg", help="of the picture")
    options = parser.parse_args()
    every = sorted(RESULTS.glob("sampler-*.json"), key=lambda path: path.stem)
    found = options.results or [path for path in every if "-short" not in path.stem]
    results = [json.loads(path.read_text()) for path in found]
    (options.out / "sampler_speed.md").write_text(page(results))
    picture(results, options.out / f"sampler_speed.{options.type}")


if __name__ == "__main__":
    main()
