"""The randomised probability integral transform, and whether what it gives is uniform and independent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]


def transform(tokens: NDArray[np.int64], probabilities: Row, inside: Row) -> Row:
    """Turn draws into numbers that are independent uniforms if the draws are what they should be.

    Token i stands for the interval of length p_i behind those of the tokens before it; a second uniform says where in it.

    Args:
        tokens: int64 [N].
        probabilities: What they should have been drawn from, float64 [V] or [N, V].
        inside: Uniforms of our own, float64 [N].

    Returns:
        float64 [N].

    Source: Brockwell, "Universal residuals: A multivariate transformation", 2007.

    Example:
        >>> import numpy as np
        >>> transform(np.array([0, 1]), np.array([0.25, 0.75]), np.array([0.5, 0.0])).tolist()
        [0.125, 0.25]
    """
    rows = np.broadcast_to(probabilities, (len(tokens), probabilities.shape[-1]))
    below = np.cumsum(rows, axis=-1) - rows
    at = np.arange(len(tokens)), tokens
    return placed(below[at], rows[at], inside)


def placed(below: Row, shares: Row, inside: Row) -> Row:
    """Return the same from intervals.

    Args:
        below: By draw the probability of the tokens before it, float64 [N].
        shares: By draw its own, float64 [N].
        inside: Uniforms of our own, float64 [N].
    """
    return np.minimum(below + shares * inside, np.nextafter(1.0, 0.0))


def cells(uniforms: Row, bins: int) -> NDArray[np.int64]:
    """How many lie in each of so many equal parts of the unit interval, int64 [bins]."""
    return np.bincount((uniforms * bins).astype(np.int64), minlength=bins)


def pair_cells(first: Row, second: Row, bins: int) -> NDArray[np.int64]:
    """How many pairs lie in each cell of a table, int64 [bins * bins]."""
    place = (first * bins).astype(np.int64) * bins + (second * bins).astype(np.int64)
    return np.bincount(place, minlength=bins * bins)
