"""What an endpoint says about its tokens may be anything: the check that looks at it says so, and the others go on."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conformance.letters import FIRST, LOGITS, lettered, sure
from conformance.lies import entries
from conformance.proxy import Fields
from conformance.transports import answering, saying

from sampling import verify
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint import runs
from sampling.conformance.endpoint.profile import EndpointProfile
from sampling.conformance.endpoint.trouble import Malformed
from sampling.conformance.kinds import KINDS
from sampling.conformance.statistics.planning import draws_to_exclude
from sampling.conformance.trace.record import read_trace, write_trace
from sampling.conformance.trace.recorder import from_endpoint
from sampling.conformance.verdict import LONGEST, Finding, Verdict
from sampling.core.errors import InvalidArgument

LOOKING = ("reported.mass", "reported.chosen-is-listed")  # checks that look at log probabilities
DRAWING = ("temperature.zero", "bias.ban")  # checks that do without them


def first_listed(value: object) -> Callable[[Fields, Fields], Fields]:
    """Gives the first of the alternatives, and the sampled token, a value."""

    def answer(_: Fields, told: Fields) -> Fields:
        for position in entries(told):
            for entry in (position, *position["top_logprobs"][:1]):
                entry["logprob"] = value
        return told

    return answer


def found(target: Any, *checks: str) -> dict[str, Verdict]:
    """The verdicts of some checks."""
    return {name: finding.verdict for name, finding in verify(target, checks=checks).checks.items()}


@pytest.mark.parametrize("value", [0.5, 1e308, math.nan, math.inf, -math.inf])
def test_what_is_no_log_probability_deviates_and_other_checks_go_on(value: float):
    """A log probability is a number, and at most 0."""
    report = verify(lettered(answer=first_listed(value)), checks=["reported.mass", *DRAWING])
    assert report.checks["reported.mass"].verdict is Verdict.DEVIATES
    assert f"{value:g} is no log probability" in report.checks["reported.mass"].evidence
    assert report.checks["temperature.zero"].verdict is Verdict.CONFORMS
    assert report.checks["bias.ban"].verdict is Verdict.NOT_TESTABLE


def test_a_probability_of_one_beside_others_deviates_and_draws_are_judged_without_it():
    checks = ("reported.mass", "truncation.top-k", *DRAWING)
    verdicts = found(lettered(answer=first_listed(0.0)), *checks)
    assert verdicts.pop("reported.mass") is Verdict.DEVIATES
    assert verdicts.pop("bias.ban") is Verdict.NOT_TESTABLE
    assert set(verdicts.values()) == {Verdict.CONFORMS}


def test_a_probability_of_exactly_one_is_one():
    """What models that are sure say after rounding; draws of the other letters are as they should be."""
    target = lettered(answer=first_listed(0.0), logits=sure(20.0))
    verdicts = found(target, "reported.mass", "bias.ban", "temperature.scale", *DRAWING)
    assert verdicts == dict.fromkeys(verdicts, Verdict.CONFORMS)


@pytest.mark.parametrize("height", [40.0, 70.0])
def test_a_letter_that_no_bias_reaches_is_no_fault_of_the_sampler(height: float):
    """The others' differences are found by biases, or are not; what is above all of them is none of them."""
    report = verify(lettered(logits=sure(height)), checks=["temperature.zero", "temperature.scale"])
    verdicts = {finding.verdict for finding in report.checks.values()}
    assert verdicts == {Verdict.CONFORMS} if height < 50 else {Verdict.NOT_TESTABLE}


def test_a_token_of_all_the_mass_is_missed_after_one_draw():
    assert [draws_to_exclude(mass) for mass in (1.0, 1.001, 1 - 1e-16)] == [1, 1, 1]


def with_part(**parts: object) -> Callable[[Fields, Fields], Fields]:
    """Replaces parts of all entries of `logprobs`."""

    def answer(_: Fields, told: Fields) -> Fields:
        for position in entries(told):
            position.update(parts)
        return told

    return answer


def with_logprobs(value: object) -> Callable[[Fields, Fields], Fields]:
    """Replaces `logprobs` as a whole, also where nobody asked for it."""

    def answer(_: Fields, told: Fields) -> Fields:
        for choice in told["choices"]:
            choice["logprobs"] = value
        return told

    return answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (with_part(logprob="low"), "logprobs.content.0.logprob: "),
        (with_part(logprob=None), "logprobs.content.0.logprob: "),
        (with_part(logprob=10**400), "logprobs.content.0.logprob: "),
        (with_part(bytes=[300]), "logprobs.content.0.bytes.0: "),
        (with_part(bytes=[-1]), "logprobs.content.0.bytes.0: "),
        (with_part(bytes="A"), "logprobs.content.0.bytes: "),
        (with_part(token=7), "logprobs.content.0.token: "),
        (with_part(top_logprobs={"A": -1.0}), "logprobs.content.0.top_logprobs: "),
        (with_logprobs([]), "logprobs: "),
        (with_logprobs(True), "logprobs: "),
        (with_logprobs({"content": {"A": -1.0}}), "logprobs.content: "),
    ],
)
def test_a_part_of_another_form_is_named_and_ends_no_check_that_does_without(
    answer: Callable[[Fields, Fields], Fields], reason: str
):
    report = verify(lettered(answer=answer), checks=[*LOOKING, "temperature.zero"])
    for name in LOOKING:
        assert report.checks[name].verdict is Verdict.INCONCLUSIVE
        assert reason in report.checks[name].evidence
    assert report.checks["temperature.zero"].verdict is Verdict.CONFORMS
    assert report.exit_code == 2


def test_log_probabilities_of_the_older_form_are_none():
    older = with_logprobs({"tokens": ["A"], "token_logprobs": [-1.0]})
    verdicts = found(lettered(answer=older), *LOOKING, "temperature.zero")
    assert verdicts.pop("temperature.zero") is Verdict.CONFORMS
    assert set(verdicts.values()) == {Verdict.UNSUPPORTED}


def with_usage(usage: object) -> Callable[[Fields, Fields], Fields]:
    """Replaces the token counts."""
    return lambda _, told: {**told, "usage": usage}


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        (None, "no `usage` by which"),
        ({}, "usage.prompt_tokens: Field required"),
        ({"prompt_tokens": -1, "completion_tokens": 1}, "usage.prompt_tokens: "),
        ({"prompt_tokens": "3", "completion_tokens": 1}, "usage.prompt_tokens: "),
        ([3, 1], "usage: "),
    ],
)
def test_token_counts_that_are_none_end_the_checks_that_need_them(usage: object, reason: str):
    checks = ["penalties.presence-scope", "temperature.zero"]
    report = verify(lettered(answer=with_usage(usage)), checks=checks)
    assert reason in report.checks["penalties.presence-scope"].evidence
    assert report.checks["temperature.zero"].verdict is Verdict.CONFORMS


def test_a_reason_to_finish_that_is_no_text_deviates():
    def numbered(_: Fields, told: Fields) -> Fields:
        for choice in told["choices"]:
            choice["finish_reason"] = ["stop"] * 1000
        return told

    report = verify(lettered(answer=numbered), checks=["output.finish-reason", "temperature.zero"])
    finding = report.checks["output.finish-reason"]
    assert (finding.verdict, "['stop', 'stop'" in finding.evidence) == (Verdict.DEVIATES, True)
    assert report.checks["temperature.zero"].verdict is Verdict.CONFORMS


def test_texts_that_are_listed_twice_stand_for_no_token():
    """Parts of characters look alike; which value is whose cannot be known."""

    def alike(_: Fields, told: Fields) -> Fields:
        for position in entries(told):
            for entry in position["top_logprobs"][1:3]:
                entry["token"] = "\ufffd"
        return told

    honest, doubled = (
        EndpointProfile(lettered(answer=a).client).listed() for a in (lambda _, told: told, alike)
    )
    texts = [*honest]
    assert [*doubled] == [texts[0], *texts[3:]]


def test_texts_without_an_end_leave_short_evidence():
    long = "A" * 60_000
    told = {
        "choices": [{"message": {"content": long}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
    report = verify(answering(saying(told)))
    assert len(report.checks) == 41
    assert max(len(finding.evidence) for finding in report.checks.values()) < 500
    assert len(Finding(Verdict.CONFORMS, long).evidence) == LONGEST + 3


def test_a_fault_of_one_check_is_its_finding_alone_and_leaves_its_traceback(monkeypatch, caplog):
    def faulty(_: object) -> Finding:
        return {}["no such thing"]

    monkeypatch.setitem(runs.RUNS, "bias.force", faulty)
    with caplog.at_level(logging.ERROR):
        report = verify(lettered(), checks=["bias.force", "temperature.zero"])
    finding = report.checks["bias.force"]
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert (
        "a fault of the kit, not of the target: KeyError: 'no such thing' (test_endpoint_values.py, line "
        in (finding.evidence)
    )
    assert report.checks["temperature.zero"].verdict is Verdict.CONFORMS
    assert report.exit_code == 2
    assert "KeyError" in caplog.text
    assert "Traceback" in caplog.text


def test_a_fault_of_the_identification_is_a_note(monkeypatch):
    def faulty(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(KINDS, "endpoint", replace(KINDS["endpoint"], identify=faulty, runs={}))
    report = verify(lettered())
    assert (report.identified, report.exit_code) == (None, 2)
    assert any("not identified: a fault of the kit" in note for note in report.notes)


@pytest.mark.parametrize("answer", [first_listed(math.nan), first_listed(0.5), with_logprobs([])])
def test_differences_are_not_recorded_as_log_probabilities(answer: Callable[[Fields, Fields], Fields]):
    with pytest.raises(NotTestable, match="tells no log probabilities"):
        next(from_endpoint(lettered(answer=answer), 16, seed=1))


@pytest.mark.parametrize("reason", ["abort", "STOP", 7, ["stop"], ""])
def test_a_reason_to_finish_that_no_trace_has_ends_a_recording(reason: object):
    def other(_: Fields, told: Fields) -> Fields:
        return {**told, "choices": [{**choice, "finish_reason": reason} for choice in told["choices"]]}

    with pytest.raises(
        Malformed, match=re.escape(f"finish_reason: got {reason!r}, must be 'stop', 'length'")
    ):
        next(from_endpoint(lettered(answer=other), 16, seed=1))


def test_what_is_recorded_is_read_again(tmp_path):
    write_trace(from_endpoint(lettered(), 16, seed=1), tmp_path / "t")
    assert {record.finish_reason for record in read_trace(tmp_path / "t")} == {"length"}


def unlisted_first(_: Fields, told: Fields) -> Fields:
    """Gives each entry of a token the place of the first that is listed, whatever was sampled."""
    for position in entries(told):
        if position["top_logprobs"]:
            position |= {key: position["top_logprobs"][0][key] for key in ("token", "logprob", "bytes")}
    return told


def test_an_entry_of_another_token_than_the_sampled_one_is_noticed():
    name = "reported.chosen-is-listed"
    finding = verify(lettered(answer=unlisted_first), checks=[name]).checks[name]
    assert finding.verdict is Verdict.DEVIATES
    assert "its first entry is of" in finding.evidence


def few_listed(asked: Fields) -> Fields:
    """Refuses more than eleven alternatives."""
    if asked.get("top_logprobs", 0) > 11:
        raise InvalidArgument("top_logprobs", asked["top_logprobs"], "at most 11")
    return asked


def test_no_id_beyond_those_that_are_told_is_forced():
    forced: set[int] = set()

    def ask(asked: Fields) -> Fields:
        forced.update(int(token) for token in asked.get("logit_bias", {}))
        return few_listed(asked)

    def with_ids(_: Fields, told: Fields) -> Fields:
        for position in entries(told):
            for entry in position["top_logprobs"]:
                entry["id"] = ord(entry["token"]) - ord("A") + FIRST
            if position["top_logprobs"]:  # the last of them is a part of a character, which no text shows
                position["top_logprobs"][-1] |= {"token": "Ã", "id": 200}
        return told

    profile = EndpointProfile(lettered(ask=ask, answer=with_ids).client)
    assert len(profile.texts()) >= 10
    assert max(forced) == 200


@pytest.mark.parametrize("message", [{"role": "assistant"}, {"role": "assistant", "content": "\ufffd"}])
def test_a_message_without_entries_by_chance_is_asked_for_again(message: Fields):
    answered = 0

    def empty_at_first(asked: Fields, told: Fields) -> Fields:
        nonlocal answered
        if asked.get("logprobs"):
            answered += 1
            if answered % 3 == 1:
                for choice in told["choices"]:
                    nothing = (
                        None if answered % 2 else {"content": []}
                    )  # an end token, or a part of a character
                    choice |= {"message": message, "logprobs": nothing}
        return told

    checks = ("reported.distribution", "reported.truncation")
    report = verify(lettered(answer=empty_at_first), checks=checks)
    assert {finding.verdict for finding in report.checks.values()} == {Verdict.CONFORMS}


def test_what_stands_for_a_rank_that_is_not_listed_is_asked_where_all_known_texts_are_listed():
    few = np.full(len(LOGITS), -40.0, dtype=np.float32)
    few[FIRST : FIRST + 12] = -0.3 * np.arange(12)
    name = "reported.count"
    finding = verify(lettered(logits=few), checks=[name]).checks[name]
    assert finding.verdict is Verdict.DEVIATES  # the page has -9999 there, and this endpoint a value
    assert "behind the first 20" in finding.evidence
