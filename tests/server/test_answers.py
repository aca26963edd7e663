"""What the server answers, over real sockets."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
from jsonschema import Draft202012Validator
from server.live import ANSWER, CHAT, QUESTION

from sampling.server import PAGE_MODEL

PAGE_PATH = "/llm/v1/chat/completions"


def test_the_published_answer(server):
    reply = server.chat(temperature=0)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    response = reply.json
    assert re.fullmatch(r"cmpl-[0-9a-f]{32}", response["id"])
    assert response["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER},
            "finish_reason": "stop",
            "logprobs": None,
            "stop_reason": None,
        }
    ]
    assert response["usage"]["completion_tokens"] == 8


def test_it_is_what_the_model_answers_in_python(server, toy):
    fields = {"seed": 11, "n": 3, "logprobs": True, "top_logprobs": 4, "temperature": 1.3, "max_tokens": 12}
    got, expected = server.chat(**fields).json, toy.chat(QUESTION, **fields)
    assert got["usage"] == expected["usage"]
    assert got["system_fingerprint"] == expected["system_fingerprint"]
    for mine, theirs in zip(got["choices"], expected["choices"], strict=True):
        entries = zip(mine.pop("logprobs")["content"], theirs.pop("logprobs")["content"], strict=True)
        assert mine == theirs
        for entry, other in entries:
            # the batches differ in shape, and matrix products in their last bits with it
            assert entry.pop("logprob") == pytest.approx(other.pop("logprob"), abs=1e-4)
            assert entry.pop("token") == other.pop("token")


def test_the_response_is_named_after_the_request(server):
    for name in ("sampling-toy", PAGE_MODEL):
        assert server.chat(model=name).json["model"] == name


def test_the_id_is_in_the_headers(server):
    reply = server.chat()
    assert reply.headers["x-request-id"] == reply.json["id"]
    assert server.send("/health").headers["x-request-id"] != server.send("/health").headers["x-request-id"]


def test_any_content_type_will_do(server):
    body = json.dumps({"model": PAGE_MODEL, "messages": QUESTION, "temperature": 0}).encode()
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8", "?"):
        reply = server.send(PAGE_PATH, body, content_type=kind)
        assert reply.json["choices"][0]["message"]["content"] == ANSWER


@pytest.mark.parametrize("path", [CHAT, PAGE_PATH])
def test_a_stream_says_what_the_response_says(server, path):
    request = {"model": PAGE_MODEL, "messages": QUESTION, "seed": 5, "n": 2, "temperature": 1.5}
    whole = server.send(path, json.dumps(request).encode()).json
    reply = server.send(path, json.dumps({**request, "stream": True}).encode())
    *chunks, done = reply.events
    assert done == "[DONE]"
    assert {chunk["id"] for chunk in chunks} == {reply.headers["x-request-id"]}
    assert [chunk["usage"] for chunk in chunks if chunk.get("usage")] == [whole["usage"]]
    for choice in whole["choices"]:
        own = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == choice["index"]]
        assert own[0]["delta"] == {"role": "assistant"}
        assert "".join(c["delta"].get("content", "") for c in own) == choice["message"]["content"]
        assert [c["finish_reason"] for c in own if c["finish_reason"]] == [choice["finish_reason"]]


def test_chunks_come_as_they_are_sampled(server, gate):
    def delta(response):
        line, end = response.readline(), response.readline()
        assert end == b"\n"
        return json.loads(line.removeprefix(b"data: "))["choices"][0]["delta"]

    with server.asked(stream=True, temperature=0) as connection:
        response = connection.getresponse()  # before a single step
        assert delta(response) == {"role": "assistant"}
        gate.let(1)
        assert delta(response) == {"content": "The"}
        gate.open()
        assert response.read().endswith(b"data: [DONE]\n\n")


def test_health(server):
    reply = server.send("/health")
    assert (reply.status, reply.json) == (200, {"status": "ok"})


def test_metrics_count_requests_and_tokens(serving):
    fresh = serving()
    usage = fresh.chat(n=2, max_tokens=3).json["usage"]
    fresh.chat(temperature=3)
    fresh.chat(model="another")
    for status in (200, 400, 404):
        assert fresh.reaches(f'sampling_requests_total{{status="{status}"}}', 1)
    assert fresh.metric('sampling_tokens_total{kind="prompt"}') == usage["prompt_tokens"]
    assert fresh.metric('sampling_tokens_total{kind="completion"}') == usage["completion_tokens"]
    assert fresh.metric("sampling_step_seconds_count") == 3
    assert fresh.metric("sampling_time_to_first_token_seconds_count") == 1
    assert fresh.metric("sampling_rows") == 16


@pytest.mark.parametrize("dialect", ["qstash", "openai", "vllm"])
def test_responses_are_as_the_description_says(serving, dialect):
    fresh = serving(dialect=dialect)
    described = fresh.send("/openapi.json").json

    def check(value, name):
        schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        Draft202012Validator.check_schema(schema)
        jsonschema.validate(value, schema, Draft202012Validator)

    fields = {"logprobs": True, "top_logprobs": 2, "n": 2, "max_tokens": 4, "stop": ["Tur"]}
    if dialect != "qstash":
        fields["stream_options"] = {"include_usage": True}
    request = {"model": "sampling-toy", "messages": QUESTION, **fields, "stream": True}
    check(request, "Request")
    *chunks, _ = fresh.chat(**fields, stream=True).events
    for chunk in chunks:
        check(chunk, "Chunk")
    fields.pop("stream_options", None)
    check(fresh.chat(**fields).json, "Completion")
    check(fresh.chat(n=0).json, "Error")
    check(fresh.send("/v1/models").json, "Models")
    check(fresh.send("/v1/models/sampling-toy").json, "Model")
    check(fresh.send("/health").json, "Health")


def test_every_route_is_described(server):
    described = server.send("/openapi.json").json["paths"]
    routes = {(path, method.upper()) for path, methods in described.items() for method in methods}
    assert routes == {
        (CHAT, "POST"),
        (PAGE_PATH, "POST"),
        *((f"{below}/v1/completions", "POST") for below in ("", "/llm")),
        *((f"{below}/{name}", "POST") for below in ("", "/llm") for name in ("tokenize", "detokenize")),
        *((f"{below}/tokenizer_info", "GET") for below in ("", "/llm")),
        ("/v1/models", "GET"),
        ("/v1/models/{model}", "GET"),
        ("/llm/v1/models", "GET"),
        ("/llm/v1/models/{model}", "GET"),
        ("/health", "GET"),
        ("/metrics", "GET"),
        ("/openapi.json", "GET"),
    }
