"""What a request gives its chat template, and what a response tells of what the template read."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from chatting import CHATTING
from scripted import saying

from sampling.chat.language_model import LanguageModel
from sampling.chat.request import ChatRequest
from sampling.core.errors import InvalidRequest

ASK = [{"role": "user", "content": "?"}]
DATED = "{{ date_string if date_string is defined else strftime_now('%d %b %Y') }}:{{ messages[0].content }}"
CLOCKED = "{{ strftime_now('%d %b %Y') }}:{{ messages[0].content }}"
DAYS = (datetime(2026, 11, 30, 23, 59), datetime(2026, 12, 1, 0, 1))


def answering(template: str) -> LanguageModel:
    """A model with a template of its own."""
    loaded = saying(["a", "b"])
    loaded.tokenizer.chat_template = template
    return loaded


def prompt(loaded: LanguageModel, **fields: Any) -> str:
    """The prompt of a request, as text: the byte tokenizer's ids are bytes."""
    from sampling.chat.prepared import prepare
    from sampling.dialects import dialect

    request = ChatRequest.parse({"messages": ASK, **fields})
    return bytes(prepare(loaded, request, dialect("qstash")).prompt_ids).decode()


def test_a_request_pins_the_date():
    loaded = answering(DATED)
    given = {"date_string": "01 Jan 2026"}
    assert prompt(loaded, chat_template_kwargs=given) == "01 Jan 2026:?"
    response = loaded.chat(ASK, chat_template_kwargs=given, seed=1)
    assert "chat_template_kwargs" not in response


@pytest.mark.parametrize("template", [DATED, CLOCKED])
def test_a_response_tells_what_the_template_read_and_with_it_the_prompt_is_the_same(monkeypatch, template):
    """The same seed and fingerprint on another day: another prompt, and the response says why."""
    loaded = answering(template)
    monkeypatch.setattr(loaded, "now", lambda: DAYS[0])
    first = loaded.chat(ASK)
    assert first["chat_template_kwargs"] == {"strftime_now": {"%d %b %Y": "30 Nov 2026"}}
    assert prompt(loaded) == "30 Nov 2026:?"
    monkeypatch.setattr(loaded, "now", lambda: DAYS[1])
    other = loaded.chat(ASK, seed=first["seed"])
    assert other["chat_template_kwargs"] == {"strftime_now": {"%d %b %Y": "01 Dec 2026"}}
    replayed = {name: first[name] for name in ("seed", "chat_template_kwargs")}
    again = loaded.chat(ASK, **replayed)
    assert again["choices"] == first["choices"]
    assert "chat_template_kwargs" not in again
    assert prompt(loaded, **replayed) == "30 Nov 2026:?"


def test_what_the_request_gave_is_in_it_too(monkeypatch):
    loaded = answering("{{ strftime_now('%Y') }}{{ strftime_now('%m') }}{{ level }}")
    monkeypatch.setattr(loaded, "now", lambda: DAYS[0])
    given = {"level": 3, "strftime_now": {"%Y": "1999"}}
    response = loaded.chat(ASK, chat_template_kwargs=given)
    assert response["chat_template_kwargs"] == {"level": 3, "strftime_now": {"%Y": "1999", "%m": "11"}}
    assert prompt(loaded, chat_template_kwargs=response["chat_template_kwargs"]) == "1999113"


def test_every_chunk_of_a_stream_tells_it():
    chunks = list(answering(CLOCKED).chat(ASK, stream=True, seed=1))
    told = [chunk["chat_template_kwargs"]["strftime_now"].keys() for chunk in chunks]
    assert told == [{"%d %b %Y"}] * len(chunks)


def test_a_template_counts_in_the_fingerprint():
    """And so do the tokenizer's special tokens, which templates write."""
    plain = saying(["a"])
    before = plain.fingerprint("qstash")
    assert before == saying(["a"]).fingerprint("qstash")
    plain.tokenizer.chat_template += " "
    other = plain.fingerprint("qstash")
    plain.tokenizer.pad_token = "<eos>"
    assert len({before, other, plain.fingerprint("qstash"), saying(["a", "bc"]).fingerprint("qstash")}) == 4


def test_any_json_value_reaches_the_template():
    value: Mapping[str, Any] = {"a": [1, 2.5, None, True, {"b": "é"}], "c": (1,)}
    assert prompt(answering("{{ v | tojson }}"), chat_template_kwargs={"v": value}) == (
        '{"a": [1, 2.5, null, true, {"b": "é"}], "c": [1]}'
    )


def test_null_is_left_out_and_nothing_is_nothing():
    loaded = answering("{{ v is defined }}{{ v }}")
    assert prompt(loaded, chat_template_kwargs=None) == "False"
    assert prompt(loaded, chat_template_kwargs={}) == "False"
    assert prompt(loaded, chat_template_kwargs={"v": None}) == "TrueNone"
    assert prompt(loaded, chat_template_kwargs={"unread": 1}) == "False"


def test_the_log_says_what_the_template_does_not_read(caplog):
    """Once each, and not for ever."""
    loaded = answering("{% set own = 1 %}{{ level }}{{ messages[0].content if deep is defined }}")
    given = {"level": 1, "date_string": "x", "own": 2, "deep": 3, "strftime_now": {"%Y": "2026"}}
    for _ in range(2):
        prompt(loaded, chat_template_kwargs=given)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"chat_template_kwargs.{name}: the chat template does not read it"
        for name in ("date_string", "own", "strftime_now")
    ]
    prompt(loaded, chat_template_kwargs={f"{number}\n": 1 for number in range(100)})
    assert len(caplog.records) == 16
    assert not any("\n" in record.getMessage() for record in caplog.records)


TOO_DEEP: list[Any] = []
TOO_DEEP.append(TOO_DEEP)

REFUSED = [
    (5, "chat_template_kwargs: got 5, must be an object"),
    ([], r"chat_template_kwargs: got \[\], must be an object"),
    ("x", "chat_template_kwargs: got 'x', must be an object"),
    ({"a": math.nan}, "chat_template_kwargs.a: got nan, must be a JSON value"),
    ({"a": {"b": [0, {1}]}}, r"chat_template_kwargs.a.b\[1\]: got \{1\}, must be a JSON value"),
    ({"a": print}, "chat_template_kwargs.a: got <built-in function print>, must be a JSON value"),
    ({"a": b"x"}, "chat_template_kwargs.a: got b'x', must be a JSON value"),
    ({"a": 10**5000}, "chat_template_kwargs.a: got .* must be a JSON value"),
    ({"a": "\ud800"}, "chat_template_kwargs.a: got .*must be valid Unicode"),
    ({5: 1}, "chat_template_kwargs, a key: got 5, must be a string"),
    ({"a": TOO_DEEP}, "must be of at most 100 levels"),
    (
        {"messages": []},
        r"chat_template_kwargs.messages: got \[\], must be left out: the messages have a field",
    ),
    (
        {"add_generation_prompt": True},
        "add_generation_prompt: got True, must be left out: it is a field of its own",
    ),
    ({"continue_final_message": True}, "must be left out: it is a field of its own"),
    (
        {"tools": []},
        r"chat_template_kwargs.tools: got \[\], must be left out: tools and documents are not offered",
    ),
    ({"documents": []}, "not offered"),
    ({"chat_template": "x"}, "must be left out: the template is the checkpoint's"),
    ({"tokenize": False}, "argument of apply_chat_template"),
    ({"bos_token": "x"}, "chat_template_kwargs.bos_token: got 'x', must be left out: the tokenizer sets it"),
    ({"raise_exception": "x"}, "a function that templates have"),
    ({"range": 1}, "a function that templates have"),
    ({"strftime_now": "2026"}, "chat_template_kwargs.strftime_now: got '2026', must be an object of texts"),
    ({"strftime_now": {"%Y": 2026}}, "must be an object of texts by the formats"),
]


@pytest.mark.parametrize(("given", "words"), REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_what_is_no_variable_is_refused_by_name(given, words):
    with pytest.raises(InvalidRequest, match=words):
        ChatRequest.parse({"messages": ASK, "chat_template_kwargs": given})


def test_a_long_key_costs_nothing_for_each_value_below_it():
    """Written out for each of them it would come to four gigabytes here."""

    def seconds(key: str) -> float:
        kwargs = {key: ["é"] * 20_000, "last": {key: [{key: 1}] * 20_000}}
        started = time.perf_counter()
        ChatRequest.parse({"messages": ASK, "chat_template_kwargs": kwargs})
        return time.perf_counter() - started

    short = min(seconds("k") for _ in range(3))
    assert min(seconds("k" * 100_000) for _ in range(3)) < 8 * short
    with pytest.raises(
        InvalidRequest, match=r"^chat_template_kwargs\.k.*k\[1\]: got nan, must be a JSON value$"
    ):
        ChatRequest.parse({"messages": ASK, "chat_template_kwargs": {"k" * 1000: [0, math.nan]}})


# What each engine's server takes, and the default dialect, which has them as an extension.
TAKEN = {
    "qstash": {"chat_template_kwargs", "add_generation_prompt", "continue_final_message"},
    "openai": set[str](),
    "vllm-0.4": {"add_generation_prompt"},
    "vllm": {"chat_template_kwargs", "add_generation_prompt", "continue_final_message"},
    "transformers": {"chat_template_kwargs", "add_generation_prompt", "continue_final_message"},
    "sglang": {"chat_template_kwargs", "continue_final_message"},
    "llama.cpp": {"chat_template_kwargs", "add_generation_prompt"},
    "mlx-lm": {"chat_template_kwargs"},
    "mistralrs": set[str](),
}
VALUES = {"chat_template_kwargs": {"a": 1}, "add_generation_prompt": False, "continue_final_message": True}
TALK = [*ASK, {"role": "assistant", "content": "!"}]


@pytest.mark.parametrize("name", CHATTING)
@pytest.mark.parametrize("field", VALUES)
def test_a_dialect_takes_the_fields_of_its_engine(name, field):
    request = {"messages": TALK, field: VALUES[field]}
    if field in TAKEN[name]:
        assert getattr(ChatRequest.parse(request, name), field) == VALUES[field]
    else:
        with pytest.raises(InvalidRequest, match=f"has no {field}; or serve with --dialect qstash") as caught:
            ChatRequest.parse(request, name)
        assert caught.value.param == field
