"""The least that a torch user pays for a token: a softmax and torch.multinomial."""

from __future__ import annotations

import torch

from benchmarks.sampler.engine import Engine, Job, Step


def build(job: Job) -> Step:
    """Tokens [B] from logits [B, V]."""
    temperature = job.params.temperature
    return lambda logits: torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1)[:, 0]


ENGINE = Engine(
    build,
    "softmax(logits / T), torch.multinomial",
    "bias, penalties, top_p, seeds by row, log probabilities",
)
