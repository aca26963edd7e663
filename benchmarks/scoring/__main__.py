"""How fast are log probabilities of given tokens under top_p, with and without a gradient, beside what trainers do?

    python -m benchmarks.scoring [--rows 256 --vocab 128256 --rounds 2]

All ways take turns on the same logits, after a first call that is not timed. Two threads and 256 rows take about six minutes.
Writes benchmarks/results/scoring-cpu.json and prints it as a table.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import logits
from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import clock, origin, read_bandwidth, settle_allocator
from benchmarks.scoring.ways import WAYS, Way

SETTINGS = {"top_p 0.9": (0, 0.9), "top_k 50, top_p 0.9": (50, 0.9)}
TURN_SECONDS, MOST_IN_A_TURN = 0.5, 5
Line = dict[str, Any]


def calls_of(
    way: Way, given: Tensor, token_ids: Tensor, k: int, p: float, *, gradient: bool
) -> Callable[[], Tensor]:
    """A call that scores, and goes backward where a gradient is asked for."""
    if not gradient:
        return torch.no_grad()(lambda: way(given, token_ids, k, p))
    leaf = given.detach().requires_grad_()

    def both() -> Tensor:
        leaf.grad = None
        scored = way(leaf, token_ids, k, p)
        scored.sum().backward()
        return scored.detach()

    return both


def measure(options: argparse.Namespace, kind: str, setting: str, *, gradient: bool) -> list[Line]:
    """A line for each way."""
    given = logits.make(kind, options.rows, options.vocab, 0).to(options.device)
    token_ids = given.argmax(-1)
    calls = {
        name: calls_of(WAYS[name].call, given, token_ids, *SETTINGS[setting], gradient=gradient)
        for name in options.ways
    }
    time, seconds = clock(options.device), {name: list[float]() for name in calls}
    found = {name: call() for name, call in calls.items()}
    for _ in range(options.rounds):
        for name, call in calls.items():
            turn = [time(call)]
            while sum(turn) < TURN_SECONDS and len(turn) < MOST_IN_A_TURN:
                turn.append(time(call))
            seconds[name] += turn
    best = {name: min(times) for name, times in seconds.items()}
    return [
        {
            "way": name,
            "kind": kind,
            "setting": setting,
            "gradient": gradient,
            "N": options.rows,
            "V": options.vocab,
            "minimum_s": best[name],
            "median_s": statistics.median(times),
            "calls": len(times),
            "ours_is_faster": best[name] / best["ours"],
            "largest_difference": (found[name] - found["ours"]).abs().max().item(),
        }
        for name, times in seconds.items()
    ]


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(f"python -m {__package__}", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--vocab", type=int, default=128256)
    parser.add_argument("--rounds", type=int, default=2, help="turns of each way")
    parser.add_argument("--kinds", nargs="+", choices=logits.KINDS, default=["llm", "N(0,1)"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--buffer-mib", type=int, default=512, help="size of the buffer whose reading is timed"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.ways = ["ours", *(name for name in options.ways if name != "ours")]
    options.out = options.out or RESULTS / f"scoring-{options.device}.json"
    return options


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    settle_allocator()
    lines: list[Line] = []
    for kind in options.kinds:
        for setting in SETTINGS:
            for gradient in (False, True):
                lines += measure(options, kind, setting, gradient=gradient)
                for line in lines[-len(options.ways) :]:
                    with_gradient = "with gradient" if gradient else "forward"
                    print(
                        f"{kind:8} {setting:20} {with_gradient:14} {line['way']:9} {1e3 * line['minimum_s']:9.1f} ms  "
                        f"ours x {line['ours_is_faster']:.1f}",
                        flush=True,
                    )
    result = {
        **origin("scoring", device=options.device),
        "read_bandwidth": read_bandwidth(options.device, options.buffer_mib),
        "timing": "seconds of a call; all ways take turns, of half a second or five calls, after one that is not timed",
        "ours_is_faster": "minimum_s of the way / minimum_s of ours, in the same rounds",
        "largest_difference": "of the log probabilities from ours; other sets are kept where a float32 sum decides otherwise",
        "logits": {kind: logits.KINDS[kind].description for kind in options.kinds},
        "ways": {name: WAYS[name].does for name in options.ways},
        "lines": lines,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
