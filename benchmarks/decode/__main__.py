"""Tokens per second of prefill and decode, beside other engines with the same weights.

    python -m benchmarks.decode [--shapes 240M] [--dtypes float32 bfloat16] [--rows 1 16] [--contexts 128] [--device cuda]
    python -m benchmarks.decode --short        # the toy, in a minute

Three parts: every engine at every job, taking turns in one process (always); how our step grows with rows and context
(--growth); and peak memory, each engine in a process of its own (--memory). Models have their true shapes and random
weights, built in memory. Each round times one token and N + 1 tokens of every engine, so that prefill cancels out of the
time per token. Writes benchmarks/results/decode-<device>.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby, product
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.decode import table as decode_table
from benchmarks.decode.decoders import ENGINES, OURS
from benchmarks.decode.growth import point
from benchmarks.decode.job import SAMPLING, DecodeJob
from benchmarks.decode.measure import FORMULAS, described, measure
from benchmarks.decode.memory import peak_bytes
from benchmarks.harness import shapes
from benchmarks.harness.outcome import Line, failed, without_figures
from benchmarks.harness.paths import RESULTS
from benchmarks.harness.table import show_tables
from benchmarks.harness.timing import origin, settle_allocator
from sampling import SamplingParams
from sampling.chat.request import SAMPLING_FIELDS
from sampling.model import Llama

NEUTRAL = SamplingParams()
PACKAGES = ("numpy", "transformers", "safetensors", "llama-cpp-python", "gguf", "vllm")
SHORT: dict[str, Any] = {
    "shapes": [shapes.TOY],
    "dtypes": ["float32"],
    "rows": [1, 2],
    "contexts": [16],
    "new": 8,
    "rounds": 2,
    "growth_rows": [1, 4],
    "growth_contexts": [16, 64],
}


def jobs_of(options: argparse.Namespace) -> list[DecodeJob]:
    """Everything that engines are compared at; the jobs of one model stand together."""
    chosen = product(options.shapes, options.dtypes, options.contexts, options.rows, options.sampling)
    return [
        DecodeJob(
            shape=shape,
            dtype=dtype,
            rows=rows,
            context=context,
            new=options.new + 1,
            sampling=sampling,
            device=options.device,
            packed=not options.unpacked,
        )
        for shape, dtype, context, rows, sampling in chosen
    ]


def growth_points(options: argparse.Namespace) -> list[tuple[DecodeJob, Line]]:
    """The points of both sweeps, from the first job of every model."""
    bases = [next(jobs) for _, jobs in groupby(jobs_of(options), key=lambda job: (job.shape, job.dtype))]
    by_rows = [
        (replace(base, rows=rows), {"axis": "rows", "value": rows})
        for base in bases
        for rows in options.growth_rows
    ]
    by_context = [
        (replace(base, context=context), {"axis": "context", "value": context})
        for base in bases
        for context in options.growth_contexts
    ]
    return by_rows + by_context


class Models:
    """The models of a run, one at a time."""

    def __init__(self) -> None:
        self._key: tuple[str, str, str] | None = None
        self._model: Llama | None = None

    def of(self, job: DecodeJob) -> Llama:
        """The job's model, built when the last one was another."""
        key = (job.shape, job.dtype, job.device)
        if self._model is None or key != self._key:
            self._model = None  # let go before the next is built
            self._key, self._model = key, job.model()
        return self._model


def lines_of(options: argparse.Namespace, bar: tqdm[Any]) -> Iterator[Line]:
    """Everything that was asked for."""
    models = Models()
    for job in jobs_of(options):
        yield from measure(job, models.of(job), options.engines, options.rounds, options.buffer_mib, bar)
    own = [engine for engine in options.engines if engine in OURS]
    for engine, (job, label) in product(own, growth_points(options) if options.growth else ()):
        bar.set_description(f"{job.shape}, {job.dtype}: {engine}, {label['axis']} {label['value']}")
        line = described(engine, job, models.of(job)) | {"part": "growth", **label}
        yield with_figures(line, partial(point, job, models.of(job), line, options.buffer_mib))
        bar.update()
    for job, engine in product(memory_jobs(options), options.engines):
        bar.set_description(f"{job.shape}, {job.dtype}: memory of {engine}")
        line = described(engine, job, models.of(job)) | {"part": "memory"}
        yield with_figures(line, partial(peak_bytes, engine, job))
        bar.update()


def with_figures(line: Line, measured: Callable[[], Line]) -> Line:
    """A line with its figures, or with why there are none."""
    try:
        return line | measured()
    except Exception as error:  # whatever an engine makes of a job: the others are measured
        return line | without_figures(error, ours=line["engine"] in OURS)


def memory_jobs(options: argparse.Namespace) -> list[DecodeJob]:
    """The jobs whose memory is measured: how tokens are chosen makes no difference that counts."""
    return [job for job in jobs_of(options) if options.memory and job.sampling == options.sampling[-1]]


def asked(sampling: str) -> dict[str, Any]:
    """What is not at its default."""
    values = {name: getattr(SAMPLING[sampling], name) for name in SAMPLING_FIELDS}
    return {name: value for name, value in values.items() if value != getattr(NEUTRAL, name)} | {
        "seed": "0 to B - 1"
    }


def length_of(options: argparse.Namespace) -> int:
    """How often the bar will move."""
    own = sum(engine in OURS for engine in options.engines)
    jobs, engines = len(jobs_of(options)), len(options.engines)
    compared = jobs * (engines + options.rounds)
    return compared + options.growth * own * len(growth_points(options)) + len(memory_jobs(options)) * engines


def frame(options: argparse.Namespace) -> dict[str, Any]:
    """What a result says of itself."""
    return {
        **origin("decode", *PACKAGES, device=options.device),
        "device": options.device,
        "weights": "random, of the true shape: the speed of a forward pass does not depend on their values; "
        f"logits about N(0, {shapes.LOGITS:g}). The toy's are its own",
        "timing": {"rounds": options.rounds, "how": "all engines of a job in turns", "formulas": FORMULAS},
        "sampling": {name: asked(name) for name in options.sampling},
        "engines": {
            name: {"does": ENGINES[name].does, "leaves_out": ENGINES[name].leaves_out}
            for name in options.engines
        },
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure; what is there is written after every line, in case that the rest does not come to its end."""
    result = frame(options) | {"lines": []}
    with tqdm(total=length_of(options), bar_format="{l_bar}{bar}| {elapsed}") as bar:
        for line in lines_of(options, bar):
            result["lines"].append(line)
            options.out.write_text(json.dumps(result, indent=1) + "\n")
    return result


def arguments() -> argparse.Namespace:
    """The options; what is given on the command line wins over what --short chooses."""
    parser = argparse.ArgumentParser(f"python -m {__package__}", description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="the toy, in a minute")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shapes", nargs="+", choices=shapes.SHAPES, default=["240M"])
    parser.add_argument("--dtypes", nargs="+", choices=shapes.DTYPES, default=list(shapes.DTYPES))
    parser.add_argument("--rows", type=int, nargs="+", default=[1], help="batch sizes B")
    parser.add_argument("--contexts", type=int, nargs="+", default=[128], help="lengths of the prompts")
    parser.add_argument("--sampling", nargs="+", choices=SAMPLING, default=list(SAMPLING))
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--new", type=int, default=32, help="N, tokens after the first one")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each engine, 2 or more")
    parser.add_argument("--unpacked", action="store_true", help="without our packed copy of the weights")
    parser.add_argument("--growth", action="store_true", help="how our step grows, too")
    parser.add_argument("--growth-rows", type=int, nargs="*", default=[1, 4, 16, 64, 256])
    parser.add_argument("--growth-contexts", type=int, nargs="*", default=[128, 512, 2048, 8192])
    parser.add_argument("--memory", action="store_true", help="peak memory, too")
    parser.add_argument("--buffer-mib", type=int, help="size of the buffer whose reading is timed")
    parser.add_argument("--out", type=Path)
    if parser.parse_args().short:
        parser.set_defaults(**SHORT)
    options = parser.parse_args()
    short = "-short" if options.short else ""
    options.out = options.out or RESULTS / f"decode-{options.device}{short}.json"
    return options


def main() -> None:
    """Measure, print the result as tables, and end with 1 if an engine failed."""
    options = arguments()
    warnings.filterwarnings("ignore", message="`torch.jit.script_method` is deprecated")  # torch of itself
    settle_allocator()
    with torch.no_grad():
        result = run(options)
    show_tables(decode_table.tables(result), decode_table.notes(result))
    if names := failed(result["lines"]):
        sys.exit(f"failed: {', '.join(names)}")


if __name__ == "__main__":
    main()
