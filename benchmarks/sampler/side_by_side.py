"""Is a step, an answer, a served answer as fast as in an earlier commit? Both trees in a process each, which take turns.

    git worktree add --detach /tmp/before COMMIT
    python -m benchmarks.sampler.side_by_side /tmp/before [--pairs 4] [--turns 8] [--rows 1 64]

A turn is a few calls of one process while the other waits. Where its memory lies is worth a few percent, so that each cell has
several pairs of processes, started in either order. "x before" is the ratio of medians, and of minima, of the CPU time of a
call on one thread, which other programs on the machine disturb least; where a server answers, it is that of the server. Writes
benchmarks/results/side_by_side.json.
"""

from __future__ import annotations

import argparse
import atexit
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "side_by_side.json"
VOCABULARY = 128256
CALLS = {1: 20, 64: 3}  # of a turn, by the number of rows
ANSWERS = 2  # of a turn
ANSWER: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Say some animals."}],
    "max_tokens": 48,
    "temperature": 0.7,
    "top_p": 0.9,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "seed": 1,
    "logprobs": True,
    "top_logprobs": 5,
}
KINDS = {
    "usual": "100 likely tokens; temperature 0.7, top_k 40, top_p 0.9, penalties after 100 tokens, 20 alternatives",
    "flat": "independent N(0, 1): every row is resolved in full; the same parameters",
    "untruncated": "100 likely tokens; temperature 0.7 alone",
    "one row overflows": "as usual, and the first of several rows has a bias in each of 600 blocks",
    "all rows overflow": "as usual, after a prompt of 4000 tokens that the repetition penalty counts",
    "decode": "48 tokens of the built-in toy, in process; B choices of one request",
    "serve": "the same over HTTP, not streamed",
}
OF_STEPS = [kind for kind in KINDS if kind not in ("decode", "serve")]


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


@dataclass(frozen=True)
class Job:
    """What a worker does again and again.

    Args:
        call: Does it, and gives what both trees must agree on.
        repeats: How often in a turn.
        clock: Seconds of CPU time so far.
    """

    call: Callable[[], Any]
    repeats: int
    clock: Callable[[], float] = time.process_time


def step_job(kind: str, rows: int, *, compiled: bool) -> Job:
    """Sample one token in each row."""
    sampler, logits = sampler_and_logits(kind, rows, compiled=compiled)
    return Job(lambda: sampler.step(logits).token_ids.tolist(), CALLS.get(rows, 5))


def decode_job(choices: int, *, compiled: bool) -> Job:
    """Answer a message, in process."""
    import sampling  # of the tree that this process is for

    model = sampling.load(None, compile=compiled)
    return Job(lambda: texts_of(model.chat(**ANSWER, n=choices)), ANSWERS)


def serve_job(choices: int, *, compiled: bool) -> Job:
    """Answer the same message over HTTP, by a server that ends with this process."""
    start = "from sampling.cli.main import main; raise SystemExit(main())"
    flags = ["--port", "0", "--max-batch", str(choices), *(["--compile"] if compiled else [])]
    command = [sys.executable, "-P", "-c", start, "serve", *flags]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    atexit.register(server.kill)
    assert server.stdout is not None
    address = next(found[1] for line in server.stdout if (found := re.search(r"http://([\d.:]+)", line)))
    connection = http.client.HTTPConnection(address)

    def call() -> list[str]:
        body = json.dumps({"model": "sampling-toy", **ANSWER, "n": choices})
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        return texts_of(json.loads(connection.getresponse().read()))

    return Job(call, ANSWERS, lambda: cpu_seconds(server.pid))


def texts_of(response: Any) -> list[str]:
    """The text of each choice."""
    return [choice["message"]["content"] for choice in response["choices"]]


def cpu_seconds(process: int) -> float:
    """CPU time of a process's threads, in seconds."""
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def worker(kind: str, rows: int, compiled: bool) -> None:
    """Answer each line on standard input with the CPU and wall seconds of some calls; before that, say what a call gives."""
    torch.set_num_threads(1)
    answering = {"decode": decode_job, "serve": serve_job}.get(kind, partial(step_job, kind))
    job = answering(rows, compiled=compiled)
    for _ in range(3 if kind in OF_STEPS else 1):
        job.call()
    print(json.dumps({"result": job.call()}), flush=True)
    for _ in sys.stdin:
        times: list[tuple[float, float]] = []
        for _ in range(job.repeats):
            cpu, wall = job.clock(), time.perf_counter()
            job.call()
            times.append((job.clock() - cpu, time.perf_counter() - wall))
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
    same = True
    for pair in range(options.pairs):
        names = sorted(trees, reverse=bool(pair % 2))
        workers = {name: started(trees[name], kind, rows, compiled=compiled) for name in names}
        ready = [json.loads(one.stdout.readline()) for one in workers.values() if one.stdout]
        same &= ready[0] == ready[1]
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
        **({"V": VOCABULARY} if kind in OF_STEPS else {}),
        "compiled": compiled,
        "same_result": same,
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
