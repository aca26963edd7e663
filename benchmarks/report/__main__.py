"""The report: tables and pictures of every speed result, each with the command that repeats it.

    python -m benchmarks.report [--results DIR] [--out DIR]      # what `make report` runs

Reads decode-*.json, api-*.json and sampler-*.json, but for those of short runs. Writes REPORT.md and a folder `report` of
pictures beside it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.api import table as api_table
from benchmarks.decode import table as decode_table
from benchmarks.harness.paths import RESULTS
from benchmarks.harness.table import Table, markdown_table, setting
from benchmarks.report import pictures
from benchmarks.sampler.table import growth

Result = dict[str, Any]
HEAD = """# Tokens per second

Made by `make report` from the files in `benchmarks/results/`; nothing here is written by hand. Under each table stands the
command that measured it, from the root of the repository, and the commit it ran on ("+": with changes that were not
committed). [README.md](README.md) has today's commands. Models have their true shapes and random weights: how fast they run
does not depend on their values."""
FORMULAS = "TPOT is (time of N + 1 tokens - time of 1 token) / N, so prefill is not in it; TTFT is the time of 1 token."


@dataclass(frozen=True)
class Section:
    """Results of one kind.

    Args:
        title: Of the section.
        about: What is to be known before reading it.
        pattern: The result files, by their names.
        tables: A result's tables.
        notes: What stands below them.
        picture: Draws all results of the section into a file; None where they have nothing to draw.
    """

    title: str
    about: str
    pattern: str
    tables: Callable[[Result], list[Table]]
    notes: Callable[[Result], list[str]]
    picture: Callable[[list[Result], Path], bool]


def of_growth(result: Result) -> list[Table]:
    """Only how a step of the sampler grows; the rest has a page of its own."""
    return [growth([line for line in result["lines"] if line["part"] == "growth"])]


SECTIONS = (
    Section(
        "Decode",
        f"{FORMULAS} The floor of a step is one read of the weights and of the rows' keys and values. "
        "Models that fit the cache, as the toy does, are not in the picture: they are not limited by memory.",
        "decode-*.json",
        decode_table.tables,
        decode_table.notes,
        pictures.roofline,
    ),
    Section(
        "Growth of a decode step",
        "The dashed line is the floor: what the step must read, at the bandwidth measured beside it.",
        "decode-*.json",
        lambda _: [],
        lambda _: [],
        pictures.decode_growth,
    ),
    Section(
        "What each parameter costs",
        "The price list of the API: each parameter switched on alone, and all together, as a share of greedy decoding.",
        "api-*.json",
        api_table.tables,
        api_table.notes,
        pictures.price_list,
    ),
    Section(
        "Growth of a sampling step",
        "Everything on, and one thing after another growing. `docs/sampler_speed.md` compares a step with its peers.",
        "sampler-*.json",
        of_growth,
        lambda result: [setting(result)],
        pictures.sampler_growth,
    ),
)


def found(folder: Path, pattern: str) -> list[Result]:
    """The full results of a kind."""
    paths = sorted(path for path in folder.glob(pattern) if "-short" not in path.stem)
    return [json.loads(path.read_text()) | {"file": path.name} for path in paths]


def repeat(result: Result) -> str:
    """How to measure it again."""
    lines = (f"    {result['command']}", f"From `results/{result['file']}`, commit {result['commit']}.")
    return "\n\n".join(lines)


def block(section: Section, result: Result) -> list[str]:
    """The tables of one result, with notes and command."""
    tables = [each for each in section.tables(result) if each.groups]
    if not tables:
        return []
    notes = "\n".join(f"- {note}" for note in section.notes(result))
    return [*map(markdown_table, tables), notes, repeat(result)]


def written(section: Section, folder: Path, pictures: Path) -> list[str]:
    """A section as blocks of Markdown; nothing where nothing was measured."""
    results = found(folder, section.pattern)
    name = section.title.lower().replace(" ", "-") + ".svg"
    drawn = section.picture(results, pictures / name)
    picture = [f"![{section.title}]({pictures.name}/{name})"] if drawn else []
    blocks = [text for result in results for text in block(section, result)]
    return [f"## {section.title}", section.about, *picture, *blocks] if picture or blocks else []


def report(folder: Path, out: Path) -> None:
    """Write the page and its pictures."""
    pictures = out / "report"
    pictures.mkdir(parents=True, exist_ok=True)
    parts: Iterable[str] = (text for section in SECTIONS for text in written(section, folder, pictures))
    (out / "REPORT.md").write_text("\n\n".join([HEAD, *parts]) + "\n")


def main() -> None:
    """Read the results, write the report."""
    parser = argparse.ArgumentParser(f"python -m {__package__}", description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    parser.add_argument("--out", type=Path, default=RESULTS.parent, help="folder of the report")
    options = parser.parse_args()
    report(options.results, options.out)


if __name__ == "__main__":
    main()
