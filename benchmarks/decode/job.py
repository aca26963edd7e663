"""What a decode loop is asked to do, and what an engine that does it looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from benchmarks.harness import shapes
from sampling import SamplingParams
from sampling.model import Llama, pack

Tokens = list[list[int]]  # by row
Generate = Callable[[int], Tokens]  # so many new tokens for every prompt, prefill included

SAMPLING = {
    "greedy": SamplingParams(temperature=0),
    "sampled": SamplingParams(temperature=0.8, top_p=0.9, frequency_penalty=0.3, presence_penalty=0.2),
}


@dataclass(frozen=True, kw_only=True)
class DecodeJob:
    """Prompts that are prefilled and decoded together.

    Args:
        shape: Of the model, a key of `shapes.SHAPES`.
        dtype: Of its weights, "float32" or "bfloat16".
        rows: B.
        context: Tokens of each prompt.
        new: Most tokens that each row gets.
        sampling: A key of SAMPLING; row i has the seed i.
        device: "cpu" or "cuda".
        packed: Whether our engines keep a second, packed copy of the weights on the CPU, as `load` does.
    """

    shape: str
    dtype: str = "float32"
    rows: int = 1
    context: int = 128
    new: int = 33
    sampling: str = "sampled"
    device: str = "cpu"
    packed: bool = True

    @property
    def capacity(self) -> int:
        """Most tokens of a row."""
        return self.context + self.new

    def prompts(self, vocabulary: int) -> Tensor:
        """Random prompts, int64 [B, T]."""
        shape = (self.rows, self.context)
        return torch.randint(vocabulary, shape, generator=Generator().manual_seed(self.context))

    def model(self) -> Llama:
        """A new model to do it with."""
        model = shapes.build(self.shape, self.dtype, self.device)
        if self.packed:
            pack(model)
        return model

    def each_row(self) -> list[SamplingParams]:
        """The parameters of the B rows."""
        return [replace(SAMPLING[self.sampling], seed=row) for row in range(self.rows)]


@dataclass(frozen=True)
class DecodeEngine:
    """One way to do the job.

    Args:
        build: Prepares a model for a job; NotAvailable where it has no part in it.
        does: What it does, in words.
        leaves_out: What it leaves out of the job, or does otherwise.
    """

    build: Callable[[Llama, DecodeJob], Generate]
    does: str
    leaves_out: str
