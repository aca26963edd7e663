"""How an endpoint is asked: in how many requests, how many at once, and what is left when it ends early."""

from __future__ import annotations

import json
import math
import threading
import time
from pathlib import Path

import httpx2
import numpy as np
import pytest
from conformance.cases import CASES, COUNTS, UNSEEDED, Case
from conformance.letters import lettered
from conformance.proxy import Fields
from conformance.quirks import QUIRKS
from conformance.transports import answering

from sampling import verify
from sampling.conformance.endpoint.client import Budget, Client
from sampling.conformance.endpoint.connections import Gate
from sampling.conformance.endpoint.costs import cost
from sampling.conformance.endpoint.retries import RetryPolicy
from sampling.conformance.endpoint.transcript import Transcript
from sampling.conformance.endpoint.trouble import Spent
from sampling.conformance.report import Report
from sampling.conformance.sequential_test import Alternative, SequentialTest
from sampling.conformance.statistics.universal import anything
from sampling.conformance.table import CHECKS
from sampling.conformance.verdict import Verdict
from sampling.conformance.verify import Verification
from sampling.core.errors import InvalidArgument

UNDECIDED = (Verdict.INCONCLUSIVE, Verdict.NOT_TESTABLE)
GOOD = {"choices": [{"message": {"content": "A"}}]}


def one_choice(asked: Fields) -> Fields:
    """More than one choice is refused."""
    if (asked.get("n") or 1) > 1:
        raise InvalidArgument("n", asked["n"], "1")
    return asked


def decided(report: Report) -> int:
    return sum(finding.verdict not in UNDECIDED for finding in report.checks.values())


def test_a_thousand_requests_decide_at_an_endpoint_that_gives_one_choice_each():
    target = lettered(one_choice, budget=Budget(1000))
    report = verify(target)
    assert target.client.budget.sent <= 1000
    assert report.identified is not None
    assert report.identified.winners == ("qstash",)
    assert decided(report) >= 30


def test_three_hundred_requests_go_where_they_decide_most():
    """The identification and the cheap checks; before, 13 of 40 were decided."""
    report = verify(lettered(one_choice, budget=Budget(300)))
    assert report.identified is not None
    assert "qstash" in report.identified.winners
    assert len(report.identified.winners) <= 4
    assert decided(report) >= 15


@pytest.mark.parametrize(
    "quirk", ["", "one choice", "four choices", "temperature or top_p", "the fields of OpenAI alone"]
)
def test_the_estimate_is_within_a_fifth_of_what_is_sent(quirk: str):
    """Whatever it takes to learn how an endpoint is asked."""
    target = lettered(QUIRKS[quirk] if quirk else dict)
    verify(target)
    told = cost(list(CHECKS))
    expected = told.alone if "choice" in quirk else told.requests
    assert expected == pytest.approx(target.client.budget.sent, rel=0.2)


SHORT = ("truncation.top-k", "penalties.frequency-counts", "randomness.seeds-differ", "temperature.scale")


def test_what_is_decided_does_not_depend_on_how_many_are_under_way():
    one, eight = (verify(lettered(parallel=n), checks=SHORT).checks for n in (1, 8))
    assert one == eight


def test_answers_that_come_in_another_order_are_the_same_run(tmp_path: Path):
    """Requests without a seed have equal bodies; a transcript gives each the answer that it had."""
    file, run, checks = tmp_path / "transcript", {"seed": 0}, ["randomness.unseeded-vary", "truncation.top-k"]
    target = lettered(transcript=Transcript(file, run))
    first = verify(target, checks=checks)
    head, *lines = file.read_text().splitlines()
    file.write_text("\n".join([head, *lines[::-1]]) + "\n")
    again = lettered(transcript=Transcript(file, run))
    assert verify(again, checks=checks).checks == first.checks
    assert again.client.budget.sent == 0


def test_requests_are_under_way_together_and_fewer_after_a_refusal_for_their_number():
    """All wait until as many are there as may be; then one 503 halves what may be."""
    together = threading.Barrier(4)
    body = json.dumps(GOOD).encode()

    class Waiting(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            import anyio.to_thread

            await anyio.to_thread.run_sync(together.wait, 30.0)
            return httpx2.Response(200, content=body)

    client = Client("http://a", model="m", transport=Waiting(), parallel=4)
    replies = client.ask_all([{"messages": [], "seed": seed} for seed in range(8)])
    client.close()
    assert [type(reply).__name__ for reply in replies] == ["Reply"] * 8


def test_a_gate_narrows_by_half_and_widens_slowly():
    gate = Gate(8)
    gate.told(fewer=True)
    assert gate.limit == 4
    for _ in range(4):
        gate.told(fewer=False)
    assert gate.limit == 4
    gate.told(fewer=False)
    assert gate.limit == 5
    for _ in range(9):
        gate.told(fewer=True)
    assert gate.limit == 1


def test_a_503_is_told_to_the_gate():
    left = [1]

    def answer(_: httpx2.Request) -> httpx2.Response:
        left[0] -= 1
        return httpx2.Response(503 if left[0] >= 0 else 200, json=GOOD)

    client = answering(answer, patience=RetryPolicy(5, 3, 0.001)).client
    client.ask(messages=[])
    assert client._gate.limit == 4  # pyright: ignore[reportPrivateUsage]


def test_a_deadline_leaves_what_was_decided():
    slow = lettered(lambda asked: time.sleep(0.002) or asked, budget=Budget(seconds=1.0))
    report = verify(slow)
    late = [found for found in report.checks.values() if "--max-seconds" in found.evidence]
    assert late
    assert decided(report) >= 1


def test_no_request_is_sent_behind_the_deadline(monkeypatch: pytest.MonkeyPatch):
    budget = Budget(seconds=5.0)
    budget.take()
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + 6)
    with pytest.raises(Spent, match="the 5 s for all requests"):
        budget.take()
    assert budget.sent == 1


def test_an_interruption_leaves_what_was_found():
    def stop(_name: str, number: int, _total: int) -> None:
        if number == 30:
            raise KeyboardInterrupt

    verification = Verification(lettered(), progress=stop)
    with pytest.raises(KeyboardInterrupt):
        verification.run()
    report = verification.so_far("interrupted")
    assert list(report.checks) == verification.wanted
    assert report.identified is not None
    assert (report.exit_code, report.ended) == (2, "interrupted")
    assert sum("interrupted" in found.evidence for found in report.checks.values()) == len(CHECKS) - 30


def test_a_reading_that_is_rejected_itself_is_not_named():
    """What comes is even: 0.9 of one token is excluded, and 0.7 of it fits less badly, but not well."""
    wrong = Alternative("wrong", Verdict.DEVIATES, [np.array([0.7, 0.3])])
    test = SequentialTest({"own": [np.array([0.9, 0.1])]}, [wrong])
    test.add(0, np.arange(400) % 2)
    found = test.finding()
    assert found.verdict is Verdict.DEVIATES
    assert found.evidence.startswith("no named hypothesis fits")


def test_anything_is_a_distribution_of_sequences():
    """The likelihoods of all sequences of three tokens of two kinds add up to 1."""
    sequences = [np.array([a, b, c]) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    one, two = np.zeros(3, dtype=np.int64), np.array([2])
    total = sum(math.exp(anything(sequence, one, two).sum()) for sequence in sequences)
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("case", [case for case in CASES if COUNTS in case.told], ids=lambda case: case.name)
def test_counts_are_decided_soon(case: Case):
    """The right endpoint was undecided after 9,600 draws."""
    target = case.make()
    assert verify(target, checks=[COUNTS]).checks[COUNTS].verdict is case.told[COUNTS]
    assert target.client.budget.sent < 300


def test_the_mended_checks_accuse_no_right_endpoint():
    """Six runs of nine checks; each may be wrong once in 1e6."""
    checks = [*SHORT, UNSEEDED, "randomness.choices-differ", "randomness.uniformity"]
    checks += ["penalties.presence-scope", "penalties.temperature-order"]
    for seed in range(6):
        report = verify(lettered(), checks=checks, seed=seed)
        assert {found.verdict for found in report.checks.values()} == {Verdict.CONFORMS}
