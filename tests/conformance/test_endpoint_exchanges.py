"""Exchanges that go wrong below JSON: each ends in time and in one reason, whatever is sent."""

from __future__ import annotations

import gzip
import itertools
import json
import time

import httpx2
import pytest
from conformance.sockets import Script, dripped, sending
from conformance.transports import answering, saying

from sampling import InvalidArgument
from sampling.conformance.endings import CheckEnded
from sampling.conformance.endpoint.client import Client
from sampling.conformance.endpoint.connections import LARGEST_ANSWER
from sampling.conformance.endpoint.retries import RetryPolicy, seconds_of
from sampling.conformance.endpoint.trouble import Malformed, Unanswered

SECONDS = 0.4
GOOD = json.dumps({"choices": [{"message": {"content": "A"}}]}).encode()
OK = b"HTTP/1.1 200 OK\r\n"
PIECE = b" " * 2**16

SLOW: dict[str, Script] = {
    "a dripped head": lambda: dripped(OK + b"x: y\r\n" * 200),
    "a dripped body": lambda: itertools.chain([OK + b"\r\n"], dripped(b" " * 400)),
    "dripped interim answers": lambda: itertools.chain.from_iterable(
        itertools.repeat([b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.05], 400)
    ),
    "a dripped stream of chunks": lambda: itertools.chain(
        [OK + b"transfer-encoding: chunked\r\n\r\n"], dripped(b"1\r\n \r\n" * 200, 0.02)
    ),
    "silence": lambda: [30.0],
}


@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW)
def test_one_deadline_holds_for_a_whole_exchange(script: Script):
    with sending(script) as url:
        client = Client(url, model="m", patience=RetryPolicy(SECONDS, 1, 0.0))
        begun = time.monotonic()
        with pytest.raises(Unanswered, match=r"in 1 try, the last with: the answer took longer than 0\.4 s"):
            client.ask(messages=[])
        assert time.monotonic() - begun < 15  # what is sent takes 20 s and more
        client.close()


def packed(data: bytes) -> bytes:
    """A body with the head that says how it is compressed."""
    return OK + b"content-encoding: gzip\r\n\r\n" + gzip.compress(data)


BROKEN: dict[str, tuple[Script, str]] = {
    "more than can be": (
        lambda: itertools.chain([OK + b"\r\n"], itertools.repeat(PIECE, LARGEST_ANSWER // len(PIECE) + 1)),
        f"longer than {LARGEST_ANSWER} bytes",
    ),
    "more than can be, compressed": (
        lambda: [packed(b" " * (LARGEST_ANSWER + 1))],
        f"longer than {LARGEST_ANSWER} bytes",
    ),
    "no gzip": (lambda: [OK + b"content-encoding: gzip\r\n\r\n" + GOOD], "DecodingError"),
    "chunks that are none": (
        lambda: [OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n"],
        "RemoteProtocolError: illegal chunk header",
    ),
    "less than was promised": (lambda: [OK + b"content-length: 500\r\n\r\n" + GOOD], "RemoteProtocolError"),
    "two lengths": (
        lambda: [OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\n" + GOOD],
        "RemoteProtocolError",
    ),
    "no HTTP": (lambda: [b"220 mail.example ESMTP\r\n"], "RemoteProtocolError"),
    "nothing": (list, "RemoteProtocolError"),
    "a redirection to nowhere": (
        lambda: [b"HTTP/1.1 302 Found\r\nlocation: http://[::1\r\n\r\n"],
        r"a redirection \(HTTP 302\)",
    ),
}


@pytest.mark.parametrize(("script", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_answer_has_a_reason_in_one_line(script: Script, reason: str):
    with sending(script) as url:
        client = Client(url, model="m", patience=RetryPolicy(20.0, 1, 0.0))
        with pytest.raises(CheckEnded, match=reason) as ended:
            client.ask(messages=[])
        assert len(str(ended.value)) < 400
        client.close()


@pytest.mark.parametrize(
    "sent",
    [packed(GOOD), OK + b"content-type: text/html\r\n\r\n" + GOOD, b"HTTP/1.1 200\r\n\r\n" + GOOD],
    ids=["gzip", "another type", "no reason phrase"],
)
def test_what_can_be_read_is_an_answer(sent: bytes):
    with sending(lambda: [sent]) as url:
        client = Client(url, model="m", patience=RetryPolicy(20.0, 1, 0.0))
        assert client.ask(messages=[]).choices[0].text == "A"
        client.close()


# By RFC 9110, 10.2.3: a number of seconds or a date; what is neither says nothing.
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        (" 7 ", 7.0),
        ("9" * 400, float("inf")),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (None, None),
        *((text, None) for text in ("nan", "inf", "-inf", "-1", "1e3", "1_0", "0x10", "٤", "", "soon")),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 +99999999999", None),
    ],
)
def test_seconds_to_wait(header: str | None, seconds: float | None):
    assert seconds_of(header) == seconds


def test_a_date_to_wait_for_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    waits: list[float] = []
    monkeypatch.setattr("tenacity.nap.sleep_using_event.__call__", lambda _, seconds: waits.append(seconds))
    due = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 40))
    busy = [httpx2.Response(429, headers={"Retry-After": due})]
    client = answering(lambda _: busy.pop() if busy else httpx2.Response(200, content=GOOD)).client
    assert client.ask(messages=[]).choices[0].text == "A"
    assert 0 < waits[0] <= 40


@pytest.mark.parametrize("header", ["3600", "9" * 400, "Wed, 21 Oct 2999 07:28:00 GMT"])
def test_an_endpoint_that_asks_for_more_time_than_there_is_is_not_waited_for(header: str):
    client = answering(lambda _: httpx2.Response(429, headers={"Retry-After": header}, text="busy")).client
    with pytest.raises(Unanswered, match=r"in 1 try, .*HTTP 429: busy \(it asks to wait for "):
        client.ask(messages=[])


@pytest.mark.parametrize("header", ["nan", "-inf", "soon"])
def test_what_says_nothing_about_waiting_is_passed_over(header: str):
    client = answering(lambda _: httpx2.Response(429, headers={"Retry-After": header}, text="busy")).client
    with pytest.raises(Unanswered, match=r"in 2 tries, the last with: HTTP 429: busy$"):
        client.ask(messages=[])


MODELS = {
    "a number": ({"data": [{"id": 7}]}, "data.0.id: Input should be a valid string"),
    "nothing": ({"data": [{"id": None}]}, "data.0.id"),
    "no text": ({"data": [{"id": ""}]}, "data.0.id"),
    "a book": ({"data": [{"id": "m" * 10_000}]}, "data.0.id: String should have at most 512 characters"),
    "surrogates": ('{"data": [{"id": "\\ud800"}]}', "the answer: Invalid JSON"),
    "no models": ({"data": []}, "data: List should have at least 1 item"),
    "an object of models": ({"data": {"m": {}}}, "data: "),
    "names": ({"data": ["m"]}, "data.0: "),
    "a list": ([{"id": "m"}], "the answer: "),
    "null": ("null", "the answer: "),
    "lists in lists": ("[" * 5000, "the answer: Invalid JSON: recursion limit"),
    "a page": ("<html>", "the answer: Invalid JSON"),
}


@pytest.mark.parametrize(("told", "reason"), MODELS.values(), ids=MODELS)
def test_models_that_have_no_name_are_one_line(told: object, reason: str):
    client = answering(saying(told), model=None).client
    with pytest.raises(
        Malformed, match="no model was named, and the endpoint lists none: " + reason
    ) as ended:
        client.ask(messages=[])
    assert len(str(ended.value)) < 400


def test_a_refused_list_of_models_says_why():
    client = answering(saying({"error": {"message": "no key"}}, 401), model=None).client
    with pytest.raises(Malformed, match="lists none: refused with HTTP 401: no key"):
        client.ask(messages=[])


@pytest.mark.parametrize("name", ["", "m" * 513, "\ud800"])
def test_a_name_that_no_request_can_hold_is_refused(name: str):
    with pytest.raises(InvalidArgument, match=r"model: got .*must be text of 1 to 512 characters"):
        Client("http://a", model=name)


CHUNK = json.dumps({"choices": [{"delta": {"content": "A"}}]})
STREAMS = {
    "one line of ten million characters": ("data: " + "x" * 10**7 + "\n\n", "the stream: "),
    "nothing": ("", "ends after 0 events"),
    "JSON": (json.dumps({"choices": [{"message": {"content": "A"}}]}), "ends after 0 events"),
    "no end": (f"data: {CHUNK}\n\n" * 3, r"ends after 3 events without \[DONE\]"),
    "half an event": (f"data: {CHUNK[:20]}\n\ndata: [DONE]\n\n", "Invalid JSON"),
    "another object": ("data: {}\n\ndata: [DONE]\n\n", "choices: Field required"),
}


@pytest.mark.parametrize(("text", "reason"), STREAMS.values(), ids=STREAMS)
def test_streams_that_are_none(text: str, reason: str):
    with pytest.raises(Malformed, match=reason) as ended:
        answering(saying(text)).client.ask_stream(messages=[])
    assert len(str(ended.value)) < 400


def test_a_stream_whose_text_has_other_ends_of_lines_in_it():
    """U+2028 and U+0085 end no line of server-sent events."""
    chunk = {"choices": [{"delta": {"content": "a\u2028b\x85c"}}]}
    text = f"data: {json.dumps(chunk, ensure_ascii=False)}\n\ndata: [DONE]\n\n"
    chunks = answering(saying(text)).client.ask_stream(messages=[])
    assert [part.choices[0].delta.content for part in chunks] == ["a\u2028b\x85c"]
