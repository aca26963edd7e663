"""MurmurHash3 in int64 tensor operations: the hash behind the seeded draws of vLLM and SGLang.

Source: Appleby, MurmurHash3_x86_32, 2011 (public domain).
"""

from __future__ import annotations

from sampling_kernels.philox import WORD
from torch import Tensor


def multiply(a: Tensor, factor: int) -> Tensor:
    """Return a · factor mod 2^32 of words; no product passes 2^49, so that a signed int64 holds all of them."""
    return (a * (factor & 0xFFFF) + ((a * (factor >> 16) & 0xFFFF) << 16)) & WORD


def rotate(a: Tensor, bits: int) -> Tensor:
    """Rotate words to the left."""
    return ((a << bits) & WORD) | (a >> (32 - bits))


def mix(h: Tensor, block: Tensor) -> Tensor:
    """Mix a block of four bytes into the hash."""
    h = rotate(h ^ multiply(rotate(multiply(block, 0xCC9E2D51), 15), 0x1B873593), 13)
    return (h * 5 + 0xE6546B64) & WORD


def murmur3(seed: Tensor, position: Tensor, column: Tensor, start: int = 0) -> Tensor:
    """Hash the 16 bytes of (seed as 64 bits, position as 32, column as 32), little-endian.

    Args:
        seed: int64 [B].
        position: int64 [B]; the lower 32 bits count.
        column: Words, int64 [B, C] or [1, C].
        start: The hash's own seed, a word.

    Returns:
        Words, int64 [B, C].

    Example:
        >>> import torch
        >>> murmur3(torch.tensor([42]), torch.tensor([5]), torch.tensor([[7, 8]])).tolist()
        [[4156123543, 3804910863]]
    """
    seed, position = seed[:, None], position[:, None]
    h = mix((seed & 0) + start, seed & WORD)
    h = mix(h, (seed >> 32) & WORD)
    h = mix(h, position & WORD)
    h = mix(h, column) ^ 16
    h = multiply(h ^ (h >> 16), 0x85EBCA6B)
    h = multiply(h ^ (h >> 13), 0xC2B2AE35)
    return h ^ (h >> 16)
