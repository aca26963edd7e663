"""The sequential test: how often a target that conforms fails, whatever it is that ends the draws."""

from __future__ import annotations

import numpy as np

from sampling.conformance.sequential_test import Alternative, SequentialTest
from sampling.conformance.statistics.eprocess import Likelihoods
from sampling.conformance.verdict import SHARE, Verdict

FAIR, LOADED = np.full(2, 0.5), np.array([0.6, 0.4])
ZEROS = Alternative("zeros alone", Verdict.DEVIATES, [np.array([1.0, 0.0])])


def test_an_e_value_alone_has_half_of_the_false_alarm() -> None:
    """1.2^78 is 1.5e6, 1.2^80 is 2.2e6: the bound that is left to it is 2e6."""

    class Alone(SequentialTest):
        """The same, without "anything else"."""

        def _likelihoods(self) -> Likelihoods:
            seen = Likelihoods([*self.rows])
            for outcomes in self._outcomes:
                seen.add(outcomes, {name: rows[0] for name, rows in self.rows.items()})
            return seen

    def verdict(zeros: int) -> Verdict:
        test = Alone({"own": [FAIR]}, [Alternative("other", Verdict.DEVIATES, [LOADED])], planned=0)
        test.add(0, np.zeros(zeros, dtype=np.int64))
        return test.finding().verdict

    assert [verdict(78), verdict(80)] == [Verdict.INCONCLUSIVE, Verdict.DEVIATES]


def with_shares(zeros: int, ones: int, **null: float) -> SequentialTest:
    """Draws in even order, of which ones exclude the alternative; by name, how likely null hypotheses have a zero."""
    test = SequentialTest({name: [np.array([p, 1 - p])] for name, p in null.items()}, [ZEROS])
    count = zeros + ones
    test.add(0, 1 - np.diff(np.arange(count + 1) * zeros // count))
    return test


def test_pearsons_test_has_the_other_half() -> None:
    """Of 10,000 fair draws 5,251 and 5,252 zeros have p-values of 5.2e-7 and 4.7e-7, by the normal law's tails."""
    fair = [with_shares(zeros, 10_000 - zeros, own=0.5) for zeros in (5251, 5252)]
    values = [test._pearsons()["own"].p_value for test in fair]  # pyright: ignore[reportPrivateUsage]
    assert values[0] > SHARE > values[1]
    assert [test.finding().verdict for test in fair] == [Verdict.CONFORMS, Verdict.DEVIATES]


def test_a_target_fails_only_where_every_null_hypothesis_is_out() -> None:
    """Either may be the one that is served, and each is looked at once: no share for choosing between them."""
    found = with_shares(5300, 4700, own=0.5, also=0.53).finding()
    assert (found.verdict, found.evidence[:5]) == (Verdict.CONFORMS, "also;")
    assert with_shares(5600, 4400, own=0.5, also=0.53).finding().verdict is Verdict.DEVIATES


def test_pearsons_test_looks_at_the_planned_draws_and_at_no_others() -> None:
    """Even draws until the planned look, then one token only, as a stop that depends on the draws might have it."""

    def p_value(planned: int, tokens: np.ndarray) -> float:
        test = SequentialTest({"own": [np.full(4, 0.25)]}, [], planned=planned)
        test.add(0, tokens)
        return test._pearsons()["own"].p_value  # pyright: ignore[reportPrivateUsage]

    even = np.arange(400) % 4
    both = np.concatenate([even, np.zeros(400, dtype=np.int64)])
    assert p_value(400, even) == p_value(400, both) == 1.0
    assert p_value(800, both) < SHARE


def test_of_alternatives_that_both_fit_to_be_ignored_is_the_verdict() -> None:
    """Forty ones exclude a fair coin; nine tenths and nineteen twentieths of ones both fit them."""
    late = Alternative("late", Verdict.DEVIATES, [np.array([0.1, 0.9])])
    for verdict in (Verdict.IGNORED, Verdict.AMBIGUOUS):
        test = SequentialTest(
            {"own": [FAIR]}, [late, Alternative("other", verdict, [np.array([0.05, 0.95])])]
        )
        test.add(0, np.array([1] * 37 + [0] * 3, dtype=np.int64))
        found = test.finding()
        assert "late" in found.evidence
        assert "other" in found.evidence
        assert found.verdict is (Verdict.IGNORED if verdict is Verdict.IGNORED else Verdict.DEVIATES)
