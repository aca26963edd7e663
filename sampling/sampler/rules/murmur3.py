"""MurmurHash3 in int32 tensor operations, whose sums and products wrap: the hash behind the seeded draws of vLLM and SGLang.

Source: Appleby, MurmurHash3_x86_32, 2011 (public domain).
"""

from __future__ import annotations

import torch
from sampling_kernels.philox import WORD
from torch import Tensor


def signed(word: int) -> int:
    """Return the signed number with the bits of a word."""
    return (word + 2**31) % 2**32 - 2**31


def right(a: Tensor, bits: int) -> Tensor:
    """Shift words to the right, zeros from the left."""
    return torch.bitwise_right_shift(a, bits).bitwise_and_(WORD >> bits)


def rotate_(a: Tensor, bits: int) -> Tensor:
    """Rotate words to the left, in place."""
    low = right(a, 32 - bits)
    return a.bitwise_left_shift_(bits).bitwise_or_(low)


def scramble(block: Tensor) -> Tensor:
    """Scramble a block of four bytes."""
    return rotate_(block * signed(0xCC9E2D51), 15).mul_(signed(0x1B873593))


def mix(h: Tensor, block: Tensor) -> Tensor:
    """Mix a block of four bytes into the hash."""
    return rotate_(h ^ scramble(block), 13).mul_(5).add_(signed(0xE6546B64))


def murmur3_int32(seed: Tensor, position: Tensor, column: Tensor, start: int = 0) -> Tensor:
    """Hash as `murmur3` does; the words come as the int32 of their bits."""
    seed, position = seed[:, None], position[:, None]
    h = torch.full_like(seed, signed(start), dtype=torch.int32)
    for block in (seed, seed >> 32, position, column):
        h = mix(h, block.to(torch.int32))
    h.bitwise_xor_(16)
    h.bitwise_xor_(right(h, 16)).mul_(signed(0x85EBCA6B))
    h.bitwise_xor_(right(h, 13)).mul_(signed(0xC2B2AE35))
    return h.bitwise_xor_(right(h, 16))


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
    return murmur3_int32(seed, position, column, start).long() & WORD
