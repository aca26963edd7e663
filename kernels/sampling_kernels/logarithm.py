"""The logarithm of a sum of weights, with the same bits on every device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.weights import FRACTION_BITS

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64
    from torch import Tensor

ROOTS = 12


def log_total(total: Int64[Tensor, ...]) -> Float64[Tensor, ...]:
    """Natural logarithm of total / 2^43.

    Square roots bring the argument near 1, where ln s = 2 artanh q, q = (s - 1) / (s + 1), needs two terms:
    ln t = 2^13 (q + q^3 / 3). As in the weights, no rounded product feeds a sum.

    Args:
        total: Sums of weights that include a row's maximum, int64, 2^43 <= total < 2^62.

    Returns:
        float64, shaped like `total`, within 2e-11 of the real logarithm.

    Example:
        >>> import torch
        >>> round(log_total(torch.tensor(2**44)).item(), 9)
        0.693147181
    """
    root = total.double() * 2.0**-FRACTION_BITS
    for _ in range(ROOTS):
        root = torch.sqrt(root)
    q = (root - 1.0) / (root + 1.0)
    # A tensor divisor: by a Python number, eager CUDA would multiply with the rounded reciprocal.
    return q * (1.0 + q * q / torch.full_like(q, 3.0)) * 2.0 ** (ROOTS + 1)
