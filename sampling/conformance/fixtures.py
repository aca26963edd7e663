"""The logits that checks ask about."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# Token ids by rank: neither ascending nor descending, so that no order of ids stands in for that of the logits.
RANKED = (5, 12, 0, 9, 14, 3, 7, 10, 1, 15, 4, 8, 13, 2, 11, 6)

EQUAL = np.zeros(8, dtype=np.float32)
# Three equal maxima.
TIED = np.array([0, 0, 3, 1, 3, 2, 3, 0], dtype=np.float32)
# Two logits nearly the same: at a temperature of 0.01 both are drawn, at 0.001 one of them.
CLOSE = np.array([-5, 0, -5, -0.02, -5, -5, -5, -5], dtype=np.float32)

FILLER = RANKED[15]  # so unlikely that a penalty on it changes nothing that counts
# What was sampled, as a long past: from the end rank 3 is last, ranks 2 and 1 are at places 32 and 103.
LONG = (RANKED[1], *[FILLER] * 70, RANKED[2], *[FILLER] * 30, RANKED[3])


def spaced(step: float = 0.4, offset: float = 0.0) -> NDArray[np.float32]:
    """Sixteen logits at equal distances, the largest of them `offset`.

    Args:
        step: The distance.
        offset: The largest.

    Returns:
        float32 [16].

    Example:
        >>> spaced()[list(RANKED)][:3].tolist()
        [0.0, -0.4000000059604645, -0.800000011920929]
    """
    logits = np.empty(len(RANKED), dtype=np.float32)
    logits[list(RANKED)] = offset - step * np.arange(len(RANKED))
    return logits


def two_levels(width: int, scale: float = 1.0) -> NDArray[np.float32]:
    """One token with half of the mass and the others, equal among themselves, with the other half.

    No other logits of this width vary as much: what a wrong temperature does shows in few draws.

    Args:
        width: V.
        scale: The logits are multiplied by it: with the temperature, so that the halves are halves after it.

    Returns:
        float32 [V]; the likely token is in the middle.
    """
    logits = np.full(width, -scale * math.log(width - 1), dtype=np.float32)
    logits[width // 2] = 0.0
    return logits
