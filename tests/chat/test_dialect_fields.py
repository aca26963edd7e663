"""What each dialect takes beyond the page: the fields and the messages that clients send."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from chatting import CHATTING
from openai.types.chat import ChatCompletionMessage
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from scripted import saying

from sampling import Sampler, SamplingParams
from sampling.chat.fields import COMMON, FIELDS
from sampling.chat.kinds import Only
from sampling.chat.request import SAMPLING_FIELDS, ChatRequest
from sampling.core.errors import InvalidRequest
from sampling.dialects import DIALECTS
from sampling.dialects.openai import OPENAI

ASK: list[dict[str, Any]] = [{"role": "user", "content": "?"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def read(how: str = "openai", **fields: object) -> ChatRequest:
    """A request with these fields."""
    return ChatRequest.parse({"messages": ASK, **fields}, how)


def refused(how: str = "openai", **fields: object) -> InvalidRequest:
    """Why a request is refused."""
    with pytest.raises(InvalidRequest) as caught:
        read(how, **fields)
    return caught.value


# Fields


def test_the_openai_dialect_knows_every_field_of_the_official_client():
    known = {*COMMON, *SAMPLING_FIELDS, *OPENAI.fields, "messages", "stop", "stream_options"}
    assert {*CompletionCreateParamsNonStreaming.__annotations__} <= known
    assert "prompt_cache_options" in CompletionCreateParamsNonStreaming.__annotations__, openai.__version__


HARMLESS: dict[str, tuple[list[Any], list[Any]]] = {
    "user": (["me", ""], [7]),
    "store": ([True, False], ["yes", 1]),
    "metadata": (
        [{}, {"run": "7"}],
        ["x", {"run": 7}, {"k" * 65: "x"}, {"k": "x" * 513}, {str(k): "" for k in range(17)}],
    ),
    "service_tier": (["auto", "flex", "priority"], ["best", 1, ["auto"]]),
    "safety_identifier": (["x" * 128], ["x" * 129, {}]),
    "prompt_cache_key": (["x"], [1]),
    "prompt_cache_retention": (["in_memory", "24h"], ["1h"]),
    "prompt_cache_options": (
        [{}, {"mode": "explicit", "ttl": None}],
        [{"mode": "none"}, {"other": 1}, "explicit"],
    ),
    "parallel_tool_calls": ([True, False], [0]),
    "prediction": (
        [
            {"type": "content", "content": "x"},
            {"type": "content", "content": [{"type": "text", "text": "x"}]},
        ],
        [{"type": "text", "content": "x"}, {"content": 1}, "x"],
    ),
    "tools": ([[]], [[TOOL], "x", {}]),
    "tool_choice": (["none"], ["auto", "required", {"type": "function", "function": {"name": "f"}}]),
    "functions": ([[]], [[{"name": "f"}]]),
    "function_call": (["none"], ["auto", {"name": "f"}]),
    "modalities": ([["text"]], [["text", "audio"], ["audio"], [], "text"]),
    "audio": ([], [{"voice": "alloy", "format": "wav"}]),
    "moderation": ([], [{"model": "omni-moderation-latest"}]),
    "reasoning_effort": (["none"], ["low", "high"]),
    "verbosity": ([], ["low", "medium"]),
    "web_search_options": ([], [{}]),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_changes_no_text_is_taken_and_the_rest_refused_by_name(name: str):
    """Lists by hand, from the official client's types and OpenAI's reference."""
    taken, wrong = HARMLESS[name]
    for value in taken:
        assert read(**{name: value}) == read()
    for value in wrong:
        assert refused(**{name: value}).param.startswith(name)
    assert set(HARMLESS) | {"max_completion_tokens"} == {*OPENAI.fields}


@pytest.mark.parametrize("how", CHATTING)
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("tools", [TOOL], "tools are not offered"),
        ("tool_choice", "auto", "tools are not offered"),
        ("functions", [{"name": "f"}], "functions are not offered"),
        ("audio", {"voice": "alloy"}, "audio is not offered"),
        ("modalities", ["audio"], "text is all that is offered"),
        ("web_search_options", {}, "web search is not offered"),
        ("reasoning_effort", "high", "do not reason"),
        ("echo", True, "not repeated"),
    ],
)
def test_what_no_dialect_offers_is_refused_with_the_reason(how: str, name: str, value: object, reason: str):
    error = refused(how, **{name: value})
    assert error.param == name
    assert reason in str(error)
    assert "--dialect" not in str(error)


@pytest.mark.parametrize("how", CHATTING)
def test_null_counts_as_left_out_whatever_its_name(how: str):
    absent: dict[str, object] = dict.fromkeys((*FIELDS, *COMMON, *SAMPLING_FIELDS, "stop", "anything", "�"))
    assert read(how, **absent, stream_options=None) == read(how)
    inside = {"type": "text", "json_schema": None, "anything": None}
    assert read(how, response_format=inside, stream=True, stream_options={"anything": None}).stream
    assert read(how, messages=[{**ASK[0], "name": None, "anything": None}]) == read(how)
    part = {"type": "text", "text": "?", "cache_control": None}
    assert read(how, messages=[{"role": "user", "content": [part]}]) == read(how)


@pytest.mark.parametrize(
    "how", [name for name in CHATTING if "max_completion_tokens" in DIALECTS[name].fields]
)
def test_the_most_tokens_have_two_names(how: str):
    assert (
        read(how, max_completion_tokens=5)
        == read(how, max_tokens=5)
        == read(how, max_tokens=5, max_completion_tokens=5.0)
    )
    error = refused(how, max_tokens=4, max_completion_tokens=5)
    assert "max_completion_tokens: got 5, must be 4 like max_tokens, or one of the two left out" in str(error)
    assert "--dialect" not in str(error)
    assert refused(how, max_completion_tokens=0).param == "max_completion_tokens"
    assert how in {"openai", "vllm", "sglang", "llama.cpp", "transformers", "mlx-lm"}


def test_a_choice_has_no_more_tokens_than_the_new_name_says():
    for stream in (False, True):
        answer = saying(["a", "b", "c"]).chat(ASK, dialect="openai", max_completion_tokens=2, stream=stream)
        choice = answer["choices"][0] if not stream else [*answer][-1]["choices"][0]
        assert choice["finish_reason"] == "length"


@pytest.mark.parametrize("how", CHATTING)
def test_one_stop_string_is_a_list_of_one(how: str):
    assert read(how, stop="b") == read(how, stop=["b"]) == read(how, stop=("b",))
    assert (
        saying(["a", "b", "c"]).chat(ASK, dialect=how, top_p=0.9, stop="b")["choices"][0]["message"][
            "content"
        ]
        == "a"
    )


def test_a_dialect_that_names_an_unknown_field_is_refused():
    with pytest.raises(
        InvalidRequest, match=r"fields: got 'usr', must be a name in sampling.chat.fields.FIELDS$"
    ):
        ChatRequest.parse({"messages": ASK}, replace(OPENAI, fields=("usr",)))
    assert all(name in FIELDS for one in DIALECTS.values() for name in one.fields)


# Integers as JSON Schema has them

WHOLE = ("max_tokens", "n", "seed", "top_k", "top_logprobs", "max_completion_tokens", "min_tokens")


@pytest.mark.parametrize("name", WHOLE)
def test_a_number_without_a_fraction_is_an_integer(name: str):
    rest = {"logprobs": True} if name == "top_logprobs" else {}
    assert read("vllm", **rest, **{name: 6.0}) == read("vllm", **rest, **{name: 6})
    for value in (6.5, True, "6", float("inf"), float("nan"), [6], 1e300):
        assert refused("vllm", **rest, **{name: value}).param == name


def test_token_ids_are_integers_too():
    assert read("vllm", stop_token_ids=[2.0, 3, 2]).params.stop_token_ids == (2, 3)
    assert refused("vllm", stop_token_ids=[2.5]).param == "stop_token_ids[0]"
    assert refused("vllm", stop_token_ids=[-1]).param == "stop_token_ids[0]"
    assert refused("vllm", stop_token_ids=2).param == "stop_token_ids"
    assert "must be a list of at most 128" in str(refused("vllm", stop_token_ids=[*range(129)]))


# top_k -1

OFF = {"vllm-0.4", "vllm", "vllm-v1", "sglang", "llama.cpp"}


@pytest.mark.parametrize("how", CHATTING)
def test_top_k_of_minus_one_is_off_where_the_engine_has_it_so(how: str):
    if how in OFF:
        assert read(how, top_k=-1) == read(how, top_k=-1.0) == read(how)
    else:
        error = refused(how, top_k=-1)
        assert (error.param, error.value) == ("top_k", -1)
        assert "or serve with --dialect vllm-0.4" in str(error)
    assert refused(how, top_k=-2).param == "top_k"
    assert refused(how, top_k=-1.5).param == "top_k"


# Messages


@pytest.mark.parametrize("how", CHATTING)
def test_a_message_that_a_client_gives_back_is_taken(how: str):
    own = saying(["a"]).chat(ASK, dialect=how, top_p=0.9)["choices"][0]["message"]
    dumped = ChatCompletionMessage.model_validate(own).model_dump()
    assert {"refusal", "audio", "annotations", "function_call", "tool_calls"} <= dumped.keys()
    back = read(how, messages=[*ASK, dumped, *ASK])
    assert back.messages[1] == {"role": "assistant", "content": "a"}
    listed = {**dumped, "tool_calls": [], "annotations": []}  # as OpenAI's own answers have them
    assert read(how, messages=[*ASK, listed, *ASK]) == back


@pytest.mark.parametrize("how", CHATTING)
@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("tool_calls", [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]),
        ("function_call", {"name": "f", "arguments": "{}"}),
        ("audio", {"id": "audio_1"}),
        ("refusal", "I cannot help with that."),
        ("annotations", [{"type": "url_citation"}]),
        ("tool_call_id", "1"),
        ("reasoning_content", "hm"),
    ],
)
def test_members_that_say_something_else_are_refused_by_name(how: str, member: str, value: object):
    error = refused(how, messages=[*ASK, {"role": "assistant", "content": "a", member: value}])
    assert error.param == f"messages[1].{member}"
    assert "must be left out: " in str(error)


PARTS = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
JOINED = {"vllm-0.4": "one\ntwo", "vllm": "one\ntwo", "vllm-v1": "one\ntwo", "llama.cpp": "one\ntwo"} | {
    "sglang": "one two",
    "transformers": "one two",
}


@pytest.mark.parametrize("how", CHATTING)
@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_text_parts_are_joined_as_the_engine_does(how: str, role: str):
    """Sources: chat_utils.py of vLLM, jinja_template_utils.py of SGLang, cli/serving/utils.py of transformers, chat.cpp."""
    one, *_, two = read(
        how, messages=[{"role": role, "content": PARTS}, {"role": role, "content": PARTS[:1]}]
    ).messages
    assert (one["content"], two["content"]) == (JOINED.get(how, "onetwo"), "one")


@pytest.mark.parametrize("how", CHATTING)
@pytest.mark.parametrize(
    ("content", "param"),
    [
        ([{"type": "image_url", "image_url": {"url": "data:,"}}], "messages[0].content[0].type"),
        ([PARTS[0], {"type": "input_audio", "input_audio": {}}], "messages[0].content[1].type"),
        ([{"type": "file", "file": {}}], "messages[0].content[0].type"),
        ([{"type": "refusal", "refusal": "no"}], "messages[0].content[0].type"),
        ([{"text": "x"}], "messages[0].content[0].type"),
        ([{"type": "text"}], "messages[0].content[0].text"),
        ([{"type": "text", "text": 7}], "messages[0].content[0].text"),
        ([{"type": "text", "text": "\ud800"}], "messages[0].content[0].text"),
        (
            [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}],
            "messages[0].content[0].cache_control",
        ),
        (["x"], "messages[0].content[0]"),
        ([], "messages[0].content"),
        ({"type": "text", "text": "x"}, "messages[0].content"),
        ([PARTS[0]] * 4097, "messages[0].content"),
        (None, "messages[0].content"),
    ],
)
def test_other_parts_are_refused_by_name(how: str, content: object, param: str):
    error = refused(how, messages=[{"role": "user", "content": content}])
    assert error.param == param
    assert len(str(error)) < 300


@pytest.mark.parametrize("how", CHATTING)
def test_an_assistant_without_content(how: str):
    silent = [[*ASK, {"role": "assistant", **none}, *ASK] for none in ({}, {"content": None})]
    if how in ("qstash", "vllm-0.4"):
        errors = [refused(how, messages=messages) for messages in silent]
        assert {error.param for error in errors} == {"messages[1].content"}
        assert all("or serve with --dialect openai" in str(error) for error in errors)
    else:
        assert [read(how, messages=messages).messages[1]["content"] for messages in silent] == ["", ""]
    assert refused(how, messages=[{"role": "system", "content": None}]).param == "messages[0].content"


@pytest.mark.parametrize("how", CHATTING)
def test_a_developer_is_the_system_where_the_engine_has_it_so(how: str):
    messages = [{"role": "developer", "content": "Be brief."}, *ASK]
    if how in ("openai", "vllm", "vllm-v1", "sglang"):
        assert read(how, messages=messages) == read(how, messages=[{**messages[0], "role": "system"}, *ASK])
    else:
        error = refused(how, messages=messages)
        assert (error.param, error.value) == ("messages[0].role", "developer")
        assert (
            'one of system, user, assistant; or serve with --dialect openai (in Python dialect="openai")'
            in str(error)
        )


@pytest.mark.parametrize("how", CHATTING)
@pytest.mark.parametrize("role", ["tool", "function", "", None, 7, ["user"], "User"])
def test_other_roles_are_refused(how: str, role: object):
    error = refused(how, messages=[{"role": role, "content": "x"}])
    assert error.param == "messages[0].role"
    assert ("not offered" in str(error)) == (role in ("tool", "function"))


# Which dialect would serve

SERVED_ELSEWHERE: list[tuple[str, dict[str, Any], str]] = [
    (
        "qstash",
        {"user": "me"},
        'or serve with --dialect openai (in Python dialect="openai"), vllm-0.4, vllm,',
    ),
    ("qstash", {"store": True}, "or serve with --dialect openai"),
    ("qstash", {"max_completion_tokens": 5}, "or serve with --dialect openai"),
    (
        "qstash",
        {"ignore_eos": True},
        'or serve with --dialect vllm-0.4 (in Python dialect="vllm-0.4"), vllm, vllm-v1 or sglang',
    ),
    ("openai", {"min_tokens": 2}, "or serve with --dialect vllm-0.4"),
    ("openai", {"ignore_eos": False, "user": "me"}, "or serve with --dialect vllm-0.4"),
    ("openai", {"top_k": 5}, 'or serve with --dialect qstash (in Python dialect="qstash")'),
    ("openai", {"repetition_penalty": 1.1, "user": "me"}, "or serve with --dialect vllm-0.4"),
    ("transformers", {"temperature": 0}, "or serve with --dialect qstash"),
    ("transformers", {"frequency_penalty": 0.5}, "or serve with --dialect qstash"),
    (
        "qstash",
        {"stream": True, "stream_options": {"continuous_usage_stats": True}},
        "or serve with --dialect vllm (",
    ),
    (
        "vllm",
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        "or serve with --dialect openai (",
    ),
]


@pytest.mark.parametrize(
    ("how", "fields", "words"), SERVED_ELSEWHERE, ids=[str(i) for i in range(len(SERVED_ELSEWHERE))]
)
def test_a_refusal_names_the_dialects_that_would_serve(how: str, fields: dict[str, Any], words: str):
    assert words in str(refused(how, **fields))
    named = words.partition("--dialect ")[2].split()[0].rstrip(",")
    read(named, **fields)


@pytest.mark.parametrize("how", CHATTING)
def test_what_none_would_serve_names_none(how: str):
    for fields in (
        {"temperature": -1},
        {"n": 0},
        {"nope": 1},
        {"messages": []},
        {"user": "me", "nope": 1, "top_k": 5},
    ):
        assert "--dialect" not in str(refused(how, **fields))


def test_a_samplers_refusal_names_them_too():
    with pytest.raises(
        InvalidRequest, match=r"no top_k; or serve with --dialect qstash \(in Python dialect=\"qstash\"\)"
    ):
        Sampler([SamplingParams(top_k=5)], vocab_size=8, dialect="openai")


# What load generators send, from their sources

GUIDELLM = {
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    "max_completion_tokens": 16,
    "stop": None,
    "ignore_eos": True,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
}
VLLM_BENCH = {
    "max_completion_tokens": 16,
    "stream": True,
    "stream_options": {"include_usage": True},
    "ignore_eos": True,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
    "top_p": 0.9,
    "top_k": -1,
    "min_p": 0.1,
    "temperature": 0.7,
}
SGLANG_BENCH = {
    "max_completion_tokens": 16,
    "stream": True,
    "temperature": 0.0,
    "ignore_eos": True,
    "messages": ASK,
}


@pytest.mark.parametrize("how", ["vllm", "vllm-v1", "sglang"])
@pytest.mark.parametrize(
    "sent", [GUIDELLM, VLLM_BENCH, SGLANG_BENCH], ids=["guidellm", "vllm bench serve", "sglang"]
)
def test_load_generators_are_served(how: str, sent: dict[str, Any]):
    chunks = [*saying(["a", "b"]).chat(**sent, dialect=how)]
    told = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    assert [choice["finish_reason"] for choice in told] == [None] * (len(told) - 1) + ["length"]


# The documentation


def test_the_page_on_serving_says_which_dialects_take_which_field():
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    table = text.partition("| field | dialects |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    told = {name: {*how.split(", ")} for names, how in rows for name in re.findall(r"`(\w+)`", names)}
    taken = {name for one in DIALECTS.values() for name in one.fields if not isinstance(FIELDS[name], Only)}
    assert told == {name: {how for how in DIALECTS if name in DIALECTS[how].fields} for name in taken}


# Seeds, and what the openai package sends along


@pytest.mark.parametrize("how", CHATTING)
def test_a_seed_of_minus_one_is_none_where_the_engine_has_it_so(how: str):
    """VLLM's SamplingParams replaces it by None, llama.cpp's -1 is the default seed, which is random."""
    none = how in ("vllm", "vllm-v1", "vllm-0.4", "llama.cpp")
    assert read(how, seed=-1).params.seed == (None if none else -1)
    assert read(how, seed=-2).params.seed == -2


@pytest.mark.parametrize("how", CHATTING)
def test_a_parsed_answer_can_be_given_back(how: str):
    """`client.chat.completions.parse` puts what it made of the content into the message, and sends it along."""
    answer = {"role": "assistant", "content": '{"a": 1}', "parsed": {"a": 1}}
    messages = [*ASK, answer, *ASK]
    taken = ChatRequest.parse({"messages": messages}, how).messages
    assert [dict(message) for message in taken] == [
        *ASK,
        {**ASK[0], "role": "assistant", "content": '{"a": 1}'},
        *ASK,
    ]


# What is said about parts that are no text


@pytest.mark.parametrize("how", CHATTING)
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("image_url", "images are not offered"),
        ("input_image", "images are not offered"),
        ("input_audio", "audio is not offered"),
        ("video_url", "video is not offered"),
        ("file", "files are not offered"),
        (
            "input_text",
            'it is of another API; a text part, {"type": "text", "text": TEXT} says the same here',
        ),
        (
            "output_text",
            'it is of another API; a text part, {"type": "text", "text": TEXT} says the same here',
        ),
        ("refusal", "a model cannot be told that it has refused; put its words into a text part"),
        ("tool_result", "tool calls are not offered"),
        ("poem", 'what is taken is a text part, {"type": "text", "text": TEXT}'),
    ],
)
def test_the_type_of_a_part_is_named_with_what_is_taken(how: str, kind: str, reason: str):
    error = refused(how, messages=[{"role": "user", "content": [{"type": kind, kind: "x"}]}])
    assert str(error).startswith(f"messages[0].content[0].type: got '{kind}', must be 'text': {reason}")
    assert "--dialect" not in str(error)
    assert refused(how, messages=[{"role": "user", "content": [{"type": [kind]}]}]).value == [kind]


@pytest.mark.parametrize("how", CHATTING)
def test_no_parts_are_shown_as_they_are(how: str):
    error = refused(how, messages=[{"role": "user", "content": []}])
    assert str(error).startswith(
        "messages[0].content: got [], must be a string, or a list of 1 to 4096 text parts"
    )


@pytest.mark.parametrize("how", CHATTING)
def test_an_assistant_s_refusal_is_what_it_said_where_the_api_has_such_parts(how: str):
    """OpenAI's types (ChatCompletionContentPartRefusalParam); vLLM reads them as text (renderers/chat_utils.py)."""
    parts = [{"type": "refusal", "refusal": "No."}, {"type": "text", "text": "Ask again.", "refusal": None}]
    messages = [*ASK, {"role": "assistant", "content": parts}, *ASK]
    if how in ("openai", "vllm", "vllm-v1"):
        content = read(how, messages=messages).messages[1]["content"]
        assert content == ("No.Ask again." if how == "openai" else "No.\nAsk again.")
        wrong = [{"type": "refusal", "text": "No."}]
        error = refused(how, messages=[*ASK, {"role": "assistant", "content": wrong}])
        assert error.param == "messages[1].content[0].text"
        other = [{"type": "file", "file": {}}]
        error = refused(how, messages=[*ASK, {"role": "assistant", "content": other}])
        assert "must be 'text' or 'refusal': files are not offered" in str(error)
    else:
        error = refused(how, messages=messages)
        assert error.param == "messages[1].content[0].type"
        assert "or serve with --dialect openai (" in str(error)
