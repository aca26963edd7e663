"""The price list runs on a small size, against an endpoint that is not ours, too, and says what has no price."""

from __future__ import annotations

import json
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from benchmark_command import printed_by

from benchmarks.api import __main__ as api
from benchmarks.api import measure as measuring

ROOT = Path(__file__).parents[2]
CHOSEN = ["greedy", "top_p", "logprobs, 20 alternatives", "n = 4", "JSON mode", "stream", "everything, n = 4"]
WAYS = ["in process", "over HTTP"]
TOKENS, TURNS = 5, 2
SECRET = "a key that no file may have"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The result of a tiny run over our own library, and what it printed."""
    out = tmp_path_factory.mktemp("results") / "api-toy-cpu.json"
    small = ["--tokens", TOKENS, "--turns", TURNS, "--out", out]
    printed = printed_by("api", "--shape", "toy", *small, "--parameters", *CHOSEN)
    return json.loads(out.read_text()), printed


def test_every_parameter_has_a_price_both_ways(ran: tuple[dict[str, Any], str]) -> None:
    lines = ran[0]["lines"]
    assert [(line["way"], line["parameter"]) for line in lines] == [
        (way, name) for way in WAYS for name in CHOSEN
    ]
    for line in lines:
        assert line["calls"] == TURNS
        assert line["completion_tokens"] == [TOKENS * line["fields"].get("n", 1)]
        assert line["per_token"]["p10_us"] <= line["per_token"]["median_us"] <= line["per_token"]["p90_us"]


def test_shares_are_of_greedy_the_same_way(ran: tuple[dict[str, Any], str]) -> None:
    lines = ran[0]["lines"]
    for way in WAYS:
        greedy, *others = (line for line in lines if line["way"] == way)
        assert greedy["share_of_greedy"] == 1
        for line in others:
            base, own = greedy["per_token"]["median_us"], line["per_token"]["median_us"]
            assert line["share_of_greedy"] == pytest.approx(base / own)
            assert line["added_us"] == pytest.approx(own - base)


def test_it_says_where_it_comes_from_and_ends_in_a_table(ran: tuple[dict[str, Any], str]) -> None:
    result, printed = ran
    assert result["command"].startswith("PYTHONPATH=tests python -m benchmarks.api --shape toy")
    assert {"commit", "date", "machine", "versions", "messages", "timing"} <= result.keys()
    assert result["model"]["V"] == 2048
    for text in ("toy, in process", "toy, over HTTP", "logprobs, 20 alternatives", "of greedy"):
        assert text in printed


# Compiled steps


@pytest.mark.usefixtures("traced")
def test_a_compiled_model_gives_the_same_answers() -> None:
    fields = {
        "temperature": 0.8,
        "top_p": 0.9,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.5,
        "seed": 1,
        "max_tokens": TOKENS,
    }
    answers: dict[str, Any] = {}
    for compiled in (False, True):
        asked = Namespace(shape="toy", dtype="float32", device="cpu", compile=compiled, in_process=True)
        with api.own(asked) as ([way], model, _):
            [answer] = way.ask(fields)
        assert model["compiled"] is compiled
        answers[model["name"]] = [answer["choices"], answer["usage"]]
    assert answers.keys() == {"toy", "toy, compiled"}
    assert answers["toy"] == answers["toy, compiled"]


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ([], "api-toy-cpu.json"),
        (["--shape", "240M", "--compile"], "api-240M-cpu-compiled.json"),
        (["--short", "--compile"], "api-toy-cpu-compiled-short.json"),
        (["--url", "http://127.0.0.1:1/v1"], "api-endpoint.json"),
    ],
)
def test_each_kind_of_result_has_a_file_of_its_own(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], name: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["", *flags])
    assert api.arguments().out.name == name


@pytest.mark.parametrize("flag", ["--compile", "--in-process"])
def test_what_is_for_our_own_model_is_refused_with_a_url(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["", "--url", "http://127.0.0.1:1/v1", flag])
    with pytest.raises(SystemExit, match="2"):
        api.arguments()
    assert "they are for our own model" in capsys.readouterr().err


# Another endpoint


class Endpoint(BaseHTTPRequestHandler):
    """Says a token "1" so often as it may; refuses top_p, ignores logprobs, tells a stream's usage only when asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(
            200,
            {"object": "list", "data": [{"id": "other", "object": "model", "created": 0, "owned_by": ""}]},
        )

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {SECRET}":
            self._send(401, {"error": {"message": "who are you?"}})
        elif "top_p" in asked:
            self._send(400, {"error": {"message": "no top_p here"}})
        elif asked.get("stream"):
            self._stream(asked)
        else:
            message = {"role": "assistant", "content": "1" * asked["max_tokens"]}
            choice = {"index": 0, "message": message, "finish_reason": "length", "logprobs": None}
            self._send(200, {**self._head("chat.completion"), "choices": [choice], **self._usage(asked)})

    def _stream(self, asked: dict[str, Any]) -> None:
        head = self._head("chat.completion.chunk")
        choice = {"index": 0, "delta": {"content": "1"}, "finish_reason": None}
        chunks = [{**head, "choices": [choice]}] * asked["max_tokens"]
        chunks += [{**head, "choices": [], **self._usage(asked)}] * ("stream_options" in asked)
        body = "".join(f"data: {text}\n\n" for text in (*map(json.dumps, chunks), "[DONE]")).encode()
        self._send_bytes(200, body, "text/event-stream")

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": "1", "object": kind, "created": 0, "model": "other"}

    def _usage(self, asked: dict[str, Any]) -> dict[str, Any]:
        tokens = asked["max_tokens"]
        return {"usage": {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}}

    def _send(self, status: int, body: object) -> None:
        self._send_bytes(status, json.dumps(body).encode(), "application/json")

    def _send_bytes(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def priced(url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, str]:
    """The result for another endpoint, its file, and what was printed."""
    out = tmp_path_factory.mktemp("results") / "api-endpoint.json"
    asked = ["--url", url, f"--api-key={SECRET}", "--tokens", 9, "--turns", TURNS, "--out", out]
    printed = printed_by("api", *asked)
    return json.loads(out.read_text()), out.read_text(), printed


@pytest.mark.parametrize(
    ("parameter", "word", "reason"),
    [
        ("top_p", "refused", "no top_p here"),
        ("everything, n = 1", "refused", "no top_p here"),
        ("logprobs", "ignored", "logprobs: there are none"),
        ("logprobs, 20 alternatives", "ignored", "logprobs: there are none"),
        ("n = 4", "ignored", "n: 1 choices"),
        ("JSON mode", "ignored", "response_format: the answer is no JSON object"),
    ],
)
def test_what_has_no_price_is_listed(
    priced: tuple[dict[str, Any], str, str], parameter: str, word: str, reason: str
) -> None:
    result, _, printed = priced
    (line,) = (line for line in result["lines"] if line["parameter"] == parameter)
    assert reason in line[word]
    assert "per_token" not in line
    assert f"{parameter}: {word}: " in printed


def test_every_parameter_of_the_list_is_there(priced: tuple[dict[str, Any], str, str]) -> None:
    lines = {line["parameter"]: line for line in priced[0]["lines"]}
    for name in ("temperature", "seed", "frequency_penalty", "presence_penalty", "stop, 4 texts", "stream"):
        assert lines[name]["completion_tokens"] == [9]
    assert [lines[f"logit_bias, {size}"]["fields"]["logit_bias"] for size in ("1 entry", "1024 entries")] == [
        "1 tokens",
        "1024 tokens",
    ]
    assert len(lines) == 18


def test_usage_is_asked_for_where_a_stream_does_not_tell_it(priced: tuple[dict[str, Any], str, str]) -> None:
    (line,) = (line for line in priced[0]["lines"] if line["parameter"] == "stream")
    assert line["fields"]["stream_options"] == {"include_usage": True}


def test_the_key_is_nowhere(priced: tuple[dict[str, Any], str, str]) -> None:
    result, text, printed = priced
    assert SECRET not in text + printed
    assert "--api-key=KEY" in result["command"]


# The formulas


def test_prefill_cancels_out() -> None:
    """Half a second for the request and its first token, then 10, 20 and 30 ms for each of ten more."""
    way = measuring.Way("by hand", lambda _: [])
    line = measuring.Priced(way, "greedy", {"temperature": 0})
    line.seconds = {1: [0.4, 0.5, 0.9], 11: [0.6, 0.7, 0.8]}
    line.tokens = {1: [1, 1, 1], 11: [11, 11, 11]}
    told = measuring.result_of(line, 11)
    assert told["per_token"]["median_us"] == pytest.approx(20_000)
    assert told["tokens_per_s"] == pytest.approx(50)
    assert told["request"]["median_us"] == pytest.approx(500_000)
    assert told["request_tokens_per_s"] == pytest.approx(11 / 0.7)


def test_an_answer_that_ends_early_or_fails_is_no_price() -> None:
    line = measuring.Priced(measuring.Way("by hand", lambda _: []), "temperature", {})
    line.seconds, line.tokens = {1: [0.5, 0.5], 11: [0.6, 0.5]}, {1: [1, 1], 11: [11, 1]}
    assert measuring.result_of(line, 11)["not_available"] == "an answer of 1 tokens"

    def fails(_: object) -> list[Any]:
        raise measuring.Refused("overloaded")

    broken = measuring.Priced(measuring.Way("by hand", fails), "temperature", {})
    broken.time(11)
    assert measuring.result_of(broken, 11)["not_available"] == "after 0 turns: overloaded"
