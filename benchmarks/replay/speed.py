"""How many tokens a second does a replay from logits judge, beside the plain way on full rows, and in how much memory?

    python -m benchmarks.replay.speed [--rows 256 --vocab 128256 --rounds 3 --threads 2]

Both ways take turns on the same logits, after a first call that is not timed. Then `sampling replay` runs in processes of its
own, on traces of more and more records with their logits in a file. Takes about five minutes. Writes
benchmarks/results/replay-speed-cpu.json and prints it as a table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.harness import logits
from benchmarks.harness.paths import RESULTS
from benchmarks.harness.timing import origin, settle_allocator
from benchmarks.replay.memory import memory_of
from benchmarks.scoring.ways import filtered_by_sort
from sampling import SamplingParams, replay_tokens
from sampling.sampler.rules import RULES, RngKeys, Rule
from sampling.sampler.rules.noisy_arg_max import NoisyArgMax

HASHED: tuple[Rule, ...] = ("vllm-0.33", "vllm-0.33-fp64", "sglang-0.5.23", "sglang-0.5.23-ranked")
SETTINGS: dict[str, dict[str, Any]] = {
    "none": {},
    "top_p 0.9": {"top_p": 0.9},
    "top_k 50, top_p 0.9": {"top_k": 50, "top_p": 0.9},
}
SEED, PROMPT = 2**40 + 7, [1, 2, 3]
AT_A_TIME = 64  # rows that the plain way takes: with more it only needs more memory
WAYS = {
    "ours": "sampling.replay_tokens: the token, its runner-up, the margin, its log probability",
    "plain": "the same figures from full rows: the filter as the engine's PyTorch function has it (a sort), noise for "
    f"every column, the two best, log softmax, gather; {AT_A_TIME} rows at a time",
}


class Found(NamedTuple):
    """What a way says of N tokens: what the rule draws, the runner-up, the recorded one's log probability."""

    drawn: Tensor
    runner_up: Tensor
    logprobs: Tensor


class Times(NamedTuple):
    """Seconds of a call: on the clock, and of work of all cores."""

    wall: float
    cpu: float

    @staticmethod
    def of(call: Callable[[], object]) -> Times:
        """Make the call."""
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        return Times(time.perf_counter() - wall, time.process_time() - cpu)


def ours(rule: Rule, given: Tensor, token_ids: Tensor, cut: dict[str, Any]) -> Found:
    """Replay."""
    outputs = [token_ids[:place] for place in range(len(token_ids))]
    params = SamplingParams(seed=SEED, **cut)
    asked: dict[str, Any] = {"prompt_ids": [PROMPT] * len(outputs), "output_ids": outputs}
    said = replay_tokens(given, token_ids, params, rule=rule, **asked)
    return Found(said.drawn, said.margin.runner_up, said.logprobs)


def filtered_as_sglang(logits: Tensor, k: int, p: float) -> Tensor:
    """Filter as SGLang's PyTorch function does: by rank, and by the running sum of all probabilities before a token."""
    ordered, index = logits.sort(dim=-1, descending=True, stable=True)
    probs = ordered.softmax(-1)
    dropped = probs.cumsum(-1) - probs > p
    if k:
        dropped[:, k:] = True
    return torch.empty_like(ordered).scatter(-1, index, ordered.masked_fill(dropped, -torch.inf))


FILTERS = {"vllm": filtered_by_sort, "sglang": filtered_as_sglang}


def plain(rule: Rule, given: Tensor, token_ids: Tensor, cut: dict[str, Any]) -> Found:
    """Draw from full rows."""
    name = RULES[rule].when_sorted or rule if cut else rule
    drawing = RULES[name]
    assert isinstance(drawing, NoisyArgMax)
    positions = torch.arange(len(given)) + len(PROMPT) - 1
    columns = torch.arange(given.shape[1])[None]
    parts: list[Found] = []
    for rows, ids, own in zip(*(one.split(AT_A_TIME) for one in (given, token_ids, positions)), strict=True):
        kept = FILTERS[drawing.dialect](rows, cut.get("top_k", 0), cut["top_p"]) if cut else rows
        logprobs = kept.log_softmax(-1).gather(-1, ids[:, None])[:, 0]
        order = columns.expand_as(kept)
        if drawing.ranked:
            kept, order = kept.sort(stable=True, dim=-1, descending=True)
        noise = drawing.noise(RngKeys(torch.full_like(own, SEED), own, own * 0), columns)
        best = order.gather(1, (kept.to(noise.dtype) + noise).topk(2).indices)
        parts.append(Found(best[:, 0], best[:, 1], logprobs))
    return Found(*map(torch.cat, zip(*parts, strict=True)))


def measure(options: argparse.Namespace, rule: Rule, kind: str, setting: str) -> dict[str, Any]:
    """Time both ways in turns."""
    given = logits.make(kind, options.rows, options.vocab, 0)
    token_ids, cut = given.argmax(-1), SETTINGS[setting]
    calls: dict[str, Callable[[], Found]] = {
        "ours": lambda: ours(rule, given, token_ids, cut),
        "plain": lambda: plain(rule, given, token_ids, cut),
    }
    with torch.no_grad():
        found = {name: call() for name, call in calls.items()}
        times = {name: list[Times]() for name in calls}
        for _ in range(options.rounds):
            for name, call in calls.items():
                times[name].append(Times.of(call))
    one, other = found.values()
    wall = {name: min(some.wall for some in each) for name, each in times.items()}
    cpu = {name: min(some.cpu for some in each) for name, each in times.items()}
    return {
        "rule": rule,
        "kind": kind,
        "setting": setting,
        "N": options.rows,
        "V": options.vocab,
        "tokens_per_s": {name: options.rows / least for name, least in wall.items()},
        "tokens_per_cpu_s": {name: options.rows / least for name, least in cpu.items()},
        "faster": wall["plain"] / wall["ours"],
        "less_work": cpu["plain"] / cpu["ours"],
        "drawn_alike": int((one.drawn == other.drawn).sum()),
        "largest_difference": (one.logprobs - other.logprobs).abs().nan_to_num(0.0).max().item(),
    }


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser("python -m benchmarks.replay.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--rules", nargs="+", choices=HASHED, default=HASHED)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--vocab", type=int, default=128256)
    parser.add_argument("--rounds", type=int, default=3, help="calls of each way")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", choices=logits.KINDS, default=["llm", "N(0,1)"])
    parser.add_argument("--records", nargs="+", type=int, default=[1, 4, 16], help="of traces, for memory")
    parser.add_argument("--out", type=Path, default=RESULTS / "replay-speed-cpu.json")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    torch.set_num_threads(options.threads)
    settle_allocator()
    lines: list[dict[str, Any]] = []
    for rule in options.rules:
        for kind in options.kinds:
            for setting in SETTINGS:
                line = measure(options, rule, kind, setting)
                lines.append(line)
                speeds = "  ".join(f"{name} {speed:6.0f}/s" for name, speed in line["tokens_per_s"].items())
                work = "  ".join(f"{speed:6.0f}" for speed in line["tokens_per_cpu_s"].values())
                words = f"x {line['faster']:.1f}; of one core {work}  x {line['less_work']:.1f}"
                print(f"{rule:22} {kind:8} {setting:20} {speeds}  {words}", flush=True)
    memory = [memory_of(records, options.vocab, options.threads) for records in options.records]
    for line in memory:
        print(
            f"{line['tokens']:6} tokens  {line['peak_bytes'] / 2**20:7.0f} MiB  {line['tokens_per_s']:7.0f}/s"
        )
    result = {
        **origin("replay.speed"),
        "tokens_per_s": "N / seconds of a call, the least of all rounds; both ways take turns",
        "tokens_per_cpu_s": "N / seconds that all cores together worked on a call, the least: no other work is in it",
        "faster": "seconds of the plain way / of ours, the least of each",
        "less_work": "the same of the seconds that the cores worked",
        "drawn_alike": "of how many tokens both ways say the same",
        "largest_difference": "of the log probabilities; a float32 sum may keep another set",
        "logits": {kind: logits.KINDS[kind].description for kind in options.kinds},
        "ways": WAYS,
        "lines": lines,
        "memory": {
            "how": "`sampling replay TRACE --logits FILE --rule vllm-0.33` in a process of its own, top_p 0.9, llm logits; "
            "peak_bytes: the most anonymous memory beyond what importing the library took, looked at every 5 ms; "
            "the file's own pages are the system's",
            "lines": memory,
        },
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
