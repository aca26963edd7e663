"""HTTP itself, broken or unusual: errors below the application are the API's, and what RFC 9110 and 9112 allow is served."""

from __future__ import annotations

import socket

import pytest
from server.live import ANSWER, CHAT, PATIENCE, read_raw
from server.raw import chat, connect, head, read_to_end, replies

from sampling.server.protocol import LARGEST_HEAD

GET = "GET /health HTTP/1.1"
UNREADABLE = {
    "no HTTP": (b"hello\r\n\r\n", 400),
    "TLS": (bytes.fromhex("16030100a5010000a1"), 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "a space in a name": (head("bad name: x"), 400),
    "a space before the colon": (head("Name : x"), 400),
    "no name": (head(": x"), 400),
    "no colon": (head("Name"), 400),
    "NUL in a value": (head("Name: \x00"), 400),
    "a folded first line": (b"GET / HTTP/1.1\r\n X: y\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (head("Host: y"), 400),
    "a negative length": (head("Content-Length: -1"), 400),
    "a signed length": (head("Content-Length: +1"), 400),
    "a length that is none": (head("Content-Length: ten"), 400),
    "a length of many digits": (head(f"Content-Length: {'9' * 30}"), 400),
    "two lengths": (head("Content-Length: 1", "Content-Length: 2"), 400),
    "two lengths in one": (head("Content-Length: 1, 2"), 400),
    "a length and chunks": (head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "chunks and a length": (head("Transfer-Encoding: chunked", "Content-Length: 0") + b"0\r\n\r\n", 400),
    "the same without a body": (head("Content-Length: 5", "Transfer-Encoding: chunked", line=GET), 400),
    "the beginning of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "an old version": (head(line="GET /health HTTP/0.9"), 505),
    "an unknown encoding": (head("Transfer-Encoding: gzip"), 501),
    "encodings": (head("Transfer-Encoding: gzip, chunked"), 501),
    "a bad chunk": (head("Transfer-Encoding: chunked") + b"zz\r\n", 400),
    "a bad chunk after a good one": (head("Transfer-Encoding: chunked") + b"1\r\n{\r\nzz\r\n", 400),
    "a chunk that is longer than told": (head("Transfer-Encoding: chunked") + b"1\r\n{}\r\n", 400),
    "a header that is too large": (head("X: " + "x" * LARGEST_HEAD), 431),
    "many headers": (head(*[f"X-{number}: x" for number in range(LARGEST_HEAD // 8)]), 431),
    "a target that is too large": (head(line=f"GET /{'x' * LARGEST_HEAD} HTTP/1.1"), 431),
    "a query that is too large": (head(line=f"GET /health?{'x' * LARGEST_HEAD} HTTP/1.1"), 431),
    "a head without an end": (b"GET /" + b"x" * 2 * LARGEST_HEAD, 431),
}


@pytest.mark.parametrize(("sent", "status"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_http_is_an_error_like_all_others(server, sent, status):
    with connect(server, sent) as client:
        (reply,) = replies(read_to_end(client))
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["connection"].lower() == "close"
    assert reply.error["type"] == "invalid_request_error"
    assert reply.error["code"] == ("head_too_large" if status == 431 else "invalid_http")
    assert len(reply.content) < 300  # nothing of what was sent


def test_after_what_is_no_http_the_server_goes_on(server):
    with connect(server, chat(server) + b"no HTTP\r\n\r\n") as client:
        first, second = replies(read_to_end(client))
    assert first.json["choices"][0]["message"]["content"] == ANSWER
    assert (second.status, second.error["code"]) == (400, "invalid_http")


@pytest.mark.parametrize("target", ["http://host{}", "https://host:8000{}", "HTTP://user@[::1]{}"])
def test_a_target_may_be_the_whole_url(server, target):
    body = chat(server).partition(b"\r\n\r\n")[2]
    line = f"POST {target.format(CHAT)} HTTP/1.1"
    with connect(server, head(f"Content-Length: {len(body)}", line=line) + body) as client:
        assert read_raw(client).json["choices"][0]["message"]["content"] == ANSWER
        for path, status in (
            ("/health?x=http://y/z", 200),
            ("/v1%2Fmodels", 200),
            ("", 404),
            ("/nowhere", 404),
        ):
            client.sendall(head(line=f"GET {target.format(path)} HTTP/1.1"))
            assert read_raw(client).status == status


def test_other_targets_are_not_found(server):
    with connect(server) as client:
        for line in ("OPTIONS * HTTP/1.1", "CONNECT host:443 HTTP/1.1", "GET ftp://x/health HTTP/1.1"):
            client.sendall(head(line=line))
            assert read_raw(client).error["code"] == "not_found"


def test_the_whole_url_opens_nothing_without_the_key(serving):
    locked = serving(api_key="KEY")
    with connect(locked) as client:
        for target in (
            "http://x/v1/models",
            "http://x/health/../metrics",
            "http://health/metrics",
            "/%68ealth/",
        ):
            client.sendall(head(line=f"GET {target} HTTP/1.1"))
            assert read_raw(client).status == 401
        client.sendall(head(line="GET http://x/health HTTP/1.1"))
        assert read_raw(client).status == 200


def sent_before_the_end(client: socket.socket) -> int:
    """How many bytes a client can send until the server has closed the connection."""
    sent = 0
    while True:
        try:
            sent += client.send(b"x" * 2**16)
        except (ConnectionResetError, BrokenPipeError):
            return sent


@pytest.mark.parametrize("expects", [(), ("Expect: 100-continue",)])
def test_after_an_error_the_body_is_not_read(serving, expects):
    locked = serving(api_key="KEY", max_body=1000)
    key = "Authorization: Bearer KEY"
    for lines, status in (((), 401), ((key,), 413)):
        with connect(locked, head(f"Content-Length: {2**40}", *lines, *expects)) as client:
            (reply,) = replies(read_to_end(client))  # the connection ends, and no body was asked for
            assert reply.status == status
            assert reply.headers["connection"].lower() == "close"
            assert sent_before_the_end(client) < 2**27
    assert locked.send("/health").status == 200


def test_the_error_reaches_a_client_that_sends_on(server):
    body = b"x" * 2**23
    with connect(server, head(f"Content-Length: {len(body)}")) as client:
        client.sendall(body)
        reply = read_raw(client)
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")


def test_a_body_that_has_come_anyway_leaves_the_connection_open(serving):
    locked = serving(api_key="KEY")
    request = chat(locked)
    with connect(locked) as client:
        for _ in range(3):
            client.sendall(request)
            reply = read_raw(client)
            assert reply.status == 401
            assert "connection" not in reply.headers


def test_whoever_expects_to_be_told_is_told_to_go_on(server):
    request = chat(server, "Expect: 100-continue")
    start, _, body = request.partition(b"\r\n\r\n")
    with connect(server, start + b"\r\n\r\n") as client:
        assert client.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"[:25]
        client.sendall(body)
        assert read_raw(client).json["choices"][0]["message"]["content"] == ANSWER


def test_a_connection_that_might_be_upgraded_goes_on_as_it_is(server):
    offers = (
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    )
    with connect(server) as client:
        for _ in range(2):
            client.sendall(chat(server, *offers))
            assert read_raw(client).json["choices"][0]["message"]["content"] == ANSWER


def test_half_a_head_is_no_request(server):
    with connect(server, head()[:-1]) as client:
        client.settimeout(PATIENCE)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
