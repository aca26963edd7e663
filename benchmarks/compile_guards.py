"""What do guards of compiled steps cost, and what do torch's public filters of guards save?

    python -m benchmarks.compile_guards [--repeats 300]

A decode step of the built-in checkpoint and a sampling step on a small vocabulary, each compiled once with each filter, for one
row on one thread; one after the other. Says how many guards are left and what a call takes. The difference is the
guards' cost, since the graphs are the same. Writes benchmarks/results/compile_guards.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

import sampling
from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin
from sampling import Sampler, SamplingParams
from sampling.compile.graphs import LIMITS, GuardFilter, skip_globals, skip_globals_and_modules
from sampling.model.forward import OPTIONS, advance_of, forward_of
from sampling.sampler.step import optimistic_step

RESULT = RESULTS / "compile_guards.json"


FILTERS: dict[str, GuardFilter] = {
    "all guards": lambda guards: [True] * len(guards),
    "skip_guard_on_globals_unsafe": skip_globals,
    "and skip_guard_on_all_nn_modules_unsafe": skip_globals_and_modules,
}


def compiled(
    function: Callable[..., Any], name: str, kept: dict[str, int], **options: Any
) -> Callable[..., Any]:
    """Compile a function under a filter, and note how many guards it keeps."""

    def noting(guards: list[Any]) -> list[bool]:
        answers = FILTERS[name](guards)
        kept[name] = sum(answers)
        return answers

    graph = torch.compile(
        function, fullgraph=True, dynamic=False, options={**options, "guard_filter_fn": noting}
    )

    def run(*arguments: Any) -> Any:
        with torch._dynamo.config.patch(LIMITS):  # pyright: ignore[reportPrivateUsage]
            return graph(*arguments)

    return run


def decode_call(name: str, kept: dict[str, int]) -> Callable[[], object]:
    """A decode step of the built-in checkpoint under a filter."""
    model = sampling.load(None).model
    logits = torch.zeros(1, model.config.vocab_size)
    forward: Any = forward_of(model, 256, logits, compiled=True)
    forward.reserve(torch.ones(1, dtype=torch.int64))
    step = compiled(advance_of, name, kept, **OPTIONS["cpu"])
    return partial(step, "key", forward.model, forward.cache.now, logits, torch.tensor([5]))


def sampling_call(name: str, kept: dict[str, int]) -> Callable[[], object]:
    """A sampling step under a filter."""
    params = SamplingParams(seed=1, temperature=0.7, top_k=40, top_p=0.9, frequency_penalty=0.5)
    sampler = Sampler([params], vocab_size=2048, max_history=64)
    step = compiled(optimistic_step, name, kept)
    return partial(step, sampler.inputs, sampler.history, torch.randn(1, 2048), False)


def measured(call: Callable[[], object], repeats: int) -> list[float]:
    """Time a call, in microseconds of CPU time."""
    for _ in range(3):
        call()
    times: list[float] = []
    for _ in range(repeats):
        begun = time.process_time_ns()
        call()
        times.append((time.process_time_ns() - begun) / 1e3)
    return times


def main() -> None:
    """Measure both steps and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {**origin("compile_guards"), "repeats": options.repeats, "lines": []}
    for step, make in (("sampling", sampling_call), ("decode", decode_call)):
        for name in FILTERS:
            kept: dict[str, int] = {}
            torch._dynamo.reset()  # torch keeps the graphs of a function together
            with torch.no_grad():
                spent = measured(make(name, kept), options.repeats)
            line = {"step": step, "filter": name, "guards": kept[name]}
            line |= {"minimum_us": min(spent), "median_us": statistics.median(spent)}
            result["lines"].append(line)
            print(line, flush=True)
            options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
