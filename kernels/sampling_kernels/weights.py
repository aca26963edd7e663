"""Integer weights: the definition of every distribution in this library.

A row of logits l with maximum m has the weights

    w = round(2^43 ((K + d) / (K - d))^(3^11)),    d = max(l - m, -45),    K = 2 * 3^11,

each step one correctly rounded float64 operation, in the order of `reference.weights`. The power tends to e^d as K grows; at
this K its relative error is at most |d|^3 / (12 * 3^22) + 3^11 * 2^-51: 8e-11 near d = 0, 2e-9 at d = -9, 8e-8 at d = -30. The
final rounding adds at most 2^-44.

Why this form. No product feeds a sum, so no compiler can contract two steps into a fused multiply-add and change a bit.
There is no table to gather from. And every step is monotone in d, so the weights are: a larger logit never has the
smaller weight.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from sampling_kernels.host_sync import can_sync, map_row_tiles

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, Int64
    from torch import Tensor

FRACTION_BITS = 43
CUBINGS = 11
POLE = 2.0 * 3.0**CUBINGS
LOWEST = -45.0
LARGEST_VOCABULARY = 2**19 - 1
# Anything this far below the maximum weighs nothing: 2^43 e^-30.5 rounds to 0.
WEIGHTLESS = -31.0


def weights_as_float64(
    logits: Float32[Tensor, "B V"], maximum: Float32[Tensor, "B 1"]
) -> Float64[Tensor, "B V"]:
    """Compute `reference.weights` as float64 integers, by the same operations, each in place.

    Args:
        logits: float32 [B, V].
        maximum: The largest logit of each row (of the whole row, where these are only a part of it), float32 [B, 1].

    Returns:
        float64 [B, V], whole numbers up to 2^43: any 1024 of them add up exactly, in any order.

    Example:
        >>> import torch
        >>> weights_as_float64(torch.tensor([[0.0, -1.0]]), torch.tensor([[0.0]])).tolist()
        [[8796093022208.0, 3235901785497.0]]
    """
    d = logits.double().sub_(maximum.double()).clamp_(min=LOWEST)
    power = d.add(POLE)
    power.div_(d.neg_().add_(POLE))
    for _ in range(CUBINGS):
        power.pow_(3)
    return power.mul_(2.0**FRACTION_BITS).round_()


def weights(
    logits: Float32[Tensor, "B V"], maximum: Float32[Tensor, "B 1"] | None = None
) -> Int64[Tensor, "B V"]:
    """Compute `reference.weights`, fast.

    Args:
        logits: float32 [B, V].
        maximum: The largest logit of each row, where these are only a part of it, float32 [B, 1].

    Returns:
        int64 [B, V].

    Example:
        >>> import torch
        >>> weights(torch.tensor([[0.0, -1.0, -float("inf")]])).tolist()
        [[8796093022208, 3235901785497, 0]]
    """
    maximum = logits.amax(-1, keepdim=True) if maximum is None else maximum

    def integers(rows: Tensor, maxima: Tensor) -> Tensor:
        return weights_as_float64(rows, maxima).to(torch.int64)

    return map_row_tiles(integers, logits, maximum)


def block_weights(blocks: Float32[Tensor, "B N 64"], maxima: Float32[Tensor, "B N"]) -> Int64[Tensor, "B N"]:
    """Compute the weight of each block of each row.

    Args:
        blocks: Logits in blocks, float32 [B, N, 64].
        maxima: The largest logit of each block, float32 [B, N].

    Returns:
        int64 [B, N]; the sum of a row is its normalizer Z.

    Example:
        >>> import torch
        >>> from sampling_kernels.blocks import blocked
        >>> blocks = blocked(torch.zeros(1, 100))
        >>> (block_weights(blocks, blocks.amax(-1)) >> FRACTION_BITS).tolist()
        [[64, 36]]
    """
    maximum = maxima.amax(-1, keepdim=True).expand_as(maxima)  # [B, N]

    def sums(some: Tensor, m: Tensor) -> Tensor:  # 64 add up exactly in float64
        return weights_as_float64(some, m).sum(-1).to(torch.int64)

    if can_sync(blocks):
        alive = maxima.double() - maximum.double() >= WEIGHTLESS
        if 2 * int(alive.sum()) < alive.numel():
            found = torch.zeros_like(maxima, dtype=torch.int64)
            found[alive] = map_row_tiles(sums, blocks[alive], maximum[alive][:, None])
            return found
    return map_row_tiles(sums, blocks.flatten(0, 1), maximum.reshape(-1, 1)).view_as(maxima)


def total_variation_bound(vocab_size: int) -> float:
    """Bound the total variation distance from w / sum(w) to the real softmax of the same logits.

    The bound is V 2^-44 for the rounding, (21/20) (ln V + 3)^3 / (12 * 3^22) + 3^11 * 2^-51 for the exponential (its error
    grows with the distance from the maximum, but only (ln V + 3) carries mass), and V 2^-64 for the 64-bit uniform.

    Args:
        vocab_size: V, 2 .. 2^19 - 1.

    Returns:
        The bound, between 0 and 1.

    Example:
        >>> f"{total_variation_bound(128256):.1e}"
        '1.6e-08'
    """
    exponential_error = 1.05 * (math.log(vocab_size) + 3) ** 3 / (12 * 9.0**CUBINGS) + 3.0**CUBINGS * 2.0**-51
    return vocab_size * (2.0**-44 + 2.0**-64) + exponential_error
