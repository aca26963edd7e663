"""The checks for callables: nothing is found at the reference of a dialect, and each reading is called by its name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from conformance.oracle_sampler import Batched, OneByOne

from sampling.conformance import callables
from sampling.conformance.case_context import DrawBudget
from sampling.conformance.check_context import CheckContext
from sampling.conformance.identify import identify
from sampling.conformance.reference import reference
from sampling.conformance.semantics import Semantics, joined, moved
from sampling.conformance.table import CHECKS
from sampling.conformance.target import CallableTarget
from sampling.conformance.verdict import Verdict
from sampling.conformance.verify import verify
from sampling.core.history import PROMPT_AND_OUTPUT, Scope
from sampling.dialects import DIALECTS
from sampling.dialects.qstash import QSTASH
from sampling.dialects.vllm import VLLM

PLAIN = Semantics.of(QSTASH)
ORDER = PLAIN.order
FEW = DrawBudget(least=0, most=20_000)
MORE = DrawBudget(least=0, most=200_000)


def test_there_is_a_function_for_every_check() -> None:
    assert set(callables.RUNS) == set(CHECKS)
    assert len(CHECKS) == 41


# Slow, and the same code in every dialect: asked of one.
SAME = {"penalties.per-choice", "randomness.choices-differ", "reported.bytes"}


# What of these no other dialect has: each takes seconds.
IN_PART = {
    "vllm-v1": ("truncation.",),
    "transformers-serve": ("penalties.temperature",),
    "mlx-lm": ("truncation.min-p", "truncation.ties", "truncation.top-p", "penalties.presence"),
    "mistralrs": ("truncation.min-p", "truncation.disabled", "temperature.zero"),
    "ctranslate2": ("truncation.temperature", "penalties.repetition"),
    "onnxruntime-genai": ("truncation.temperature", "penalties.repetition"),
    "openvino-genai": ("truncation.no-token-more", "truncation.joint", "penalties.frequency"),
    "litgpt": ("truncation.temperature", "truncation.ties"),
    "lmdeploy": ("truncation.no-token-more", "penalties.repetition", "temperature.zero"),
    "exllamav3": ("truncation.ties", "penalties.presence"),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_the_reference_of_a_dialect_conforms_to_it(name: str) -> None:
    """Up to 41 checks of false-alarm rate 1e-6 each; which of them are not testable is known."""
    wanted = set(CHECKS) if name == "qstash" else set(CHECKS) - SAME
    if name in IN_PART:
        wanted = {check for check in CHECKS if check.startswith(IN_PART[name])}
    report = verify(reference(name), name, depth=FEW, checks=wanted)
    found = {
        check: finding for check, finding in report.checks.items() if finding.verdict is not Verdict.CONFORMS
    }
    assert {
        check: finding for check, finding in found.items() if finding.verdict is not Verdict.NOT_TESTABLE
    } == {}
    assert set(found) == UNTESTED.get(name, set())
    assert report.exit_code == 0


UNTESTED = {
    "openai": {
        "truncation.top-k",
        "truncation.joint",
        "truncation.min-p-order",
        "penalties.repetition-sign",
        "penalties.repetition-scope",
    },
    "transformers": {
        "reported.zero-temperature",
        "penalties.presence-scope",
        "penalties.frequency-counts",
        "penalties.temperature-order",
    },
}


# Dialects that fit what one answers, but take more than it does.
TAKING_MORE = {
    name: {other: f"it takes {', '.join(fields)}, refused here" for other, fields in others.items()}
    for name, others in {
        "openai": dict.fromkeys(("qstash", "mistralrs"), ("min_p", "repetition_penalty", "top_k")),
        "transformers-serve": {
            "transformers": ("min_p", "repetition_penalty"),
            "exllamav3": ("min_p", "presence_penalty", "repetition_penalty"),
        },
        "onnxruntime-genai": {
            "mistralrs": ("logit_bias", "min_p", "presence_penalty"),
            "openvino-genai": ("min_p", "presence_penalty"),
        },
        "litgpt": {
            **dict.fromkeys(
                ("qstash", "mistralrs"), ("logit_bias", "min_p", "presence_penalty", "repetition_penalty")
            ),
            **dict.fromkeys(("ctranslate2", "onnxruntime-genai"), ("repetition_penalty",)),
            "openvino-genai": ("min_p", "presence_penalty", "repetition_penalty"),
            "lmdeploy": ("min_p", "repetition_penalty"),
        },
    }.items()
}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_is_identified_and_every_other_excluded_or_indistinguishable(name: str) -> None:
    identified = identify(CheckContext(CallableTarget(reference(name)), PLAIN, FEW))
    assert identified.winners == (name,)
    assert {name, *identified.excluded, *identified.indistinguishable} == set(DIALECTS)
    assert all(out.e_value >= 1e6 for out in identified.excluded.values())
    assert identified.indistinguishable == TAKING_MORE.get(name, {})
    assert identified.headline.startswith(f"consistent with {name}; ")
    but_for_ties = {"vllm": ("vllm-v1",), "vllm-v1": ("vllm",), "transformers-serve": ("litgpt",)}
    assert identified.but_for_ties == but_for_ties.get(name, ())


def test_equal_logits_alone_do_not_make_one_engine_another() -> None:
    """A vLLM that keeps the higher of equal ids, and no more than k, as none of the dialects does."""
    sorting = Batched(replace(Semantics.of(VLLM), top_k_ties="high", top_p_ties="high"))
    identified = identify(CheckContext(CallableTarget(sorting), PLAIN, FEW))
    assert (identified.winners, identified.but_for_ties) == ((), ("vllm", "vllm-v1"))
    words = "consistent with no dialect; but for equal logits, consistent with vllm or vllm-v1; "
    assert identified.headline.startswith(words)
    assert "transformers" in identified.excluded


# What a sampler does otherwise, the check that asks, and how what it does is called.
READINGS: list[tuple[dict[str, Any], str, str, Verdict]] = [
    ({"temperature_power": -1.0}, "temperature.scale", "logits times the temperature", Verdict.DEVIATES),
    ({"temperature_power": 2.0}, "temperature.scale", "the temperature divides twice", Verdict.DEVIATES),
    ({"temperature_factor": 1.05}, "temperature.scale", "5% too hot", Verdict.DEVIATES),
    ({"highest_temperature": 1.0}, "temperature.scale", "temperatures above 1 become 1", Verdict.DEVIATES),
    ({"logits_dtype": "bfloat16"}, "temperature.scale", "logits rounded to bfloat16", Verdict.DEVIATES),
    ({"logits_dtype": "float16"}, "temperature.scale", "logits rounded to float16", Verdict.DEVIATES),
    (
        {"ignores": frozenset({"temperature"})},
        "temperature.scale",
        "temperature without effect",
        Verdict.IGNORED,
    ),
    ({"zero_ties": "high"}, "temperature.zero", "the higher id", Verdict.AMBIGUOUS),
    ({"zero_ties": "all"}, "temperature.zero", "any of the equal ones", Verdict.AMBIGUOUS),
    ({"substitutes": (("temperature", 0, 1.0),)}, "temperature.zero", "temperature 0 is 1", Verdict.DEVIATES),
    (
        {"lowest_temperature": 0.01},
        "temperature.limit",
        "temperatures below 0.01 become 0.01",
        Verdict.DEVIATES,
    ),
    (
        {"order": moved(ORDER, "temperature", after="top_p")},
        "truncation.temperature-order",
        "16 logits: top_p before the temperature",
        Verdict.DEVIATES,
    ),
    (
        {"crossing_tokens": -1},
        "truncation.crossing-token",
        "16 logits: the crossing token is dropped",
        Verdict.DEVIATES,
    ),
    (
        {"top_p_bounded": True},
        "truncation.crossing-token",
        "16 logits: top_p stops at a bound for what is left",
        Verdict.DEVIATES,
    ),
    (
        {"last_goes": True},
        "truncation.joint",
        "few candidates: the least likely candidate goes, and what equals it",
        Verdict.DEVIATES,
    ),
    (
        {"most_candidates": 1024},
        "truncation.no-token-more",
        "nuclei: long tails: only the 1024 most likely tokens are looked at",
        Verdict.DEVIATES,
    ),
    ({"arg_max": True}, "temperature.scale", "always the arg max;", Verdict.DEVIATES),
    (
        {"crossing_tokens": 1},
        "truncation.no-token-more",
        "nuclei: 16 logits: one token too many is kept",
        Verdict.DEVIATES,
    ),
    (
        {"top_p_stops_at_equality": False},
        "truncation.no-token-more",
        "an exact hit: one token more is taken: 7 of 8",
        Verdict.AMBIGUOUS,
    ),
    (
        {"substitutes": (("top_p", 0, 1.0),)},
        "truncation.top-p-to-zero",
        "top_p 0: top_p 0 keeps",
        Verdict.DEVIATES,
    ),
    ({"top_k_offset": 1}, "truncation.top-k", "16 logits: k + 1 tokens are kept", Verdict.DEVIATES),
    ({"top_k_offset": -1}, "truncation.top-k", "16 logits: k - 1 tokens are kept", Verdict.DEVIATES),
    (
        {"ignores": frozenset({"top_k"})},
        "truncation.top-k",
        "16 logits: top_k without effect",
        Verdict.IGNORED,
    ),
    (
        {"substitutes": (("top_p", 1, 0.0),)},
        "truncation.disabled",
        "top_p 1: always the arg max",
        Verdict.DEVIATES,
    ),
    (
        {"top_p_ties": "high"},
        "truncation.ties",
        "top_p on 16 logits: the higher ids are kept",
        Verdict.AMBIGUOUS,
    ),
    (
        {"top_k_ties": "all"},
        "truncation.ties",
        "top_k on 16 logits: all of them are kept",
        Verdict.AMBIGUOUS,
    ),
    (
        {"order": joined(ORDER, "top_k", "top_p")},
        "truncation.joint",
        "16 logits: both of the same distribution",
        Verdict.DEVIATES,
    ),
    (
        {"order": moved(ORDER, "min_p", before="temperature")},
        "truncation.min-p-order",
        "16 logits: min_p before the temperature",
        Verdict.DEVIATES,
    ),
    (
        {"min_p_of_maximum": False},
        "truncation.min-p-order",
        "16 logits: min_p is a probability",
        Verdict.DEVIATES,
    ),
    (
        {"min_p_strict": True},
        "truncation.min-p-order",
        "a token exactly at min_p: it goes",
        Verdict.AMBIGUOUS,
    ),
    (
        {"penalties_follow_sign": True},
        "penalties.frequency-counts",
        "penalties are added to negative logits",
        Verdict.DEVIATES,
    ),
    (
        {"presence_counts": PROMPT_AND_OUTPUT},
        "penalties.presence-scope",
        "the prompt and the sampled tokens count",
        Verdict.DEVIATES,
    ),
    (
        {"presence_counts": Scope(prompt=True, last=64)},
        "penalties.presence-scope",
        "the last 64 with the prompt count",
        Verdict.DEVIATES,
    ),
    (
        {"frequency_multiplies": False},
        "penalties.frequency-counts",
        "the frequency penalty acts once",
        Verdict.DEVIATES,
    ),
    (
        {"frequency_divides": True},
        "penalties.frequency-counts",
        "the frequency penalty is divided",
        Verdict.DEVIATES,
    ),
    (
        {"presence_multiplies": True},
        "penalties.frequency-counts",
        "the presence penalty is multi",
        Verdict.DEVIATES,
    ),
    ({"penalty_factor": -1.0}, "penalties.frequency-counts", "penalties are added", Verdict.DEVIATES),
    (
        {"repetition_rule": "divide"},
        "penalties.repetition-sign",
        "it divides whatever the sign",
        Verdict.DEVIATES,
    ),
    (
        {"repetition_rule": "reversed"},
        "penalties.repetition-sign",
        "it multiplies positive",
        Verdict.DEVIATES,
    ),
    (
        {"repetition_per_occurrence": True},
        "penalties.repetition-sign",
        "it acts once for every",
        Verdict.DEVIATES,
    ),
    (
        {"repetition_scope": PROMPT_AND_OUTPUT},
        "penalties.repetition-scope",
        "the prompt and the sampled tokens count",
        Verdict.DEVIATES,
    ),
    (
        {"order": moved(ORDER, "presence_penalty", after="temperature")},
        "penalties.temperature-order",
        "presence_penalty after the temperature",
        Verdict.DEVIATES,
    ),
    ({"bias_factor": -1.0}, "bias.ban", "a bias that is subtracted", Verdict.DEVIATES),
    ({"ignores": frozenset({"logit_bias"})}, "bias.force", "logit_bias without effect", Verdict.IGNORED),
    ({"bias_limit": 5.0}, "bias.force", "no named hypothesis fits", Verdict.DEVIATES),
    (
        {"order": moved(ORDER, "logit_bias", after="temperature")},
        "bias.temperature-order",
        "the bias after the temperature",
        Verdict.DEVIATES,
    ),
    (
        {"order": moved(ORDER, "repetition_penalty", before="logit_bias")},
        "bias.temperature-order",
        "the repetition penalty before the bias",
        Verdict.DEVIATES,
    ),
    (
        {"least_probability": 2e-6},
        "randomness.tail",
        "0 of 20000 draws were tokens of probability",
        Verdict.DEVIATES,
    ),
    ({"ignores": frozenset({"min_p"})}, "output.parameters", "honoured: temperature", Verdict.IGNORED),
]


@pytest.mark.parametrize(("changes", "check", "evidence", "verdict"), READINGS)
def test_another_reading_is_named(
    changes: dict[str, Any], check: str, evidence: str, verdict: Verdict
) -> None:
    """The sampler draws from the oracle, not from the pipeline; power 0.99 at least."""
    finding = verify(Batched(replace(PLAIN, **changes)), checks=[check], depth=MORE).checks[check]
    assert finding.verdict is verdict, finding
    assert finding.evidence.startswith(evidence)


def test_a_sampler_of_one_token_a_call_is_verified_in_a_few_ten_thousand_calls() -> None:
    slow = OneByOne(PLAIN)
    report = verify(slow)
    verdicts = {name: finding.verdict for name, finding in report.checks.items()}
    silent = {name for name, verdict in verdicts.items() if verdict is Verdict.NOT_TESTABLE}
    assert {name for name, verdict in verdicts.items() if verdict is not Verdict.CONFORMS} == silent
    assert silent == {name for name in CHECKS if name.startswith("reported.")} | {
        "randomness.choices-differ",
        "output.stop-left-out",
        "output.finish-reason",
        "output.constrained",
    }
    assert report.identified is not None
    assert report.identified.winners == ("qstash",)
    assert slow.calls < 100_000


@pytest.mark.parametrize("which", ["low", "high"])
@pytest.mark.parametrize("stops", [True, False])
def test_how_many_equal_tokens_are_kept_is_asked_apart_from_which(which: str, stops: bool) -> None:
    odd = Batched(replace(PLAIN, top_p_ties=which, top_p_stops_at_equality=stops))
    finding = verify(odd, checks=["truncation.no-token-more"], depth=FEW).checks["truncation.no-token-more"]
    assert finding.verdict is (Verdict.CONFORMS if stops else Verdict.AMBIGUOUS), finding


def test_too_few_draws_are_inconclusive_and_no_pass() -> None:
    report = verify(Batched(PLAIN), checks=["temperature.scale"], depth=DrawBudget(least=0, most=50))
    assert report.checks["temperature.scale"].verdict is Verdict.INCONCLUSIVE
    assert report.checks["temperature.scale"].evidence.startswith("after 100 draws not excluded:"), report
    assert report.exit_code == 2


def test_what_no_reading_has_is_seen_by_pearsons_test_alone() -> None:
    odd = Batched(replace(PLAIN, frequency_counts=Scope(last=5)))
    finding = verify(odd, checks=["penalties.frequency-counts"], depth=DrawBudget(5_000, 20_000)).checks
    assert finding["penalties.frequency-counts"].verdict is Verdict.DEVIATES
    assert finding["penalties.frequency-counts"].evidence.startswith("no named hypothesis fits")
