"""A rival to every named reading: anything else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Row = NDArray[np.float64]

CELLS = 16
PRIOR = 0.5  # of each token: Krichevsky and Trofimov's


def anything(seen: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log probability of each draw as one guesses it from those before.

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


def log_e_value(counts: Sequence[NDArray[np.int64]], probabilities: Sequence[Row]) -> float:
    """Return the logarithm of an e-value against the distributions that counts should have.

    The likeliest outcomes have a cell each, all others one together; the draws' probability under the mixture of all
    distributions over these cells, by Dirichlet's law of halves, is divided by that under the distribution in question.

    Args:
        counts: By question how often each outcome was drawn, int64 [V].
        probabilities: By question how likely it is, float64 [V].

    Returns:
        At most ln 1e6 with a chance of 1 - 1e-6 if these are the distributions; infinite if one of the draws is impossible.

    Source: Krichevsky, Trofimov, "The performance of universal encoding", IEEE Transactions on Information Theory, 1981.

    Example:
        >>> import numpy as np
        >>> round(log_e_value([np.array([30, 0])], [np.array([0.5, 0.5])]), 1)
        18.5
    """
    total = 0.0
    for found, p in zip(counts, probabilities, strict=True):
        if (p[found > 0] == 0).any():
            return math.inf
        leading = np.argsort(-p, kind="stable")[: CELLS - 1]
        drawn, expected = (np.append(row[leading], row.sum() - row[leading].sum()) for row in (found, p))
        drawn, expected = drawn[expected > 0], expected[expected > 0]
        cells, draws = len(expected), drawn.sum()
        total += float(gammaln(cells * PRIOR) - gammaln(draws + cells * PRIOR))
        total += float((gammaln(drawn + PRIOR) - gammaln(PRIOR) - drawn * np.log(expected)).sum())
    return total
