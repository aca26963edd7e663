"""Exact shares of an integer total: floor and ceiling of u z / 2^64 without a 128-bit type."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64
    from torch import Tensor

SHARE_BITS = 62
WHOLE = 2**SHARE_BITS


def share_of_decimal(printed: str) -> int:
    """Read a probability as the decimal that it prints as, in units of 2^-62.

    Args:
        printed: A decimal between 0 and 1, for example "0.9" (not the binary fraction next to it).

    Returns:
        floor(p 2^62).

    Example:
        >>> share_of_decimal("0.75") == 3 * 2**60
        True
    """
    return int(Fraction(printed) * WHOLE)


def multiply_high(
    high: Int64[Tensor, ...], low: Int64[Tensor, ...], z: Int64[Tensor, ...]
) -> tuple[Int64[Tensor, ...], Bool[Tensor, ...]]:
    """Multiply the 64-bit number u = high 2^32 + low by z and keep the upper 64 bits of the 128.

    Schoolbook multiplication, 16 bits of u at a time, lowest first: a = floor((digit z + a) / 2^16). Every intermediate
    value stays below 2^63.

    Args:
        high: Upper 32-bit words of u, int64.
        low: Lower 32-bit words of u, int64.
        z: 0 <= z < 2^62, int64.

    Returns:
        floor(u z / 2^64), and whether the division left a remainder.

    Example:
        >>> import torch
        >>> multiply_high(torch.tensor(2**31), torch.tensor(0), torch.tensor(7))
        (tensor(3), tensor(True))
    """
    z_high, z_low = z >> 32, z & 0xFFFFFFFF
    product, lost = z * 0, z * 0
    for digit in (low & 0xFFFF, low >> 16, high & 0xFFFF, high >> 16):
        partial = digit * z_low + product
        lost = lost | (partial & 0xFFFF)
        product = digit * (z_high << 16) + (partial >> 16)
    return product, lost != 0


def floor_share(share: Int64[Tensor, ...], total: Int64[Tensor, ...]) -> Int64[Tensor, ...]:
    """Compute floor(share total / 2^62) exactly.

    Args:
        share: In units of 2^-62, 0 .. 2^62 - 1.
        total: 0 <= total < 2^62.
    """
    return multiply_high(share >> 30, (share << 2) & 0xFFFFFFFF, total)[0]


def ceil_share(share: Int64[Tensor, ...], total: Int64[Tensor, ...]) -> Int64[Tensor, ...]:
    """Compute ceil(share total / 2^62) exactly; arguments as `floor_share`."""
    floor, remainder = multiply_high(share >> 30, (share << 2) & 0xFFFFFFFF, total)
    return floor + remainder
