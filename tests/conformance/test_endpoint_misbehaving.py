"""Endpoints that misbehave end in a verdict with a reason, never in a traceback, and never in a pass."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler

import httpx2
import pytest
from conformance.lies import entries
from conformance.proxy import proxy, served
from conformance.transports import SOON, answering, saying
from server.live import live

from sampling import load, verify
from sampling.chat.language_model import LanguageModel
from sampling.conformance.endpoint.retries import RetryPolicy
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.report import Report
from sampling.conformance.verdict import Verdict
from sampling.server import ServerOptions

UNDECIDED = {Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED, Verdict.NOT_TESTABLE}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "A"}, "finish_reason": "length"}


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


def undecided(report: Report, reason: str) -> None:
    """All checks have ended, none with a result, for a reason that is told."""
    assert len(report.checks) == 41
    assert {finding.verdict for finding in report.checks.values()} <= UNDECIDED
    assert report.exit_code == 2
    assert reason in report.checks["temperature.scale"].evidence


ANSWERS = {
    "500": (saying({"error": {"message": "out of memory"}}, 500), "HTTP 500: out of memory"),
    "429 for ever": (saying({"error": {"message": "slow down"}}, 429), "HTTP 429: slow down"),
    "401": (saying({"error": {"message": "no key"}}, 401), "HTTP 401: no key"),
    "404 without JSON": (saying("<html>not here</html>", 404), "HTTP 404: <html>not here</html>"),
    "a redirection": (saying("", 302), "redirection"),
    "half of a JSON": (saying('{"choices": [{"mess'), "the answer: Invalid JSON"),
    "no JSON": (saying("Hello!"), "the answer: Invalid JSON"),
    "nothing": (saying(""), "the answer: Invalid JSON"),
    "a list": (saying([]), "the answer: "),
    "no choices": (saying({"object": "chat.completion"}), "choices: Field required"),
    "empty choices": (saying({"choices": []}), "choices: "),
    "choices of text": (saying({"choices": "A"}), "choices: "),
    "content of a number": (
        saying({"choices": [{**CHOICE, "message": {"content": 7}}]}),
        "choices.0.message.content",
    ),
    "content of a list": (
        saying({"choices": [{**CHOICE, "message": {"content": ["A"]}}]}),
        "choices.0.message.content",
    ),
    "content without an end": (
        saying({"choices": [{**CHOICE, "message": {"content": "A" * 70_000}}]}),
        "choices.0.message.content: String should have at most 65536 characters",
    ),
    "a thousand choices": (
        saying({"choices": [CHOICE] * 1000}),
        "choices: List should have at most 128 items",
    ),
    "two choices for one": (saying({"choices": [CHOICE] * 2}), "2 choices for n = 1"),
    "a surrogate": (saying('{"choices": [{"message": {"content": "\\ud800"}}]}'), "the answer: Invalid JSON"),
    "no UTF-8": (
        lambda _: httpx2.Response(200, content=b'{"choices": [{"message": {"content": "\xe9"}}]}'),
        "no UTF-8 (invalid continuation byte at byte 38)",
    ),
    "an error of lists in lists": (saying("[" * 5000, 400), "HTTP 400: [[[["),
    "an error whose message is none": (saying({"error": {"message": ["no"]}}, 400), 'HTTP 400: {"error"'),
}


@pytest.mark.parametrize(("answer", "reason"), ANSWERS.values(), ids=ANSWERS)
def test_answers_that_are_none(answer, reason: str):
    undecided(verify(answering(answer)), reason)


def test_connections_that_break():
    def broken(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError("connection reset", request=request)

    undecided(verify(answering(broken)), "ReadError: connection reset")


def test_one_text_for_everything_is_never_a_pass_of_anything_that_was_asked():
    report = verify(
        answering(saying({"choices": [CHOICE], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}))
    )
    assert report.checks["bias.force"].verdict is Verdict.IGNORED
    passed = [name for name, finding in report.checks.items() if finding.verdict is Verdict.CONFORMS]
    assert passed == []


class Silent(BaseHTTPRequestHandler):
    """Takes a request and says nothing for a while."""

    def do_POST(self) -> None:
        """Wait."""
        time.sleep(0.6)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name that http.server gives it)
        """Say nothing."""


class Dripping(Silent):
    """Sends a byte now and then, and never comes to an end."""

    def do_POST(self) -> None:
        """Drip."""
        self.send_response(200)
        self.end_headers()
        for _ in range(12):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.05)


@pytest.mark.parametrize("handler", [Silent, Dripping])
def test_endpoints_that_hang(handler):
    with served(handler) as url:
        patience = RetryPolicy(seconds=0.2, tries=1, pause=0.0)
        undecided(verify(EndpointTarget(url, model="m", patience=patience)), "longer than 0.2 s")


def test_a_stream_that_breaks_off(toy: LanguageModel):
    with (
        live(toy, ServerOptions()) as server,
        proxy(server.port, stream=lambda whole: whole[: len(whole) // 2]) as url,
    ):
        finding = verify(url, checks=["output.finish-reason"]).checks["output.finish-reason"]
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "without [DONE]" in finding.evidence or "delta" in finding.evidence


def without_logprobs(_, told):
    for choice in told["choices"]:
        choice["logprobs"] = None
    return told


def test_log_probabilities_that_are_asked_for_and_do_not_come_are_ignored_and_others_go_on(
    toy: LanguageModel,
):
    checks = ["reported.distribution", "reported.mass", "reported.bytes", "truncation.crossing-token"]
    with live(toy, ServerOptions()) as server, proxy(server.port, answer=without_logprobs) as url:
        report = verify(EndpointTarget(url, patience=SOON), checks=checks)
    found = {name: finding.verdict for name, finding in report.checks.items()}
    assert found == dict.fromkeys(checks, Verdict.IGNORED) | {"truncation.crossing-token": Verdict.CONFORMS}


def test_a_mass_above_one_deviates(toy: LanguageModel):
    def doubled(_, told):
        for position in entries(told):
            for entry in position["top_logprobs"]:
                entry["logprob"] = entry["logprob"] / 2
        return told

    with live(toy, ServerOptions()) as server, proxy(server.port, answer=doubled) as url:
        assert verify(url, checks=["reported.mass"]).checks["reported.mass"].verdict is Verdict.DEVIATES
