"""Decisions about the candidates of a row in float64, each with the answer whether the integers decide alike.

All that the definition asks is how sums of weights compare. Far from a tie, sums of exponentials compare as the integers do and
cost a fraction; nearer than FILTER_MARGIN, the answer is that it is not certain, and the integers have to decide.

Source: Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997, for such filters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.candidates.constants import FILTER_MARGIN

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Float64, Int64
    from torch import Tensor

    from sampling_kernels.sort_key import TieBreak


def exp_logits(logits: Float32[Tensor, "B C"]) -> Float64[Tensor, "B C"]:
    """Compute e^(l - max(l)) in float64.

    Args:
        logits: float32 [B, C].

    Returns:
        float64 [B, C].

    Example:
        >>> import torch
        >>> exp_logits(torch.tensor([[1.0, 1.0, -float("inf")]])).tolist()
        [[1.0, 1.0, 0.0]]
    """
    wide = logits.double()
    return wide.sub_(wide.amax(-1, keepdim=True)).exp_()


def argsort_descending(logits: Float32[Tensor, "B C"], tie_break: TieBreak) -> Int64[Tensor, "B C"]:
    """Return the columns in the order of `sort_key`, for rows that stand in the order of their token ids."""
    if tie_break == "lowest_id":
        return logits.sort(dim=-1, descending=True, stable=True).indices
    return logits.shape[-1] - 1 - logits.flip(-1).sort(dim=-1, descending=True, stable=True).indices


def filter_top_p(
    logits: Float32[Tensor, "B C"],
    exp: Float64[Tensor, "B C"],
    p: Float64[Tensor, "B 1"],
    least: Float64[Tensor, "B 1"],
    most: Float64[Tensor, "B 1"],
    tie_break: TieBreak = "lowest_id",
) -> tuple[Bool[Tensor, "B C"], Bool[Tensor, " B"]]:
    """Keep the shortest prefix that holds the fraction p < 1 of a normalizer that lies between two bounds.

    Args:
        logits: Candidates in the order of their ids, float32 [B, C].
        exp: Their `exp_logits`, float64 [B, C].
        p: float64 [B, 1].
        least: The normalizer is at least this, float64 [B, 1].
        most: The normalizer is at most this, float64 [B, 1].
        tie_break: Which of two equal logits comes first.

    Returns:
        bool [B, C], and whether that is certain, bool [B].

    Example:
        >>> import torch
        >>> logits, half = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[0.5]]).double()
        >>> filter_top_p(logits, exp_logits(logits), half, 2.9 * half, 3.1 * half)
        (tensor([[ True, False, False]]), tensor([True]))
    """
    order = argsort_descending(logits, tie_break)
    in_order = exp.gather(-1, order)
    before = in_order.cumsum(-1) - in_order
    off = most * FILTER_MARGIN
    fewest = (before < p * least - off).sum(-1, keepdim=True).clamp_(min=1)
    count = (before < p * most + off).sum(-1, keepdim=True)
    first = torch.arange(order.shape[1], device=order.device) < count
    return torch.empty_like(first).scatter_(1, order, first), (fewest == count)[:, 0]


def filter_min_p(
    exp: Float64[Tensor, "B C"], p: Float64[Tensor, "B 1"]
) -> tuple[Bool[Tensor, "B C"], Bool[Tensor, " B"]]:
    """Keep the tokens at least p times as likely as the likeliest.

    Args:
        exp: `exp_logits` of candidates, float64 [B, C].
        p: float64 [B, 1].

    Returns:
        bool [B, C], and whether that is certain, bool [B].

    Example:
        >>> import torch
        >>> filter_min_p(torch.tensor([[1.0, 0.4]]).double(), torch.tensor([[0.5]]).double())
        (tensor([[ True, False]]), tensor([True]))
    """
    return exp >= p, ((exp - p).abs() > FILTER_MARGIN).all(-1)


def filter_inverse_cdf(
    exp: Float64[Tensor, "B C"], high: Int64[Tensor, " B"], low: Int64[Tensor, " B"]
) -> tuple[Int64[Tensor, " B"], Bool[Tensor, " B"]]:
    """Find the column at the fraction u / 2^64 of the sum.

    Args:
        exp: `exp_logits` of all tokens that are left, in the order of their ids, float64 [B, C]; the largest is 1.
        high: Upper 32 bits of u, int64 [B].
        low: Lower 32 bits of u, int64 [B].

    Returns:
        int64 [B], and whether that is certain, bool [B].

    Example:
        >>> import torch
        >>> half = torch.tensor([2**31])
        >>> filter_inverse_cdf(torch.tensor([[1.0, 0.0, 1.0, 0.5]]).double(), half, 0 * half)
        (tensor([2]), tensor([True]))
    """
    running = exp.cumsum(-1)
    total = running[:, -1:]
    u = high.double().mul_(2.0**-32).add_(low.double(), alpha=2.0**-64)
    distance = running - u[:, None] * total
    return (distance <= 0).sum(-1).clamp_(max=exp.shape[-1] - 1), (
        distance.abs() > total * FILTER_MARGIN
    ).all(-1)
