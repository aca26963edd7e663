"""What `std::mt19937` gives to the distributions of libstdc++."""

from __future__ import annotations

import numpy as np
from sampling_kernels.philox import WORD


def uniform(seed: int, position: int) -> float:
    """Return the double that `std::generate_canonical` makes of two words, after so many others.

    Args:
        seed: Its lower 32 bits count.
        position: How many doubles came before.

    Returns:
        (w0 + 2^32 w1) / 2^64, below 1.

    Example:
        >>> round(uniform(42, 0), 6)
        0.796543
    """
    words = np.random.RandomState(seed & WORD).randint(0, 2**32, size=2 * position + 2, dtype=np.uint32)
    low, high = words[-2:].astype(np.float64)
    return min(float((low + high * 2.0**32) * 2.0**-64), 1 - 2.0**-53)
