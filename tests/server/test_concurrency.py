"""Many requests at once: the same answers, fair turns, a bounded queue, faults that stay where they are."""

from __future__ import annotations

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from server.live import ANSWER, CHAT, eventually, read_reply, running

import sampling.server.service
from sampling.chat.batch import ChatBatch
from sampling.chat.completion import Completion
from sampling.chat.stream import ChunkWriter
from sampling.core.errors import RowError


def requests_of_all_kinds(count: int) -> list[dict[str, object]]:
    """Seeded requests, no two alike."""
    chance = random.Random(20)
    texts = ["What is the capital of Turkey?", "Name a fruit.", "Hello!", "Tell me a story.", "Count."]
    return [
        {
            "messages": [{"role": "user", "content": chance.choice(texts) * chance.randint(1, 4)}],
            "seed": seed,
            "temperature": chance.choice([0, 0.5, 1.0, 1.7]),
            "top_p": chance.choice([0.5, 0.9, 1.0]),
            "presence_penalty": chance.choice([0, 1.5]),
            "n": chance.choice([1, 1, 2, 5]),
            "max_tokens": chance.randint(1, 24),
            "logprobs": True,
            "top_logprobs": chance.choice([0, 3]),
        }
        for seed in range(count)
    ]


def test_each_answer_is_the_same_alone_and_among_many(server):
    requests = requests_of_all_kinds(48)
    alone = [server.chat(**request).json["choices"] for request in requests]
    with ThreadPoolExecutor(24) as pool:
        together = [reply.json["choices"] for reply in pool.map(lambda one: server.chat(**one), requests)]
    assert together == alone  # to the last bit of every log probability


def test_requests_run_together(server, gate):
    with server.asked(temperature=0) as first, server.asked(temperature=0) as second:
        assert eventually(lambda: running(server) == 2)
        gate.let(1)
        assert server.reaches("sampling_rows_running", 2)
        before = server.metric("sampling_step_seconds_count")
        gate.open()
        for connection in (first, second):
            assert read_reply(connection).json["choices"][0]["message"]["content"] == ANSWER
        assert server.metric("sampling_step_seconds_count") - before <= 9  # 8 tokens each, 16 apart


def test_the_queue_is_bounded_and_first_come_is_first_served(serving, gate, monkeypatch):
    small, add, admitted = serving(max_batch=2, max_queue=2), ChatBatch.add, []

    def noting(batch, completion):
        admitted.append(completion.prepared.request.max_tokens)
        add(batch, completion)

    monkeypatch.setattr(ChatBatch, "add", noting)
    with ThreadPoolExecutor(4) as pool:
        running = []
        for tokens in range(
            1, 5
        ):  # a step with the first is held up; a row is free for the second; two may wait
            running.append(pool.submit(small.chat, max_tokens=tokens))
            assert eventually(lambda n=tokens: len(admitted) + len(small.service.worker.queue) == n)
        refused = small.chat()
        assert small.send(CHAT, b"not even JSON").status == 429  # nothing is read or checked for nothing
        gate.open()
        assert [one.result().status for one in running] == [200] * 4
    assert (refused.status, refused.error["code"]) == (429, "queue_full")
    assert int(refused.headers["retry-after"]) >= 1
    assert admitted == [1, 2, 3, 4]
    assert small.chat(max_tokens=1).status == 200


def test_without_a_queue_there_is_room_for_as_many_as_decode(serving, gate):
    small = serving(max_batch=2, max_queue=0)
    with small.asked(max_tokens=2) as one:
        assert small.reaches("sampling_rows_running", 1)
        with small.asked(max_tokens=2) as two:
            assert small.reaches("sampling_requests_waiting", 1)  # until the step that is held up is over
            assert small.chat().status == 429
            gate.open()
            assert (read_reply(one).status, read_reply(two).status) == (200, 200)


def test_a_request_of_many_rows_waits_for_them_and_is_not_overtaken(serving, gate):
    small = serving(max_batch=2)
    with small.asked(max_tokens=3) as first:
        assert small.reaches("sampling_rows_running", 1)
        with small.asked(n=2, max_tokens=1) as wide, small.asked(max_tokens=1) as last:
            assert small.reaches("sampling_requests_waiting", 2)
            gate.let(2)
            assert small.metric("sampling_rows_running") == 1
            gate.open()
            for connection in (first, wide, last):
                assert read_reply(connection).status == 200


def failing_when(monkeypatch, owner, name, applies, error):
    """Make a method fail where something applies."""
    original = getattr(owner, name)

    def method(self, *arguments):
        if applies(self, *arguments):
            raise error
        return original(self, *arguments)

    monkeypatch.setattr(owner, name, method)


def marked(completion: Completion) -> bool:
    """Whether a request is the one that shall fail."""
    return completion.prepared.request.params.seed == 666


FAULTS = {
    "prefill": (ChatBatch, "add", lambda _, completion: marked(completion)),
    "chunks": (ChunkWriter, "write", lambda writer, _: marked(writer._completion)),
}


@pytest.mark.parametrize(("fault", "stream"), [("prefill", False), ("prefill", True), ("chunks", True)])
def test_a_fault_ends_its_own_request_only(server, gate, monkeypatch, caplog, fault, stream):
    failing_when(monkeypatch, *FAULTS[fault], RuntimeError("a fault of the test's"))
    with server.asked(temperature=0) as good:
        assert server.reaches("sampling_rows_running", 1)
        with server.asked(seed=666, stream=stream) as bad:
            gate.open()
            reply = read_reply(bad)
        assert read_reply(good).json["choices"][0]["message"]["content"] == ANSWER
    if fault == "chunks":
        assert reply.status == 200  # the stream had begun
        assert reply.events[-1]["error"]["type"] == "server_error"
    else:
        assert reply.status == 500
        assert reply.error["type"] == "server_error"
    assert "a fault of the test's" not in reply.content.decode()
    failed = [record for record in caplog.records if record.getMessage() == "request_failed"]
    assert [str(record.exc_info[1]) for record in failed] == ["a fault of the test's"]
    assert server.reaches("sampling_rows_running", 0)
    assert server.chat(temperature=0).json["choices"][0]["message"]["content"] == ANSWER


def test_logits_that_can_not_be_sampled_end_their_request_only(server, gate, monkeypatch):
    step = ChatBatch.step

    def with_fault(batch):
        for completion in [*batch._rows]:
            if marked(completion):
                row = next(iter(batch._rows[completion].values()))
                batch.decoder._logits[row] = float("nan")
        return step(batch)

    monkeypatch.setattr(ChatBatch, "step", with_fault)
    with server.asked(temperature=0) as good, server.asked(seed=666) as bad:
        gate.open()
        reply = read_reply(bad)
        assert read_reply(good).json["choices"][0]["message"]["content"] == ANSWER
    assert reply.status == 500
    assert reply.error["code"] == "row_error"
    assert "NaN" in reply.error["message"]


def test_a_step_that_fails_ends_what_runs_and_the_next_request_is_served(server, gate, monkeypatch, caplog):
    step, broken = ChatBatch.step, [True]

    def failing(batch):
        taken = step(batch)
        if broken.pop() if broken else False:
            raise RuntimeError("the whole step")
        return taken

    with server.asked() as one, server.asked(stream=True) as two:
        assert eventually(lambda: running(server) == 2)
        gate.let(1)
        assert server.reaches("sampling_rows_running", 2)
        monkeypatch.setattr(ChatBatch, "step", failing)
        gate.open()
        replies = [read_reply(one), read_reply(two)]
    assert replies[0].status == 500
    assert replies[1].events[-1]["error"]["code"] == "internal_error"
    assert [record.getMessage() for record in caplog.records].count("batch_failed") == 1
    assert server.chat(temperature=0).json["choices"][0]["message"]["content"] == ANSWER


def test_a_fault_while_checking_is_500(server, monkeypatch):
    failing_when(monkeypatch, Completion, "__init__", lambda *_: True, RuntimeError("checking"))
    reply = server.chat()
    assert (reply.status, reply.error["type"]) == (500, "server_error")


def test_row_errors_are_told(server, monkeypatch):
    failing_when(monkeypatch, ChatBatch, "add", lambda *_: True, RowError("row 0: nothing is left"))
    reply = server.chat()
    assert reply.status == 500
    assert reply.error["message"] == "row 0: nothing is left"


def test_the_event_loop_is_free_while_a_request_is_checked(server, monkeypatch):
    entered, leave, original = threading.Event(), threading.Event(), sampling.server.service.prepare

    def slow(loaded, request, *others):
        if request.params.seed == 666:
            entered.set()
            assert leave.wait(60)
        return original(loaded, request, *others)

    monkeypatch.setattr(sampling.server.service, "prepare", slow)
    with server.asked(seed=666) as held:
        assert entered.wait(60)
        assert server.send("/health").status == 200
        assert server.chat(temperature=0).json["choices"][0]["message"]["content"] == ANSWER
        leave.set()
        assert read_reply(held).status == 200


def test_messages_stay_out_of_the_logs(server, caplog):
    caplog.set_level("INFO", logger="sampling.server")
    secret = "a word that nobody else says"
    reply = server.chat([{"role": "user", "content": secret}], max_tokens=2, n=2)
    lines = lambda: [r.fields for r in caplog.records if r.getMessage() == "request"]  # noqa: E731
    assert eventually(lambda: any(line["request_id"] == reply.json["id"] for line in lines()))
    line = next(line for line in lines() if line["request_id"] == reply.json["id"])
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/chat/completions", 200)
    assert line["prompt_tokens"] == reply.json["usage"]["prompt_tokens"]
    assert line["completion_tokens"] == reply.json["usage"]["completion_tokens"]
    assert line["finish_reasons"] == [choice["finish_reason"] for choice in reply.json["choices"]]
    assert 0 <= line["queue_seconds"] <= line["seconds"]
    assert secret not in json.dumps(lines())
