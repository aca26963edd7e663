"""Radix select: where a prefix of the order weighs enough, found digit by digit instead of by sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.host_sync import can_sync
from sampling_kernels.sort_key import TieBreak, float_from_sortable, sortable_int

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int64
    from torch import Tensor

# The 32 bits of a logit are read as three digits, the most significant first.
DIGIT_BITS = (11, 11, 10)
# Weights end 30.5 below the maximum; the bins of a first look are 1/64 wide.
BIN_BITS, BINS_PER_NAT = 11, 64


def select_digit(
    digits: Int64[Tensor, "B V"], w: Int64[Tensor, "B V"], needed: Int64[Tensor, "B 1"], bits: int
) -> tuple[Int64[Tensor, "B 1"], Int64[Tensor, "B 1"]]:
    """Find the largest digit at or above which the tokens weigh enough.

    Args:
        digits: int64 [B, V], 0 .. 2^bits - 1.
        w: Weights, int64 [B, V].
        needed: int64 [B, 1], from 1 to the row's sum.
        bits: Size of a digit.

    Returns:
        The digit, and the weight that is needed of the tokens that have it, int64 [B, 1].

    Example:
        >>> import torch
        >>> select_digit(torch.tensor([[0, 1, 1]]), torch.tensor([[5, 2, 3]]), torch.tensor([[6]]), 1)
        (tensor([[0]]), tensor([[1]]))
    """
    sums = torch.zeros(w.shape[0], 2**bits, dtype=torch.int64, device=w.device).scatter_add_(1, digits, w)
    running = sums.cumsum(-1)
    above = running[:, -1:] - running  # weight of the larger digits
    digit = ((above + sums >= needed).sum(-1, keepdim=True) - 1).clamp_(min=0)  # 0 in rows without meaning
    return digit, needed - above.gather(1, digit)


def narrow_to_bin(
    logits: Float32[Tensor, "1 V"], w: Int64[Tensor, "1 V"], needed: Int64[Tensor, "1 1"]
) -> tuple[Float32[Tensor, "1 C"], Int64[Tensor, "1 C"], Int64[Tensor, "1 1"]]:
    """Return the tokens of one row in the bin of logits where the weight is reached, and the weight that is needed of them."""
    bins = (logits - logits.amax()).mul_(BINS_PER_NAT).add_(2**BIN_BITS - 1)
    bins = bins.to(torch.int64).clamp_(0, 2**BIN_BITS - 1)  # 0 for NaN, in rows without meaning
    last, needed = select_digit(bins, w, needed, BIN_BITS)
    near = (bins == last)[0].nonzero()[:, 0]
    return logits.index_select(1, near), w.index_select(1, near), needed


def select_threshold(
    logits: Float32[Tensor, "B V"], w: Int64[Tensor, "B V"], needed: Int64[Tensor, "B 1"]
) -> tuple[Float32[Tensor, "B 1"], Int64[Tensor, "B 1"], Int64[Tensor, "B 1"]]:
    """Find the largest logit at or above which the tokens weigh enough.

    For each digit of its bits, from the most significant on, the weights are summed by digit among the tokens that agree in
    the digits before; the largest digit that weighs enough from above is the logit's. One row alone is first narrowed to the
    tokens with logits nearby.

    Args:
        logits: float32 [B, V].
        w: Weights, int64 [B, V], 0 <= w, sum of each row below 2^62; equal logits weigh the same.
        needed: int64 [B, 1], from 1 to the row's sum.

    Returns:
        The logit, float32 [B, 1]; how many tokens have it and a weight; and how many of these are needed besides the tokens
        above, int64 [B, 1].

    Example:
        >>> import torch
        >>> select_threshold(torch.tensor([[5.0, 7.0, 5.0, 5.0]]), torch.tensor([[2, 9, 2, 2]]), torch.tensor([[12]]))
        (tensor([[5.]]), tensor([[3]]), tensor([[2]]))
    """
    if w.shape[0] == 1 and can_sync(w):
        logits, w, needed = narrow_to_bin(logits, w, needed)
    sortable = sortable_int(logits) + 2**31
    shift, value = sum(DIGIT_BITS), torch.zeros_like(needed)
    for bits in DIGIT_BITS:
        shift -= bits
        digit, needed = select_digit((sortable >> shift) & (2**bits - 1), w, needed, bits)
        value = (value << bits) | digit
        w = w * ((sortable >> shift) == value)
    each = w.amax(-1, keepdim=True)
    ties = (w > 0).sum(-1, keepdim=True)
    return float_from_sortable(value - 2**31), ties, (needed + each - 1) // each


def prefix_mask(
    logits: Float32[Tensor, "B V"],
    w: Int64[Tensor, "B V"],
    needed: Int64[Tensor, "B 1"],
    *,
    tie_break: TieBreak = "lowest_id",
    keep_ties: bool = False,
) -> Bool[Tensor, "B V"]:
    """Keep the shortest prefix, in the order of `sort_key`, that weighs enough.

    Args:
        logits: float32 [B, V].
        w: Weights, int64 [B, V]; equal logits weigh the same.
        needed: int64 [B, 1], from 1 to the row's sum.
        tie_break: Which of two equal logits comes first.
        keep_ties: Keep all that equal the last one, too.

    Returns:
        bool [B, V].

    Example:
        >>> import torch
        >>> prefix_mask(torch.zeros(1, 4), torch.ones(1, 4, dtype=torch.int64), torch.tensor([[3]])).tolist()
        [[True, True, True, False]]
    """
    last, ties, count = select_threshold(logits, w, needed)
    if keep_ties or (can_sync(logits) and bool((ties == count).all())):
        return logits >= last
    tied = logits == last
    nth = tied.cumsum(-1)
    if tie_break == "highest_id":
        nth = nth[:, -1:] - nth + 1
    return (logits > last) | (tied & (nth <= count))
