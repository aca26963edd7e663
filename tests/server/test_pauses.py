"""Nothing that somebody sends, or gets, stops the other threads of the server for as long as it takes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from server.live import CHAT, PATIENCE, QUESTION, Live, Reply, eventually
from starlette.responses import Response

import sampling.server.endpoint
import sampling.server.turns
from sampling.chat.completion import Completion
from sampling.chat.request import ChatRequest
from sampling.server.json_text import json_bytes
from sampling.server.service import Service
from sampling.server.turns import AT_ONCE, LARGE
from sampling.text.grammar import TRIAL
from sampling.text.guard import Guard, free_characters
from sampling.text.tokenising import ids_of

TRIES = 5


def longest_pause(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds for which another thread did not get its turn while some work was done, and that the work took."""
    over, longest = threading.Event(), 0.0

    def watch() -> None:
        nonlocal longest
        last = time.perf_counter()
        while not over.is_set():
            time.sleep(0.0005)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    watching = threading.Thread(target=watch)
    watching.start()
    started = time.perf_counter()
    work()
    took = time.perf_counter() - started
    over.set()
    watching.join()
    return longest, took


def gives_way(work: Callable[[], object]) -> bool:
    """Whether the longest pause is a small part of the work, at least once: a busy machine makes pauses of its own."""
    for _ in range(TRIES):
        pause, took = longest_pause(work)
        if pause < took / 4:
            return True
    return False


def test_the_measure_itself_sees_what_holds_everybody_up():
    whole = [[index, {}] for index in range(200_000)]
    assert not gives_way(lambda: json.dumps(whole, ensure_ascii=False).count("x" * 5))
    assert gives_way(lambda: time.sleep(0.2))


TEXTS = ["what is it that the " * 15_000, "a1 " * 100_000, "é中" * 60_000]


@pytest.mark.parametrize("text", TEXTS, ids=["words", "digits", "other"])
def test_a_long_text_is_tokenised_beside_other_threads(toy, text):
    backend = toy.tokenizer.backend_tokenizer
    assert gives_way(lambda: ids_of(backend, text))
    assert ids_of(backend, text[:1000]) == backend.encode(text[:1000], add_special_tokens=False).ids


def test_control_tokens_are_found_beside_other_threads(toy):
    text = "what is it that the <|eot_id|> " * 10_000
    assert gives_way(lambda: Guard(toy.tokenizer, taken=text).protect({"content": text}))


def entry() -> dict[str, object]:
    return {"token": " Ankara", "logprob": -1.25, "bytes": [32, 65, 110, 107, 97, 114, 97]}


def test_a_long_answer_is_written_beside_other_threads():
    content = [{**entry(), "top_logprobs": [entry() for _ in range(20)]} for _ in range(100)]
    value = {"choices": [{"index": index, "logprobs": {"content": content * 20}} for index in range(4)]}
    assert gives_way(lambda: json_bytes(value))
    assert json.loads(json_bytes(value)) == value


def test_iterators_are_written_as_lists():
    value = {"choices": iter([{"logprobs": {"content": iter([entry()])}}, {"logprobs": None}]), "é\ud800": []}
    assert json.loads(json_bytes(value)) == {
        "choices": [{"logprobs": {"content": [entry()]}}, {"logprobs": None}],
        "é\ud800": [],
    }


@pytest.mark.parametrize("dialect", ["qstash", "openai", "vllm"])
def test_a_response_that_is_written_bit_by_bit_is_the_response(serving, monkeypatch, dialect):
    ended: list[Completion] = []
    write = sampling.server.endpoint.completed

    def writing(completion: Completion) -> Response:
        ended.append(completion)
        return write(completion)

    monkeypatch.setattr(sampling.server.endpoint, "completed", writing)
    fields = {"n": 3, "seed": 3, "max_tokens": 9, "logprobs": True, "top_logprobs": 4}
    served = serving(dialect=dialect).chat(**fields).json
    assert served == ended[0].response()
    assert len(served["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) >= 4


def seconds(work: Callable[[], object]) -> float:
    """The shortest time of some."""
    times: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


@pytest.mark.parametrize("form", [lambda c: f"\\U{ord(c):08x}", lambda c: json.dumps(c)[1:-1]])
def test_free_characters_are_found_in_time_that_grows_with_the_text(form):
    """Where a text has most of them, to look for one after the other takes 400 times as long for 20 times as many."""

    def first_free(taken: int) -> str:
        return next(free_characters("".join(form(chr(0xF0000 + index)) for index in range(taken))))

    assert first_free(60_000) == chr(0xF0000 + 60_000)
    assert seconds(lambda: first_free(60_000)) < 120 * seconds(lambda: first_free(3_000))


class Slow:
    """Holds checks of requests up until a test lets them go, and counts them."""

    def __init__(self) -> None:
        self.go, self._lock = threading.Event(), threading.Lock()
        self.now = self.most = 0

    def completion(self, service: Service, request: ChatRequest) -> Completion:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.go.wait(PATIENCE)
        with self._lock:
            self.now -= 1
        return COMPLETION(service, request)


COMPLETION = Service.completion


@pytest.fixture
def slow(monkeypatch):
    checks = Slow()
    monkeypatch.setattr(Service, "completion", lambda service, request: checks.completion(service, request))
    yield checks
    checks.go.set()


def test_few_requests_are_checked_at_a_time_and_those_that_wait_are_in_the_queue(serving, slow):
    small = serving(max_batch=2, max_queue=10)
    with ThreadPoolExecutor(20) as clients:
        replies = [clients.submit(small.chat, max_tokens=1) for _ in range(20)]
        assert small.reaches('sampling_requests_total{status="429"}', 8)
        assert small.metric("sampling_requests_entering") == 12  # as many as rows, and as many as may wait
        assert small.send("/health").status == 200
        slow.go.set()
        answers = [reply.result() for reply in replies]
    assert sorted(answer.status for answer in answers) == [200] * 12 + [429] * 8
    assert slow.most == AT_ONCE
    refused = [answer for answer in answers if answer.status == 429]
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert {answer.error["code"] for answer in refused} == {"queue_full"}
    assert small.metric("sampling_requests_entering") == 0


def padded(server: Live, size: int) -> Reply:
    """The reply to a request with so many bytes of white space."""
    request = {"model": server.service.names[0], "messages": QUESTION, "max_tokens": 1}
    return server.send(CHAT, json.dumps(request).encode() + b" " * size)


def test_large_requests_are_checked_one_at_a_time_and_small_ones_beside_them(serving, slow):
    both = serving()
    with ThreadPoolExecutor(6) as clients:
        large = [clients.submit(padded, both, LARGE) for _ in range(3)]
        assert both.reaches("sampling_requests_entering", 3)
        assert eventually(lambda: slow.now == 1)
        small = [clients.submit(both.chat, max_tokens=1) for _ in range(2)]
        assert eventually(lambda: slow.now == 3)
        slow.go.set()
        assert [reply.result().status for reply in small] == [200] * 2
        assert [reply.result().status for reply in large] == [200] * 3
    assert slow.most == 3


@pytest.mark.parametrize("size", [1, LARGE])
def test_a_request_whose_check_does_not_begin_in_time_is_told_to_come_again(serving, slow, monkeypatch, size):
    monkeypatch.setattr(sampling.server.turns, "TURN", 0.2)
    small = serving()
    with ThreadPoolExecutor(AT_ONCE) as clients:
        held = [clients.submit(padded, small, size) for _ in range(AT_ONCE)]
        assert eventually(lambda: slow.now == (1 if size == LARGE else AT_ONCE))
        refused = padded(small, size)
        assert (refused.status, refused.error["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert "0.2 seconds, others come first; try again later" in refused.error["message"]
        slow.go.set()
        assert {reply.result().status for reply in held} <= {200, 503}
    assert small.metric("sampling_requests_entering") == 0
    assert small.chat(max_tokens=1).status == 200


def test_a_request_that_needs_a_process_others_have_is_told_to_come_again(server, monkeypatch):
    """Of processes that try schemas there are two."""
    monkeypatch.setattr("sampling.helper.process.TURN", 0.1)
    monkeypatch.setattr(TRIAL, "_turns", threading.Semaphore(0))
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"const": "a new one"}}}
    reply = server.chat(response_format=schema)
    assert (reply.status, reply.error["code"]) == (503, "overloaded")
    assert reply.headers["retry-after"] == "1"
    assert server.chat(max_tokens=1).status == 200


def test_a_client_that_leaves_while_it_waits_for_the_check_gives_its_place_up(serving, slow):
    small = serving(max_batch=1, max_queue=AT_ONCE)
    with ThreadPoolExecutor(8) as clients:
        checked = [clients.submit(small.chat, max_tokens=1) for _ in range(AT_ONCE)]
        assert small.reaches("sampling_requests_entering", AT_ONCE)
        with small.asked(max_tokens=1):
            assert small.reaches("sampling_requests_entering", AT_ONCE + 1)
            assert small.chat().status == 429
        assert small.reaches("sampling_requests_entering", AT_ONCE)
        slow.go.set()
        assert [reply.result().status for reply in checked] == [200] * AT_ONCE


def test_a_request_that_is_refused_gives_its_place_up(serving):
    small = serving(max_batch=1, max_queue=0)
    for body in (b"{", b"{}", b'{"model": "another", "messages": [{"role": "user", "content": ""}]}'):
        assert small.send(CHAT, body).status in (400, 404)
    assert small.metric("sampling_requests_entering") == 0
    assert small.chat(max_tokens=1).status == 200


LONG = [
    ("what is it " * 90_000, "messages"),
    ("<|eot_id|>" * 20_000, "messages"),
    ("中" * 150_000, "messages"),
]


@pytest.mark.parametrize(("text", "param"), LONG, ids=["words", "control tokens", "other"])
def test_a_long_prompt_is_refused_without_tokenising_it(serving, monkeypatch, text, param):
    monkeypatch.setattr("sampling.text.guard.ids_of", lambda *_: pytest.fail("it was tokenised"))
    reply = serving().chat([{"role": "user", "content": text}])
    assert (reply.status, reply.error["param"]) == (400, param)
    assert reply.error["message"].startswith("messages: got 'a prompt of at least ")


def test_the_longest_prompt_that_fits_is_served(serving, toy, monkeypatch):
    monkeypatch.setattr("sampling.text.prompt_limit.SHORT", 0)
    small, longest = serving(), " Jayawardenepura"  # of all tokens
    assert max(len(toy.vocabulary.bytes_of(index) or b"") for index in range(len(toy.vocabulary))) == len(
        longest
    )
    empty = small.chat([{"role": "user", "content": "x"}], max_tokens=1).json["usage"]["prompt_tokens"]
    room = small.service.context - empty - 1
    text = "x" + longest * room
    assert small.chat([{"role": "user", "content": text}]).json["usage"]["prompt_tokens"] == room + empty
    for more, words in ((1, f"a prompt of {small.service.context} tokens"), (room, "a prompt of at least ")):
        reply = small.chat([{"role": "user", "content": text + more * longest}])
        assert (reply.status, reply.error["param"]) == (400, "messages")
        assert words in reply.error["message"]
