"""Long prompts and long answers on a server: others go on meanwhile, and where memory ends the answer says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from server.live import ANSWER, Live, eventually, live, read_reply

from sampling import load
from sampling.server import ServerOptions

LONG = [{"role": "user", "content": "What is the capital of Peru? " * 220}]  # four parts
ENDLESS = {"logit_bias": {"2043": -100, "2047": -100}}
PART, STEP = "part", "step"


@pytest.fixture(scope="module")
def long_server() -> Iterator[Live]:
    """The built-in checkpoint, as if it had a longer context."""
    loaded = load(None)
    loaded.model.config = replace(loaded.model.config, max_position_embeddings=4096)
    with live(loaded, ServerOptions(max_batch=4)) as running:
        yield running


@pytest.fixture
def work(long_server: Live, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes through the model."""
    seen: list[str] = []
    model = long_server.service.loaded.model
    forward = model.next_logits

    def noted(tokens: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append(PART if len(tokens) == 1 else STEP)
        return forward(tokens, *rest)

    monkeypatch.setattr(model, "next_logits", noted)
    return seen


def test_streams_go_on_between_the_parts_of_a_prompt(long_server, gate, work):
    before = long_server.metric("sampling_prefill_seconds_count") + 1
    with long_server.asked(max_tokens=60, stream=True, **ENDLESS) as stream:
        assert long_server.reaches("sampling_prefill_seconds_count", before)
        with long_server.asked(messages=LONG, max_tokens=2) as long:
            assert eventually(lambda: len(long_server.service.worker.queue) == 1)
            gate.let(1)
            assert long_server.metric("sampling_rows_running") == 2
            gate.let(2)
            assert work == [PART, PART, STEP, PART, STEP, PART]  # the first part is the stream's own prompt
            assert long_server.metric("sampling_prefill_seconds_count") == before
            gate.open()
            assert read_reply(long).json["usage"]["completion_tokens"] == 2
            assert long_server.metric("sampling_prefill_seconds_count") == before + 1
        events = read_reply(stream).events
        assert events[-2]["usage"]["completion_tokens"] == 60
    assert work[6:10] == [STEP, PART, STEP, STEP]


def test_whoever_leaves_while_a_prompt_is_read_frees_the_rows(long_server, gate, work):
    with long_server.asked(max_tokens=9, temperature=0) as staying:
        assert long_server.reaches("sampling_rows_running", 1)
        with long_server.asked(messages=LONG, n=3) as leaving:
            assert eventually(lambda: len(long_server.service.worker.queue) == 1)
            gate.let(1)
            assert long_server.metric("sampling_rows_running") == 4
            leaving.close()
            assert long_server.reaches('sampling_requests_total{status="disconnected"}', 1)
            gate.let(1)
            assert long_server.metric("sampling_rows_running") == 1
        gate.open()
        assert read_reply(staying).json["choices"][0]["message"]["content"] == ANSWER
    assert work.count(PART) == 2


def test_a_prompt_that_is_read_when_the_server_begins_to_end_is_answered(gate):
    loaded = load(None)
    loaded.model.config = replace(loaded.model.config, max_position_embeddings=4096)
    with live(loaded, ServerOptions(max_batch=4)) as server, server.asked(max_tokens=5, **ENDLESS) as first:
        assert server.reaches("sampling_rows_running", 1)
        with server.asked(messages=LONG, max_tokens=2) as long:
            assert eventually(lambda: len(server.service.worker.queue) == 1)
            gate.let(1)
            server.service.worker.queue.draining = True  # as a signal does
            gate.open()
            assert [read_reply(one).status for one in (first, long)] == [200, 200]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch):
    """Sets how many bytes the system says are free."""
    return lambda free: monkeypatch.setattr("sampling.model.allocation.free_bytes", lambda _: free)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.exc_info]


def test_a_request_that_never_fits_is_refused_by_name(long_server, memory, caplog):
    memory(3_000_000)  # 1,551 positions and more take 4.1 MB
    reply = long_server.chat(LONG)
    assert reply.status == 400
    assert reply.error["param"] == "max_tokens"
    assert reply.error["code"] == "out_of_memory"
    assert reply.error["message"].startswith("max_tokens: memory ends (5,245,440 bytes more are wanted")
    assert "--max-context" in reply.error["message"]
    assert logged(caplog) == []
    assert long_server.chat(temperature=0).json["choices"][0]["message"]["content"] == ANSWER


def test_beside_others_it_may_come_again(long_server, memory, gate, caplog):
    with long_server.asked(temperature=0) as staying:
        assert long_server.reaches("sampling_rows_running", 1)
        memory(3_000_000)
        with long_server.asked(messages=LONG, stream=True) as long:
            gate.open()
            reply = read_reply(long)
        assert read_reply(staying).json["choices"][0]["message"]["content"] == ANSWER
    assert reply.status == 503
    assert (reply.error["param"], reply.error["code"]) == ("max_tokens", "out_of_memory")
    assert int(reply.headers["retry-after"]) >= 1
    assert logged(caplog) == []


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_outgrows_memory_ends_and_its_neighbours_go_on(long_server, memory, caplog, stream):
    memory(2_000_000)  # 512 positions take 1.3 MB, 1,024 twice as much
    half = [{"role": "user", "content": "What is the capital of Peru? " * 70}]  # 500 tokens
    with long_server.asked(max_tokens=200, seed=1, **ENDLESS) as staying:
        assert long_server.reaches("sampling_rows_running", 1)
        with long_server.asked(messages=half, stream=stream, **ENDLESS) as long:
            reply = read_reply(long)
        answer = read_reply(staying).json
    assert answer["usage"]["completion_tokens"] == 200
    if stream:
        assert reply.status == 200
        *chunks, last = reply.events
        assert len(chunks) >= 2
        error = last["error"]
    else:
        assert reply.status == 503
        error = reply.error
    assert (error["param"], error["code"]) == ("max_tokens", "out_of_memory")
    assert logged(caplog) == []
    assert json.dumps(answer["choices"]) == json.dumps(
        long_server.chat(max_tokens=200, seed=1, **ENDLESS).json["choices"]
    )
