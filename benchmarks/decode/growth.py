"""How our decode step grows with rows and context: one prefill, then steps one by one."""

from __future__ import annotations

import torch
from tqdm import tqdm

from benchmarks.decode.bandwidth import fastest, reads
from benchmarks.decode.decoders.ours import decoder_for
from benchmarks.decode.job import SAMPLING, DecodeJob
from benchmarks.decode.measure import READ, in_turns
from benchmarks.harness.outcome import Line
from benchmarks.harness.timing import summary, timed
from sampling.model import Llama

WARM_UP = 3
READ_ROUNDS = 5


@torch.no_grad()
def point(job: DecodeJob, model: Llama, line: Line, mebibytes: int | None) -> Line:
    """One point of a sweep; all rows are choices of one prompt, which is prefilled once.

    Args:
        job: Rows, context and how many steps; the first few of its new tokens only warm up.
        model: The model.
        line: What the result says of it, the engine and the bytes of a step among it.
        mebibytes: Size of the buffer whose reading is timed; None for the device's default.
    """
    torch.compiler.reset()  # the point before had other shapes
    decoder = decoder_for(model, job, compiled=line["engine"] == "compiled")
    prompt = job.prompts(model.config.vocab_size)[0].tolist()
    decoder.add(prompt, SAMPLING[job.sampling], choices=job.rows, max_tokens=job.new)
    for _ in range(WARM_UP):
        decoder.step()
    steps = [timed(decoder.step) for _ in range(job.new - WARM_UP)]
    ways, size = reads(job.device, mebibytes)
    times = in_turns({(READ, way): call for way, call in ways.items()}, READ_ROUNDS, tqdm(disable=True))
    bandwidth = fastest({way: times[READ, way] for way in ways}, size)["GB_per_s"]
    return figures(summary(steps), job.rows, line["bytes_per_step"], bandwidth)


def figures(step: dict[str, float], rows: int, size: float, bandwidth: float) -> Line:
    """Times and shares of a point."""
    return {
        "step": step,
        "decode_tokens_per_s": 1e6 * rows / step["median_us"],
        "read_GB_per_s": bandwidth,
        "share_of_bandwidth": 1e-3 * size / step["median_us"] / bandwidth,
    }
