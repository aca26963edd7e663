"""What the server refuses, and how it says so."""

from __future__ import annotations

import json
import math
import socket

import jsonschema
import pytest
from jsonschema import Draft202012Validator
from server.live import CHAT, PATIENCE, QUESTION

from sampling.chat.request import ChatRequest
from sampling.core.errors import InvalidArgument, InvalidRequest
from sampling.server.replies import json_response

FIELDS = [
    ("temperature", 2.1),
    ("temperature", "warm"),
    ("top_p", -0.1),
    ("n", 0),
    ("n", True),
    ("max_tokens", 0),
    ("seed", 1.5),
    ("seed", 2**64),
    ("logit_bias", {"x": 1}),
    ("logit_bias", {"1": 101}),
    ("logit_bias", {"1": 1, "01": 1}),
    ("top_logprobs", 2),
    ("stop", ""),
    ("stop", ["a"] * 5),
    ("stop", [""]),
    ("stream", "yes"),
    ("response_format", {"type": "xml"}),
    ("messages", []),
    ("messages", [{"role": "root", "content": ""}]),
    ("messages", [{"role": "user", "content": None}]),
    ("messages", [{"role": "user", "content": "\ud800"}]),
    ("model", 7),
    ("\ud800", "\udfff"),
    ("frequency_penalty", 10**400),
    ("unknown", {"a": "\ud800"}),
]


@pytest.mark.parametrize(("name", "value"), FIELDS, ids=[str(index) for index in range(len(FIELDS))])
@pytest.mark.parametrize("stream", [False, True])
def test_the_message_is_that_of_the_python_error(server, name, value, stream):
    request = {"model": "sampling-toy", "messages": QUESTION, "stream": stream, name: value}
    with pytest.raises(InvalidRequest) as refused:
        ChatRequest.parse(request)
    reply = server.send(CHAT, json.dumps(request).encode())
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/json"
    assert reply.error == {
        "message": str(refused.value),
        "type": "invalid_request_error",
        "param": refused.value.param,
        "code": None,
    }


MESSAGES = json.dumps(QUESTION)
BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"1",
    b'"text"',
    b"\xff\xfe{}",
    b'{"model": "sampling-toy", "messages": "\xc3\x28"}',
    b"{} {}",
    b"{'model': 'x'}",
    b"[" * 100_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b'{"temperature": NaN, "messages": []}',
    b'{"temperature": -Infinity}',
    b'{"temperature": ' + b"9" * 5000 + b"}",
    f'{{"model": "sampling-toy", "model": "sampling-toy", "messages": {MESSAGES}}}'.encode(),
    b'{"a": {"b": 1, "b": 1}}',
    b"a=1&b=2",
    b"\x00",
]


@pytest.mark.parametrize("body", BODIES, ids=[str(index) for index in range(len(BODIES))])
def test_a_body_that_is_no_request_is_400(server, body):
    reply = server.send(CHAT, body, method="POST")
    assert reply.status == 400
    assert reply.error["type"] == "invalid_request_error"
    assert reply.error["param"] == "body"


LARGE = [
    b'{"' + b"k" * 900_000 + b'": 1}',
    b'{"model": "' + b"m" * 900_000 + b'", "messages": [{"role": "user", "content": ""}]}',
    b'{"model": ["' + b'x", "' * 100_000 + b'"]}',
    b'{"' + b"\\ud800" * 100_000 + b'": "' + b"\\u0000" * 50_000 + b'"}',
    b'{"k": 1, "k": ' + b"1" * 900_000 + b"}",
    b'{"a' + b"k" * 400_000 + b'": 1, "a' + b"k" * 400_000 + b'": 1}',
    b"[" + b"[]," * 200_000 + b"[]]",
    b"\xff" * 900_000,
    b'{"messages": [{"role": "' + b"r" * 900_000 + b'"}]}',
]


@pytest.mark.parametrize("body", LARGE, ids=[str(index) for index in range(len(LARGE))])
def test_an_answer_to_a_large_body_is_short(server, body):
    reply = server.send(CHAT, body)
    assert reply.status in (400, 404)
    assert len(reply.content) < 1500
    assert len(reply.error["message"]) <= 500
    assert len(reply.error["param"]) <= 100


def test_infinity_in_digits_is_out_of_range(server):
    body = f'{{"model": "sampling-toy", "messages": {MESSAGES}, "temperature": 1e999}}'.encode()
    assert server.send(CHAT, body).error["param"] == "temperature"


def test_a_model_is_required(server):
    reply = server.send(CHAT, json.dumps({"messages": QUESTION}).encode())
    assert (reply.status, reply.error["param"]) == (400, "model")


def test_another_model_is_404(server):
    reply = server.chat(model="gpt-4")
    assert reply.status == 404
    assert (reply.error["code"], reply.error["param"]) == ("model_not_found", "model")
    assert "'gpt-4'" in reply.error["message"]


def test_more_choices_than_rows_are_refused(serving):
    small = serving(max_batch=2)
    assert small.chat(n=2, max_tokens=1).status == 200
    reply = small.chat(n=3)
    assert (reply.status, reply.error["param"]) == (400, "n")
    assert reply.error["message"] == "n: got 3, must be an integer from 1 to 2"


def test_the_context_can_be_made_smaller(serving):
    small = serving(max_context=20)
    usage = small.chat(logit_bias={}, temperature=2, seed=3, stop=[]).json["usage"]
    assert usage["total_tokens"] <= 20
    reply = small.chat([{"role": "user", "content": "word " * 30}])
    assert (reply.status, reply.error["param"]) == (400, "messages")


def test_options_that_do_not_fit_the_model_are_refused(serving):
    with pytest.raises(InvalidArgument, match="max_context: got 100000, must be an integer from 2 to "):
        serving(max_context=100_000)


@pytest.mark.parametrize(
    "path", ["/v1/complete", "/v1/embeddings", "/v1/responses", "/v1/audio/speech", "/api/chat"]
)
def test_what_is_not_offered_says_what_is(server, path):
    reply = server.send(path, b"{}")
    assert (reply.status, reply.error["code"]) == (404, "not_found")
    assert f"completions are all that is offered, of chats at POST {CHAT}" in reply.error["message"]
    assert "GET /v1/models" in reply.error["message"]


def test_paths_and_methods(server):
    for path in ("/", "/v1", "/v1/chat/completions/", "/v1/model", "/%00", "/v1//models"):
        reply = server.send(path)
        assert (reply.status, reply.error["code"]) == (404, "not_found")
    for path, method in ((CHAT, "GET"), (CHAT, "DELETE"), ("/v1/models", "POST"), ("/health", "PUT")):
        reply = server.send(path, method=method)
        assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
        assert "it takes POST" in reply.error["message"] or "it takes GET, HEAD" in reply.error["message"]
        assert reply.headers["allow"]


def test_a_body_that_says_it_is_too_large_is_not_read(serving):
    small = serving(max_body=1000)
    with socket.create_connection(("127.0.0.1", small.port), timeout=PATIENCE) as connection:
        connection.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")  # of which not one byte was sent


def test_a_body_without_a_length_is_read_as_far_as_allowed(serving):
    small = serving(max_body=1000)
    with socket.create_connection(("127.0.0.1", small.port), timeout=PATIENCE) as connection:
        connection.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(3):
            connection.sendall(b"190\r\n" + b" " * 400 + b"\r\n")  # and more would follow
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_ten_megabytes_is_413_and_the_next_request_is_served(server):
    reply = server.send(CHAT, b" " * 10_000_000)
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")
    assert server.chat(max_tokens=1).status == 200


def test_a_body_of_exactly_the_limit_is_read(serving):
    small = serving(max_body=1000)
    body = json.dumps({"model": "sampling-toy", "messages": QUESTION, "max_tokens": 1}).encode()
    assert small.send(CHAT, body.ljust(1000)).status == 200
    assert small.send(CHAT, body.ljust(1001)).status == 413


KEY = "correct-horse"


@pytest.fixture(scope="module")
def locked(toy):
    from server.live import live

    from sampling.server import ServerOptions

    with live(toy, ServerOptions(api_key=KEY)) as running:
        yield running


@pytest.mark.parametrize(
    "given", ["", KEY, f"Basic {KEY}", "Bearer", "Bearer wrong", f"Bearer {KEY}x", "Bearer \xe9"]
)
def test_without_the_key_nothing_but_health_answers(locked, given):
    for path in ("/v1/models", "/metrics", "/openapi.json", "/nowhere", CHAT):
        reply = locked.send(path, authorization=given)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        assert reply.error["code"] == "invalid_api_key"
    assert locked.send("/health", authorization=given).status == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_with_the_key_everything_answers(locked, scheme):
    assert locked.send("/v1/models", authorization=f"{scheme} {KEY}").status == 200
    body = json.dumps({"model": "sampling-toy", "messages": QUESTION, "max_tokens": 1}).encode()
    assert locked.send(CHAT, body, authorization=f"{scheme} {KEY}").status == 200


def next_above(value: float) -> float:
    """The next number that is larger: of the integers for an integer, else of the floats."""
    return value + 1 if isinstance(value, int) else math.nextafter(value, math.inf)


def next_below(value: float) -> float:
    """The next number that is smaller."""
    return value - 1 if isinstance(value, int) else math.nextafter(value, -math.inf)


RANGED = {
    "temperature": (float, False),
    "top_p": (float, False),
    "frequency_penalty": (float, False),
    "presence_penalty": (float, False),
    "repetition_penalty": (float, False),
    "min_p": (float, False),
    "seed": (int, False),
    "top_k": (int, False),
    "top_logprobs": (int, True),
    "max_tokens": (int, False),
    "n": (int, False),
}


@pytest.mark.parametrize("name", RANGED)
def test_ranges_in_the_description_are_those_of_the_checks(server, name):
    kind, needs_logprobs = RANGED[name]
    schema = server.send("/openapi.json").json["components"]["schemas"]["Request"]
    low, high = (kind(schema["properties"][name][end]) for end in ("minimum", "maximum"))

    def taken(value):
        fields = {"logprobs": True} if needs_logprobs else {}
        fields = {"max_tokens": 1, **fields, name: value}
        reply = server.chat(**fields)
        assert reply.status in (200, 400)
        valid = Draft202012Validator(schema).is_valid(
            {"model": "sampling-toy", "messages": QUESTION, **fields}
        )
        assert valid == (reply.status == 200)
        return valid

    assert taken(low)
    assert taken(high)
    assert not taken(next_below(low))
    assert not taken(next_above(high))


AGREED = [
    ({"stop": ["x" * 1024]}, True),
    ({"stop": ["x" * 1025]}, False),
    ({"stop": ["x"] * 4}, True),
    ({"stop": ["x"] * 5}, False),
    ({"stop": None, "seed": None, "logit_bias": None, "response_format": None}, True),
    ({"logit_bias": {"0": -100, "2047": 100}}, True),
    ({"logit_bias": {"2048": 0}}, False),
    ({"logit_bias": {"-1": 0}}, False),
    ({"logit_bias": {"0": -100.5}}, False),
    ({"top_logprobs": 1}, False),
    ({"top_logprobs": 0}, True),
    ({"top_logprobs": 1, "logprobs": True}, True),
    ({"response_format": {"type": "text"}}, True),
    ({"response_format": {"type": "text", "json_schema": {"schema": {}}}}, False),
    ({"response_format": {"type": "json_schema"}}, False),
    ({"stream_options": {"include_usage": True}}, False),
    ({"user": "me"}, False),
    ({"messages": None}, False),
    ({"messages": [{"role": "user"}]}, False),
    ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, True),
    ({"messages": [{"role": "user", "content": "x"}] * 4097}, False),
]


@pytest.mark.parametrize(("fields", "valid"), AGREED, ids=[str(index) for index in range(len(AGREED))])
def test_the_description_and_the_checks_agree(server, toy, fields, valid):
    assert toy.model.config.vocab_size == 2048
    schema = server.send("/openapi.json").json["components"]["schemas"]["Request"]
    request = {"model": "sampling-toy", "messages": QUESTION, "max_tokens": 1, **fields}
    assert jsonschema.Draft202012Validator(schema).is_valid(request) == valid
    assert server.send(CHAT, json.dumps(request).encode()).status == (200 if valid else 400)


def test_what_utf8_can_not_hold_is_escaped():
    response = json_response({"message": "\ud800 and \u00e9"})
    assert json.loads(bytes(response.body).decode("utf-8")) == {"message": "\ud800 and \u00e9"}
