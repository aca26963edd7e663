"""The page's own command and its stream, byte for byte: real curl against `sampling serve`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest
from server.live import ANSWER, PATIENCE

from sampling.server import PAGE_MODEL

COMMAND = """curl -X POST https://HOST/llm/v1/chat/completions -H "Authorization: Bearer TOKEN" -d '{
    "model": "meta-llama/Meta-Llama-3-8B-Instruct",
    "messages": [
        {
            "role": "user",
            "content": "What is the capital of Turkey?"
        }
    ]
}'"""
PIECES = ["The", " capital", " of", " Turkey", " is", " Ankara", "."]


@pytest.fixture
def shell(command, tmp_path):
    """Runs a command of curl's, without proxies and without settings from a home directory."""
    if shutil.which("curl") is None:
        pytest.skip("NO CURL FOUND: the page's own command was NOT tried")

    def run(line):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        assert "https://HOST" in line
        done = subprocess.run(
            line.replace("https://HOST", command),
            shell=True,
            capture_output=True,
            env=environment,
            timeout=PATIENCE,
            check=True,
        )
        return done.stdout

    return run


def streamed(fields, flags=""):
    """The page's command for a stream."""
    more = f'"stream": true, {json.dumps(fields)[1:-1]}, "model"'
    return COMMAND.replace("curl", f"curl -N {flags}", 1).replace('"model"', more, 1)


def test_the_pages_command(shell):
    """The draws are free: one answer is another in one of 1500, so two are with a false-alarm rate of 5e-7."""
    responses = [json.loads(shell(COMMAND)) for _ in range(2)]
    assert ANSWER in [response["choices"][0]["message"]["content"] for response in responses]
    for response in responses:
        assert re.fullmatch(r"cmpl-[0-9a-f]{32}", response["id"])
        assert (response["object"], response["model"]) == ("chat.completion", PAGE_MODEL)
        (choice,) = response["choices"]
        assert set(choice) == {"index", "message", "finish_reason", "stop_reason", "logprobs"}
        assert (choice["finish_reason"], choice["stop_reason"], choice["logprobs"]) == ("stop", None, None)
        usage = response["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert len({response["id"] for response in responses}) == 2


def test_the_fresh_seed_of_an_answer_repeats_it(shell):
    response = json.loads(shell(COMMAND))
    again = COMMAND.replace('"model"', f'"seed": {response["seed"]}, "model"', 1)
    assert json.loads(shell(again))["choices"] == response["choices"]


def test_another_token_is_refused(shell):
    body = shell(COMMAND.replace("TOKEN", "TOKENS").replace("curl", "curl -w '%{http_code}'", 1))
    assert body.endswith(b"401")
    assert json.loads(body[:-3])["error"]["code"] == "invalid_api_key"


def test_the_bytes_of_a_stream(shell):
    raw = shell(streamed({"temperature": 0, "seed": 1}))
    *events, end = raw.split(b"\n\n")
    assert end == b""
    assert all(event.startswith(b"data: ") and b"\n" not in event for event in events)
    *chunks, done = [event.removeprefix(b"data: ") for event in events]
    assert done == b"[DONE]"
    chunks = [json.loads(chunk) for chunk in chunks]
    head = {name: chunks[0][name] for name in ("id", "created", "system_fingerprint")}
    head |= {"object": "chat.completion.chunk", "model": PAGE_MODEL}
    deltas = [{"role": "assistant"}, *({"content": piece} for piece in PIECES)]
    expected = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None, "logprobs": None}]}
        for delta in deltas
    ]
    last = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop", "logprobs": None}
    prompt = chunks[-1]["usage"]["prompt_tokens"]
    usage = {"prompt_tokens": prompt, "completion_tokens": 8, "total_tokens": prompt + 8}
    expected.append({**head, "choices": [{**last, "stop_reason": None}], "usage": usage})
    assert chunks == expected


def test_the_headers_of_a_stream(shell):
    flags = "-o /dev/null -w '%{http_code} %{content_type}'"
    assert shell(streamed({"temperature": 0}, flags)) == b"200 text/event-stream; charset=utf-8"


def test_a_request_that_is_refused_is_no_stream(shell):
    raw = shell(streamed({"temperature": 3}, "-w '%{http_code} %{content_type}'"))
    body, end = raw[:-20], raw[-20:]
    assert end == b"400 application/json"
    assert json.loads(body)["error"]["param"] == "temperature"
