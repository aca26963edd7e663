"""Probabilities as integers in units of 2^-62, and their exact products with a normalizer, without a 128-bit type."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64
    from torch import Tensor

FIXED_POINT_BITS = 62
ONE = 2**FIXED_POINT_BITS


def to_fixed_point(printed: str) -> int:
    """Read a probability as the decimal that it prints as, in units of 2^-62.

    Args:
        printed: A decimal between 0 and 1, for example "0.9" (not the binary fraction next to it).

    Returns:
        floor(p 2^62).

    Example:
        >>> to_fixed_point("0.75") == 3 * 2**60
        True
    """
    return int(Fraction(printed) * ONE)


def mulhi_u64(
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
        >>> mulhi_u64(torch.tensor(2**31), torch.tensor(0), torch.tensor(7))
        (tensor(3), tensor(True))
    """
    z_high, z_low = z >> 32, z & 0xFFFFFFFF
    product, lost = z * 0, z * 0
    for digit in (low & 0xFFFF, low >> 16, high & 0xFFFF, high >> 16):
        partial = digit * z_low + product
        lost = lost | (partial & 0xFFFF)
        product = digit * (z_high << 16) + (partial >> 16)
    return product, lost != 0


def floor_product(p: Int64[Tensor, ...], z: Int64[Tensor, ...]) -> Int64[Tensor, ...]:
    """Compute floor(p z / 2^62) exactly.

    Args:
        p: In units of 2^-62, 0 .. 2^62 - 1.
        z: 0 <= z < 2^62.
    """
    return mulhi_u64(p >> 30, (p << 2) & 0xFFFFFFFF, z)[0]


def ceil_product(p: Int64[Tensor, ...], z: Int64[Tensor, ...]) -> Int64[Tensor, ...]:
    """Compute ceil(p z / 2^62) exactly; arguments as in `floor_product`."""
    floor, remainder = mulhi_u64(p >> 30, (p << 2) & 0xFFFFFFFF, z)
    return floor + remainder
