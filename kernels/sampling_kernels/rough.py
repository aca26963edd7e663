"""Decisions about the leading tokens of a row in plain float64, each with the answer whether the integers decide alike.

All that the definition asks is how sums of weights compare. Far from a tie, sums of exponentials compare as the integers do and
cost a fraction; near one, the answer is that it is not sure, and the integers have to decide. In units of the largest token's
weight, a weight is e^d (1 + 8.1e-8) + 2^-44 at most and e^d (1 - 8.1e-8) - 2^-44 at least (for d below -30.5 it is 0), so sums
over a few hundred tokens, the largest among them, agree to MARGIN with room to spare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Float64, Int64
    from torch import Tensor

MARGIN = 2.0**-20


def masses(logits: Float32[Tensor, "B C"]) -> Float64[Tensor, "B C"]:
    """e^(l - max(l)) in float64.

    Args:
        logits: float32 [B, C].

    Returns:
        float64 [B, C].

    Example:
        >>> import torch
        >>> masses(torch.tensor([[1.0, 1.0, -float("inf")]])).tolist()
        [[1.0, 1.0, 0.0]]
    """
    wide = logits.double()
    return wide.sub_(wide.amax(-1, keepdim=True)).exp_()


def first_to_last(logits: Float32[Tensor, "B C"], *, low_ids_first: bool) -> Int64[Tensor, "B C"]:
    """The places of tokens in the order of `order_key`, for rows that stand in the order of their token ids."""
    if low_ids_first:
        return logits.sort(dim=-1, descending=True, stable=True).indices
    return logits.shape[-1] - 1 - logits.flip(-1).sort(dim=-1, descending=True, stable=True).indices


def top_p_of_leading(
    logits: Float32[Tensor, "B C"],
    mass: Float64[Tensor, "B C"],
    p: Float64[Tensor, "B 1"],
    least: Float64[Tensor, "B 1"],
    most: Float64[Tensor, "B 1"],
    *,
    low_ids_first: bool = True,
) -> tuple[Bool[Tensor, "B C"], Bool[Tensor, " B"]]:
    """Keep the shortest prefix that holds the share p < 1 of a total that lies between two bounds.

    Args:
        logits: Leading tokens in the order of their ids, float32 [B, C].
        mass: Their masses, float64 [B, C].
        p: float64 [B, 1].
        least: The total mass is at least this, float64 [B, 1].
        most: The total mass is at most this, float64 [B, 1].
        low_ids_first: Which of two equal logits comes first.

    Returns:
        bool [B, C], and whether that is sure, bool [B].

    Example:
        >>> import torch
        >>> logits, half = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[0.5]]).double()
        >>> top_p_of_leading(logits, masses(logits), half, 2.9 * half, 3.1 * half)
        (tensor([[ True, False, False]]), tensor([True]))
    """
    order = first_to_last(logits, low_ids_first=low_ids_first)
    in_order = mass.gather(-1, order)
    before = in_order.cumsum(-1) - in_order
    off = most * MARGIN
    fewest = (before < p * least - off).sum(-1, keepdim=True).clamp_(min=1)
    count = (before < p * most + off).sum(-1, keepdim=True)
    first = torch.arange(order.shape[1], device=order.device) < count
    return torch.empty_like(first).scatter_(1, order, first), (fewest == count)[:, 0]


def min_p_of_leading(
    mass: Float64[Tensor, "B C"], p: Float64[Tensor, "B 1"]
) -> tuple[Bool[Tensor, "B C"], Bool[Tensor, " B"]]:
    """Keep the tokens at least p times as likely as the likeliest.

    Args:
        mass: Masses of leading tokens, float64 [B, C].
        p: float64 [B, 1].

    Returns:
        bool [B, C], and whether that is sure, bool [B].

    Example:
        >>> import torch
        >>> min_p_of_leading(torch.tensor([[1.0, 0.4]]).double(), torch.tensor([[0.5]]).double())
        (tensor([[ True, False]]), tensor([True]))
    """
    return mass >= p, ((mass - p).abs() > MARGIN).all(-1)


def draw_of_leading(
    mass: Float64[Tensor, "B C"], high: Int64[Tensor, " B"], low: Int64[Tensor, " B"]
) -> tuple[Int64[Tensor, " B"], Bool[Tensor, " B"]]:
    """The place at the fraction u / 2^64 of the mass.

    Args:
        mass: Masses of all tokens that are left, in the order of their ids, float64 [B, C]; the largest is 1.
        high: Upper words of u, int64 [B].
        low: Lower words of u, int64 [B].

    Returns:
        int64 [B], and whether that is sure, bool [B].

    Example:
        >>> import torch
        >>> half = torch.tensor([2**31])
        >>> draw_of_leading(torch.tensor([[1.0, 0.0, 1.0, 0.5]]).double(), half, 0 * half)
        (tensor([2]), tensor([True]))
    """
    running = mass.cumsum(-1)
    total = running[:, -1:]
    u = high.double().mul_(2.0**-32).add_(low.double(), alpha=2.0**-64)
    distance = running - u[:, None] * total
    return (distance <= 0).sum(-1).clamp_(max=mass.shape[-1] - 1), (distance.abs() > total * MARGIN).all(-1)
