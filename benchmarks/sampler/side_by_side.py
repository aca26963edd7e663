"""Is a sampling step as fast as in an earlier commit? Both trees in a process each, which take turns.

    git worktree add --detach /tmp/before COMMIT
    python -m benchmarks.sampler.side_by_side /tmp/before [--pairs 4] [--turns 8] [--rows 1 64]

A turn is a few calls of one process while the other waits. Where its memory lies is worth a few percent, so that each cell has
several pairs of processes, started in either order. "x before" is the ratio of medians, and of minima, of the CPU time of a
call on one thread, which other programs on the machine disturb least. Writes benchmarks/results/side_by_side.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "side_by_side.json"
VOCABULARY = 128256
CALLS = {1: 20, 64: 3}  # of a turn, by the number of rows
KINDS = {
    "usual": "100 likely tokens; temperature 0.7, top_k 40, top_p 0.9, penalties after 100 tokens, 20 alternatives",
    "flat": "independent N(0, 1): every row is resolved in full; the same parameters",
    "untruncated": "100 likely tokens; temperature 0.7 alone",
    "one row overflows": "as usual, and the first of several rows has a bias in each of 600 blocks",
    "all rows overflow": "as usual, after a prompt of 4000 tokens that the repetition penalty counts",
}


def sampler_and_logits(kind: str, rows: int, *, compiled: bool) -> tuple[Any, torch.Tensor]:
    """Make a sampler in the middle of its requests, and logits for it."""
    from sampling import Sampler, SamplingParams  # of the tree that this process is for

    torch.manual_seed(0)
    logits = torch.randn(rows, VOCABULARY) * (1.0 if kind == "flat" else 2.5)
    if kind != "flat":
        likely = torch.stack([torch.randperm(VOCABULARY)[:100] for _ in range(rows)])
        logits.scatter_(1, likely, 20 - 1.8 * torch.arange(1, 101).log().expand(rows, -1))
    truncated = {"top_k": 40, "top_p": 0.9, "frequency_penalty": 0.5, "presence_penalty": 0.5}
    every: dict[str, Any] = {"temperature": 0.7, "logprobs": True, "top_logprobs": 20}
    every |= {} if kind == "untruncated" else truncated | {"repetition_penalty": 1.1}
    biased = dict.fromkeys(range(7, 64 * 600, 64), 1.0) if kind == "one row overflows" and rows > 1 else {}
    params = [SamplingParams(seed=row, logit_bias=biased if row == 0 else {}, **every) for row in range(rows)]
    length = 4000 if kind == "all rows overflow" else 100
    prompts = torch.randint(VOCABULARY, (rows, length)).tolist()
    # A dialect whose repetition penalty counts the prompt.
    return (
        Sampler(
            params,
            vocab_size=VOCABULARY,
            prompt_ids=prompts,
            dialect="vllm",
            logprob_modes=["raw"],
            compile=compiled,
            max_history=length + 5000 if compiled else None,
        ),
        logits,
    )


def worker(kind: str, rows: int, compiled: bool) -> None:
    """Answer each line on standard input with the CPU and wall seconds of some calls, and the tokens of the last."""
    torch.set_num_threads(1)
    sampler, logits = sampler_and_logits(kind, rows, compiled=compiled)
    for _ in range(3):
        sampler.step(logits)
    print(json.dumps({"tokens": sampler.step(logits).token_ids.tolist()}), flush=True)
    for _ in sys.stdin:
        times: list[tuple[float, float]] = []
        for _ in range(CALLS.get(rows, 5)):
            cpu, wall = time.process_time(), time.perf_counter()
            sampler.step(logits)
            times.append((time.process_time() - cpu, time.perf_counter() - wall))
        print(json.dumps(times), flush=True)


def started(tree: Path, kind: str, rows: int, *, compiled: bool) -> subprocess.Popen[str]:
    """Start a worker on a tree."""
    paths = os.pathsep.join(map(str, (tree, tree / "kernels")))
    command = [sys.executable, __file__, str(tree), "--worker", kind, str(rows), str(int(compiled))]
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)


def asked(process: subprocess.Popen[str]) -> Any:
    """Let a worker have its turn."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def compared(
    before: Path, kind: str, rows: int, options: argparse.Namespace, *, compiled: bool
) -> dict[str, Any]:
    """Compare one cell."""
    trees = {"before": before, "now": ROOT}
    cpu: dict[str, list[float]] = {name: [] for name in trees}
    wall: dict[str, list[float]] = {name: [] for name in trees}
    same_tokens = True
    for pair in range(options.pairs):
        names = sorted(trees, reverse=bool(pair % 2))
        workers = {name: started(trees[name], kind, rows, compiled=compiled) for name in names}
        ready = [json.loads(one.stdout.readline()) for one in workers.values() if one.stdout]
        same_tokens &= ready[0] == ready[1]
        for turn in range(options.turns):
            for name in sorted(workers, reverse=bool(turn % 2)):
                for one, other in asked(workers[name]):
                    cpu[name].append(one)
                    wall[name].append(other)
        for one in workers.values():
            one.communicate()
    line: dict[str, Any] = {
        "kind": kind,
        "B": rows,
        "V": VOCABULARY,
        "compiled": compiled,
        "same_tokens": same_tokens,
    }
    for name in trees:
        line[f"{name}_median_us"] = round(1e6 * statistics.median(cpu[name]), 1)
        line[f"{name}_minimum_us"] = round(1e6 * min(cpu[name]), 1)
        line[f"{name}_wall_minimum_us"] = round(1e6 * min(wall[name]), 1)
    for what in ("median", "minimum"):
        line[f"x_before_{what}"] = round(line[f"now_{what}_us"] / line[f"before_{what}_us"], 3)
    return line


def main() -> None:
    """Compare all cells and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="the tree of the earlier commit")
    parser.add_argument("--pairs", type=int, default=4, help="of processes, for each cell")
    parser.add_argument("--turns", type=int, default=8, help="of each process")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--modes", nargs="+", default=["eager", "compiled"], choices=["eager", "compiled"])
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        kind, rows, compiled = options.worker
        worker(kind, int(rows), compiled == "1")
        return
    from benchmarks.harness.timing import origin  # a worker on an earlier tree has no such module

    commit = ["git", "-C", str(options.before), "rev-parse", "HEAD"]
    result: dict[str, Any] = {
        **origin("sampler.side_by_side", "numpy"),
        "pairs": options.pairs,
        "turns": options.turns,
        "before": subprocess.run(commit, capture_output=True, text=True, check=True).stdout.strip(),
        "kinds": {kind: KINDS[kind] for kind in options.kinds},
        "lines": [],
    }
    for mode in options.modes:
        for kind in options.kinds:
            for rows in options.rows:
                compiled = mode == "compiled"
                line = compared(options.before, kind, rows, options, compiled=compiled)
                result["lines"].append(line)
                print(line["x_before_median"], line["x_before_minimum"], mode, kind, rows, line, flush=True)
                options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
