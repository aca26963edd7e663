"""Does a draw know anything of its neighbours? Tokens of consecutive positions, seeds and choices, in pairs.

The randomised probability integral transform makes independent uniforms of correct tokens; pairs of them fill a table of
16 x 16 cells evenly. False-alarm rate: one in 10^6 for each test, had the seed been chosen at random. Detectable effect,
with probability 0.99: a correlation of 0.021 by the integer rule (10^6 tokens), of 0.091 by the Gumbel rule (50,000).
"""

from __future__ import annotations

import numpy as np
import pytest
from draw_trials import Counts, independences
from scaled_draws import blocks, by_gumbel, by_weight, gumbels, peaked, sequence, softmax, uniforms
from statistics_tools import independence, probability_transform

AXES, LAGS = ["position", "seed", "choice"], [1, 2, 3, 32]
DETECTABLE = {"integer": 0.021, "gumbel": 0.091}


@pytest.fixture(scope="module", params=AXES)
def by_rule(request: pytest.FixtureRequest) -> dict[str, Counts]:
    """Tokens of consecutive values of one part of the key."""
    logits = peaked()
    return {
        "integer": sequence(uniforms, by_weight(logits), request.param, blocks(1_000_000, 1)),
        "gumbel": sequence(gumbels(32), by_gumbel(logits), request.param, blocks(50_000, 32)),
    }


@pytest.mark.parametrize("rule", ["integer", "gumbel"])
@pytest.mark.parametrize("lag", LAGS)
def test_neighbours_are_independent(by_rule: dict[str, Counts], rule: str, lag: int) -> None:
    """The faulty sampler gives every second key the token of the key `lag` before: correlated positions."""
    right, wrong = independences(by_rule[rule], softmax(peaked()), lag)
    assert right.detectable_effect < DETECTABLE[rule]
    assert right.passed, right
    assert not wrong.passed


@pytest.mark.parametrize("rule", ["integer", "gumbel"])
def test_a_part_of_the_key_that_is_ignored(by_rule: dict[str, Counts], rule: str) -> None:
    """The faulty sampler draws the same token for every seed, choice or position."""
    tokens = by_rule[rule]
    ignored = np.full_like(tokens, tokens[0])
    assert not independence(probability_transform(ignored, softmax(peaked())), lag=1).passed
