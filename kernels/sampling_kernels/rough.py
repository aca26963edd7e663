"""Decisions about the leading tokens of a row in plain float64, each with the answer whether the integers decide alike.

All that the definition asks is how sums of weights compare. Far from a tie, sums of exponentials compare as the integers do and
cost a fraction; near one, the answer is that it is not sure, and the integers have to decide. In units of the largest token's
weight, a weight is e^d (1 + 8.1e-8) + 2^-44 at most and e^d (1 - 8.1e-8) - 2^-44 at least (for d below -30.5 it is 0), so sums
over a few hundred tokens, the largest among them, agree to MARGIN with room to spare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.branching import in_blocks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Float64, Int64
    from torch import Tensor

MARGIN = 2.0**-20
# Of a row's sum in float32: three roundings of gap and quotient, 32 * 3 * 2^-24 (d down to -32), the exponential, for which
# 32 units in the last place are allowed, and the definition's 8.1e-8; together 7.8e-6.
TOTAL_MARGIN = 2.0**-16


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


def sum_of_row(
    chunks: Float32[Tensor, "B N 64"], maximum: Float32[Tensor, "B 1"], temperature: Float32[Tensor, "B 1"]
) -> Float64[Tensor, "B 1"]:
    """Sum of e^((l - m) / T), its terms in float32."""
    terms = (chunks.flatten(1) - maximum).div_(temperature).exp_()
    return terms.sum(-1, keepdim=True, dtype=torch.float64)


def total_bounds(
    chunks: Float32[Tensor, "B N 64"], maximum: Float32[Tensor, "B 1"], temperature: Float32[Tensor, "B 1"]
) -> tuple[Float64[Tensor, "B 1"], Float64[Tensor, "B 1"]]:
    """Bounds of the total weight that rows have after a temperature, in units of the largest token's weight.

    Args:
        chunks: Logits before the temperature, in chunks, float32 [B, N, 64].
        maximum: The largest logit of each row, float32 [B, 1].
        temperature: T > 0, float32 [B, 1].

    Returns:
        (least, most), float64 [B, 1]: least <= Z / 2^43 <= most.

    Example:
        >>> import torch
        >>> from sampling_kernels.chunks import chunked
        >>> least, most = total_bounds(chunked(torch.zeros(1, 1000)), torch.zeros(1, 1), torch.ones(1, 1))
        >>> bool(least < 1000 < most), f"{most.item() - least.item():.3f}"
        (True, '0.031')
    """
    total = in_blocks(sum_of_row, chunks, maximum, temperature)
    rounding = chunks[0].numel() * 2.0**-43  # every weight is rounded, or 0 instead of less than 2^-43
    off = total * TOTAL_MARGIN + rounding
    return total - off, total + off


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
    return order.argsort(-1) < count, (fewest == count)[:, 0]


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
