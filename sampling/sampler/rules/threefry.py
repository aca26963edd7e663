"""Threefry-2x32 in int64 tensor operations: the generator behind MLX and JAX.

Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from sampling_kernels.philox import WORD
from torch import Tensor

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA

Pair = tuple[Tensor, Tensor]


def threefry(key: Pair, counter: Pair) -> Pair:
    """Return two random words for each counter.

    Args:
        key: Two words, int64 tensors with values in 0 .. 2^32 - 1.
        counter: Two words, likewise; all broadcast together.

    Example:
        >>> import torch
        >>> zero = torch.tensor(0)
        >>> [f"{int(word):08x}" for word in threefry((zero, zero), (zero, zero))]
        ['6b200159', '99ba4efe']
    """
    keys = (key[0], key[1], key[0] ^ key[1] ^ PARITY)
    a, b = (counter[0] + keys[0]) & WORD, (counter[1] + keys[1]) & WORD
    for turn in range(5):
        for bits in ROTATIONS[turn % 2]:
            a = (a + b) & WORD
            b = ((b << bits) & WORD | (b >> (32 - bits))) ^ a
        a = (a + keys[(turn + 1) % 3]) & WORD
        b = (b + keys[(turn + 2) % 3] + turn + 1) & WORD
    return a, b


def key_of_seed(seed: Tensor) -> Pair:
    """Return the upper and the lower word of seeds, int64 [B]."""
    return (seed >> 32) & WORD, seed & WORD
