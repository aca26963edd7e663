"""The keyed draw: one token per row from integer weights and a counter-based uniform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.philox import WORD, philox
from sampling_kernels.shares import multiply_high

if TYPE_CHECKING:
    from jaxtyping import Int64
    from torch import Tensor

INTEGER_RULE = 0


def uniform_words(
    seed: Int64[Tensor, " B"], position: Int64[Tensor, " B"], choice: Int64[Tensor, " B"], rule: int
) -> tuple[Int64[Tensor, " B"], Int64[Tensor, " B"]]:
    """The 64-bit uniform u = high 2^32 + low that belongs to (seed, choice, position).

    Philox-4x32-10 with the key (seed mod 2^32, seed >> 32) and the counter (0, position, choice, rule); low and high are its
    first two words.

    Args:
        seed: int64 [B]; its 64 bits are the key, so 2^64 - 1 is -1.
        position: Tokens sampled so far in this choice, int64 [B], 0 .. 2^32 - 1.
        choice: Index of the choice, int64 [B], 0 .. 2^32 - 1.
        rule: Tag of the draw rule.

    Returns:
        (high, low), 32-bit words in int64 [B].
    """
    zero = torch.zeros_like(position)
    key = (seed & WORD, (seed >> 32) & WORD)
    low, high, _, _ = philox((zero, position, choice, zero + rule), key)
    return high, low


def draw_by_weight(
    w: Int64[Tensor, "B V"], high: Int64[Tensor, " B"], low: Int64[Tensor, " B"]
) -> Int64[Tensor, " B"]:
    """The token at the fraction u / 2^64 of the row's weight, in token-id order.

    With r = floor(u Z / 2^64), the first token whose running sum of weights exceeds r.

    Args:
        w: Weights, int64 [B, V], 0 <= w, sum of each row 1 .. 2^62 - 1.
        high: Upper words of u, int64 [B].
        low: Lower words of u, int64 [B].

    Returns:
        Token ids, int64 [B]; never one of weight 0.

    Example:
        >>> import torch
        >>> w, half = torch.tensor([[1, 0, 1, 2]]), torch.tensor([2**31])
        >>> draw_by_weight(w, half, 0 * half).tolist()
        [3]
    """
    running = w.cumsum(-1)  # [B, V]
    r, _ = multiply_high(high, low, running[:, -1])
    return (running <= r[:, None]).sum(-1)
