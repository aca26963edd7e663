"""A rival to every named reading: anything else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PRIOR = 0.5  # of each token: Krichevsky and Trofimov's


def anything(seen: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """The log probability of each draw as one guesses it from those before.

    Each term is known before its draw, so that the ratio to a reading's likelihood is an e-value: it reaches 1 / a at any
    time with a chance of at most a where the reading is true.

    Args:
        seen: How often each token was drawn before, int64 [V]; the draws are counted in.
        tokens: The draws, int64 [N].

    Returns:
        float64 [N].

    Source: Krichevsky and Trofimov, "The performance of universal encoding", 1981.

    Example:
        >>> import numpy as np
        >>> anything(np.zeros(2, dtype=np.int64), np.array([0, 0])).round(4).tolist()
        [-0.6931, -0.2877]
    """
    logs = np.empty(len(tokens))
    for place, token in enumerate(tokens):
        logs[place] = np.log((seen[token] + PRIOR) / (seen.sum() + PRIOR * len(seen)))
        seen[token] += 1
    return logs
