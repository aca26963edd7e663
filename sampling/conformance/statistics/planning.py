"""How many draws tell two distributions apart, computed before any is made."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sampling.conformance.statistics.pearson import noncentrality
from sampling.conformance.statistics.root import root
from sampling.conformance.verdict import FALSE_ALARM, POWER

Row = NDArray[np.float64]


def draws_by_likelihood(
    expected: Sequence[Row],
    served: Sequence[Row],
    *,
    false_alarm: float = FALSE_ALARM,
    power: float = POWER,
) -> float:
    """Draws from each case until likelihood ratios, or a token out of the support, tell what is served.

    Of the log likelihood ratio's mean mu and variance v per draw, as served, the draws n solve
    n mu - z sqrt(n v) = ln(1 / false_alarm); a token that is not expected, of mass m, takes ln(1 - power) / ln(1 - m).

    Args:
        expected: By case what should be drawn from, float64 [V].
        served: By case what is drawn from instead, float64 [V].
        false_alarm: The chance of rejecting `expected` where it is served.
        power: The chance of rejecting it where `served` is.

    Returns:
        Draws per case; infinity if the two are the same.

    Source: Wald, "Sequential Tests of Statistical Hypotheses", 1945; the normal law of the sum is an approximation.

    Example:
        >>> import numpy as np
        >>> fair, loaded = np.full(2, 0.5), np.array([0.6, 0.4])
        >>> round(draws_by_likelihood([fair], [loaded]))
        1606
    """
    mean = variance = stays = 0.0
    for p, q in zip(expected, served, strict=True):
        both = (p > 0) & (q > 0)
        ratio = np.log(q[both] / p[both])
        mean += float(q[both] @ ratio)
        variance += float(q[both] @ ratio**2 - (q[both] @ ratio) ** 2)
        stays += math.log1p(-min(float(q[p == 0].sum()), 1.0 - 1e-16))
    by_support = math.log(1 - power) / stays if stays < 0 else math.inf
    if mean <= 1e-15:
        return by_support
    spread = float(stats.norm.isf(1 - power)) * math.sqrt(max(variance, 0.0))
    root_n = (spread + math.sqrt(spread**2 - 4 * mean * math.log(false_alarm))) / (2 * mean)
    return min(by_support, root_n**2)


def draws_by_pearson(expected: Sequence[Row], served: Sequence[Row]) -> float:
    """Draws from each case until Pearson's test, its cells not pooled, tells what is served.

    Args:
        expected: By case what should be drawn from, float64 [V].
        served: By case what is drawn from instead; what is not expected is left out of the account.

    Returns:
        Draws per case; infinity if the two are the same.
    """
    degrees = sum(int((p > 0).sum()) - 1 for p in expected)
    pairs = zip(expected, served, strict=True)
    distance = sum(float((((q - p) ** 2)[p > 0] / p[p > 0]).sum()) for p, q in pairs)
    return noncentrality(degrees) / distance if distance > 0 and degrees > 0 else math.inf


def draws_to_exclude(mass: float, false_alarm: float = FALSE_ALARM) -> int:
    """Draws after which a token of this mass, never seen, is missing: (1 - m)^n is at most the false alarm.

    Example:
        >>> draws_to_exclude(0.01)
        1375

    Args:
        mass: Above 0; what rounding makes more than 1 is 1.
        false_alarm: The chance of missing it though it is there.
    """
    return 1 if mass >= 1 else math.ceil(math.log(false_alarm) / math.log1p(-mass))


def detectable_mass(draws: int, power: float = POWER) -> float:
    """Return the mass of tokens out of the support that so many draws show at least once.

    Example:
        >>> round(detectable_mass(1000), 4)
        0.0046
    """
    return -math.expm1(math.log(1 - power) / draws)


def detectable_heat(p: Row, draws: int) -> float:
    """By which factor above 1 a temperature must be wrong for Pearson's test to notice.

    Args:
        p: What should be drawn from, float64 [V].
        draws: How many.
    """

    def missing(log_factor: float) -> float:
        heated = np.where(p > 0, p, 0.0) ** math.exp(-log_factor)
        return draws_by_pearson([p], [heated / heated.sum()]) - draws

    return math.exp(root(missing, 1e-6, 3.0)) if missing(3.0) < 0 else math.inf
