"""The statistics of the kit: against scipy, against sums by hand, and by simulation with fixed seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sampling.conformance.statistics.binomial import detectable_factors, repeats_tail, tail
from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.statistics.pearson import noncentrality, pearson, pool
from sampling.conformance.statistics.pit import cells, pair_cells, transform
from sampling.conformance.statistics.universal import log_e_value

FAIR, LOADED, OTHER = np.full(2, 0.5), np.array([0.6, 0.4]), np.array([0.2, 0.8])


def test_the_universal_e_value_is_one() -> None:
    """Its mean over repeats under the distribution is at most 1 but for chance; under another it grows."""
    rng = np.random.default_rng(5)
    p, q = np.array([0.6, 0.3, 0.08, 0.02]), np.array([0.3, 0.6, 0.08, 0.02])

    def values(served: np.ndarray, repeats: int) -> list[float]:
        return [log_e_value([rng.multinomial(40, served)], [p]) for _ in range(repeats)]

    assert np.exp(values(p, 4000)).mean() < 1.5
    assert min(values(q, 200)) > np.median(values(p, 200))
    assert log_e_value([np.array([1, 0])], [np.array([0.0, 1.0])]) == np.inf
    wide = np.full(5000, 1 / 5000)
    assert log_e_value([rng.multinomial(300, wide)], [wide]) < np.log(1e6)


def test_an_e_value_is_the_mean_of_the_rivals_likelihood_ratios() -> None:
    seen = Likelihoods(["fair", "loaded", "other"])
    tokens = np.array([0, 0, 1, 0])
    for part in (tokens[:1], tokens[1:]):
        seen.add(part, {"fair": FAIR, "loaded": LOADED, "other": OTHER})
    by_hand = (0.6**3 * 0.4 + 0.2**3 * 0.8) / 2 / 0.5**4
    assert seen.against("fair", 1e6).e_value == pytest.approx(by_hand)
    assert seen.against("fair", 1e6, ["loaded"]).e_value == pytest.approx(0.6**3 * 0.4 / 0.5**4)


def test_a_token_that_a_reading_never_draws_is_a_proof_whatever_comes_after() -> None:
    certain = np.array([1.0, 0.0])
    seen = Likelihoods(["certain", "fair"])
    seen.add(np.array([0, 0, 1, 0]), {"certain": certain, "fair": FAIR})
    assert seen.against("certain", 1e6).e_value == math.inf
    assert seen.against("certain", 1e6).crossed == 3
    assert seen.against("fair", 1e6).e_value == 0.0


def test_no_rivals_no_evidence_but_the_support() -> None:
    seen = Likelihoods(["certain"])
    seen.add(np.array([0, 1]), {"certain": np.array([1.0, 0.0])})
    assert seen.against("certain", 1e6).crossed == 2


def test_under_the_null_hypothesis_the_threshold_is_rarely_reached_at_any_time() -> None:
    """3,000 runs of 300 draws, threshold 20: at most one in 20 may ever reach it."""
    rng = np.random.default_rng(1)
    crossed = 0
    for tokens in rng.integers(2, size=(3000, 300)):
        seen = Likelihoods(["fair", "loaded", "other"])
        seen.add(tokens, {"fair": FAIR, "loaded": LOADED, "other": OTHER})
        crossed += seen.against("fair", 20).crossed is not None
    assert 0.01 < crossed / 3000 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 3000)


def test_pearson_is_scipys_for_cells_that_need_no_pooling() -> None:
    rng = np.random.default_rng(2)
    p = np.array([0.4, 0.3, 0.2, 0.1])
    counts = rng.multinomial(2000, p)
    assert pearson([counts], [p]).p_value == pytest.approx(stats.chisquare(counts, 2000 * p).pvalue)
    both = pearson([counts, counts], [p, p])
    assert (both.degrees, both.statistic) == (
        6,
        pytest.approx(2 * stats.chisquare(counts, 2000 * p).statistic),
    )


def test_cells_depend_on_what_is_expected_only() -> None:
    expected = np.array([0.1, 200, 30, 30, 5, 1])
    assert pool(expected).tolist() == [1, 0, 1, 1, 1, 1]
    assert pearson([np.array([3, 4])], [np.array([0.5, 0.5])]).p_value == 1.0  # too few to say anything


def test_pearsons_p_values_are_uniform_under_the_null_hypothesis() -> None:
    """2,000 runs: a one-sided excess of small p-values at 0.01 of more than 0.007 would show."""
    rng = np.random.default_rng(3)
    p = np.exp(-0.4 * np.arange(16))
    p /= p.sum()
    values = [pearson([row], [p]).p_value for row in rng.multinomial(1500, p, size=2000)]
    assert np.mean(np.array(values) < 0.01) < 0.01 + 3 * math.sqrt(0.01 * 0.99 / 2000)
    assert stats.kstest(values, "uniform").pvalue > 1e-6


def test_the_noncentrality_has_the_power() -> None:
    power = stats.ncx2.sf(stats.chi2.isf(1e-6, 15), 15, noncentrality(15))
    assert power == pytest.approx(0.99)


def test_transforms_of_right_draws_are_uniform_and_of_wrong_ones_not() -> None:
    rng = np.random.default_rng(4)
    p = np.array([0.5, 0.3, 0.2])
    right = transform(rng.choice(3, size=20_000, p=p), p, rng.random(20_000))
    wrong = transform(rng.choice(3, size=20_000, p=[0.55, 0.25, 0.2]), p, rng.random(20_000))
    assert stats.kstest(right, "uniform").pvalue > 1e-6 > stats.kstest(wrong, "uniform").pvalue
    assert pearson([cells(right, 16)], [np.full(16, 1 / 16)]).p_value > 1e-6
    assert cells(np.array([0.0, 0.49, 0.5, 0.99]), 2).tolist() == [2, 2]
    assert pair_cells(np.array([0.1, 0.9]), np.array([0.9, 0.1]), 2).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("count", "draws", "p"), [(0, 50, 0.1), (3, 50, 0.1), (12, 50, 0.1), (700, 20_000, 0.0328)]
)
def test_the_tail_is_never_smaller_than_the_exact_one_of_a_binomial_test(
    count: int, draws: int, p: float
) -> None:
    law = stats.binom(draws, p)
    assert tail(count, draws, p) == pytest.approx(min(1, 2 * min(law.cdf(count), law.sf(count - 1))))
    assert tail(count, draws, p) >= 0.99 * stats.binomtest(count, draws, p).pvalue


def test_factors_that_a_count_shows() -> None:
    low, high = detectable_factors(20_000, 0.03, 1e-6)
    rng = np.random.default_rng(5)
    for factor in (low, high):
        counts = rng.binomial(20_000, 0.03 * factor, size=300)
        caught = np.mean([tail(int(count), 20_000, 0.03) < 1e-6 for count in counts])
        assert 0.95 < caught <= 1.0
    assert 0 < low < 1 < high


def test_repeats_are_judged_with_caution() -> None:
    """2,000 runs of 300 draws of 5,000 tokens: p-values below 0.01 no oftener than that."""
    rng = np.random.default_rng(6)
    repeats = [300 - len(np.unique(row)) for row in rng.integers(5000, size=(2000, 300))]
    assert np.mean([repeats_tail(count, 300, 5000) < 0.01 for count in repeats]) < 0.01 + 3 * math.sqrt(
        0.0099 / 2000
    )
    assert repeats_tail(60, 300, 5000) < 1e-6
