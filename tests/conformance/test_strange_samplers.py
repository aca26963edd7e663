"""Samplers that share nothing with the kit: faults of real engines are found, and what is no fault is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conformance import by_hand
from conformance.by_hand import ByHand, ByTransformers, Scrambled, ignoring

from sampling.conformance.callables import RUNS
from sampling.conformance.case_context import DrawBudget
from sampling.conformance.check_context import CheckContext
from sampling.conformance.identify import identify
from sampling.conformance.semantics import Semantics
from sampling.conformance.sequential_test import Alternative, SequentialTest
from sampling.conformance.target import CallableTarget
from sampling.conformance.verdict import Finding, Verdict
from sampling.conformance.verify import verify
from sampling.dialects.qstash import QSTASH

FEW = DrawBudget(0, 20_000)
TRUNCATIONS = [name for name in RUNS if name.startswith("truncation.")]
PARAMETERS = [name for name in RUNS if name.startswith(("temperature.", "penalties.", "bias."))]
CONVICTS = (Verdict.DEVIATES, Verdict.IGNORED)


def verdicts(sampler: ByHand, checks: list[str], dialect: str = "qstash") -> dict[str, Verdict]:
    found = verify(sampler, dialect, checks=checks, depth=FEW).checks
    return {name: finding.verdict for name, finding in found.items()}


def evidence(sampler: ByHand, check: str) -> str:
    return verify(sampler, checks=[check], depth=FEW).checks[check].evidence


def test_the_page_done_by_hand_conforms() -> None:
    asked = [*TRUNCATIONS, *PARAMETERS]
    assert verdicts(ByHand(), asked) == dict.fromkeys(asked, Verdict.CONFORMS)


def test_the_processors_of_transformers_conform_to_their_dialect() -> None:
    assert verdicts(ByTransformers(), TRUNCATIONS, "transformers") == dict.fromkeys(
        TRUNCATIONS, Verdict.CONFORMS
    )
    identified = identify(CheckContext(CallableTarget(ByTransformers()), Semantics.of(QSTASH), FEW))
    # It refuses penalties and biases: of two dialects that answer alike, the one that has fewer of those comes first.
    assert identified.winners == ("transformers-serve",)
    assert (
        identified.indistinguishable["transformers"]
        == "it takes logit_bias, repetition_penalty, refused here"
    )


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        (
            "LooseBeyond64",
            ["temperature-order", "crossing-token", "no-token-more", "top-p-to-zero"],
        ),
        ("First1024", ["crossing-token", "no-token-more"]),
        ("LastGoes", ["joint"]),
        ("Underflows", ["temperature-order", "no-token-more", "top-k", "joint"]),
    ],
)
def test_a_truncation_that_is_right_on_sixteen_logits_is_convicted(name: str, wrong: list[str]) -> None:
    found = verdicts(getattr(by_hand, name)(), TRUNCATIONS)
    convicted = {check for check, verdict in found.items() if verdict in CONVICTS}
    assert convicted == {f"truncation.{check}" for check in wrong}


@pytest.mark.parametrize("check", ["crossing-token", "no-token-more", "top-p-to-zero"])
def test_a_bound_for_the_rest_is_called_by_its_name(check: str) -> None:
    assert "top_p stops at a bound for what is left" in evidence(
        by_hand.LooseBeyond64(), f"truncation.{check}"
    )


def test_equal_logits_in_no_order_are_seen_from_seventeen_on() -> None:
    words = evidence(Scrambled(), "truncation.ties")
    assert "top_p on 16 logits: the higher ids are kept" in words
    for width in (64, 4096, 32768):
        for name in ("top_p", "top_k"):
            assert (
                f"{name} on {width} logits: as many as there is room for are kept, in no order of ids"
                in words
            )
    assert verdicts(Scrambled(), ["truncation.ties"]) == {"truncation.ties": Verdict.AMBIGUOUS}
    assert verdicts(Scrambled(), ["truncation.ties"], "vllm") == {"truncation.ties": Verdict.DEVIATES}
    assert verdicts(Scrambled(), ["truncation.ties"], "sglang") == {"truncation.ties": Verdict.CONFORMS}


def test_other_choices_have_names() -> None:
    assert "top_p on 64 logits: all of them are kept" in evidence(by_hand.KeepsTies(), "truncation.ties")
    assert "all that are equal are kept" in evidence(by_hand.KeepsTies(), "truncation.no-token-more")
    assert "exactly at min_p: it goes" in evidence(by_hand.Strict(), "truncation.min-p-order")
    words = evidence(by_hand.SignFollowed(), "penalties.frequency-counts")
    assert words.startswith("penalties are added to negative logits;")


@pytest.mark.parametrize("check", ["temperature.scale", "temperature.limit", "penalties.frequency-counts"])
def test_a_greedy_sampler_is_called_that(check: str) -> None:
    assert "always the arg max;" in evidence(by_hand.Greedy(), check)


# By parameter that is taken and ignored: whose checks it is.
OWNERS = {
    "repetition_penalty": ["penalties.repetition-sign", "penalties.repetition-scope"],
    "presence_penalty": ["penalties.presence-scope", "penalties.frequency-counts"],
    "frequency_penalty": ["penalties.frequency-counts"],
    "logit_bias": ["bias.ban", "bias.force"],
    "temperature": ["temperature.scale", "temperature.zero", "temperature.limit"],
    "top_k": ["truncation.top-k"],
    "top_p": ["truncation.crossing-token", "truncation.no-token-more", "truncation.top-p-to-zero"],
    "min_p": ["truncation.min-p-order"],
}
TOGETHER = [
    *("temperature.zero", "truncation.temperature-order", "truncation.joint", "truncation.min-p-order"),
    *("penalties.temperature-order", "penalties.per-choice", "bias.temperature-order"),
    *("randomness.seed-repeats", "randomness.uniformity"),
]


@pytest.mark.parametrize("name", OWNERS)
def test_checks_of_two_parameters_do_not_convict_for_one_that_is_ignored(name: str) -> None:
    found = verdicts(ignoring(name), TOGETHER)
    assert {check for check, verdict in found.items() if verdict in CONVICTS} <= set(OWNERS[name])


@pytest.mark.parametrize("name", OWNERS)
def test_what_is_ignored_is_convicted_by_its_own_checks(name: str) -> None:
    assert set(verdicts(ignoring(name), OWNERS[name]).values()) <= set(CONVICTS)


class Biasless(ByHand):
    """Knows no biases, and says so."""

    def many(self, logits: Any, params: Any, prompt_ids: Any, output_ids: Any, seeds: Any) -> list[int]:
        if "logit_bias" in params:
            raise ValueError("logit_bias is not supported")
        return super().many(logits, params, prompt_ids, output_ids, seeds)


def test_temperature_zero_is_asked_of_samplers_and_dialects_without_biases() -> None:
    without = replace(QSTASH, name="no biases", order=tuple(s for s in QSTASH.order if s != "logit_bias"))
    for dialect in (QSTASH, without):
        found = verify(Biasless(), dialect, checks=["temperature.zero", "bias.ban"], depth=FEW).checks
        assert found["temperature.zero"].verdict is Verdict.CONFORMS
        expected = Verdict.UNSUPPORTED if dialect is QSTASH else Verdict.NOT_TESTABLE
        assert found["bias.ban"].verdict is expected


def test_bias_and_temperature_are_asked_without_a_penalty_that_does_nothing() -> None:
    assert verdicts(ignoring("repetition_penalty"), ["bias.temperature-order"]) == {
        "bias.temperature-order": Verdict.CONFORMS
    }


def test_log_probabilities_show_nothing_of_what_has_no_effect() -> None:
    """The values of the mode `raw`, from a sampler that ignores biases and penalties: no pass."""
    from conformance.faulty.output import without

    idle = without("logit_bias", "presence_penalty", "frequency_penalty", "repetition_penalty")
    found = verify(idle, checks=["reported.penalties-and-bias"], depth=FEW).checks
    assert found["reported.penalties-and-bias"].verdict is Verdict.NOT_TESTABLE


def test_a_choice_that_knows_something_else_is_not_taken_for_one_that_knows_all() -> None:
    """Each draw is a case of its own; draws that neither the named alternative nor the dialect explains have no name."""
    rng = np.random.default_rng(2)
    own, other = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.2, 0.7])
    named = Alternative("all choices count", Verdict.DEVIATES, [other] * 200)

    def finding(p: np.ndarray) -> Finding:
        test = SequentialTest({"its own": [own] * 200}, [named])
        test.add(np.arange(200), rng.choice(3, size=200, p=p))
        return test.finding()

    assert finding(other).evidence.startswith("all choices count; ")
    assert finding(own).verdict is Verdict.CONFORMS
    odd = finding(np.array([0.45, 0.0, 0.55]))
    assert odd.evidence.startswith("no named hypothesis fits; ")
    assert odd.verdict is Verdict.DEVIATES
