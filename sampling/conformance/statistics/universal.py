"""An alternative to every named hypothesis: anything else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Row = NDArray[np.float64]

CELLS = 16
PRIOR = 0.5  # of each token: Krichevsky and Trofimov's


def anything(outcomes: NDArray[np.int64], cases: NDArray[np.int64], widths: NDArray[np.int64]) -> Row:
    """Return the log probability of each draw as one guesses it from those before it in the same case.

    Each term is known before its draw, so that the ratio to a hypothesis's likelihood is an e-value: it reaches 1 / a at any
    time with a chance of at most a where the hypothesis is true.

    Args:
        outcomes: The draws, those of different cases different numbers, int64 [N].
        cases: By draw its case, int64 [N].
        widths: By case how many outcomes it has, int64 [C].

    Returns:
        float64 [N].

    Source: Krichevsky and Trofimov, "The performance of universal encoding", 1981.

    Example:
        >>> zeros = np.array([0, 0])
        >>> anything(zeros, zeros, np.array([2])).round(4).tolist()
        [-0.6931, -0.2877]
    """
    return np.log((times_before(outcomes) + PRIOR) / (times_before(cases) + PRIOR * widths[cases]))


def times_before(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each value came before, int64 [N].

    Example:
        >>> times_before(np.array([7, 3, 7, 7, 3])).tolist()
        [0, 0, 1, 2, 1]
    """
    order = np.argsort(values, kind="stable")
    begins = np.searchsorted(values[order], values[order])
    times = np.empty_like(values)
    times[order] = np.arange(len(values)) - begins
    return times


def log_e_value(counts: Sequence[NDArray[np.int64]], probabilities: Sequence[Row]) -> float:
    """Return the logarithm of an e-value against the distributions that counts should have.

    The likeliest outcomes have a cell each, all others one together; the draws' probability under the mixture of all
    distributions over these cells, by Dirichlet's law of halves, is divided by that under the distribution in question.

    Args:
        counts: By case how often each outcome was drawn, int64 [V].
        probabilities: By case how likely it is, float64 [V].

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
