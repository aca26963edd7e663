"""The nucleus among the leading tokens of a row, when its total weight is known only within bounds.

Whether a prefix holds a share of the total is one comparison of integers, and far from the boundary a rough total decides it
as the exact one does. So one float32 pass over the row replaces the exact weights of all its tokens, and where it can not
decide, the answer says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.branching import in_blocks
from sampling_kernels.order import order_key
from sampling_kernels.shares import WHOLE
from sampling_kernels.truncation import weight_needed
from sampling_kernels.weights import FRACTION_BITS

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Float64, Int64
    from torch import Tensor

# Relative errors of a float32 sum of exponentials against the weights, each rounded up: gap and quotient 32 * 2^-22 (d down
# to -32), exponential 2^-16 (128 units in the last place), 256 additions 2^-16, the definition 2^-23; together below 2^-14.
SLACK = 2.0**-14


def rough_sums(
    chunks: Float32[Tensor, "B N 256"], maximum: Float32[Tensor, "B 1"], inverse: Float32[Tensor, "B 1"]
) -> Float64[Tensor, "B 1"]:
    """Sum of e^((l - m) / T) over each row, in float32 within a chunk."""
    power = (chunks - maximum[:, :, None]).mul_(inverse[:, :, None]).exp_()
    return power.sum(-1).sum(-1, keepdim=True, dtype=torch.float64)


def total_bounds(
    chunks: Float32[Tensor, "B N 256"], maximum: Float32[Tensor, "B 1"], temperature: Float32[Tensor, "B 1"]
) -> tuple[Int64[Tensor, "B 1"], Int64[Tensor, "B 1"]]:
    """Bounds of the total weight that rows have after a temperature.

    Args:
        chunks: Logits before the temperature, in chunks, float32 [B, N, 256].
        maximum: The largest logit of each row, float32 [B, 1].
        temperature: T, float32 [B, 1]; rows with T = 0 get bounds that mean nothing.

    Returns:
        (least, most), int64 [B, 1]: least <= Z <= most.

    Example:
        >>> import torch
        >>> from sampling_kernels.chunks import chunked
        >>> least, most = total_bounds(chunked(torch.zeros(1, 1000)), torch.zeros(1, 1), torch.ones(1, 1))
        >>> bool(least < 1000 * 2**43 < most), f"{(most - least).item() / 1000 / 2**43:.1e}"
        (True, '1.2e-04')
    """
    inverse = torch.ones_like(temperature) / torch.where(temperature > 0, temperature, 1.0)
    rough = in_blocks(rough_sums, chunks, maximum, inverse) * 2.0**FRACTION_BITS
    rounding = chunks.shape[1] * chunks.shape[2]  # each weight is rounded to a whole number
    least, most = rough * (1.0 - SLACK) - rounding, rough * (1.0 + SLACK) + rounding
    return least.to(torch.int64), most.to(torch.int64)


def keep_top_p_of_leading(
    logits: Float32[Tensor, "B C"],
    w: Int64[Tensor, "B C"],
    share: Int64[Tensor, "B 1"],
    least: Int64[Tensor, "B 1"],
    most: Int64[Tensor, "B 1"],
    *,
    low_ids_first: bool = True,
    exact_hit_stops: bool = True,
) -> tuple[Bool[Tensor, "B C"], Bool[Tensor, " B"]]:
    """Keep the shortest prefix that holds the share of a total that lies between two bounds.

    Args:
        logits: Leading tokens in the order of their ids, float32 [B, C].
        w: Their weights, int64 [B, C].
        share: P, int64 [B, 1], 0 .. 2^62; 2^62 keeps everything.
        least: The total weight is at least this, int64 [B, 1].
        most: The total weight is at most this, int64 [B, 1].
        low_ids_first: Which of two equal logits comes first.
        exact_hit_stops: Whether a prefix that weighs exactly the share is enough.

    Returns:
        bool [B, C]; and for each row whether every total within the bounds keeps the same of these tokens, bool [B].

    Example:
        >>> import torch
        >>> one, w = torch.ones(1, 1, dtype=torch.int64), torch.tensor([[6, 3, 1]])
        >>> keep_top_p_of_leading(torch.tensor([[2.0, 1.0, 0.0]]), w, one << 61, 9 * one, 11 * one)
        (tensor([[ True, False, False]]), tensor([True]))
    """
    key = order_key(logits, low_ids_first=low_ids_first)
    sorted_key, order = key.sort(-1, descending=True)
    in_order = w.gather(-1, order)
    before = in_order.cumsum(-1) - in_order
    fewest, count = (
        (before < weight_needed(share, total, exact_hit_stops=exact_hit_stops)).sum(-1, keepdim=True)
        for total in (least, most)
    )
    everything = share >= WHOLE
    kept = (key >= sorted_key.gather(-1, count - 1)) | everything
    return kept, ((fewest == count) | everything)[:, 0]
