"""Where a share of a row's weight ends, found digit by digit instead of by sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.branching import may_branch
from sampling_kernels.order import ordered_bits

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int64
    from torch import Tensor

# The 32 bits of a logit are read as three digits, the most significant first.
DIGIT_BITS = (11, 11, 10)


def digit_sums(
    digits: Int64[Tensor, "B V"], w: Int64[Tensor, "B V"], bits: int
) -> tuple[Int64[Tensor, "B D"], Int64[Tensor, "B D"]]:
    """The weight at each digit, and at it or above, int64 [B, 2^bits]."""
    sums = torch.zeros(w.shape[0], 2**bits, dtype=torch.int64, device=w.device).scatter_add_(1, digits, w)
    running = sums.cumsum(-1)
    return sums, running[:, -1:] - running + sums


def only(
    found: Bool[Tensor, "B V"], ordered: Int64[Tensor, "B V"], w: Int64[Tensor, "B V"]
) -> tuple[Int64[Tensor, "B V"], Int64[Tensor, "B V"]]:
    """Take the weight from all tokens that are not found; one row alone may drop them."""
    if w.shape[0] == 1 and may_branch(w):
        return ordered[found][None], w[found][None]
    return ordered, torch.where(found, w, 0)


def lowest_kept(
    ordered: Int64[Tensor, "B V"], w: Int64[Tensor, "B V"], needed: Int64[Tensor, "B 1"]
) -> tuple[Int64[Tensor, "B 1"], Int64[Tensor, "B 1"]]:
    """Find the largest value at or above which the tokens weigh enough.

    For each digit of the value, from the most significant on, the weights are summed by digit among the tokens that agree in
    the digits before; the largest digit that weighs enough from above is the value's.

    Args:
        ordered: What `ordered_bits` gives, int64 [B, V].
        w: Weights, int64 [B, V], 0 <= w, sum of each row below 2^62.
        needed: int64 [B, 1], from 1 to the row's sum.

    Returns:
        The value, int64 [B, 1]; and how many of the tokens that have it are needed besides those above it, int64 [B, 1].
        The tokens that have it weigh the same.

    Example:
        >>> import torch
        >>> lowest_kept(torch.tensor([[5, 7, 5, 5]]), torch.tensor([[2, 9, 2, 2]]), torch.tensor([[12]]))
        (tensor([[5]]), tensor([[2]]))
    """
    ordered = ordered + 2**31
    shift, value = sum(DIGIT_BITS), torch.zeros_like(needed)
    for bits in DIGIT_BITS:
        shift -= bits
        sums, from_above = digit_sums((ordered >> shift) & (2**bits - 1), w, bits)
        digit = (from_above >= needed).sum(-1, keepdim=True) - 1
        needed = needed - (from_above - sums).gather(1, digit)
        value = (value << bits) | digit
        ordered, w = only((ordered >> shift) == value, ordered, w)
    each = w.amax(-1, keepdim=True)
    return value - 2**31, (needed + each - 1) // each


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
    ordered = ordered_bits(logits)
    value, count = lowest_kept(ordered, w, needed)
    if all_ties:
        return ordered >= value
    ties = ordered == value
    if may_branch(logits) and bool((ties.sum(-1, keepdim=True) == count).all()):
        return ordered >= value
    place = ties.cumsum(-1)
    nth = place if low_ids_first else place[:, -1:] - place + 1
    return (ordered > value) | (ties & (nth <= count))
