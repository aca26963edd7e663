"""How much mass tokens that a trace does not list can have, against the whole distribution in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sampling.conformance.oracle import probabilities
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics
from sampling.conformance.trace import steps
from sampling.conformance.trace.steps import rest_bound
from sampling.dialects import DIALECTS

VOCABULARY, LISTED = 64, 6
ROUNDING = 1e-5  # of float32 logits


def bound_and_mass(logits: np.ndarray, params: dict[str, object], past: tuple[int, ...], name: str):
    """The bound on the tokens behind the listed ones, and the mass that a dialect gives them."""
    row = logits.astype(np.float32).astype(np.float64)
    level = float(np.logaddexp.reduce(row))
    known = np.append(row[:LISTED], -math.inf).astype(np.float32)
    rest = float(np.exp(row[LISTED:] - level).sum())
    local = tuple(min(token, LISTED) for token in past)
    bound = rest_bound(rest, level, SamplingCase(known, params, (), local))
    asked = SamplingCase(logits.astype(np.float32), params, (), past)
    return bound, float(probabilities(asked, Semantics.of(DIALECTS[name]))[LISTED:].sum())


def a_question(rng: np.random.Generator) -> tuple[np.ndarray, dict[str, object], tuple[int, ...]]:
    """Logits whose tail may be even or steep, high or low; parameters and a past."""
    logits = rng.normal(0, rng.choice([0.01, 1, 4]), VOCABULARY)
    logits[:LISTED] += rng.uniform(0, 12)
    params: dict[str, object] = {
        "temperature": rng.choice([0.0, 0.3, 1.0, 2.0], p=[0.1, 0.3, 0.3, 0.3]),
        "repetition_penalty": rng.choice([1.0, 0.4, 0.8, 1.3, 3.0]),
        "frequency_penalty": rng.choice([0.0, 0.0, -1.0, 1.5]),
        "presence_penalty": rng.choice([0.0, 0.0, -2.0, 2.0]),
        "logit_bias": {int(token): rng.uniform(-5, 9) for token in rng.permutation(LISTED)[:3]},
    }
    past = rng.choice(VOCABULARY, size=rng.choice([0, 8, 200]))
    return logits + rng.choice([-30, -6, 0, 30]), params, tuple(past.tolist())


@pytest.mark.parametrize("name", ["qstash", "sglang", "transformers"])
def test_no_mass_is_larger_than_the_bound(monkeypatch: pytest.MonkeyPatch, name: str):
    """The orders of the three differ: bias first; penalties first, the repetition penalty last of them; no others."""
    monkeypatch.setattr(steps, "LARGEST_VOCABULARY", VOCABULARY)
    rng = np.random.default_rng(5)
    found = [bound_and_mass(*a_question(rng), name) for _ in range(3000)]
    over = [(bound, mass) for bound, mass in found if mass > bound * (1 + ROUNDING) + 1e-12]
    assert over == []
    assert sum(bound < 0.5 for bound, _ in found) > 300, "the bound says nothing"
    assert sum(mass > bound / 4 for bound, mass in found if bound < 0.5) > 30, "the bound is never near"


def test_a_reward_of_repetition_flattens_a_low_tail(monkeypatch: pytest.MonkeyPatch):
    """58 tokens at -20, all in the past, penalty 0.5: each becomes -10, as at a temperature of 2."""
    monkeypatch.setattr(steps, "LARGEST_VOCABULARY", VOCABULARY)
    logits = np.full(VOCABULARY, -20.0)
    logits[:LISTED] = 0.0, *[-100.0] * (LISTED - 1)
    past = tuple(range(LISTED, VOCABULARY))
    bound, mass = bound_and_mass(logits, {"repetition_penalty": 0.5}, past, "qstash")
    others = (VOCABULARY - LISTED) * math.exp(-10)
    assert mass == pytest.approx(others / (1 + others), rel=1e-4)
    assert mass <= bound <= 1.1 * mass


def test_the_penalty_may_come_before_the_bias():
    """A listed token at 30 with a bias of -20, penalty 2: 5 if the bias comes first, -5 if it comes last; others at -4."""
    logits = np.full(VOCABULARY, -100.0)
    logits[0], logits[-1] = 30.0, -4.0
    params = {"repetition_penalty": 2.0, "logit_bias": {0: -20.0}}
    first, last = (bound_and_mass(logits, params, (0,), name) for name in ("qstash", "sglang"))
    assert first[0] == last[0]
    assert first[1] == pytest.approx(1 / (1 + math.exp(9)), rel=1e-4)
    assert last[1] == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-4)
    assert last[1] <= last[0]
