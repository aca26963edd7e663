"""Do the statistical tests keep what they promise? Simulated with numpy's generator; the seeds are fixed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scaled_draws import peaked, softmax
from statistics_tools import (
    BAND,
    LEAST_EXPECTED,
    POWER,
    Floats,
    chi_square,
    detectable_temperature,
    independence,
    poisson_count,
    pool,
    probability_transform,
    support,
)

DRAWS, TRIALS = 20_000, 500


def simulated(drawn_from: Floats, probabilities: Floats) -> list[bool]:
    generator = np.random.default_rng(3)
    return [chi_square(row, probabilities).passed for row in generator.multinomial(DRAWS, drawn_from, TRIALS)]


def test_chi_square_passes_what_is_correct() -> None:
    assert all(simulated(softmax(peaked()), softmax(peaked())))


def test_chi_square_has_the_power_that_it_states() -> None:
    """About 5 of 500 trials may miss the effect; more than 12 would happen once in 400 times."""
    probabilities = softmax(peaked())
    heated = probabilities ** (1 / detectable_temperature(probabilities, DRAWS))
    missed = sum(simulated(heated / heated.sum(), probabilities))
    assert 0 < missed <= 12


def test_p_values_are_uniform() -> None:
    probabilities = np.full(20, 0.05)
    rows = np.random.default_rng(4).multinomial(DRAWS, probabilities, TRIALS)
    values = [chi_square(row, probabilities).p_value for row in rows]
    assert np.histogram(values, bins=4, range=(0, 1))[0] == pytest.approx(TRIALS / 4, abs=40)


def test_statistic_by_hand() -> None:
    """Expected 50, 100, 50; found 60, 90, 50: 100/50 + 100/100."""
    assert chi_square([60, 90, 50], np.array([0.25, 0.5, 0.25])).statistic == pytest.approx(3)


def test_rare_outcomes_share_cells() -> None:
    expected = np.array([1.0, 300.0, 20.0, 49.0, 30.0, 50.0, 2.0])
    cells = pool(expected)
    assert cells.tolist() == [2, 0, 2, 2, 2, 1, 2]
    assert np.bincount(cells, expected).min() >= LEAST_EXPECTED


def test_nothing_but_rare_outcomes_is_one_cell() -> None:
    assert pool([1.0, 2.0]).tolist() == [0, 0]


def below(count: int, expected: float) -> float:
    """P(N < count), by summing."""
    return math.fsum(
        math.exp(n * math.log(expected) - expected - math.lgamma(n + 1)) for n in range(max(count, 0))
    )


@pytest.mark.parametrize("expected", [0.5, 3.0, 24.7, 275.6])
def test_poisson_bands(expected: float) -> None:
    verdict = poisson_count(0, expected / 1000, 1000)
    low, high = verdict.band
    assert below(high + 1, expected) - below(low, expected) == pytest.approx(1 - verdict.false_alarm_rate)
    assert below(low, expected) <= (1 - BAND) / 2
    assert below(high, expected) < (1 + BAND) / 2 <= below(high + 1, expected)
    assert 1 - below(high + 1, expected * verdict.detectable_excess) == pytest.approx(POWER)
    if low:
        assert below(low, expected * verdict.detectable_deficit) == pytest.approx(POWER)


def test_counts_at_the_edges_of_a_band() -> None:
    low, high = poisson_count(0, 0.0247, 1000).band
    passed = [poisson_count(n, 0.0247, 1000).passed for n in (low - 1, low, high, high + 1)]
    assert passed == [False, True, True, False]


def correlated(rho: float, pairs: int) -> Floats:
    """Pairs of uniforms with the joint density 1 + 12 rho (x - 1/2) (y - 1/2), one after another, by rejection."""
    generator = np.random.default_rng(5)
    x, y, accept = generator.random((3, 3 * pairs))
    kept = accept * (1 + 3 * rho) < 1 + 12 * rho * (x - 0.5) * (y - 0.5)
    return np.stack([x[kept], y[kept]], axis=1)[:pairs].reshape(-1)


def test_independence_has_the_power_that_it_states() -> None:
    """A few of 100 samples may miss the correlation."""
    pairs = 20_000
    rho = independence(np.random.default_rng(6).random(2 * pairs), 1).detectable_effect
    samples = correlated(rho, 100 * pairs).reshape(100, -1)
    assert sum(independence(sample, 1).passed for sample in samples) <= 6
    assert all(independence(sample, 2).passed for sample in samples)


def test_transform_of_correct_tokens_is_uniform() -> None:
    probabilities = softmax(peaked())
    tokens = np.random.default_rng(7).choice(32, DRAWS, p=probabilities)
    counts = np.histogram(probability_transform(tokens, probabilities), bins=10, range=(0, 1))[0]
    assert chi_square(counts, np.full(10, 0.1)).passed


def test_support_counts_what_is_outside() -> None:
    verdict = support(np.array([5, 0, 3, 2]), {0, 1})
    assert (verdict.draws, verdict.kept, verdict.outside, verdict.passed) == (10, 2, 5, False)
    assert (1 - verdict.detectable_effect) ** 10 <= 1 - POWER
    assert support(np.array([5, 1, 0, 0]), {0, 1}).passed
