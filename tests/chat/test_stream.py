"""Streamed chunks: joined, they are the response; nothing in them is taken back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import ASK, comparable, joined
from scripted import saying

from sampling import load
from sampling.chat.stream import DONE, server_sent_event
from sampling.core.errors import RowError

FIRST = {"role": "assistant"}


def assert_the_same(chunks: list[dict[str, Any]], response: dict[str, Any]) -> None:
    """Joined, the chunks are the response, and what can be said once only is said once."""
    assert comparable(joined(chunks)) == comparable(response)
    reasons = [part for chunk in chunks for part in chunk["choices"] if part["finish_reason"] is not None]
    assert len(reasons) == len(response["choices"])
    assert sum(chunk.get("usage") is not None for chunk in chunks) == 1


@pytest.fixture(scope="module")
def toy():
    return load(None)


REQUESTS = st.fixed_dictionaries(
    {
        "seed": st.integers(-(2**63), 2**64 - 1),
        "temperature": st.sampled_from([0, 0.7, 1.3, 2]),
        "max_tokens": st.integers(1, 24),
        "n": st.integers(1, 4),
    },
    optional={
        "top_p": st.sampled_from([0.5, 0.95]),
        "presence_penalty": st.sampled_from([-2, 0.5]),
        "stop": st.lists(st.sampled_from(["a", ".", " of", "is ", "e c", "é"]), max_size=4),
        "logprobs": st.booleans(),
        "dialect": st.sampled_from(["qstash", "vllm-0.4", "llama.cpp"]),
    },
)


@settings(max_examples=60, deadline=None)
@given(REQUESTS)
def test_joined_chunks_are_the_response(toy, request_fields):
    question = [{"role": "user", "content": "What is the capital of Peru?"}]
    fields = dict(request_fields)
    if fields.get("logprobs"):
        fields["top_logprobs"] = 3
    assert_the_same(list(toy.chat(question, stream=True, **fields)), toy.chat(question, **fields))


PIECES = st.lists(
    st.one_of(st.sampled_from("abc"), st.sampled_from(["é".encode(), "🙂".encode(), b"\xff", b"\xe4\xb8"])),
    min_size=1,
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(PIECES, st.lists(st.sampled_from(["ab", "bc", "é", "a🙂", "\ufffd"]), max_size=3), st.integers(1, 20))
def test_any_split_of_characters_and_any_stop(pieces, stop, max_tokens):
    """Single bytes are single tokens here, whole characters or not."""
    model = saying([b"".join(p if isinstance(p, bytes) else p.encode() for p in pieces)])
    fields = {"temperature": 0, "seed": 1, "stop": stop, "max_tokens": max_tokens, "logprobs": True}
    chunks = list(model.chat(ASK, stream=True, **fields))
    assert_the_same(chunks, model.chat(ASK, **fields))
    contents = [c["choices"][0]["delta"].get("content") for c in chunks]
    assert all(contents[1:-1])  # no chunk without content but the first and the last


def test_shape_of_a_stream(toy):
    """The published shape: role, pieces, a last chunk with the reason and the usage."""
    chunks = list(toy.chat(ASK, stream=True, temperature=0, max_tokens=5, seed=1))
    first, *pieces, last = chunks
    head = ("id", "created", "model", "system_fingerprint")
    assert {tuple(chunk[key] for key in head) for chunk in chunks} == {tuple(first[key] for key in head)}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert first["choices"] == [{"index": 0, "delta": FIRST, "finish_reason": None, "logprobs": None}]
    for chunk in pieces:
        assert list(chunk["choices"][0]["delta"]) == ["content"]
        assert chunk["choices"][0]["finish_reason"] is None
        assert chunk.get("usage") is None
    assert last["choices"][0]["delta"] == {"content": ""}
    assert last["choices"][0]["finish_reason"] == "length"
    assert last["usage"]["completion_tokens"] == 5


def test_every_choice_begins_with_its_role_and_usage_comes_once(toy):
    chunks = list(toy.chat(ASK, stream=True, n=3, max_tokens=6, seed=1))
    assert [chunk["choices"][0]["index"] for chunk in chunks[:3]] == [0, 1, 2]
    assert all(chunk["choices"][0]["delta"] == FIRST for chunk in chunks[:3])
    assert [bool(chunk.get("usage")) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_what_may_become_a_stop_string_is_held_back():
    """Pieces "one E", "N", "X", "END": nothing of a beginning is sent before it is known to be none."""
    chunks = list(saying(["one E", "N", "X", "END"]).chat(ASK, stream=True, temperature=0, stop=["END"]))
    assert [c["choices"][0]["delta"].get("content") for c in chunks] == [None, "one ", "ENX", ""]
    assert chunks[-1]["choices"][0]["stop_reason"] == "END"


def test_a_partial_character_is_held_back():
    chunks = list(saying(["a", "🙂".encode(), "b"]).chat(ASK, stream=True, temperature=0, logprobs=True))
    assert [c["choices"][0]["delta"].get("content") for c in chunks] == [None, "a", "🙂", "b", ""]
    entries = [c["choices"][0]["logprobs"] for c in chunks]
    assert [e and len(e["content"]) for e in entries] == [None, 1, 4, 1, None]


def test_a_stream_decodes_as_it_is_read():
    model = saying(["a", "b", "c", "d"])
    chunks = model.chat(ASK, stream=True, temperature=0)
    assert model.model.step == 0
    next(chunks)
    next(chunks)
    assert model.model.step == 1  # the prompt went through; the second token has not been asked for


def test_openai_tells_the_usage_when_asked_in_a_chunk_of_its_own(toy):
    fields = {"dialect": "openai", "stream": True, "max_tokens": 3, "seed": 1}
    silent = list(toy.chat(ASK, **fields))
    assert not any("usage" in chunk for chunk in silent)
    assert not any("stop_reason" in chunk["choices"][0] for chunk in silent)
    asked = list(toy.chat(ASK, stream_options={"include_usage": True}, **fields))
    assert [chunk["usage"] for chunk in asked[:-1]] == [None] * (len(asked) - 1)
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["completion_tokens"] == 3


def test_a_row_that_can_not_be_sampled_ends_the_stream_with_the_error():
    model = saying(["a", "b"])
    model.model.script[1] = float("nan")
    chunks = model.chat(ASK, stream=True, temperature=0)
    with pytest.raises(RowError, match="choice 0: NaN"):
        list(chunks)


def test_server_sent_events_are_lines_of_json():
    text = server_sent_event({"content": "é\n"}) + server_sent_event(DONE)
    lines = text.split("\n\n")
    assert json.loads(lines[0].removeprefix("data: ")) == {"content": "é\n"}
    assert lines[1:] == ["data: [DONE]", ""]
