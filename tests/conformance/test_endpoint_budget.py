"""How an endpoint is asked, and faults that only such questions show."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from conformance.letters import lettered
from conformance.proxy import Fields
from conformance.transports import answering

from sampling import verify
from sampling.conformance.contest import ANYTHING, Standing
from sampling.conformance.endpoint.client import Budget, Client
from sampling.conformance.endpoint.connections import Gate
from sampling.conformance.endpoint.costs import cost
from sampling.conformance.endpoint.fenced import ALWAYS
from sampling.conformance.endpoint.patience import Patience
from sampling.conformance.endpoint.target import EndpointTarget
from sampling.conformance.endpoint.transcript import Transcript
from sampling.conformance.endpoint.trouble import Spent
from sampling.conformance.report import Report
from sampling.conformance.statistics.universal import anything
from sampling.conformance.table import CHECKS
from sampling.conformance.verdict import Finding, Verdict
from sampling.conformance.verify import Verification
from sampling.errors import InvalidRequest

UNDECIDED = (Verdict.INCONCLUSIVE, Verdict.NOT_TESTABLE)
GOOD = {"choices": [{"message": {"content": "A"}}]}


def one_choice(asked: Fields) -> Fields:
    """More than one choice is refused."""
    if (asked.get("n") or 1) > 1:
        raise InvalidRequest("n", asked["n"], "1")
    return asked


def decided(report: Report) -> int:
    return sum(finding.verdict not in UNDECIDED for finding in report.checks.values())


def finding(
    check: str, ask: Callable[[Fields], Fields] = dict, answer: Any = None, **settings: Any
) -> Finding:
    """One check of the endpoint of letters with one fault."""
    target = lettered(ask, answer or (lambda _, told: told), **settings)
    return verify(target, checks=[check]).checks[check]


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


@pytest.mark.parametrize("most", [16, 1])
def test_the_estimate_is_within_a_fifth_of_what_is_sent(most: int):
    target = lettered(one_choice if most == 1 else dict)
    verify(target)
    told = cost(list(CHECKS))
    assert (told.alone if most == 1 else told.requests) == pytest.approx(target.client.budget.sent, rel=0.2)


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

    client = answering(answer, patience=Patience(5, 3, 0.001)).client
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
    assert sum("interrupted" in found.evidence for found in report.checks.values()) == 10


def greedy(asked: Fields) -> Fields:
    return {**asked, "temperature": 0}


@pytest.mark.parametrize("check", ["temperature.scale", "truncation.disabled", "truncation.min-p-order"])
def test_a_greedy_endpoint_is_called_greedy(check: str):
    found = finding(check, greedy)
    assert found.verdict is Verdict.DEVIATES
    assert repr(ALWAYS) in found.evidence
    assert "clamped" not in found.evidence.partition(";")[0]


def test_a_reading_that_is_rejected_itself_is_not_named():
    """What comes is even: 0.9 of one token is excluded, and 0.7 of it fits less badly, but not well."""
    standing = Standing(["own"], ["wrong"], [ANYTHING])
    tokens, seen = np.arange(400) % 2, np.zeros(2, dtype=np.int64)
    shares = {"own": np.array([0.9, 0.1]), "wrong": np.array([0.7, 0.3])}
    logs = {name: np.log(row)[tokens] for name, row in shares.items()}
    standing.seen.take({**logs, ANYTHING: anything(seen, tokens)})
    found = standing.finding(400, "")
    assert found.verdict is Verdict.DEVIATES
    assert found.evidence.startswith("no named reading fits")


def test_anything_is_a_distribution_of_sequences():
    """The likelihoods of all sequences of three tokens of two kinds add up to 1."""
    sequences = [np.array([a, b, c]) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    total = sum(math.exp(anything(np.zeros(2, dtype=np.int64), s).sum()) for s in sequences)
    assert total == pytest.approx(1.0)


def without(name: str) -> Callable[[Fields], Fields]:
    """A parameter that is allowed gets lost."""
    return lambda asked: {key: value for key, value in asked.items() if key != name}


def test_a_presence_penalty_without_effect_is_no_pass_of_its_scope():
    found = finding("penalties.presence-scope", without("presence_penalty"))
    assert found.verdict is Verdict.IGNORED


def swapped(asked: Fields) -> Fields:
    """A presence penalty acts as a frequency penalty."""
    changed = without("presence_penalty")(asked)
    return (
        {**changed, "frequency_penalty": asked["presence_penalty"]}
        if "presence_penalty" in asked
        else changed
    )


@pytest.mark.parametrize(
    ("ask", "verdict"),
    [(dict, Verdict.CONFORMS), (without("frequency_penalty"), Verdict.IGNORED), (swapped, Verdict.DEVIATES)],
    ids=["right", "ignored", "presence counts"],
)
def test_counts_are_decided(ask: Callable[[Fields], Fields], verdict: Verdict):
    """The rightly behaving one was undecided after 9,600 draws; now within 150 requests."""
    target = lettered(ask)
    found = verify(target, checks=["penalties.frequency-counts"]).checks["penalties.frequency-counts"]
    assert found.verdict is verdict, found.evidence
    assert target.client.budget.sent < 300


def seeded(change: Callable[[int], Any]) -> Callable[[Fields], Fields]:
    """Seeds become others."""
    return lambda asked: (
        {**asked, "seed": change(asked["seed"])} if isinstance(asked.get("seed"), int) else asked
    )


SEEDS = {
    "one for all": (seeded(lambda _: 1), "one seed for all"),
    "of 32 bits": (seeded(lambda seed: seed % 2**32), "s + 2^32 give what s gives"),
    "of 31 bits": (seeded(lambda seed: seed % 2**31), "s + 2^31 and s + 2^32 give"),
    "without a sign": (seeded(abs), "-s give what s gives"),
}


@pytest.mark.parametrize(("ask", "words"), SEEDS.values(), ids=SEEDS)
def test_the_rule_of_seeds_is_found(ask: Callable[[Fields], Fields], words: str):
    found = finding("randomness.seeds-differ", ask)
    assert found.verdict is Verdict.DEVIATES
    assert words in found.evidence


def test_a_seed_of_minus_one_that_is_none_is_told():
    found = finding("randomness.seeds-differ", seeded(lambda seed: None if seed == -1 else seed))
    assert found.verdict is Verdict.CONFORMS
    assert "a seed of -1 is none" in found.evidence


class Following:
    """Choice i of seed s is choice 0 of seed s + i, as vLLM has it."""

    def __init__(self) -> None:
        self.inner = lettered()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        asked = json.loads(request.content)
        n, seed = asked.pop("n", 1), asked.pop("seed", None)
        del asked["model"]
        seeds = [{} if seed is None else {"seed": seed + index} for index in range(n)]
        told = [self.inner.client.ask(**asked, **given) for given in seeds]
        choices = [{**reply.choices[0].model_dump(), "index": i} for i, reply in enumerate(told)]
        return httpx2.Response(200, json={"choices": choices})


def test_choices_that_have_the_seeds_behind_are_found_and_are_vllms():
    check = "randomness.seeds-differ"
    found = verify(answering(Following()), checks=[check]).checks[check]
    assert (found.verdict, "choice i of seed s" in found.evidence) == (Verdict.DEVIATES, True)
    assert verify(answering(Following()), "vllm", checks=[check]).checks[check].verdict is Verdict.CONFORMS


UNSEEDED = "randomness.unseeded-vary"


def test_a_seed_that_all_have_who_give_none_is_named():
    found = finding(UNSEEDED, lambda asked: {"seed": 42, **asked})
    assert found.verdict is Verdict.DEVIATES
    assert "every request without a seed has the same one, 42" in found.evidence


class Restarting(httpx2.AsyncBaseTransport):
    """Connections that each begin the same stream; closing them ends it."""

    def __init__(self) -> None:
        self.served = lettered(self.numbered).client._transport  # pyright: ignore[reportPrivateUsage]
        self.number = 0

    def numbered(self, asked: Fields) -> Fields:
        self.number += 1
        return {"seed": 1000 + self.number, **asked}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self.served.handle_async_request(request)  # pyright: ignore[reportOptionalMemberAccess]

    async def aclose(self) -> None:
        self.number = 0


def test_a_stream_that_every_connection_begins_anew_is_named():
    target = EndpointTarget("http://a", model="m", transport=Restarting())
    found = verify(target, checks=[UNSEEDED]).checks[UNSEEDED]
    assert found.verdict is Verdict.DEVIATES
    assert "every connection begins the same stream" in found.evidence


def test_a_seed_that_stays_for_those_who_give_none_is_named():
    last = [0, 10**6]

    def staying(asked: Fields) -> Fields:
        if asked.get("seed") is None:
            last[0] += 1
            last[1] += 0 if last[0] else 1
            return {**asked, "seed": last[1] + last[0]}
        last[:] = [0, asked["seed"]]
        return asked

    found = finding(UNSEEDED, staying)
    assert found.verdict is Verdict.DEVIATES
    assert "a seed stays" in found.evidence


def score(choice: Fields) -> float:
    """The log probability of a choice's first token."""
    return choice["logprobs"]["content"][0]["logprob"]


def by_score(asked: Fields, told: Fields) -> Fields:
    """Choices come with the likeliest first, where log probabilities are asked for."""
    del asked
    if all(choice["logprobs"] for choice in told["choices"]):
        told["choices"].sort(key=score, reverse=True)
    return told


def test_choices_that_come_sorted_are_named_and_accuse_nobody():
    checks = ["randomness.choices-differ", "randomness.uniformity", "truncation.top-k"]
    report = verify(lettered(answer=by_score), checks=checks)
    assert report.checks["randomness.choices-differ"].verdict is Verdict.AMBIGUOUS
    assert "sorted by score" in report.checks["randomness.choices-differ"].evidence
    assert {report.checks[name].verdict for name in checks[1:]} == {Verdict.CONFORMS}
    assert report.exit_code == 0


def test_the_mended_checks_accuse_no_right_endpoint():
    """Six runs of nine checks; each may be wrong once in 1e6."""
    checks = [*SHORT, UNSEEDED, "randomness.choices-differ", "randomness.uniformity"]
    checks += ["penalties.presence-scope", "penalties.temperature-order"]
    for seed in range(6):
        report = verify(lettered(), checks=checks, seed=seed)
        assert {found.verdict for found in report.checks.values()} == {Verdict.CONFORMS}
