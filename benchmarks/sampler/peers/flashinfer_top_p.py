"""flashinfer's kernels, where there is CUDA and flashinfer imports."""

from __future__ import annotations

import torch

from benchmarks.harness.outcome import NotAvailable
from benchmarks.sampler.engine import Engine, Job, Step


def needs_cuda(job: Job) -> None:
    """Refuse what its kernels do not run on."""
    if job.device != "cuda":
        raise NotAvailable("it needs CUDA")


def build(job: Job) -> Step:
    """Tokens [B] from logits [B, V] by top-p without a sort."""
    needs_cuda(job)
    from flashinfer.sampling import top_p_sampling_from_probs

    temperature, top_p = job.params.temperature, job.params.top_p
    return lambda logits: top_p_sampling_from_probs(torch.softmax(logits / temperature, dim=-1), top_p)


def build_plain(job: Job) -> Step:
    """Tokens [B] from logits [B, V], no top-p."""
    needs_cuda(job)
    from flashinfer.sampling import sampling_from_logits

    temperature = job.params.temperature
    return lambda logits: sampling_from_logits(logits / temperature)


ENGINE = Engine(
    build,
    "softmax(logits / T), top_p_sampling_from_probs",
    "bias, penalties, seeds by row, log probabilities",
)
PLAIN = Engine(
    build_plain,
    "sampling_from_logits(logits / T)",
    "bias, penalties, top_p, seeds by row, log probabilities",
)
