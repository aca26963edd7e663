"""Draws needed: the table of the specification, one context of 16 logits spaced 0.4, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sampling.conformance.oracle import probabilities, rounded, softmax
from sampling.conformance.sampling_case import SamplingCase
from sampling.conformance.semantics import Semantics, joined, moved
from sampling.conformance.statistics.planning import (
    detectable_heat,
    detectable_mass,
    draws_by_likelihood,
    draws_by_pearson,
    draws_to_exclude,
)
from sampling.dialects import dialect

PLAIN = Semantics.of(dialect("qstash"))
Z = -0.4 * np.arange(16)
LATE_T = moved(PLAIN.order, "temperature", after="top_p")


def cut(logits: np.ndarray, count: int) -> np.ndarray:
    """The softmax of the first so many."""
    return softmax(np.where(np.arange(16) < count, logits, -np.inf))


def asked(order: tuple = PLAIN.order, **params: float) -> np.ndarray:
    """What an order of stages gives; logits in float32 as a target gets them."""
    return probabilities(SamplingCase(Z.astype(np.float32), params), Semantics(name="", order=order))


def plus(amount: float, token: int, temperature: float = 1, late: bool = False) -> np.ndarray:
    """One logit changed, before or after the temperature."""
    change = amount * (np.arange(16) == token)
    return softmax(Z / temperature + change if late else (Z + change) / temperature)


FIRST_T, FIRST_P = asked(temperature=0.5, top_p=0.9), asked(LATE_T, temperature=0.5, top_p=0.9)
NUCLEUS, HALF = 7, 3  # tokens that make up 0.9, cut where the mass before is below p; and 0.5

# What is expected, what is served, and the draws by likelihood ratio or support, and by Pearson's test.
TABLE = {
    "T 0.9 as 1.0": (softmax(Z), softmax(Z / 0.9), 6344, 8506),
    "T 0.95 as 1.0": (softmax(Z), softmax(Z / 0.95), 26862, 34640),
    "T 0.99 as 1.0": (softmax(Z), softmax(Z / 0.99), 702104, 877206),
    "top_p before T for T before top_p": (FIRST_T, FIRST_P, 53, 8139),
    "T before top_p for top_p before T": (FIRST_P, FIRST_T, 159, 711),
    "crossing token dropped, p .9": (asked(top_p=0.9), cut(Z, 5), 275, 1249),
    "crossing token dropped, p .5": (asked(top_p=0.5), cut(Z, 1), 27, 78),
    "one token too many, p .9": (asked(top_p=0.9), cut(Z, 7), 142, None),
    "top_k 8 as 7": (cut(Z, 8), cut(Z, 7), 654, 3211),
    "top_k 8 as 9": (cut(Z, 8), cut(Z, 9), 331, None),
    "top_k and top_p sequential for joint": (
        asked(joined(PLAIN.order, "top_k", "top_p"), top_k=8, top_p=0.8),
        asked(top_k=8, top_p=0.8),
        172,
        745,
    ),
    "min_p before T": (
        asked(temperature=0.7, min_p=0.1),
        asked(moved(PLAIN.order, "min_p", before="temperature"), temperature=0.7, min_p=0.1),
        176,
        93047,
    ),
    "presence 0.5 counts the prompt": (softmax(Z), plus(-0.5, 0), 1309, 1787),
    "presence for frequency (0.5 x 3)": (plus(-1.5, 0), plus(-0.5, 0), 485, 420),
    "presence after T = .7": (plus(-0.5, 0, 0.7), plus(-0.5, 0, 0.7, late=True), 6797, 8076),
    "bias +1 after T = .7": (plus(1, 3, 0.7), plus(1, 3, 0.7, late=True), 2064, 2841),
    "bf16-rounded logits (offset 20)": (softmax(Z), softmax(rounded(Z + 20, "bfloat16")), 76289, 95019),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_table_of_the_specification(name: str) -> None:
    expected, served, by_likelihood, by_pearson = TABLE[name]
    assert draws_by_likelihood([expected], [served]) == pytest.approx(by_likelihood, rel=1e-5, abs=0.9)
    if by_pearson is not None:
        assert draws_by_pearson([expected], [served]) == pytest.approx(by_pearson, rel=1e-5, abs=0.9)


@pytest.mark.parametrize(
    "name", ["T 0.9 as 1.0", "presence for frequency (0.5 x 3)", "presence 0.5 counts the prompt"]
)
def test_the_power_is_what_is_promised(name: str) -> None:
    """400 runs: a power below 0.97 would show; the normal law of the sum is an approximation."""
    expected, served, _, _ = TABLE[name]
    draws = math.ceil(draws_by_likelihood([expected], [served]))
    tokens = np.random.default_rng(3).choice(16, size=(400, draws), p=served)
    ratios = np.log(served / expected)[tokens].sum(1)
    rate = (ratios >= math.log(1e6)).mean()
    assert rate >= 0.99 - 3 * math.sqrt(0.99 * 0.01 / 400)
    assert rate <= 0.999  # and not far fewer draws would do


def test_more_questions_need_fewer_draws_of_each() -> None:
    p, q = softmax(Z), softmax(Z / 0.9)
    assert draws_by_likelihood([p, p], [q, q]) == pytest.approx(draws_by_likelihood([p], [q]) / 2)
    assert draws_by_likelihood([p, p], [q, p]) == pytest.approx(draws_by_likelihood([p], [q]))


def test_what_can_not_be_told_apart_needs_infinitely_many() -> None:
    assert draws_by_likelihood([softmax(Z)], [softmax(Z)]) == math.inf
    assert draws_by_pearson([softmax(Z)], [softmax(Z)]) == math.inf


def test_missing_tokens_and_tokens_out_of_the_support() -> None:
    draws = draws_to_exclude(1e-3)
    assert draws == pytest.approx(13.8e3, rel=0.002)
    assert (1 - 1e-3) ** draws <= 1e-6 < (1 - 1e-3) ** (draws - 1)
    assert (1 - detectable_mass(500)) ** 500 == pytest.approx(0.01)


def test_the_temperature_that_pearson_detects_is_the_one_that_the_table_has() -> None:
    p = softmax(Z)
    heat = detectable_heat(p, 20_000)
    assert draws_by_pearson([p], [softmax(Z / heat)]) == pytest.approx(20_000, rel=1e-4)
