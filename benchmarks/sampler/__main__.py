"""What one sampling step costs, beside what others pay.

    python -m benchmarks.sampler [--device cuda] [--rows 1 64] [--vocab 128256] [--kinds llm] [--features] [--growth]
    python -m benchmarks.sampler --short        # what `make bench` runs

Three parts: every engine with everything on (always), our features one by one (--features), and how our step grows
(--growth). All engines of a cell take turns of a few calls in one process. "x floor" is the median over the time of reading
the logits once at the read bandwidth measured in the same run. Writes benchmarks/results/sampler-<device>.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.harness import logits
from benchmarks.harness.outcome import failed, without_figures
from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import (
    BUFFER_MIB,
    FEWEST_TURNS,
    IN_A_ROW,
    MOST_TURNS,
    Call,
    interleaved,
    last_level_cache,
    origin,
    peak_memory,
    read_bandwidth,
    settle_allocator,
    summary,
)
from benchmarks.sampler import table
from benchmarks.sampler.cells import (
    ALL,
    ALL_BUT_LOGPROBS,
    Cell,
    Entry,
    engine_cells,
    feature_cells,
    growth_cells,
)
from benchmarks.sampler.engine import Job
from benchmarks.sampler.ours import OURS
from benchmarks.sampler.peers import PEERS
from sampling.chat.request import SAMPLING_FIELDS

ENGINES = OURS | PEERS
PACKAGES = ("numpy", "transformers", "llama-cpp-python", "flashinfer-python")
WARM_UP = 2
SHORT: dict[str, Any] = {
    "rows": [1, 8],
    "vocab": [128256],
    "kinds": ["llm", "N(0,1)"],
    "seconds": 0.4,
    "features": True,
}


@cache
def inputs_of(kind: str, rows: int, vocabulary: int, device: str, count: int) -> list[Tensor]:
    """Different logits [B, V] to take turns."""
    return [logits.make(kind, rows, vocabulary, seed).to(device) for seed in range(count)]


def prepared(entry: Entry, place: int, count: int) -> tuple[Call, dict[str, Any]]:
    """One warm call of an engine, and the memory it takes; neighbours start at different inputs."""
    job = entry.job
    step = ENGINES[entry.engine].build(job)
    inputs = inputs_of(job.kind, job.rows, job.vocabulary, job.device, count)
    turns = cycle(inputs[place % count :] + inputs[: place % count])

    def call() -> object:
        return step(next(turns))

    for _ in range(WARM_UP - 1):
        call()
    return call, peak_memory(call, job.device)


def described(entry: Entry, bandwidth: float, count: int) -> dict[str, Any]:
    """What a result line says before anything is timed."""
    job, size = entry.job, 4 * entry.job.rows * entry.job.vocabulary
    params = {name: getattr(job.params, name) for name in SAMPLING_FIELDS}
    return {
        "part": entry.part,
        "engine": entry.engine,
        **entry.label,
        "kind": job.kind,
        "B": job.rows,
        "V": job.vocabulary,
        "dtype": "float32",
        "bytes": size,
        "floor_us": 1e-3 * size / bandwidth,
        "inputs": "warm" if count * size <= (last_level_cache(job.device) or 0) else "cold",
        "parameters": params | {"logit_bias": f"{len(job.params.logit_bias)} tokens", "seed": "0 to B - 1"},
        "sampled": job.sampled,
        "prompt": job.prompt,
        "dialect": job.dialect,
    }


def measure(
    cell: Cell, options: argparse.Namespace, bandwidth: float, bar: tqdm[Any]
) -> list[dict[str, Any]]:
    """A result line for each entry of a cell, in microseconds, or why there is none."""
    lines = [described(entry, bandwidth, options.inputs) for entry in cell]
    calls: dict[int, Call] = {}
    for place, entry in enumerate(cell):
        bar.set_description(f"{entry.part}: {entry.job.kind}, B = {entry.job.rows}, {entry.engine}")
        try:
            calls[place], memory = prepared(entry, place, options.inputs)
            lines[place] |= memory
        except Exception as error:  # recorded: the other engines are measured all the same
            lines[place] |= without_figures(error, ours=entry.engine in OURS)
        bar.update()
    bar.set_description(f"{cell[0].part}: {cell[0].job.kind}, B = {cell[0].job.rows}, taking turns")
    warm, first = interleaved(calls, options.device, options.seconds * len(calls))
    for place, times in warm.items():
        lines[place] |= summary(times) | {"slowest_us": 1e6 * max(times), "calls": len(times)}
        lines[place]["first_of_a_turn_us"] = 1e6 * statistics.median(first[place])
        lines[place]["x_floor"] = lines[place]["median_us"] / lines[place]["floor_us"]
    bar.update(len(cell))
    inputs_of.cache_clear()
    torch.compiler.reset()  # the next cell has other shapes
    return compared(lines) if cell[0].part == "engines" else lines


def compared(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add how many times as fast as the peers every engine of a cell is."""
    timed = [line for line in lines if "median_us" in line]
    peers = {line["engine"]: line["median_us"] for line in timed if line["engine"] in table.COMPARED}
    for line in timed:
        line["times_as_fast_as"] = {peer: median / line["median_us"] for peer, median in peers.items()}
    return lines


def logprobs_cost(lines: list[dict[str, Any]]) -> dict[str, float]:
    """By engine: everything, with log probability, rank and top 20, over everything but them."""
    medians = {
        (line["engine"], line["feature"]): line["median_us"]
        for line in lines
        if line["part"] == "features" and "median_us" in line
    }
    return {
        engine: medians[engine, ALL] / medians[engine, ALL_BUT_LOGPROBS]
        for engine in OURS
        if {(engine, ALL), (engine, ALL_BUT_LOGPROBS)} <= medians.keys()
    }


def chosen_cells(options: argparse.Namespace) -> list[Cell]:
    """Everything that was asked for."""
    jobs = [
        Job(rows=rows, vocabulary=vocabulary, kind=kind, device=options.device)
        for vocabulary in options.vocab
        for kind in options.kinds
        for rows in options.rows
    ]
    rows, vocabulary = options.base
    base = Job(rows=rows, vocabulary=vocabulary, device=options.device)
    own = [engine for engine in options.engines if engine in OURS]
    return [
        *engine_cells(options.engines, jobs),
        *(feature_cells(own, base) if options.features else ()),
        *(growth_cells(own, base) if options.growth else ()),
    ]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, and say how."""
    cells = chosen_cells(options)
    bandwidth = read_bandwidth(options.device, options.buffer_mib or BUFFER_MIB[options.device])
    with torch.no_grad(), tqdm(total=2 * sum(map(len, cells)), bar_format="{l_bar}{bar}| {elapsed}") as bar:
        lines = [line for cell in cells for line in measure(cell, options, bandwidth["GB_per_s"], bar)]
    return {
        **origin("sampler", *PACKAGES, device=options.device),
        "device": options.device,
        "read_bandwidth": bandwidth,
        "timing": {
            "calls": f"{WARM_UP} before timing; then {FEWEST_TURNS} to {MOST_TURNS} turns of {IN_A_ROW} calls",
            "median_us": "of the calls that follow one of the same engine: median, p10, p90, slowest",
            "first_of_a_turn_us": "median of the others, which find the caches as the other engines left them",
            "seconds_per_engine": options.seconds,
            "inputs": f"{options.inputs} logits in turn; warm where together they fit the largest cache",
            "x_floor": "median_us / floor_us; floor_us = bytes / read bandwidth",
        },
        "logits": {kind: logits.KINDS[kind].description for kind in options.kinds}
        | {"a model's own": "not measured: the built-in checkpoint's vocabulary is too small to time"},
        "engines": {
            name: {"does": ENGINES[name].does, "leaves_out": ENGINES[name].leaves_out}
            for name in options.engines
        },
        "lines": lines,
        "logprobs_cost": logprobs_cost(lines),
    }


def arguments() -> argparse.Namespace:
    """The options; what is given on the command line wins over what --short chooses."""
    parser = argparse.ArgumentParser(f"python -m {__package__}", description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a small selection, in a minute or two")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 64, 512], help="batch sizes B")
    parser.add_argument("--vocab", type=int, nargs="+", default=[32000, 128256, 256000], help="widths V")
    parser.add_argument(
        "--kinds", nargs="+", choices=logits.KINDS, default=list(logits.KINDS), help="of logits"
    )
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each engine of a cell")
    parser.add_argument("--inputs", type=int, default=4, help="how many logits take turns")
    parser.add_argument("--features", action="store_true", help="our features one by one, too")
    parser.add_argument("--growth", action="store_true", help="how our step grows, too")
    parser.add_argument("--base", type=int, nargs=2, metavar=("B", "V"), default=[1, 128256], help="of both")
    parser.add_argument("--buffer-mib", type=int, help="size of the buffer whose reading is timed")
    parser.add_argument("--out", type=Path)
    if parser.parse_args().short:
        parser.set_defaults(**SHORT)
    options = parser.parse_args()
    short = "-short" if options.short else ""
    options.out = options.out or RESULTS / f"sampler-{options.device}{short}.json"
    return options


def main() -> None:
    """Measure, write the result, print it as tables."""
    options = arguments()
    settle_allocator()
    result = run(options)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    table.show(result)
    if wrong := failed(result["lines"]):
        sys.exit(f"could not be measured: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
