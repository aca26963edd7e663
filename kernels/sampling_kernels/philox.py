"""Random words from Philox-4x32-10, the counter-based generator behind every draw, in int64 tensor operations.

Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Int64

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def multiply_words(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Multiply 32-bit words: high and low 32-bit words of the product.

    `b` is taken in halves of 16 bits, so that no product passes 2^49 and a signed int64 holds all of them.

    Args:
        a: Words, int64, 0 <= a < 2^32.
        b: Words, int64; broadcasts with `a`.

    Returns:
        (a b >> 32, a b mod 2^32).
    """
    low = a * (b & 0xFFFF)
    middle = a * (b >> 16) + (low >> 16)
    return middle >> 16, ((middle & 0xFFFF) << 16) | (low & 0xFFFF)


def philox(counter: Words, key: tuple[Tensor, Tensor]) -> Words:
    """Return four random words for each counter.

    A round multiplies c0 and c2, swaps the halves of the state and mixes in c1, c3 and the key; the pairs (c0, c2), (c1, c3)
    and (k0, k1) are stacked, so that each operation serves both.

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
    c0, c1, c2, c3, k0, k1 = torch.broadcast_tensors(*counter, *key)
    multiplied, mixed, keys = torch.stack([c0, c2]), torch.stack([c1, c3]), torch.stack([k0, k1])
    # Two constants each, that broadcast with the stacks [2, ...].
    a, step = (
        torch.tensor(pair, device=keys.device).view(2, *[1] * (keys.dim() - 1))
        for pair in (MULTIPLIERS, KEY_STEPS)
    )
    for _ in range(ROUNDS):
        high, low = multiply_words(a, multiplied)
        multiplied, mixed = high.flip(0) ^ mixed ^ keys, low.flip(0)
        keys = (keys + step) & WORD
    return multiplied[0], mixed[0], multiplied[1], mixed[1]


def random_words(
    seed: Int64[Tensor, " B"], position: Int64[Tensor, " B"], choice: Int64[Tensor, " B"], rule: int
) -> tuple[Int64[Tensor, " B"], Int64[Tensor, " B"]]:
    """Return the 64-bit uniform u = high 2^32 + low that belongs to (seed, choice, position).

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
