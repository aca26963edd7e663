"""Contests between readings: how often a target that conforms fails, whatever it is that ends the questions."""

from __future__ import annotations

import numpy as np

from sampling.conformance.contest import HypothesisTest
from sampling.conformance.endpoint.biased_case import BiasedCase, EndpointTest
from sampling.conformance.endpoint.profile import Token, TokenSupport
from sampling.conformance.semantics import Semantics
from sampling.conformance.statistics.pearson import Pearson
from sampling.conformance.verdict import SHARE, Verdict
from sampling.dialects.qstash import QSTASH

FAIR, LOADED = np.full(2, 0.5), np.array([0.6, 0.4])
PLAIN = Semantics.of(QSTASH)
FENCE = TokenSupport((), tuple(Token(place, text, -1.0) for place, text in enumerate("abcd")), 0.0, told=True)
EVEN = BiasedCase(FENCE, np.zeros(4))


def shape(p_value: float) -> Pearson:
    return Pearson(0.0, 1, p_value, 0.1)


def seen(rights: list[str], wrongs: list[str], zeros: int) -> HypothesisTest:
    """So many zeros; the first reading is fair and the others say that zeros are likely."""
    standing = HypothesisTest(rights, wrongs)
    own, *others = rights + wrongs
    standing.seen.add(np.zeros(zeros, dtype=np.int64), {own: FAIR, **dict.fromkeys(others, LOADED)})
    return standing


def test_an_e_value_alone_has_half_of_the_false_alarm() -> None:
    """1.2^78 is 1.5e6, 1.2^80 is 2.2e6: the bound that is left to it is 2e6."""
    assert seen(["own"], ["other"], 78).finding(78, "").verdict is Verdict.INCONCLUSIVE
    assert seen(["own"], ["other"], 80).finding(80, "").verdict is Verdict.DEVIATES


def test_pearsons_test_has_the_other_half() -> None:
    """The wrong reading never draws a one, the right one does."""
    standing = HypothesisTest(["own"], ["wrong"])
    standing.seen.add(np.array([0, 1]), {"own": FAIR, "wrong": np.array([1.0, 0.0])})
    assert standing.finding(2, "", {"own": shape(1.2 * SHARE)}).verdict is Verdict.CONFORMS
    assert standing.finding(2, "", {"own": shape(0.8 * SHARE)}).verdict is Verdict.DEVIATES


def test_a_target_fails_only_where_every_right_reading_is_out() -> None:
    """Either reading may be the one that is served, and each is looked at once: no share for choosing between them."""
    standing = HypothesisTest(["own", "also"], ["wrong"])
    standing.seen.add(np.array([0, 1]), {"own": FAIR, "also": FAIR, "wrong": np.array([1.0, 0.0])})
    found = standing.finding(2, "", {"own": shape(0.1 * SHARE), "also": shape(0.5)})
    assert (found.verdict, found.evidence[:11]) == (Verdict.CONFORMS, "fits 'also'")
    found = standing.finding(2, "", {"own": shape(0.1 * SHARE), "also": shape(0.9 * SHARE)})
    assert found.verdict is Verdict.DEVIATES


def test_pearsons_test_looks_at_the_planned_draws_and_at_no_others() -> None:
    """Even draws until the planned look, then one token only, as a stop that depends on the draws might have it."""
    contest = EndpointTest([EVEN], {"own": PLAIN}, {})
    for _ in range(10):
        contest.add(0, np.arange(40) % 4)
    assert contest.shapes(400)["own"].p_value == 1.0
    contest.add(0, np.zeros(400, dtype=np.int64))
    assert contest.shapes(400)["own"].p_value == 1.0
    assert contest.shapes(800)["own"].p_value < SHARE
