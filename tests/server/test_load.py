"""Some seconds of `benchmarks/soak/load.py` and `disconnects.py`; and that they notice when a server is wrong."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from sampling.generate.decode import Decoder
from sampling.server.job import Job
from sampling.server.queue import JobQueue

pytest.importorskip("benchmarks.soak", reason="a source distribution holds no benchmarks")


@pytest.fixture(scope="module")
def soak() -> SimpleNamespace:
    """The scripts as modules."""
    from benchmarks.soak import disconnects, load, mix, serving, summaries, tokens

    return SimpleNamespace(
        disconnects=disconnects, load=load, mix=mix, serving=serving, summaries=summaries, tokens=tokens
    )


def stormed(soak, port: int, *, pool: int, clients: int, seconds: float) -> dict[str, Any]:
    """What the answers of some clients at once look like beside those of one."""
    address, requests = soak.serving.Address(port), soak.mix.mixed(pool, 7)
    expected = soak.load.alone(address, requests)
    asked = soak.load.storm(address, requests, clients=clients, seconds=seconds, seed=0)
    replay = soak.load.replayed(address, asked, requests)
    return soak.load.verdicts(asked, requests, expected) | {"replay": replay}


def test_eight_clients_get_what_each_would_get_alone(soak, server):
    found = stormed(soak, server.port, pool=40, clients=8, seconds=5)
    assert found["first_problems"] == []
    assert found["incomplete_or_refused"] == found["seeded_answers_that_differ"] == 0
    assert found["seeded_answers_compared"] >= 20
    assert found["replay"]["that_differ"] == 0


def test_requests_are_of_every_kind(soak):
    requests = soak.mix.mixed(200, 0)
    fields = {name for request in requests for name in request}
    assert fields >= {
        "stream",
        "n",
        "seed",
        "stop",
        "logprobs",
        "frequency_penalty",
        "logit_bias",
        "response_format",
    }
    assert {request.get("n", 1) for request in requests} == {1, 2, 3}
    assert len({str(request) for request in requests}) == 200


def test_it_notices_that_others_change_an_answer(soak, server, monkeypatch):
    original = Decoder.next_logits

    def disturbed(decoder):
        return original(decoder) * (1 + (decoder.rows - decoder.free) / 100)

    monkeypatch.setattr(Decoder, "next_logits", disturbed)
    assert stormed(soak, server.port, pool=8, clients=4, seconds=1)["seeded_answers_that_differ"] > 0


def test_it_notices_a_stream_that_is_cut_off(soak, server, monkeypatch):
    monkeypatch.setattr("sampling.server.endpoint.DONE", "{}")
    with pytest.raises(RuntimeError, match="the stream ends with"):
        stormed(soak, server.port, pool=8, clients=1, seconds=0)


def memory(leak: float) -> list[tuple[float, float]]:
    """Two minutes of a server that takes a while to warm up, with a jitter of 0.4 MiB and a leak in MiB a second."""
    chance = random.Random(0)
    return [(s, 400 - 20 * 0.8**s + leak * s + chance.uniform(0, 0.4)) for s in range(120)]


def test_growth_is_told_from_warming_up(soak):
    assert not soak.summaries.growth(memory(0), 120, 8000)["grows"]
    found = soak.summaries.growth(memory(0.05), 120, 8000)
    assert found["grows"]
    assert found["grown_mib"] == pytest.approx(3, abs=0.4)  # 60 s of 0.05 MiB
    assert found["growth_that_counts_mib"] == 2
    assert found["growth_that_counts_bytes_an_answer"] == round(2**21 / 4000)


def test_tokens_are_compared_up_to_the_first_that_differs(soak):
    def choice(*tokens: tuple[int, float]) -> list[dict[str, Any]]:
        return [{"bytes": [byte], "logprob": logprob} for byte, logprob in tokens]

    pairs = [
        (
            choice((1, -1.0), (2, -2.0)),
            choice((1, -1.0), (2, -2.5)),
        ),  # equal; one log probability is another one
        (
            choice((1, -1.0), (2, -2.0), (3, -1.0)),
            choice((1, -1.0), (5, -2.0), (6, -3.0)),
        ),  # the second differs
        (choice((1, -1.0)), choice((1, -1.0), (2, -1.0))),  # an end in place of the second
    ]
    found = soak.tokens.counted(pairs)
    assert (found["choices"], found["choices_that_differ"]) == (3, 2)
    assert (found["tokens_compared"], found["tokens_that_differ"]) == (6, 2)
    assert found["log_probabilities_with_other_bits"] == 1
    assert found["largest_difference_of_a_log_probability"] == 0.5


def test_clients_that_leave_leave_nothing_behind(soak, serving):
    fresh = serving()
    found = soak.disconnects.measured(soak.serving.Address(fresh.port), 30, 12, 0)
    assert found["faults"] == []
    assert 0 < found["streamed"] < 30


def test_it_notices_rows_that_stay_occupied(soak, serving, monkeypatch):
    fresh = serving(max_context=120)  # where an answer takes about a hundred steps
    original = JobQueue.give_up

    def forgetful(queue: JobQueue, job: Job) -> None:
        if job.begun is None:
            original(queue, job)

    monkeypatch.setattr(JobQueue, "give_up", forgetful)
    found = soak.disconnects.measured(soak.serving.Address(fresh.port), 6, 4, 0)
    assert "steps went on" in found["faults"]
