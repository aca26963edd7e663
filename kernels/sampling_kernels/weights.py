"""Integer weights: the definition of every distribution in this library.

A row of logits l with maximum m has the weights

    w = round(2^43 ((K + d) / (K - d))^(3^11)),    d = max(l - m, -45),    K = 2 * 3^11,

each step one correctly rounded float64 operation, in the order that `weights` writes them. The power tends to e^d as K
grows; at this K its relative error is at most |d|^3 / (12 * 3^22) + 3^11 * 2^-51: 8e-11 near d = 0, 2e-9 at d = -9,
8e-8 at d = -30. The final rounding adds at most 2^-44.

Why this form. No product feeds a sum, so no compiler can contract two steps into a fused multiply-add and change a bit.
There is no table to gather from. And every step is monotone in d, so the weights are: a larger logit never has the
smaller weight.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64, Shaped
    from torch import Tensor

FRACTION_BITS = 43
CUBINGS = 11
POLE = 2.0 * 3.0**CUBINGS
LOWEST = -45.0
LARGEST_VOCABULARY = 2**19 - 1


def exponential(d: Float64[Tensor, ...]) -> Float64[Tensor, ...]:
    """Approximate e^d by ((K + d) / (K - d))^(3^11), the same bits everywhere.

    Args:
        d: Differences to the row maximum, float64, -45 <= d <= 0, any shape.

    Returns:
        float64 in (0, 1], shaped like `d`; exactly 1 at d = 0.
    """
    power = (POLE + d) / (POLE - d)
    for _ in range(CUBINGS):
        # (x x) x, in one operation: written as a product, the expression that a compiler inlines triples each time
        power = power**3
    return power


def weights(logits: Shaped[Tensor, "B V"]) -> Int64[Tensor, "B V"]:
    """Turn logits into integer weights proportional to their probabilities.

    Args:
        logits: float32 (or float64) [B, V], V < 2^19 so that the sum of a row stays below 2^62. A row with NaN or +inf,
            or with nothing above -inf, has no meaning here: `row_faults` finds those.

    Returns:
        int64 [B, V]: 2^43 at the maximum of each row, 0 for -inf and for all that lies 30.5 or more below the maximum.

    Example:
        >>> import torch
        >>> weights(torch.tensor([[0.0, -1.0, -float("inf")]])).tolist()
        [[8796093022208, 3235901785497, 0]]
    """
    maximum = logits.amax(-1, keepdim=True).double()  # [B, 1]
    d = (logits.double() - maximum).clamp(min=LOWEST)  # [B, V]
    return (exponential(d) * 2.0**FRACTION_BITS).round().to(torch.int64)


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
