"""Philox-4x32-10, the counter-based generator behind every draw, in int64 tensor operations.

Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from torch import Tensor

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def multiply_words(a: int, b: Tensor) -> tuple[Tensor, Tensor]:
    """High and low 32-bit words of the product of two 32-bit words.

    `b` is taken in halves of 16 bits, so that no product passes 2^49 and a signed int64 holds all of them.

    Args:
        a: A word, 0 <= a < 2^32.
        b: Words in int64, any shape.

    Returns:
        (a b >> 32, a b mod 2^32), each shaped like `b`.
    """
    low = a * (b & 0xFFFF)
    middle = a * (b >> 16) + (low >> 16)
    return middle >> 16, ((middle & 0xFFFF) << 16) | (low & 0xFFFF)


def philox(counter: Words, key: tuple[Tensor, Tensor]) -> Words:
    """Four random words for each counter.

    Args:
        counter: Four words c0..c3, int64 tensors with values in 0 .. 2^32 - 1 that broadcast together.
        key: Two words k0, k1, likewise.

    Returns:
        Four int64 tensors of 32-bit words w0..w3, in the order of the published known answers.

    Example:
        >>> import torch
        >>> zero = torch.tensor(0)
        >>> [f"{int(word):08x}" for word in philox((zero, zero, zero, zero), (zero, zero))]
        ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        high0, low0 = multiply_words(MULTIPLIERS[0], c0)
        high1, low1 = multiply_words(MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + KEY_STEPS[0]) & WORD, (k1 + KEY_STEPS[1]) & WORD
    return c0, c1, c2, c3
