"""Are the draws distributed as the weights say? Every key is fixed, so a run either always passes or never does.

False-alarm rate: had the keys been chosen at random, each test would fail a correct sampler once in 10^6 times. Detectable
effect: with 10^6 draws over 32 tokens the chi-square test notices, 99.9 times in 100, probabilities that are off by 1.3%
(root mean square of the relative error, weighted by probability); `test_power` computes that.
"""

from __future__ import annotations

import math

import oracle
import pytest
import torch
from scipy import stats
from torch import Tensor

from sampling import draw

FALSE_ALARM = 1e-6
VOCABULARY, DRAWS, BATCH = 32, 1_000_000, 10_000
# Peaked: from 0.4 down to 1 in 10^4, in no order of the ids.
PEAKED = [-0.24 * (7 * i % VOCABULARY) + (0.9 if i == 0 else 0.0) for i in range(VOCABULARY)]


def probabilities() -> Tensor:
    return torch.tensor(
        [float(p) for p in oracle.softmax([oracle.f32(x) for x in PEAKED])], dtype=torch.float64
    )


def drawn(key: str, count: int, **fixed: int) -> Tensor:
    """Tokens for `count` consecutive values of one part of the key."""
    logits = torch.tensor([PEAKED]).expand(BATCH, -1)
    parts = [
        draw(logits, **{**fixed, key: torch.arange(start, start + BATCH)}) for start in range(0, count, BATCH)
    ]
    return torch.cat(parts)


def p_value(tokens: Tensor) -> float:
    counts = torch.bincount(tokens, minlength=VOCABULARY)
    expected = probabilities() * len(tokens)
    assert expected.min() > 15
    return float(stats.chisquare(counts.numpy(), expected.numpy()).pvalue)


@pytest.fixture(scope="module")
def by_position() -> Tensor:
    return drawn("position", DRAWS, seed=2024, choice=0)


def test_consecutive_positions(by_position: Tensor) -> None:
    assert p_value(by_position) > FALSE_ALARM


def test_consecutive_seeds() -> None:
    assert p_value(drawn("seed", DRAWS // 5, position=0, choice=0)) > FALSE_ALARM


def test_consecutive_choices() -> None:
    assert p_value(drawn("choice", DRAWS // 5, seed=7, position=3)) > FALSE_ALARM


def test_neighbours_are_independent(by_position: Tensor) -> None:
    """Pairs of consecutive tokens in a table of 32 x 32, rare tokens pooled."""
    common = probabilities().topk(8).indices
    group = torch.full((VOCABULARY,), 8).scatter(0, common, torch.arange(8))[by_position]
    table = torch.bincount(group[:-1] * 9 + group[1:], minlength=81).reshape(9, 9)
    assert stats.chi2_contingency(table.numpy()).pvalue > FALSE_ALARM


def test_power() -> None:
    """The effect that the test detects, at 99.9%."""
    critical = stats.chi2.isf(FALSE_ALARM, VOCABULARY - 1)
    off_by = 0.013
    assert stats.ncx2.sf(critical, VOCABULARY - 1, DRAWS * off_by**2) > 0.999


def test_a_distribution_that_is_off_is_noticed(by_position: Tensor) -> None:
    """The same tokens against probabilities of a temperature of 1.02 instead of 1."""
    real = probabilities()
    wrong = torch.softmax(real.log() / 1.02, 0)
    counts = torch.bincount(by_position, minlength=VOCABULARY)
    assert math.isclose(wrong.sum().item(), 1)
    assert stats.chisquare(counts.numpy(), (wrong * DRAWS).numpy()).pvalue < FALSE_ALARM
