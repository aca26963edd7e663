"""Right endpoints that refuse something: it is asked otherwise, nothing is blamed on the sampler, and the report says so."""

from __future__ import annotations

import re

import pytest
from conformance.cases import FATES, clamped, unclamped
from conformance.letters import lettered
from conformance.proxy import Fields
from conformance.quirks import QUIRKS, Quirk, at_most, without
from conformance.transports import Fault, in_process

from sampling import load, verify
from sampling.chat.language_model import LanguageModel
from sampling.conformance.endpoint.manners import Manners
from sampling.conformance.semantics import Semantics
from sampling.conformance.verdict import Verdict
from sampling.core.errors import InvalidArgument
from sampling.dialects import DIALECTS


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


@pytest.mark.parametrize(
    ("quirk", "check"),
    [
        ("top_logprobs up to 5", "reported.count"),
        ("16 tokens at least", "output.finish-reason"),
        ("no whole biases", "output.parameters"),
    ],
)
def test_the_same_of_the_library_itself(toy: LanguageModel, quirk: str, check: str):
    report = verify(in_process(toy, ask=QUIRKS[quirk]), checks=[check])
    assert report.checks[check].verdict is Verdict.CONFORMS, report.checks[check].evidence


def test_an_endpoint_without_n_is_judged_by_requests_that_do_not_name_it():
    told = {
        "randomness.choices-differ": Verdict.UNSUPPORTED,
        "penalties.frequency-counts": Verdict.CONFORMS,
        "reported.mass": Verdict.CONFORMS,
        "temperature.scale": Verdict.CONFORMS,
    }
    report = verify(lettered(ask=without("n")), checks=[*told])
    assert {name: finding.verdict for name, finding in report.checks.items()} == told


def manners(ask: Quirk, dialect: str = "qstash") -> tuple[Manners, list[Fields]]:
    """The manners of an endpoint, and the requests that it answered."""
    answered: list[Fields] = []

    def noted(asked: Fields) -> Fields:
        told = ask(asked)
        answered.append(asked)
        return told

    return Manners(lettered(ask=noted).client, Semantics.of(DIALECTS[dialect])), answered


def test_every_request_has_values_without_effect_unless_it_has_others():
    asking, answered = manners(lambda asked: asked)
    asking.ask({"top_p": 0.5})
    last = answered[-1]
    assert (last["temperature"], last["top_k"], last["min_p"], last["repetition_penalty"]) == (1, 0, 0, 1)
    assert (last["frequency_penalty"], last["presence_penalty"], last["top_p"]) == (0, 0, 0.5)


def test_a_top_k_that_is_off_at_minus_one_is_switched_off_by_it():
    """SGLang refuses 0."""

    def ask(asked: Fields) -> Fields:
        if asked.get("top_k") == 0:
            raise InvalidArgument("top_k", 0, "-1 or at least 1")
        return {**asked, "top_k": 0} if asked.get("top_k") == -1 else asked

    asking, _ = manners(ask)
    asking.introduce()
    assert asking.neutral["top_k"] == -1
    assert asking.notes == []


def test_a_top_k_of_0_that_leaves_one_token_is_not_sent():
    """As onnxruntime-genai's: what should keep all tokens would make every other check see a greedy sampler."""

    def ask(asked: Fields) -> Fields:
        return {**asked, "top_k": 1} if asked.get("top_k") == 0 else asked

    asking, _ = manners(ask)
    asking.introduce()
    assert "top_k" not in asking.neutral
    assert "top_k 0, which is to keep all tokens, makes every draw the same" in asking.notes[0]
    report = verify(lettered(ask=ask), checks=["temperature.scale", "truncation.disabled"])
    assert report.checks["temperature.scale"].verdict is Verdict.CONFORMS
    assert report.checks["truncation.disabled"].verdict is Verdict.DEVIATES


def test_a_dialect_has_names_of_its_own():
    """llama.cpp's server calls it repeat_penalty, and passes over repetition_penalty in silence."""

    def ask(asked: Fields) -> Fields:
        own = {"typical_p", "top_n_sigma", "xtc_probability", "dry_multiplier", "dynatemp_range", "mirostat"}
        told = {name: value for name, value in asked.items() if name not in {"repetition_penalty", *own}}
        if "repeat_penalty" in told:
            told["repetition_penalty"] = told.pop("repeat_penalty")
        return told

    asking, answered = manners(ask, "llama.cpp")
    asking.ask({"repetition_penalty": 1.3})
    assert answered[-1]["repeat_penalty"] == 1.3
    assert "repetition_penalty" not in answered[-1]
    assert answered[-1]["typical_p"] == 1


def test_a_request_that_the_server_alone_fails_at_is_refused():
    def ask(asked: Fields) -> Fields:
        if asked["frequency_penalty"] < 0:
            raise Fault("division by zero")
        return asked

    asking, _ = manners(ask)
    assert "HTTP 500: division by zero" in asking.refusal({"frequency_penalty": -1})
    assert asking.refusal({"frequency_penalty": 1}) == ""


@pytest.mark.parametrize("most", [1, 4, 5, 11, 19])
def test_the_most_alternatives_are_found(most: int):
    asking, answered = manners(at_most("top_logprobs", most))
    reply = asking.ask({"logprobs": True, "top_logprobs": 20})
    assert asking.listed == most == len(reply.choices[0].positions[0].top_logprobs)
    before = len(answered)
    asking.ask({"logprobs": True, "top_logprobs": 20})
    assert len(answered) == before + 1


def test_a_bias_that_is_clamped_is_told_from_one_that_is_ignored():
    told = {
        ask: verify(lettered(ask=ask), checks=[FATES]).checks[FATES].evidence for ask in (clamped, unclamped)
    }
    assert 'logit_bias {"1": 101} (clamped)' in told[clamped]
    assert re.search(r'logit_bias \{"1": 101\}[^;]*\(without effect\)', told[unclamped])


def test_a_text_for_logprobs_that_is_honoured_is_not_ignored():
    def ask(asked: Fields) -> Fields:
        return {**asked, "logprobs": bool(asked["logprobs"])} if "logprobs" in asked else asked

    evidence = verify(lettered(ask=ask), checks=["output.parameters"]).checks["output.parameters"].evidence
    assert 'logprobs "yes" (honoured)' in evidence
