"""Exact tails of a count."""

from __future__ import annotations

from scipy import stats

from sampling.conformance.verdict import POWER


def tail(count: int, draws: int, probability: float) -> float:
    """How often a right sampler's count is as far out, on the side where it is, doubled for there being two.

    Args:
        count: How many of the draws were of a kind.
        draws: How many there were.
        probability: Of that kind.

    Returns:
        A p-value, exact but for the doubling, which only makes it larger.

    Example:
        >>> tail(0, 100, 0.5) == 2 * 0.5**100
        True
    """
    if not draws:
        return 1.0
    law = stats.binom(draws, probability)
    return min(1.0, 2 * float(min(law.cdf(count), law.sf(count - 1))))


def detectable_factors(draws: int, probability: float, false_alarm: float) -> tuple[float, float]:
    """By which factors a small probability must be too low and too high for `tail` to notice with probability `POWER`.

    A count that is served with another probability is taken for Poisson's, whose tails are the gamma law's.

    Args:
        draws: How many there are.
        probability: What it should be.
        false_alarm: The p-value below which `tail` is taken to notice.

    Returns:
        The largest factor below 1 (0 if not even a missing event would show) and the smallest above 1.
    """
    law = stats.binom(draws, probability)
    low, high = int(law.ppf(false_alarm / 2)) - 1, int(law.isf(false_alarm / 2)) + 1
    deficit = 0.0
    if low >= 0:
        deficit = float(stats.gamma.isf(POWER, low + 1)) / (draws * probability)
    excess = float(stats.gamma.ppf(POWER, high)) / (draws * probability)
    return deficit, excess


def repeats_tail(repeats: int, draws: int, tokens: int) -> float:
    """How often so many of the draws, or more, are tokens that came before, when all tokens are equally likely.

    Draw i repeats an earlier one with a chance of at most (i - 1) / tokens, whatever came before; the tail of a sum of
    independent events beyond its mean is at most Poisson's.

    Args:
        repeats: Draws less distinct tokens.
        draws: How many there were.
        tokens: How many tokens there are.

    Returns:
        A p-value, rather too large than too small.

    Source: Hoeffding, "On the distribution of the number of successes in independent trials", 1956.

    Example:
        >>> repeats_tail(0, 10, 1000)
        1.0
    """
    mean = draws * (draws - 1) / 2 / tokens
    return float(stats.poisson.sf(repeats - 1, mean)) if repeats > mean + 1 else 1.0
