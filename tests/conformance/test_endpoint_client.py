"""Requests to an endpoint: URLs, retries, the budget, and runs that go on where they were interrupted."""

from __future__ import annotations

import json
import re

import httpx2
import pytest
from conformance.transports import answering, in_process

from sampling import InvalidArgument, load, verify
from sampling.chat.language_model import LanguageModel
from sampling.conformance.endpoint.client import Budget, Client, chat_url
from sampling.conformance.endpoint.costs import COSTS, cost
from sampling.conformance.endpoint.profile import EndpointProfile
from sampling.conformance.endpoint.retries import RetryPolicy
from sampling.conformance.endpoint.runs import RUNS, UNSEEN
from sampling.conformance.endpoint.transcript import Received, Transcript
from sampling.conformance.endpoint.trouble import Refused, Spent, Unanswered
from sampling.conformance.table import CHECKS
from sampling.conformance.verdict import Verdict

GOOD = {"choices": [{"message": {"content": "A"}}]}
RUN = {"url": "u", "seed": 0}


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("http://a:1", "http://a:1/v1/chat/completions"),
        ("http://a:1/", "http://a:1/v1/chat/completions"),
        ("https://a/v1", "https://a/v1/chat/completions"),
        ("https://a/llm/v1/", "https://a/llm/v1/chat/completions"),
        ("https://a/x/chat/completions", "https://a/x/chat/completions"),
    ],
)
def test_where_chat_completions_are_asked_for(given: str, asked: str):
    assert chat_url(given) == asked


def failing(times: int, status: int, **headers: str):
    """Fails so many times, then answers."""
    left = [times]

    def answer(_: httpx2.Request) -> httpx2.Response:
        left[0] -= 1
        return (
            httpx2.Response(status, headers=headers, text="no")
            if left[0] >= 0
            else httpx2.Response(200, json=GOOD)
        )

    return answer


@pytest.mark.parametrize("status", [429, 500, 502, 503, 408])
def test_passing_failures_are_tried_again(status: int):
    client = answering(failing(2, status), patience=RetryPolicy(5, 3, 0.001)).client
    assert client.ask(messages=[]).choices[0].text == "A"
    assert client.budget.sent == 3


def breaking(answers: int):
    """Answers so many times, then breaks the connection once, then answers again."""
    asked = [0]

    def answer(_: httpx2.Request) -> httpx2.Response:
        asked[0] += 1
        if asked[0] == answers + 1:
            raise httpx2.ConnectError("nobody")
        return httpx2.Response(200, json=GOOD)

    return answer


def test_where_nobody_has_ever_answered_nobody_is_waited_for():
    client = answering(breaking(0), patience=RetryPolicy(5, 6, 1000.0)).client
    with pytest.raises(Unanswered, match=r"^no answer in 1 try, the last with: ConnectError: nobody$"):
        client.ask(messages=[])
    assert client.budget.sent == 1


def test_who_has_answered_is_waited_for():
    """An engine that is still starting answers, if only with an error; later it may be started anew."""
    answers = iter([failing(1, 503), breaking(0), breaking(1)])
    client = answering(lambda request: next(answers)(request), patience=RetryPolicy(5, 3, 0.001)).client
    client.ask(messages=[])
    assert client.budget.sent == 3


def test_what_is_waited_for_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tenacity.nap.sleep_using_event.__call__", lambda *_: None)
    told: list[str] = []
    answering(failing(2, 503), patience=RetryPolicy(5, 3, 2.0), waiting=told.append).client.ask(messages=[])
    assert [re.sub("in [0-9]+ s", "in N s", words.partition(": ")[2]) for words in told] == [
        "HTTP 503: no; try 1 of 3, the next in N s",
        "HTTP 503: no; try 2 of 3, the next in N s",
    ]
    answering(failing(1, 503), patience=RetryPolicy(5, 3, 0.001), waiting=told.append).client.ask(messages=[])
    assert len(told) == 2


def test_a_refusal_is_not_tried_again():
    client = answering(failing(1, 400)).client
    with pytest.raises(Refused, match="HTTP 400: no"):
        client.ask(messages=[])
    assert client.budget.sent == 1


def test_retry_after_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    waits: list[float] = []
    monkeypatch.setattr("tenacity.nap.sleep_using_event.__call__", lambda _, seconds: waits.append(seconds))
    answering(failing(2, 429, **{"Retry-After": "7"}), patience=RetryPolicy(5, 3, 0.001)).client.ask(
        messages=[]
    )
    assert waits == [7.0, 7.0]


def test_pauses_grow(monkeypatch: pytest.MonkeyPatch):
    waits: list[float] = []
    monkeypatch.setattr("tenacity.nap.sleep_using_event.__call__", lambda _, seconds: waits.append(seconds))
    answering(failing(4, 503), patience=RetryPolicy(5, 5, 1.0)).client.ask(messages=[])
    assert [1 <= waits[0] <= 2, 2 <= waits[1] <= 3, 4 <= waits[2] <= 5, 8 <= waits[3] <= 9] == [True] * 4


def test_an_endpoint_that_has_gone_is_given_up():
    client = answering(failing(1000, 503)).client
    for _ in range(5):
        with pytest.raises(Unanswered):
            client.ask(messages=[])
    assert client.budget.sent == 3 * 2


def test_the_budget_is_kept_and_what_is_left_is_inconclusive(toy: LanguageModel):
    target = in_process(toy, budget=Budget(40))
    report = verify(target, checks=["bias.force", "truncation.crossing-token"])
    assert target.client.budget.sent == 40
    assert report.checks["truncation.crossing-token"].verdict is Verdict.INCONCLUSIVE
    assert "40 requests" in report.checks["truncation.crossing-token"].evidence
    assert report.exit_code == 2
    with pytest.raises(Spent):
        target.client.ask(messages=[])


def test_an_interrupted_run_goes_on_without_asking_again(toy: LanguageModel, tmp_path):
    checks = ["bias.force", "truncation.crossing-token", "randomness.unseeded-vary"]
    file = tmp_path / "transcript"
    whole = in_process(toy, transcript=Transcript(file, RUN))
    first = verify(whole, checks=checks)
    lines = file.read_text().splitlines(keepends=True)
    assert len(lines) == whole.client.budget.sent + 1
    file.write_text("".join(lines[:51]) + lines[51][:20])  # interrupted while the 51st answer was written
    resumed = in_process(toy, transcript=Transcript(file, RUN))
    second = verify(resumed, checks=checks)
    assert resumed.client.budget.sent == whole.client.budget.sent - 50
    assert [f.verdict for f in second.checks.values()] == [f.verdict for f in first.checks.values()]
    replayed = in_process(toy, transcript=Transcript(file, RUN))
    third = verify(replayed, checks=checks)
    assert replayed.client.budget.sent == 0
    assert third.checks == second.checks


def test_a_transcript_of_another_run_is_refused(tmp_path):
    file = tmp_path / "transcript"
    log = Transcript(file, RUN)
    log.add(log.claim({}), Received(200, ""))
    with pytest.raises(InvalidArgument, match="transcript"):
        Transcript(file, {**RUN, "seed": 1})


HEAD = json.dumps({"transcript": 1, **RUN}, sort_keys=True).encode()


@pytest.mark.parametrize(
    "content", [b"my notes", b"my notes\n", b"\xff\xfe\0", HEAD + b"\nno answer\n", HEAD + b"\n[]\n"]
)
def test_what_is_no_transcript_is_refused_and_left_as_it_is(tmp_path, content: bytes):
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(InvalidArgument, match="transcript"):
        Transcript(file, RUN)
    assert file.read_bytes() == content
    for place in (tmp_path, tmp_path / "none" / "file"):
        with pytest.raises(InvalidArgument, match="transcript"):
            Transcript(place, RUN)


def test_a_transcript_begins_with_its_first_answer(tmp_path):
    file = tmp_path / "file"
    log = Transcript(file, RUN)
    assert not file.exists()
    first, second = log.claim({"n": 1}), log.claim({"n": 1})
    log.add(second, Received(200, "two"))
    log.add(first, Received(200, "one"))
    again = Transcript(file, RUN)
    told = [again.claim({"n": 1}).received for _ in range(3)]
    assert told == [Received(200, "one"), Received(200, "two"), None]


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "https:///v1",
        "http://[::1",
        "http://a:99999",
        "http://a:0",
        "ftp://a",
        "http://a?b=1",
        "http://a#b",
    ],
)
def test_what_is_no_url_is_refused_at_once(url: str):
    with pytest.raises(InvalidArgument, match="url: got"):
        Client(url)


def test_a_password_in_a_url_is_refused_and_not_shown():
    with pytest.raises(InvalidArgument, match=r"url: got .*without a user") as refused:
        Client("https://me:hunter2@a")
    assert "hunter2" not in str(refused.value)


def test_a_key_that_no_header_holds_is_refused_and_not_shown():
    with pytest.raises(InvalidArgument, match="api_key") as refused:
        Client("http://a", key="ключ")
    assert "ключ" not in str(refused.value)


def test_the_estimate_of_some_checks_is_about_what_they_take(toy: LanguageModel):
    checks = ["temperature.zero", "truncation.crossing-token", "reported.bytes", "randomness.unseeded-vary"]
    target = in_process(toy)
    verify(target, checks=checks)
    told = cost(checks).requests
    assert 0.8 * told <= target.client.budget.sent <= 1.2 * told


def test_every_check_is_run_or_has_a_reason_not_to_and_every_run_has_a_cost():
    assert set(RUNS) == set(CHECKS)
    assert set(COSTS) == set(CHECKS) - set(UNSEEN)


def test_what_a_survey_finds_without_log_probabilities(toy: LanguageModel):
    """The differences found by bisection are those of the model's own log probabilities."""
    profile = EndpointProfile(in_process(toy).client)
    profile.known[EndpointProfile.listed.__wrapped__] = {}, None
    found = profile.support()
    model = profile.logprobs_in(found.messages)
    known = [(token.logprob, model[token.text]) for token in found.tokens if token.text in model]
    shift = known[0][0] - known[0][1]
    assert len(known) >= 4
    assert all(abs(searched - told - shift) <= 2 * found.slack for searched, told in known)


def test_the_first_model_is_asked_for_when_none_is_named():
    def answer(request: httpx2.Request) -> httpx2.Response:
        listed = request.url.path == "/v1/models"
        return httpx2.Response(200, json={"data": [{"id": "first"}, {"id": "second"}]} if listed else GOOD)

    client = Client("http://a", transport=httpx2.MockTransport(answer))
    assert client.model == "first"
    client.close()
