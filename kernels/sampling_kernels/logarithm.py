"""The logarithm of a sum of weights, with the same bits on every device.

No square root: not every library's is correctly rounded (MKL's, which PyTorch calls, misses the nearest double now and then).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from sampling_kernels.weights import FRACTION_BITS

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64
    from torch import Tensor

LEVELS = 6
MANTISSA_BITS, EXPONENT_OF_ONE = 52, 1023
# ln 2 to 47 bits, so that its product with a small whole number is exact.
LN_2 = round(math.log(2) * 2**47) / 2**47


def split(t: Float64[Tensor, ...]) -> tuple[Float64[Tensor, ...], Int64[Tensor, ...]]:
    """Write t >= 1 as m 2^e with 3/4 <= m < 3/2, exactly."""
    bits = t.view(torch.int64)
    exponent = (bits >> MANTISSA_BITS) - EXPONENT_OF_ONE
    mantissa = ((bits & (2**MANTISSA_BITS - 1)) | (EXPONENT_OF_ONE << MANTISSA_BITS)).view(torch.float64)
    large = mantissa >= 1.5
    return torch.where(large, mantissa * 0.5, mantissa), exponent + large


def log_normalizer(z: Int64[Tensor, ...]) -> Float64[Tensor, ...]:
    """Compute the natural logarithm of Z / 2^43.

    With Z / 2^43 = m 2^e, 3/4 <= m < 3/2, and q = (m - 1) / (m + 1), it is e ln 2 + 2 artanh q, and artanh q is the
    continued fraction q / (1 - q^2 / (3 - 4 q^2 / (5 - ... - 36 q^2 / 13))). As in the weights, no rounded product feeds a sum.

    Args:
        z: Sums of weights that include a row's maximum, int64, 2^43 <= z < 2^62.

    Returns:
        float64, shaped like `z`, within 2e-12 of the real logarithm.

    Source: Abramowitz, Stegun, "Handbook of Mathematical Functions", 1964, 4.6.36, for the continued fraction.

    Example:
        >>> import torch
        >>> round(log_normalizer(torch.tensor(3 * 2**43)).item(), 11)
        1.09861228867
    """
    m, exponent = split(z.double() * 2.0**-FRACTION_BITS)
    q = (m - 1.0) / (m + 1.0)
    square = q * q
    # A tensor to begin with: by a Python number, eager CUDA would multiply with the rounded reciprocal.
    denominator = torch.full_like(q, 2.0 * LEVELS + 1.0)
    for level in range(LEVELS, 0, -1):
        denominator = (2.0 * level - 1.0) - (level**2 * square) / denominator
    return exponent.double() * LN_2 + 2.0 * q / denominator
