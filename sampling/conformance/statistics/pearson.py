"""Pearson's test, with cells pooled by what is expected and never by what is observed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sampling.conformance.statistics.root import root
from sampling.conformance.verdict import FALSE_ALARM, POWER

# A cell expects this many draws, or more: the law of the statistic holds far out in its tail.
LEAST_EXPECTED = 50.0

Row = NDArray[np.float64]


@dataclass(frozen=True)
class Pearson:
    """What the test says.

    Args:
        statistic: The sum of (observed - expected)^2 / expected over the cells of all cases.
        degrees: Its degrees of freedom; 0 if there were too few draws for two cells.
        p_value: How often a right sampler gets as far off.
        effect: The root mean square of the cells' relative errors that it notices with probability `POWER`.
    """

    statistic: float
    degrees: int
    p_value: float
    effect: float


def pool(expected: Row) -> NDArray[np.int64]:
    """Return the cell of each outcome: rare ones share a cell with those next to them in probability.

    Args:
        expected: How often each outcome is expected, float64 [V].

    Returns:
        int64 [V].

    Example:
        >>> import numpy as np
        >>> pool(np.array([10.0, 80.0, 20.0, 30.0])).tolist()
        [1, 0, 1, 1]
    """
    cells = np.empty(len(expected), dtype=np.int64)
    cell, mass = 0, 0.0
    for outcome in np.argsort(-expected, kind="stable"):
        cells[outcome] = cell
        mass += expected[outcome]
        if mass >= LEAST_EXPECTED:
            cell, mass = cell + 1, 0.0
    return np.minimum(cells, max(cell - 1, 0))  # what is left over joins the last full cell


def pearson(counts: Sequence[NDArray[np.int64]], probabilities: Sequence[Row]) -> Pearson:
    """Test the counts of several cases against their distributions, all at once.

    Args:
        counts: By case how often each token was drawn, int64 [V].
        probabilities: By case how likely it is, float64 [V].

    Returns:
        The test; its p-value is 1 where there were too few draws to say anything.

    Source: Pearson, "On the criterion that a given system of deviations ... ", 1900.

    Example:
        >>> import numpy as np
        >>> pearson([np.array([400, 600])], [np.array([0.5, 0.5])]).statistic
        40.0
    """
    statistic, degrees, draws = 0.0, 0, 0
    for found, p in zip(counts, probabilities, strict=True):
        if found.sum() < 2 * LEAST_EXPECTED:
            continue  # no two cells
        expected = p * found.sum()
        cells = pool(expected)
        wanted = np.bincount(cells, expected)
        if len(wanted) > 1:
            statistic += float(((np.bincount(cells, found) - wanted) ** 2 / wanted).sum())
            degrees += len(wanted) - 1
            draws += int(found.sum())
    if not degrees:
        return Pearson(0.0, 0, 1.0, math.inf)
    effect = math.sqrt(noncentrality(degrees) / draws)
    return Pearson(statistic, degrees, float(stats.chi2.sf(statistic, degrees)), effect)


@cache
def noncentrality(degrees: int) -> float:
    """Return the noncentrality that a chi-square test at `FALSE_ALARM` notices with probability `POWER`."""
    critical = stats.chi2.isf(FALSE_ALARM, degrees)
    largest = 200 + 20 * math.sqrt(degrees)

    def missing(x: float) -> float:
        return float(stats.ncx2.sf(critical, degrees, x)) - POWER

    return root(missing, 1.0, largest)
