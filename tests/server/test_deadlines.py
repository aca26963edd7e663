"""Connections that do nothing, or half of something: closed in time, bounded in number, and forgotten."""

from __future__ import annotations

import json
import logging
import socket
import time

import pytest
from server.live import ANSWER, CHAT, PATIENCE, eventually, read_raw
from server.raw import chat, connect, endless, head, read_to_end, replies

from sampling.core.errors import InvalidArgument
from sampling.server import ServerOptions

DISCONNECTED = 'sampling_requests_total{status="disconnected"}'
SHORT = 0.05
HEALTH = head(line="GET /health HTTP/1.1")


def dripped(client: socket.socket, text: bytes) -> None:
    """Send byte by byte until the server has enough of it."""
    for place in range(len(text)):
        try:
            client.sendall(text[place : place + 1])
        except OSError:
            return
        time.sleep(SHORT / 5)


def test_a_connection_without_a_request_is_closed(serving):
    quick = serving(keep_alive=SHORT)
    with connect(quick) as silent, connect(quick, b"\r\n") as line_end, connect(quick, HEALTH) as done:
        assert read_to_end(silent) == b""
        assert read_to_end(line_end) == b""
        (reply,) = replies(read_to_end(done))
    assert reply.json == {"status": "ok"}


def test_one_that_is_used_stays_open(serving):
    quick = serving(keep_alive=0.5)
    with connect(quick) as client:
        for _ in range(8):
            time.sleep(0.1)
            client.sendall(HEALTH)
            assert read_raw(client).json == {"status": "ok"}


@pytest.mark.parametrize("sent", [b"G", HEALTH[:-2], HEALTH + b"\r\nG"])
def test_a_head_that_does_not_end_is_408(serving, sent):
    quick = serving(head_timeout=SHORT)
    with connect(quick, sent) as client:
        *_, reply = replies(read_to_end(client))
    assert (reply.status, reply.error["code"]) == (408, "request_timeout")
    assert reply.error["message"] == "the head of a request must be complete within 0.05 seconds"


@pytest.mark.parametrize("sent", [head("Content-Length: 9"), head("Transfer-Encoding: chunked") + b"1\r\n{"])
def test_a_body_that_does_not_end_is_408(serving, sent):
    quick = serving(body_timeout=SHORT)
    with connect(quick, sent) as client:
        (reply,) = replies(read_to_end(client))
    assert (reply.status, reply.error["code"], reply.error["param"]) == (408, "request_timeout", "body")
    assert reply.headers["connection"] == "close"


def test_who_drips_wins_no_time(serving):
    quick = serving(head_timeout=SHORT, body_timeout=SHORT)
    with connect(quick) as slow_head, connect(quick, head("Content-Length: 1000")) as slow_body:
        dripped(slow_head, b"GET /" + b"x" * 1000)
        dripped(slow_body, b"x" * 1000)
        assert [one.status for one in replies(read_to_end(slow_head))] == [408]
        assert [one.status for one in replies(read_to_end(slow_body))] == [408]


def test_a_request_that_is_computed_has_no_deadline(serving, gate):
    quick = serving(keep_alive=SHORT, head_timeout=SHORT, body_timeout=SHORT, write_timeout=SHORT)
    with connect(quick, chat(quick)) as client:
        assert quick.reaches("sampling_rows_running", 1)
        time.sleep(4 * SHORT)
        gate.open()
        assert read_raw(client).json["choices"][0]["message"]["content"] == ANSWER


def test_connections_past_the_limit_are_503(serving):
    small = serving(max_connections=3)
    open_ones = [connect(small, HEALTH) for _ in range(3)]
    assert [read_raw(one).status for one in open_ones] == [200] * 3
    with connect(small) as silent, connect(small, chat(small)) as asking:
        for one in (silent, asking):
            reply = read_raw(one)
            assert (reply.status, reply.error["code"]) == (503, "too_many_connections")
            assert reply.error["message"].startswith("3 connections are open")
            assert reply.headers["connection"] == "close"
            assert one.recv(1) == b""
    for one in open_ones:
        one.sendall(HEALTH)
        assert read_raw(one).status == 200  # those that are open go on
        one.close()
    assert eventually(lambda: small.send("/health").status == 200)


def test_refused_connections_are_logged_once_a_second(serving, caplog):
    small, started = serving(max_connections=1), time.monotonic()
    with connect(small, HEALTH) as one:
        assert read_raw(one).status == 200
        for _ in range(50):
            with connect(small) as refused:
                assert read_raw(refused).status == 503
    lines = [record for record in caplog.records if record.getMessage() == "connection_refused"]
    assert 1 <= len(lines) <= 2 + time.monotonic() - started


def long_answer(server, **fields: object) -> dict[str, object]:
    """Fields of a request whose answer is long."""
    return endless(server, n=4, logprobs=True, top_logprobs=20, **fields)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("stream", [False, True])
def test_whoever_never_reads_is_cut_off(serving, stream, caplog):
    quick = serving(write_timeout=SHORT, max_unread=2**30)
    with connect(
        quick, chat(quick, **long_answer(quick, stream=stream, max_tokens=100)), receives=4096
    ) as client:
        assert eventually(lambda: any(one.getMessage() == "client_does_not_read" for one in caplog.records))
        assert quick.reaches("sampling_rows_running", 0)
        with pytest.raises(ConnectionResetError):
            read_to_end(client)
    if stream:
        assert quick.metric(DISCONNECTED) == 1


@pytest.mark.usefixtures("narrow")
def test_whoever_reads_slowly_gets_everything(serving):
    slow, received, started = serving(write_timeout=1, max_unread=2**30), b"", 0.0
    with connect(
        slow, chat(slow, "Connection: close", **long_answer(slow, max_tokens=60)), receives=2**15
    ) as client:
        while part := client.recv(2**14):
            started = started or time.monotonic()
            received += part
            time.sleep(0.05)
        assert time.monotonic() - started > 1.2  # the deadline has come
    (reply,) = replies(received)
    assert reply.json["usage"]["completion_tokens"] == 240


@pytest.mark.usefixtures("narrow")
def test_what_a_client_does_not_read_is_bounded(serving, caplog):
    caplog.set_level(logging.INFO, "sampling")
    small = serving(max_unread=50_000, write_timeout=PATIENCE)
    with connect(small, chat(small, **long_answer(small, stream=True)), receives=4096) as client:
        assert small.reaches(DISCONNECTED, 1)
        assert small.reaches("sampling_rows_running", 0)
        with pytest.raises(ConnectionResetError):
            read_to_end(client)
    steps = small.metric("sampling_step_seconds_count")
    assert steps < 100  # of about 490: the job was given up
    (line,) = [one.fields for one in caplog.records if getattr(one, "fields", {}).get("path") == CHAT]
    assert line["unread"] is True
    assert line["disconnected"] is True


def test_a_stream_that_is_read_has_no_bound(serving):
    small = serving(max_unread=50_000)
    with connect(
        small, chat(small, "Connection: close", stream=True, max_tokens=60, logprobs=True)
    ) as client:
        (reply,) = replies(read_to_end(client))
    assert reply.events[-1] == "[DONE]"
    assert json.loads(json.dumps(reply.events[0]))["object"] == "chat.completion.chunk"


OPTIONS = ("keep_alive", "head_timeout", "body_timeout", "write_timeout")


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 1e9, "5", True, None])
def test_times_are_checked_by_name(name, value):
    with pytest.raises(InvalidArgument, match=f"^{name}: got .*, must be a number from 0.001 to 86400$"):
        ServerOptions(**{name: value})


@pytest.mark.parametrize("name", ["max_connections", "max_unread"])
@pytest.mark.parametrize("value", [0, -1, 1.5, 2**31, "5", True])
def test_bounds_are_checked_by_name(name, value):
    with pytest.raises(InvalidArgument, match=f"^{name}: got .*, must be an integer from 1 to 2147483647$"):
        ServerOptions(**{name: value})
