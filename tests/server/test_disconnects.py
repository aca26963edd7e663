"""Clients that leave: their rows are free one step later."""

from __future__ import annotations

import socket
import struct

import pytest
from server.live import ANSWER, eventually, half_request, read_reply, running

DISCONNECTED = 'sampling_requests_total{status="disconnected"}'


def endless(server, **fields):
    """Ask for an answer that lasts as long as the context does: its end token is banned."""
    end = server.service.loaded.tokenizer.eos_token_id
    ends = {str(token): -100 for token in {end, *server.service.loaded.model.config.eos_token_ids}}
    return server.asked(logit_bias=ends, **fields)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("way", ["close", "reset"])
def test_whoever_leaves_while_decoding_frees_the_rows_within_one_step(server, gate, stream, way):
    with endless(server, n=3, stream=stream) as leaving, server.asked(temperature=0) as staying:
        assert eventually(lambda: running(server) == 2)
        gate.let(1)
        assert server.metric("sampling_rows_running") == 4
        steps, left = server.metric("sampling_step_seconds_count"), server.metric(DISCONNECTED)
        if way == "reset":
            leaving.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        leaving.close()
        assert server.reaches(DISCONNECTED, left + 1)
        gate.let(1)  # the step that was under way
        assert server.metric("sampling_rows_running") == 1
        assert server.metric("sampling_step_seconds_count") == steps + 1
        gate.open()
        assert read_reply(staying).json["choices"][0]["message"]["content"] == ANSWER


def test_whoever_leaves_while_waiting_is_out_of_the_queue(serving, gate):
    small = serving(max_batch=1)
    with small.asked(max_tokens=2) as running:
        assert small.reaches("sampling_rows_running", 1)
        with small.asked() as waiting:
            assert small.reaches("sampling_requests_waiting", 1)
            waiting.close()
            assert small.reaches("sampling_requests_waiting", 0)
        gate.open()
        assert read_reply(running).status == 200
    assert small.reaches(DISCONNECTED, 1)
    assert small.metric("sampling_queue_seconds_count") == 1  # it never got a row


def test_whoever_leaves_in_the_middle_of_a_body_is_forgotten(server):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    half_request(server.port, head).close()
    assert server.chat(temperature=0).json["choices"][0]["message"]["content"] == ANSWER


def test_many_who_leave_leave_no_row_behind(serving):
    fresh = serving(max_queue=100)
    for number in range(40):
        with endless(fresh, stream=bool(number % 2)) as leaving:
            if number % 4 == 1:
                leaving.getresponse().readline()
    assert fresh.reaches("sampling_requests_running", 0)
    assert fresh.reaches("sampling_requests_waiting", 0)
    assert fresh.metric("sampling_rows_running") == 0
    assert fresh.chat(n=16, max_tokens=1).status == 200
    steps = fresh.metric("sampling_step_seconds_count")
    assert fresh.chat(max_tokens=1).status == 200
    assert fresh.metric("sampling_step_seconds_count") == steps + 1  # nothing else decodes
