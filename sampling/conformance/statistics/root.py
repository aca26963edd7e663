"""Where a function of one number is zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from scipy import optimize


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return the zero between two numbers where the function has different signs, by Brent's method.

    Example:
        >>> round(root(lambda x: x * x - 2, 0, 2), 6)
        1.414214
    """
    return float(cast("Any", optimize).brentq(function, low, high))
