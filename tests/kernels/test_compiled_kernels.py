"""Compiled by Inductor, every kernel gives the eager bits; the rows hold ties, bans, denormals and both zeros."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sampling_kernels import reference
from sampling_kernels.fixed_point import to_fixed_point
from sampling_kernels.inverse_cdf import inverse_cdf_sample
from sampling_kernels.philox import random_words
from sampling_kernels.truncation import min_p_mask, top_k_mask, top_p_mask
from sampling_kernels.validity import row_validity
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


def test_truncations(compiled: Compile) -> None:
    def all_of_them(logits: Tensor, share: Tensor, k: Tensor) -> list[Tensor]:
        kept = (
            top_p_mask(logits, share),
            top_p_mask(logits, share, tie_break="highest_id", stops_at_equality=False),
            top_k_mask(logits, k),
            top_k_mask(logits, k, tie_break="highest_id", keep_ties=True),
            min_p_mask(logits, share),
        )
        # What reads them matters: Inductor (torch 2.13) fuses a scatter with its reader, which then sees no scatter.
        return [*kept, *(logits.masked_fill(~mask, -math.inf) for mask in kept)]

    shares = [[to_fixed_point(p)] for p in ("0", "0.5", "0.9", "0.95", "0.75", "1")]
    args = mixed_rows(), torch.tensor(shares), torch.tensor([[1], [0], [40], [7], [20], [3000]])
    for got, expected in zip(compiled(all_of_them)(*args), all_of_them(*args), strict=True):
        assert torch.equal(got, expected)


def test_weights_and_draw(compiled: Compile) -> None:
    def keyed(logits: Tensor, seed: Tensor, position: Tensor, choice: Tensor) -> tuple[Tensor, ...]:
        high, low = random_words(seed, position, choice, 0)
        weighed = weights(logits)
        return weighed, high, low, inverse_cdf_sample(weighed, high, low), row_validity(logits)

    seeds, positions = (
        torch.tensor([0, 1, -1, 2**63 - 1, -(2**63), 7]),
        torch.tensor([0, 1, 2, 2**32 - 1, 4, 5]),
    )
    args = mixed_rows(), seeds, positions, positions.flip(0)
    for got, expected in zip(compiled(keyed)(*args), keyed(*args), strict=True):
        assert torch.equal(got, expected)


def test_logprobs(compiled: Compile) -> None:
    def report(logits: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        return (
            reference.token_logprobs(logits, ids),
            reference.token_ranks(logits, ids[:, :2]),
            reference.top_tokens(logits, 20),
        )

    logits = mixed_rows()
    args = logits, torch.arange(logits.shape[1]).expand(6, -1)
    for got, expected in zip(compiled(report)(*args), report(*args), strict=True):
        assert torch.equal(got, expected)
