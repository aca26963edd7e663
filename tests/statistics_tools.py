"""Statistical tests that say what they can notice: each verdict holds its false-alarm rate and its detectable effect.

False-alarm rate: the chance that a correct sampler fails, had its seed been chosen at random. Detectable effect: the smallest
one that makes a faulty sampler fail with probability POWER. Both come from theory, before any draw is looked at.

Source: the habit is that of TensorFlow Probability's `statistical_testing`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

FALSE_ALARM = 1e-6
BAND = 0.99  # of the Poisson band, so its false-alarm rate is at most 0.01
POWER = 0.99
LEAST_EXPECTED = 50.0  # a cell of a chi-square test expects this many draws, or more
BINS = 16

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's test; the effect is the root mean square of the cells' relative errors, weighted by probability."""

    draws: int
    statistic: float
    degrees: int
    p_value: float
    detectable_effect: float
    false_alarm_rate: float = FALSE_ALARM

    @property
    def passed(self) -> bool:
        """Whether a correct sampler may well have done this."""
        return self.p_value > self.false_alarm_rate


@dataclass(frozen=True)
class PoissonCount:
    """A count of rare events within its two-sided band; the effects are factors on the expected count."""

    draws: int
    count: int
    expected: float
    band: tuple[int, int]
    detectable_deficit: float
    detectable_excess: float
    false_alarm_rate: float

    @property
    def passed(self) -> bool:
        """Whether the count lies in the band."""
        return self.band[0] <= self.count <= self.band[1]


@dataclass(frozen=True)
class Support:
    """Draws outside the kept set, of which there must be none; the effect is their probability."""

    draws: int
    kept: int
    outside: int
    detectable_effect: float
    false_alarm_rate: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every token was one that is kept."""
        return self.outside == 0


Verdict = ChiSquare | PoissonCount | Support


def pool(expected: ArrayLike) -> NDArray[np.int64]:
    """The cell of each outcome: rare ones share a cell with those next to them in probability.

    Only what is expected decides, never what was observed.
    """
    wanted = np.asarray(expected, dtype=np.float64)
    cells = np.empty(len(wanted), dtype=np.int64)
    cell, mass = 0, 0.0
    for outcome in np.argsort(-wanted, kind="stable"):
        cells[outcome] = cell
        mass += wanted[outcome]
        if mass >= LEAST_EXPECTED:
            cell, mass = cell + 1, 0.0
    return np.minimum(cells, max(cell - 1, 0))  # what is left over joins the last full cell


def noncentrality(degrees: int) -> float:
    """The noncentrality that a chi-square test at FALSE_ALARM notices with probability POWER."""
    critical = stats.chi2.isf(FALSE_ALARM, degrees)
    largest = 100 + 20 * math.sqrt(degrees)
    return optimize.brentq(lambda x: stats.ncx2.sf(critical, degrees, x) - POWER, 1.0, largest)


def chi_square(counts: ArrayLike, probabilities: Floats) -> ChiSquare:
    """Pearson's test of counts against probabilities that sum to 1."""
    draws = int(np.sum(counts))
    expected = draws * probabilities
    cells = pool(expected)
    wanted, found = np.bincount(cells, expected), np.bincount(cells, counts)
    statistic, degrees = float(((found - wanted) ** 2 / wanted).sum()), len(wanted) - 1
    effect = math.sqrt(noncentrality(degrees) / draws)
    return ChiSquare(draws, statistic, degrees, float(stats.chi2.sf(statistic, degrees)), effect)


def detectable_temperature(probabilities: Floats, draws: int) -> float:
    """The lowest temperature above 1 that `chi_square` notices when it is served in place of 1."""
    cells = pool(draws * probabilities)
    right = np.bincount(cells, probabilities)
    needed = noncentrality(len(right) - 1) / draws

    def missing(temperature: float) -> float:
        heated = probabilities ** (1 / temperature)
        wrong = np.bincount(cells, heated / heated.sum())
        return float(((wrong - right) ** 2 / right).sum()) - needed

    return optimize.brentq(missing, 1.0, 2.0)


def poisson_count(count: int, probability: float, draws: int) -> PoissonCount:
    """Whether a count of rare events lies in the band of its expected value."""
    expected = draws * probability
    low, high = (int(edge) for edge in stats.poisson.interval(BAND, expected))
    outside = stats.poisson.cdf(low - 1, expected) + stats.poisson.sf(high, expected)
    # below: P(count < low) = POWER; 0 if even a sampler without such events may pass
    deficit = stats.gamma.isf(POWER, low) if low else 0.0
    excess = stats.gamma.ppf(POWER, high + 1)
    factors = float(deficit / expected), float(excess / expected)
    return PoissonCount(draws, count, expected, (low, high), *factors, float(outside))


def probability_transform(tokens: NDArray[np.int64], probabilities: Floats) -> Floats:
    """The randomised probability integral transform: independent uniforms, if the tokens are as they should be."""
    inside = np.random.default_rng(1).random(len(tokens))
    below = np.cumsum(probabilities) - probabilities
    return below[tokens] + probabilities[tokens] * inside


def independence(uniforms: Floats, lag: int) -> ChiSquare:
    """Pearson's test of pairs `lag` apart, each uniform in one pair, in a table of BINS x BINS cells of equal probability.

    The effect is the correlation, of a joint density 1 + 12 rho (x - 1/2) (y - 1/2).
    """
    bins = np.minimum((uniforms * BINS).astype(np.int64), BINS - 1)
    whole = len(bins) // (2 * lag) * 2 * lag
    first, second = bins[:whole].reshape(-1, 2, lag).transpose(1, 0, 2).reshape(2, -1)
    counts = np.bincount(BINS * first + second, minlength=BINS**2)
    return chi_square(counts, np.full(BINS**2, BINS**-2.0))


def support(counts: NDArray[np.int64], kept: set[int]) -> Support:
    """Count the draws outside the kept set."""
    draws = int(counts.sum())
    strays = draws - int(counts[sorted(kept)].sum())
    return Support(draws, len(kept), strays, -math.log(1 - POWER) / draws)
