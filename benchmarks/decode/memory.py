"""Peak memory of one engine: in a process of its own, while it prefills and decodes."""

from __future__ import annotations

import gc
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from benchmarks.decode.decoders import ENGINES
from benchmarks.decode.job import DecodeJob

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_bytes(engine: str, job: DecodeJob) -> dict[str, int | None]:
    """The most memory that the process, or on CUDA its tensors, took from the second call on; None where no one counts.

    What loading takes is not in it: weights as the engine keeps them are.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return {"peak_bytes": pool.submit(peak_here, engine, job, torch.get_num_threads()).result()}


def peak_here(engine: str, job: DecodeJob, threads: int) -> int | None:
    """The same, in this process, which does nothing else."""
    torch.set_num_threads(threads)
    model = job.model()
    with torch.no_grad():
        generate = ENGINES[engine].build(model, job)
        del model
        generate(2)
        gc.collect()
        start_counting(job.device)
        generate(job.new)
    return counted(job.device)


def start_counting(device: str) -> None:
    """Forget what was the most so far."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif CLEAR.exists():
        CLEAR.write_text("5")


def counted(device: str) -> int | None:
    """The most since then, in bytes."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    if not CLEAR.exists():
        return None
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])
