"""Whether distributions are the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def alike(one: Sequence[NDArray[np.float64]], other: Sequence[NDArray[np.float64]], within: float) -> bool:
    """Whether two hypotheses give the same distributions: no total variation distance is as large as a bound.

    Example:
        >>> import numpy as np
        >>> alike([np.array([0.5, 0.5])], [np.array([0.6, 0.4])], within=0.09)
        False
    """
    return all(0.5 * np.abs(p - q).sum() < within for p, q in zip(one, other, strict=True))
