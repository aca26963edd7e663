"""What a sampling step is asked to do, and what an engine that does it looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor

from sampling import SamplingParams

Step = Callable[[Tensor], Any]
NEUTRAL = SamplingParams()


@dataclass(frozen=True, kw_only=True)
class Job:
    """One sampling step.

    Args:
        rows: B.
        vocabulary: V.
        kind: Of the logits.
        device: "cpu" or "cuda".
        params: Every row's parameters; row i has the seed i.
        sampled: How many tokens each row has sampled before.
        prompt: How long each row's prompt is.
        dialect: Our sampler's.
    """

    rows: int
    vocabulary: int
    kind: str = "llm"
    device: str = "cpu"
    params: SamplingParams = NEUTRAL
    sampled: int = 64
    prompt: int = 0
    dialect: str = "qstash"

    def tokens(self, length: int) -> Tensor:
        """Random token ids, int64 [B, length]."""
        shape = (self.rows, length)
        return torch.randint(self.vocabulary, shape, generator=Generator().manual_seed(length))

    def history(self) -> Tensor:
        """The tokens sampled before, int64 [B, sampled], on the device."""
        return self.tokens(self.sampled).to(self.device)

    def each_row(self) -> list[SamplingParams]:
        """The parameters of the B rows."""
        return [replace(self.params, seed=row) for row in range(self.rows)]


@dataclass(frozen=True)
class Engine:
    """One way to do the job.

    Args:
        build: Prepares a job; NotAvailable where the engine has no part in it.
        does: What it does, in words.
        leaves_out: What it leaves out of the job.
    """

    build: Callable[[Job], Step]
    does: str
    leaves_out: str
