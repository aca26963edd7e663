"""Right endpoints that refuse something: it is asked otherwise, nothing is blamed on the sampler, and the report says so."""

from __future__ import annotations

import re

import pytest
from conformance.letters import lettered
from conformance.proxy import Fields
from conformance.quirks import QUIRKS, Quirk, at_most, without
from conformance.transports import Fault, in_process

from sampling import load, verify
from sampling.conformance.endpoint.manners import Manners
from sampling.conformance.report import Report
from sampling.conformance.semantics import Semantics
from sampling.conformance.verdict import Verdict
from sampling.dialects import DIALECTS
from sampling.errors import InvalidRequest
from sampling.language_model import LanguageModel

WRONG = (Verdict.DEVIATES, Verdict.IGNORED)
CHECKS = (
    "bias.force",
    "temperature.zero",
    "truncation.crossing-token",
    "reported.distribution",
    "reported.mass",
    "reported.bytes",
    "output.finish-reason",
)
NOTED = {
    "top_logprobs up to 5": "refuses top_logprobs above 5",
    "no top_logprobs": "refuses top_logprobs (",
    "max_completion_tokens alone": "max_completion_tokens was sent instead",
    "one choice": "refuses n above 1",
    "four choices": "refuses n above 4",
    "one choice at temperature 0": "refuses n = 16 at temperature 0",
    "no whole biases": "",  # biases are written as 100.0 in any case; output.parameters asks for whole ones
    "temperature or top_p": "refuses top_p (",
    "16 tokens at least": "refuses max_tokens below 16",
    "the fields of OpenAI alone": "refuses top_k and min_p and repetition_penalty",
}


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


def wrong_in(report: Report) -> dict[str, str]:
    """What a report blames on the endpoint, with its evidence."""
    return {name: found.evidence for name, found in report.checks.items() if found.verdict in WRONG}


@pytest.mark.parametrize("quirk", QUIRKS)
def test_what_is_refused_is_asked_otherwise_and_noted(quirk: str):
    checks = {*CHECKS} - ({"truncation.crossing-token"} if quirk.startswith("16") else set())
    report = verify(lettered(ask=QUIRKS[quirk]), checks=checks)
    assert wrong_in(report) == {}
    assert report.checks["bias.force"].verdict is Verdict.CONFORMS
    assert report.checks["temperature.zero"].verdict is Verdict.CONFORMS
    assert any(NOTED[quirk] in note for note in report.notes)


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


def test_whole_biases_that_fail_are_a_note_of_their_own():
    report = verify(lettered(ask=QUIRKS["no whole biases"]), checks=["output.parameters"])
    assert any("refuses whole numbers in logit_bias" in note for note in report.notes)
    assert "refused: logit_bias" not in report.checks["output.parameters"].evidence


def test_refused_biases_are_unsupported_and_not_ignored():
    report = verify(lettered(ask=without("logit_bias")), checks=["bias.force", "bias.ban"])
    assert {found.verdict for found in report.checks.values()} == {Verdict.UNSUPPORTED}
    assert "logit_bias: got" in report.checks["bias.force"].evidence


def test_biases_without_effect_are_ignored():
    def unbiased(asked: Fields) -> Fields:
        return {name: value for name, value in asked.items() if name != "logit_bias"}

    report = verify(lettered(ask=unbiased), checks=["bias.force", "bias.ban"])
    assert report.checks["bias.force"].verdict is Verdict.IGNORED
    assert report.checks["bias.ban"].verdict is Verdict.NOT_TESTABLE


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
            raise InvalidRequest("top_k", 0, "-1 or at least 1")
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


def test_a_bias_that_is_clamped_is_told_from_one_that_is_honoured_and_one_that_is_ignored():
    def clamped(asked: Fields) -> Fields:
        biases = asked.get("logit_bias")
        if not isinstance(biases, dict):
            return {name: value for name, value in asked.items() if name != "logit_bias"}
        return {**asked, "logit_bias": {token: max(-100, min(100, bias)) for token, bias in biases.items()}}

    def ignored(asked: Fields) -> Fields:
        biases = asked.get("logit_bias")
        if not isinstance(biases, dict) or any(abs(bias) > 100 for bias in biases.values()):
            return {name: value for name, value in asked.items() if name != "logit_bias"}
        return asked

    told = {
        name: verify(lettered(ask=ask), checks=["output.parameters"]).checks["output.parameters"].evidence
        for name, ask in {"clamped": clamped, "ignored": ignored}.items()
    }
    assert 'logit_bias {"1": 101} (clamped)' in told["clamped"]
    assert re.search(r'logit_bias \{"1": 101\}[^;]*\(without effect\)', told["ignored"])


def test_a_text_for_logprobs_that_is_honoured_is_not_ignored():
    def ask(asked: Fields) -> Fields:
        return {**asked, "logprobs": bool(asked["logprobs"])} if "logprobs" in asked else asked

    evidence = verify(lettered(ask=ask), checks=["output.parameters"]).checks["output.parameters"].evidence
    assert 'logprobs "yes" (honoured)' in evidence
