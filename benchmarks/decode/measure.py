"""Timing the engines of one job in turns, prefill and decode apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.decode.bandwidth import fastest, reads
from benchmarks.decode.decoders import ENGINES, OURS
from benchmarks.decode.job import DecodeJob, Tokens
from benchmarks.decode.table import COMPARED
from benchmarks.harness.outcome import Line, without_figures
from benchmarks.harness.shapes import cache_bytes, weight_bytes
from benchmarks.harness.timing import Call, summary, timed
from sampling import Sampler
from sampling.model import Llama

Key = tuple[str, str]  # an engine, or READ, and what it does

FIRST, ALL, SAMPLER, READ = "first token", "all tokens", "sampler alone", "read"
SAMPLER_STEPS = 8  # in one timed call
MOST_STEPS = 4096  # of a compiled sampler, whose shapes are fixed
FORMULAS = {
    "ttft": "TTFT: seconds from B prompts to their first tokens, prefill and one sampling step",
    "tpot": "TPOT = (time of N + 1 tokens - time of 1 token) / N, by round: prefill cancels out",
    "prefill_tokens_per_s": "B x context / median TTFT",
    "decode_tokens_per_s": "B / median TPOT",
    "bytes_per_step": "weights read once (the embedding table only where it is the head), keys and values of B rows "
    "at their mean length",
    "share_of_bandwidth": "bytes_per_step / median TPOT / read_GB_per_s",
    "read_GB_per_s": "the fastest way of reading, median, taking turns with the engines of the same job; on the CPU in large "
    "pages, as the weights",
    "sampler_share": "median of Sampler.step alone on the model's logits, tokens on the host / median TPOT",
    "same_tokens": "how many leading tokens of every row are those of our eager loop (greedy only)",
    "times_as_fast_as": "median TPOT of the peer / median TPOT",
    "warm_up_s": "building the engine and its first call, compiling included",
}


@dataclass
class Prepared:
    """An engine that is ready, or not.

    Args:
        line: What the result says of it.
        calls: What to time, by name; nothing where it cannot be measured.
        tokens: Of its first call.
    """

    line: Line
    calls: dict[str, Call] = field(default_factory=dict[str, Call])
    tokens: Tokens | None = None


def described(engine: str, job: DecodeJob, model: Llama) -> Line:
    """What a line says before anything is timed."""
    mean_length = job.context + job.new / 2  # of the steps that follow the first token
    return {
        "part": "engines",
        "engine": engine,
        "shape": job.shape,
        "dtype": job.dtype,
        "sampling": job.sampling,
        "packed": job.packed,
        "B": job.rows,
        "context": job.context,
        "new": job.new - 1,
        "V": model.config.vocab_size,
        "bytes_per_step": weight_bytes(model) + cache_bytes(model, job.rows, mean_length),
    }


def prepared(engine: str, job: DecodeJob, model: Llama) -> Prepared:
    """Build an engine and warm it up."""
    line, started = described(engine, job, model), time.perf_counter()
    try:
        generate = ENGINES[engine].build(model, job)
        tokens = generate(job.new)
    except Exception as error:  # whatever an engine makes of a job: the others are measured
        return Prepared(line | without_figures(error, ours=engine in OURS))
    line["warm_up_s"] = time.perf_counter() - started
    calls: dict[str, Call] = {FIRST: lambda: generate(1), ALL: lambda: generate(job.new)}
    if engine in OURS:
        calls[SAMPLER] = sampler_steps(job, model, compiled=engine == "compiled")
    return Prepared(line, calls, tokens)


def sampler_steps(job: DecodeJob, model: Llama, *, compiled: bool) -> Call:
    """Some steps of our sampler alone, on the model's logits, warmed up."""
    prompts = job.prompts(model.config.vocab_size)
    sampler = Sampler(
        job.each_row(),
        vocab_size=model.config.vocab_size,
        prompt_ids=prompts.tolist(),
        device=job.device,
        max_history=job.context + MOST_STEPS if compiled else None,
        compile=compiled,
    )
    logits = model.next_logits(prompts[:1].to(job.device)).repeat(job.rows, 1)

    def call() -> None:
        for _ in range(SAMPLER_STEPS):
            sampler.step(logits).token_ids.tolist()

    call()
    return call


def in_turns(calls: Mapping[Key, Call], rounds: int, bar: tqdm[Any]) -> dict[Key, list[float]]:
    """Seconds of every call, one of each after the other, again and again."""
    times: dict[Key, list[float]] = {key: [] for key in calls}
    for _ in range(rounds):
        for key, call in calls.items():
            times[key].append(timed(call))
        bar.update()
    return times


@torch.no_grad()
def measure(
    job: DecodeJob, model: Llama, engines: Sequence[str], rounds: int, mebibytes: int | None, bar: tqdm[Any]
) -> list[Line]:
    """A line for each engine: what it takes, or why it has no figures.

    Args:
        job: What all of them do.
        model: With the weights that all of them use.
        engines: Keys of ENGINES.
        rounds: How often each takes its turn.
        mebibytes: Size of the buffer whose reading is timed; None for the device's default.
        bar: Moves once for every engine and once for every round.
    """
    ready: dict[str, Prepared] = {}
    for engine in engines:
        bar.set_description(f"{job.shape}, {job.dtype}, B = {job.rows}, {job.sampling}: {engine}")
        ready[engine] = prepared(engine, job, model)
        bar.update()
    bar.set_description(f"{job.shape}, {job.dtype}, B = {job.rows}, {job.sampling}: taking turns")
    ways, size = reads(job.device, mebibytes)
    calls = {(engine, what): call for engine, one in ready.items() for what, call in one.calls.items()}
    times = in_turns(calls | {(READ, way): call for way, call in ways.items()}, rounds, bar)
    bandwidth = fastest({way: times[READ, way] for way in ways}, size)
    for engine, one in ready.items():
        own = {what: times[engine, what] for what in one.calls}
        one.line |= figures(own, job, one.line["bytes_per_step"], bandwidth["GB_per_s"]) if own else {}
    torch.compiler.reset()  # the next job has other shapes
    return compared([one.line for one in agreeing(ready, job)])


def figures(times: Mapping[str, list[float]], job: DecodeJob, size: float, bandwidth: float) -> Line:
    """What FORMULAS says."""
    pairs = zip(times[FIRST], times[ALL], strict=True)
    per_token = [(everything - first) / (job.new - 1) for first, everything in pairs]
    first, token = statistics.median(times[FIRST]), statistics.median(per_token)
    line: Line = {
        "ttft": summary(times[FIRST]),
        "tpot": summary(per_token),
        "prefill_tokens_per_s": job.rows * job.context / first,
        "decode_tokens_per_s": job.rows / token,
        "read_GB_per_s": bandwidth,
        "share_of_bandwidth": 1e-9 * size / token / bandwidth,
    }
    if SAMPLER in times:
        step = statistics.median(times[SAMPLER]) / SAMPLER_STEPS
        line |= {"sampler_us": 1e6 * step, "sampler_share": step / token}
    return line


def agreeing(ready: Mapping[str, Prepared], job: DecodeJob) -> Iterable[Prepared]:
    """The same, with what tokens they share with our eager loop where nothing is left to chance."""
    mine = ready["eager"].tokens if "eager" in ready else None
    for one in ready.values():
        if job.sampling == "greedy" and mine is not None and one.tokens is not None:
            one.line["same_tokens"] = same_tokens(mine, one.tokens)
    return ready.values()


def same_tokens(mine: Tokens, others: Tokens) -> int:
    """How many leading tokens are the same in every row."""
    agreement = [[a == b for a, b in zip(*rows, strict=True)] for rows in zip(mine, others, strict=True)]
    return min((*equal, False).index(False) for equal in agreement)


def compared(lines: list[Line]) -> list[Line]:
    """The same, with how many times as fast as the peers they decode."""
    took = {line["engine"]: line["tpot"]["median_us"] for line in lines if "tpot" in line}
    for line in lines:
        if "tpot" in line:
            own = took[line["engine"]]
            line["times_as_fast_as"] = {peer: took[peer] / own for peer in COMPARED if peer in took}
    return lines
