"""Compiled by Inductor, every kernel gives the eager bits; the rows hold ties, bans, denormals and both zeros."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sampling_kernels.faults import row_faults
from sampling_kernels.keyed_draw import draw_by_weight, uniform_words
from sampling_kernels.logprobs import token_logprobs, token_ranks, top_tokens
from sampling_kernels.shares import share_of_decimal
from sampling_kernels.truncation import keep_min_p, keep_top_k, keep_top_p
from sampling_kernels.weights import weights
from torch import Tensor

pytestmark = pytest.mark.compiled

Compile = Callable[[Callable[..., Any]], Callable[..., Any]]


def mixed_rows() -> Tensor:
    torch.manual_seed(1)
    logits = torch.randn(6, 1003) * torch.tensor([0.01, 1.0, 4.0, 15.0, 2.0, 1.0])[:, None]
    logits[4] = logits[4].round()
    logits[5, ::3] = -math.inf
    logits[:, :4] = torch.tensor([0.0, -0.0, 1e-45, -1e-45])
    return logits


def test_weights(compiled: Compile) -> None:
    logits = mixed_rows()
    assert torch.equal(compiled(weights)(logits), weights(logits))


def test_truncations(compiled: Compile) -> None:
    def all_of_them(logits: Tensor, share: Tensor, k: Tensor) -> list[Tensor]:
        kept = (
            keep_top_p(logits, share),
            keep_top_p(logits, share, low_ids_first=False, exact_hit_stops=False),
            keep_top_k(logits, k),
            keep_top_k(logits, k, low_ids_first=False, keep_ties=True),
            keep_min_p(logits, share),
        )
        # What reads them matters: Inductor (torch 2.13) fuses a scatter with its reader, which then sees no scatter.
        return [*kept, *(logits.masked_fill(~mask, -math.inf) for mask in kept)]

    shares = [[share_of_decimal(p)] for p in ("0", "0.5", "0.9", "0.95", "0.75", "1")]
    args = mixed_rows(), torch.tensor(shares), torch.tensor([[1], [0], [40], [7], [20], [3000]])
    for got, expected in zip(compiled(all_of_them)(*args), all_of_them(*args), strict=True):
        assert torch.equal(got, expected)


def test_draw(compiled: Compile) -> None:
    def keyed(logits: Tensor, seed: Tensor, position: Tensor, choice: Tensor) -> tuple[Tensor, ...]:
        high, low = uniform_words(seed, position, choice, 0)
        return high, low, draw_by_weight(weights(logits), high, low), row_faults(logits)

    seeds, positions = (
        torch.tensor([0, 1, -1, 2**63 - 1, -(2**63), 7]),
        torch.tensor([0, 1, 2, 2**32 - 1, 4, 5]),
    )
    args = mixed_rows(), seeds, positions, positions.flip(0)
    for got, expected in zip(compiled(keyed)(*args), keyed(*args), strict=True):
        assert torch.equal(got, expected)


def test_logprobs(compiled: Compile) -> None:
    def report(logits: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        return token_logprobs(logits, ids), token_ranks(logits, ids[:, :2]), top_tokens(logits, 20)

    logits = mixed_rows()
    args = logits, torch.arange(logits.shape[1]).expand(6, -1)
    for got, expected in zip(compiled(report)(*args), report(*args), strict=True):
        assert torch.equal(got, expected)
