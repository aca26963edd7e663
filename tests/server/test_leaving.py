"""Clients that leave after bytes too many are noticed; those that only close their side get their answer."""

from __future__ import annotations

import socket

import pytest
from server.live import ANSWER, running
from server.raw import chat, connect, endless, leave, read_to_end, replies

from sampling.server.protocol import MOST_LATE

DISCONNECTED = 'sampling_requests_total{status="disconnected"}'
NEXT = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
LATE = {
    "a line feed": b"\n",
    "a letter": b"x",
    "a request": NEXT,
    "noise": bytes(range(256)) * 40,
}


def contents(replied):
    """The answers' texts."""
    return [one.json["choices"][0]["message"]["content"] for one in replied]


@pytest.mark.parametrize(("stream", "way"), [(False, "close"), (True, "close"), (True, "reset")])
@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_bytes_after_the_request_do_not_hide_that_the_client_has_left(server, late, stream, way):
    left = server.metric(DISCONNECTED)
    request = chat(server, **endless(server, stream=stream, n=2))
    together = connect(server, request + late)
    apart = connect(server, request)
    assert server.reaches("sampling_rows_running", 4)
    apart.sendall(late)
    for client in (together, apart):
        leave(client, way)
    assert server.reaches(DISCONNECTED, left + 2)
    assert server.reaches("sampling_rows_running", 0)


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_nor_do_they_where_the_connection_ends_with_the_answer(server, late):
    left = server.metric(DISCONNECTED)
    leaving = connect(server, chat(server, "Connection: close", **endless(server)))
    assert server.reaches("sampling_rows_running", 1)
    leaving.sendall(late)
    leaving.close()
    assert server.reaches(DISCONNECTED, left + 1)
    staying = connect(server, chat(server, "Connection: close") + late)
    staying.sendall(late)
    assert contents(replies(read_to_end(staying))) == [ANSWER]
    staying.close()


def test_empty_lines_between_requests_mean_nothing(server):
    request = chat(server)
    with connect(server, b"\r\n" + request + b"\r\n\n" + request + b"\n") as client:
        client.sendall(b"\r\n" + chat(server, "Connection: close"))
        assert contents(replies(read_to_end(client))) == [ANSWER] * 3


def test_requests_one_behind_the_other_are_answered_in_turn(server):
    with connect(server, NEXT + chat(server) + NEXT + chat(server, "Connection: close") + NEXT) as client:
        first, second, third, last = replies(read_to_end(client))  # and nothing after the last answer
    assert first.json == third.json == {"status": "ok"}
    assert contents([second, last]) == [ANSWER] * 2


def test_whoever_sends_on_and_on_while_the_answer_is_computed_is_cut_off(server):
    left = server.metric(DISCONNECTED)
    with connect(server, chat(server, **endless(server))) as client:
        assert server.reaches("sampling_rows_running", 1)
        client.sendall(b"x" * (MOST_LATE + 1))
        assert server.reaches("sampling_rows_running", 0)
    assert server.metric(DISCONNECTED) == left + 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_closes_its_side_gets_its_answer(server, gate, stream, version):
    with connect(server, chat(server, version=version, stream=stream)) as client:
        client.shutdown(socket.SHUT_WR)
        begun = client.recv(
            1
        )  # from the gate's other side comes nothing yet but the beginning of the answer's first line
        gate.open()
        (reply,) = replies(begun + read_to_end(client))
    assert reply.status == 200
    if stream:
        assert reply.events[-1] == "[DONE]"
        text = "".join(event["choices"][0]["delta"].get("content", "") for event in reply.events[:-1])
        assert text == ANSWER
    else:
        assert contents([reply]) == [ANSWER]


def test_so_does_one_with_two_requests(server):
    with connect(server, chat(server) + chat(server)) as client:
        client.shutdown(socket.SHUT_WR)
        assert contents(replies(read_to_end(client))) == [ANSWER] * 2


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_one_that_closes_its_side_and_then_leaves_is_noticed(server, gate, version):
    left = server.metric(DISCONNECTED)
    client = connect(server, chat(server, version=version))
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b"H"  # it is asked whether it listens, and does
    client.close()
    assert server.reaches(DISCONNECTED, left + 1)
    gate.open()
    assert server.reaches("sampling_rows_running", 0)


def test_a_client_of_http_1_0_is_answered_and_the_connection_closed(server):
    with connect(server, b"GET /health HTTP/1.0\r\n\r\n") as client:
        (reply,) = replies(read_to_end(client))
    assert reply.json == {"status": "ok"}
    with connect(server, chat(server, version="1.0", stream=True)) as client:
        (reply,) = replies(read_to_end(client))
    assert "transfer-encoding" not in reply.headers  # which HTTP/1.0 has not
    assert reply.events[-1] == "[DONE]"


def test_nothing_is_left_behind(server):
    assert server.reaches("sampling_rows_running", 0)
    assert running(server) == 0
