"""Where a share of a row's weight ends, found digit by digit instead of by sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.branching import may_branch
from sampling_kernels.order import float_of_ordered, ordered_bits

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int64
    from torch import Tensor

# The 32 bits of a logit are read as three digits, the most significant first.
DIGIT_BITS = (11, 11, 10)
# Weights end 30.5 below the maximum; the bins of a first look are 1/64 wide.
BIN_BITS, BINS_PER_NAT = 11, 64


def largest_digit(
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
        >>> largest_digit(torch.tensor([[0, 1, 1]]), torch.tensor([[5, 2, 3]]), torch.tensor([[6]]), 1)
        (tensor([[0]]), tensor([[1]]))
    """
    sums = torch.zeros(w.shape[0], 2**bits, dtype=torch.int64, device=w.device).scatter_add_(1, digits, w)
    running = sums.cumsum(-1)
    above = running[:, -1:] - running  # weight of the larger digits
    digit = ((above + sums >= needed).sum(-1, keepdim=True) - 1).clamp_(min=0)  # 0 in rows without meaning
    return digit, needed - above.gather(1, digit)


def near_the_end(
    logits: Float32[Tensor, "1 V"], w: Int64[Tensor, "1 V"], needed: Int64[Tensor, "1 1"]
) -> tuple[Float32[Tensor, "1 C"], Int64[Tensor, "1 C"], Int64[Tensor, "1 1"]]:
    """The tokens of one row in the bin of logits where the weight is reached, and the weight that is needed of them."""
    bins = (logits - logits.amax()).mul_(BINS_PER_NAT).add_(2**BIN_BITS - 1).clamp_(min=0).to(torch.int64)
    last, needed = largest_digit(bins, w, needed, BIN_BITS)
    near = (bins == last)[0].nonzero()[:, 0]
    return logits.index_select(1, near), w.index_select(1, near), needed


def lowest_kept(
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
        >>> lowest_kept(torch.tensor([[5.0, 7.0, 5.0, 5.0]]), torch.tensor([[2, 9, 2, 2]]), torch.tensor([[12]]))
        (tensor([[5.]]), tensor([[3]]), tensor([[2]]))
    """
    if w.shape[0] == 1 and may_branch(w):
        logits, w, needed = near_the_end(logits, w, needed)
    ordered = ordered_bits(logits) + 2**31
    shift, value = sum(DIGIT_BITS), torch.zeros_like(needed)
    for bits in DIGIT_BITS:
        shift -= bits
        digit, needed = largest_digit((ordered >> shift) & (2**bits - 1), w, needed, bits)
        value = (value << bits) | digit
        w = w * ((ordered >> shift) == value)
    each = w.amax(-1, keepdim=True)
    ties = (w > 0).sum(-1, keepdim=True)
    return float_of_ordered(value - 2**31), ties, (needed + each - 1) // each


def first_in_order(
    logits: Float32[Tensor, "B V"],
    w: Int64[Tensor, "B V"],
    needed: Int64[Tensor, "B 1"],
    *,
    low_ids_first: bool = True,
    all_ties: bool = False,
) -> Bool[Tensor, "B V"]:
    """Keep the shortest prefix, in the order of `order_key`, that weighs enough.

    Args:
        logits: float32 [B, V].
        w: Weights, int64 [B, V]; equal logits weigh the same.
        needed: int64 [B, 1], from 1 to the row's sum.
        low_ids_first: Which of two equal logits comes first.
        all_ties: Keep all that equal the last one, too.

    Returns:
        bool [B, V].

    Example:
        >>> import torch
        >>> first_in_order(torch.zeros(1, 4), torch.ones(1, 4, dtype=torch.int64), torch.tensor([[3]])).tolist()
        [[True, True, True, False]]
    """
    last, ties, count = lowest_kept(logits, w, needed)
    if all_ties or (may_branch(logits) and bool((ties == count).all())):
        return logits >= last
    tied = logits == last
    place = tied.cumsum(-1)
    nth = place if low_ids_first else place[:, -1:] - place + 1
    return (logits > last) | (tied & (nth <= count))
