"""Kinds of logits that a sampler meets: float32, every row its own, from fixed seeds.

A model's own are not among them: the built-in checkpoint's vocabulary is too small to time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

HEAD = 100  # tokens that stand out of the bulk in the LLM-like kind


@dataclass(frozen=True)
class Kind:
    """A distribution of logits.

    Args:
        description: In words.
        make: (rows, vocabulary, generator) -> float32 [B, V].
    """

    description: str
    make: Callable[[int, int, Generator], Tensor]


def normal(deviation: float) -> Kind:
    """Independent normal logits; with a small deviation the nucleus is thousands of tokens wide."""
    return Kind(
        f"independent N(0, {deviation:g})",
        lambda rows, vocabulary, generator: deviation * torch.randn(rows, vocabulary, generator=generator),
    )


def llm_like(rows: int, vocabulary: int, generator: Generator) -> Tensor:
    """A wide bulk and, at random places, a head that falls with the logarithm of its rank."""
    bulk = 2.5 * torch.randn(rows, vocabulary, generator=generator)
    places = torch.stack([torch.randperm(vocabulary, generator=generator)[:HEAD] for _ in range(rows)])
    rank = torch.arange(1, places.shape[1] + 1)
    head = 20 - 1.8 * rank.log() + 0.5 * torch.randn(places.shape, generator=generator)
    return bulk.scatter(1, places, head)


def rounded(rows: int, vocabulary: int, generator: Generator) -> Tensor:
    """The LLM-like kind as a bfloat16 model gives it."""
    return llm_like(rows, vocabulary, generator).bfloat16().float()


KINDS = {
    "llm": Kind("bulk N(0, 2.5); 100 tokens at random places: 20 - 1.8 ln(rank) + 0.5 N(0, 1)", llm_like),
    "N(0,5)": normal(5),
    "N(0,1)": normal(1),
    "bf16": Kind("llm, rounded to bfloat16 and back: many ties", rounded),
}


def make(kind: str, rows: int, vocabulary: int, seed: int) -> Tensor:
    """Logits of a kind, float32 [B, V], the same on every machine."""
    return KINDS[kind].make(rows, vocabulary, Generator().manual_seed(seed))
