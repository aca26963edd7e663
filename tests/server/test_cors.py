"""Web pages of other origins, as browsers ask for them: a preflight where the standard has one, and what a page may read."""

from __future__ import annotations

import json

import pytest
from server.live import CHAT, QUESTION, live, read_raw
from server.raw import connect

import sampling.server.values
from sampling.cli.main import main
from sampling.core.errors import InvalidArgument
from sampling.server import ServerOptions

KEY = "KEY"
PAGE = "http://localhost:3000"
APP = "https://example.org"
BODY = json.dumps({"model": "sampling-toy", "messages": QUESTION, "max_tokens": 2}).encode()
STREAM = json.dumps({"model": "sampling-toy", "messages": QUESTION, "max_tokens": 2, "stream": True}).encode()
BROWSER_HEADERS = "authorization,content-type,x-stainless-lang,x-stainless-retry-count"


@pytest.fixture(scope="module")
def some(toy):
    """A server for the pages of two origins."""
    with live(toy, ServerOptions(api_key=KEY, cors=(PAGE, APP), max_body=1000)) as running:
        yield running


@pytest.fixture(scope="module")
def every(toy):
    """A server for the pages of all origins."""
    with live(toy, ServerOptions(cors=("*",))) as running:
        yield running


def preflight(server, path, origin=PAGE, method="POST", headers=BROWSER_HEADERS, **more):
    """What a browser asks before it sends a request that a form could not send."""
    asked = {"Origin": origin, "Access_Control_Request_Method": method, **more}
    if headers:
        asked["Access_Control_Request_Headers"] = headers
    return server.send(path, method="OPTIONS", **asked)


def readable(reply, origin, *, credentials=False):
    """Whether a browser lets a page read a response: the Fetch Standard's "CORS check"."""
    allowed = reply.headers.get("access-control-allow-origin")
    if not credentials and allowed == "*":
        return True
    if allowed != origin:
        return False
    return not credentials or reply.headers.get("access-control-allow-credentials") == "true"


def may_send(reply, origin, method, headers):
    """Whether a browser sends the request after this preflight: the standard's "CORS-preflight fetch"."""
    if not (readable(reply, origin) and 200 <= reply.status <= 299):
        return False
    methods = [word.strip() for word in reply.headers.get("access-control-allow-methods", "").split(",")]
    names = [
        word.strip().lower() for word in reply.headers.get("access-control-allow-headers", "").split(",")
    ]
    # a literal * never stands for Authorization
    return method in methods and all(name in names for name in headers.split(",") if name)


@pytest.mark.parametrize("path", [CHAT, "/llm/v1/chat/completions", "/v1/models", "/v1/models/sampling-toy"])
@pytest.mark.parametrize("origin", [PAGE, APP])
def test_a_browser_may_send_what_clients_send_and_its_question_needs_no_key(some, path, origin):
    method = "POST" if "chat" in path else "GET"
    reply = preflight(some, path, origin, method)
    assert may_send(reply, origin, method, BROWSER_HEADERS)
    assert "Origin" in reply.headers["vary"]
    assert reply.headers["x-request-id"].startswith("req-")


def test_a_page_on_another_machine_may_ask_for_the_private_network(some):
    reply = preflight(some, CHAT, Access_Control_Request_Private_Network="true")
    assert reply.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", PAGE + "0", "https://sub.example.org", "null", "http://localhost"]
)
def test_pages_of_other_origins_get_nothing(some, origin):
    reply = preflight(some, CHAT, origin)
    assert not readable(reply, origin)
    assert (reply.status, reply.error["code"]) == (400, "cors_not_allowed")
    answered = some.send(CHAT, BODY, Origin=origin, Authorization=f"Bearer {KEY}")
    assert answered.status == 200  # whoever asks in a browser's name is no page; a browser hides the answer
    assert not readable(answered, origin)
    assert "Origin" in answered.headers["vary"]


def test_a_method_that_there_is_not_may_not_be_sent(some):
    assert not may_send(preflight(some, CHAT, method="DELETE"), PAGE, "DELETE", BROWSER_HEADERS)


ANSWERS = [
    (200, {"path": CHAT, "body": BODY}),
    (200, {"path": CHAT, "body": STREAM}),
    (400, {"path": CHAT, "body": b"{"}),
    (401, {"path": CHAT, "body": BODY, "Authorization": "Bearer wrong"}),
    (404, {"path": "/nowhere"}),
    (404, {"path": "/v1/models/nobody"}),
    (405, {"path": CHAT}),
    (413, {"path": CHAT, "body": b" " * 1001}),
    (200, {"path": "/health"}),
    (200, {"path": "/v1/models"}),
]


@pytest.mark.parametrize(("status", "asked"), ANSWERS, ids=[str(index) for index in range(len(ANSWERS))])
def test_a_page_can_read_every_answer_errors_too(some, status, asked):
    reply = some.send(**{"Authorization": f"Bearer {KEY}", "Origin": PAGE, **asked})
    assert reply.status == status
    assert readable(reply, PAGE)
    assert not readable(reply, PAGE, credentials=True)
    assert "Origin" in reply.headers["vary"]
    assert "x-request-id" in reply.headers["access-control-expose-headers"].lower()


def test_a_page_can_read_a_fault_of_the_servers_own(every, monkeypatch):
    def fail(_):
        raise RuntimeError("a fault of the test's")

    monkeypatch.setattr(sampling.server.values, "read_json", fail)
    reply = every.send(CHAT, BODY, Origin=PAGE)
    assert (reply.status, reply.error["code"]) == (500, "internal_error")
    assert readable(reply, PAGE)


def test_a_full_queue_tells_a_page_when_to_come_back(toy, gate):
    with live(toy, ServerOptions(cors=(PAGE,), max_batch=1, max_queue=0)) as full, full.asked():
        assert full.reaches("sampling_requests_running", 1)
        reply = full.send(CHAT, BODY, Origin=PAGE)
        assert reply.status == 429
        assert readable(reply, PAGE)
        assert "retry-after" in reply.headers["access-control-expose-headers"].lower()
        gate.open()


@pytest.mark.parametrize("origin", [PAGE, "null", "https://anything.example"])
def test_a_star_is_for_all(every, origin):
    assert may_send(preflight(every, CHAT, origin), origin, "POST", BROWSER_HEADERS)
    assert readable(every.send(CHAT, STREAM, Origin=origin), origin)


def test_without_the_flag_there_is_no_word_of_it(server):
    asked = preflight(server, CHAT)
    assert asked.status == 405
    for reply in (asked, server.send(CHAT, BODY, Origin=PAGE), server.send("/health", Origin=PAGE)):
        assert not any(name.startswith("access-control") for name in reply.headers)


def test_who_is_no_page_sees_no_difference(some, every):
    for running in (some, every):
        reply = running.send("/health")
        assert not any(name.startswith("access-control") for name in reply.headers)


ORIGINS = [
    "*",
    "null",
    PAGE,
    APP,
    "http://127.0.0.1:8080",
    "http://[::1]:8080",
    "https://a.org:80",
    "app://obsidian.md",
]


@pytest.mark.parametrize("origin", ORIGINS)
def test_origins_that_browsers_send_are_taken(origin):
    assert ServerOptions(cors=(origin,)).cors == (origin,)


NO_ORIGINS = [
    "",
    "localhost",
    "localhost:3000",
    "http://localhost:3000/",
    "http://localhost/page",
    "http://*.example.org",
    "http://localhost:80",
    "https://example.org:443",
    "HTTP://localhost",
    "http://Example.org",
    "http://user@localhost",
    "http://localhost:x",
    "http://localhost:99999",
    "http://",
    "http://a b",
    "http://ü.example",
    "http://a.org http://b.org",
    "http://a.org,http://b.org",
    "http://a.org?x",
    "Null",
    7,
]


@pytest.mark.parametrize("origin", NO_ORIGINS)
def test_what_no_browser_sends_as_an_origin_is_refused(origin):
    with pytest.raises(InvalidArgument, match=r"^cors: got .*, must be \* or an origin as browsers send it"):
        ServerOptions(cors=(PAGE, origin))


def test_the_command_refuses_it_in_one_line(capsys):
    assert main(["serve", "--cors", PAGE, "--cors", PAGE + "/"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"sampling serve: cors: got '{PAGE}/', must be * or an origin")
    assert printed.err.count("\n") == 1


BELOW = {
    "no HTTP": (b"what\r\nOrigin: %s\r\n\r\n", 400),
    "a length that is none": (b"POST / HTTP/1.1\r\nHost: x\r\norigin:%s \r\nContent-Length: x\r\n\r\n", 400),
    "two lengths": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\nOrigin: %s\r\n\r\n0\r\n\r\n",
        400,
    ),
    "a large head": (b"GET / HTTP/1.1\r\nHost: x\r\nOrigin: %s\r\nX: " + b"x" * 2**15, 431),
    "another HTTP": (b"GET / HTTP/3.0\r\nHost: x\r\nOrigin: %s\r\n\r\n", 505),
}


def told(server, sent: bytes):
    """The answer to bytes."""
    with connect(server, sent) as connection:
        return read_raw(connection)


@pytest.mark.parametrize(("sent", "status"), BELOW.values(), ids=BELOW)
def test_pages_can_read_errors_from_below_the_application(some, every, serving, sent, status):
    for server in (some, every):
        for origin in (PAGE, APP):
            reply = told(server, sent % origin.encode())
            assert (reply.status, readable(reply, origin)) == (status, True)
            assert "retry-after" in reply.headers["access-control-expose-headers"]
    other = told(some, sent % b"https://other.org")
    assert (other.status, readable(other, "https://other.org")) == (status, False)
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-origin" not in told(serving(), sent % PAGE.encode()).headers


def test_pages_of_the_only_origin_can_read_errors_without_a_head(serving):
    server = serving(cors=(PAGE,), max_connections=1, head_timeout=0.2)
    with connect(server, b"GET / HTTP/1.1\r\n") as first:
        refused = told(server, b"")
        assert (refused.status, readable(refused, PAGE)) == (503, True)
        late = read_raw(first)
        assert (late.status, readable(late, PAGE)) == (408, True)


def test_an_origin_counts_for_its_own_request_alone(some):
    first = f"GET /health HTTP/1.1\r\nHost: x\r\nOrigin: {PAGE}\r\n\r\n".encode()
    with connect(some, first) as connection:
        assert readable(read_raw(connection), PAGE)
        connection.sendall(b"what\r\n\r\n")
        reply = read_raw(connection)
    assert reply.status == 400
    assert "access-control-allow-origin" not in reply.headers
