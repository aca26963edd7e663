"""Top-p as Meta's llama3 does it: sort, cumulate, cut, renormalise, draw. Written afresh."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.sampler.engine import Engine, Job, Step


def build(job: Job) -> Step:
    """Tokens [B] from logits [B, V]."""
    temperature, top_p = job.params.temperature, job.params.top_p

    def step(logits: Tensor) -> Tensor:
        probabilities, ids = torch.softmax(logits / temperature, dim=-1).sort(dim=-1, descending=True)
        before = probabilities.cumsum(dim=-1) - probabilities
        kept = probabilities.masked_fill(before > top_p, 0.0)
        place = torch.multinomial(kept / kept.sum(dim=-1, keepdim=True), 1)
        return ids.gather(-1, place)[:, 0]

    return step


ENGINE = Engine(
    build,
    "softmax(logits / T), sort, cumsum, top_p, torch.multinomial",
    "bias, penalties, seeds by row, log probabilities",
)
