"""The description of a request and the parser agree, field by field and at random, in every dialect."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from chatting import CHATTING
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sampling.chat.fields import FIELDS, OTHER_NAMES
from sampling.chat.not_offered import NOT_OFFERED
from sampling.chat.request import read
from sampling.chat.text_request import read_text_request
from sampling.core.errors import InvalidRequest
from sampling.dialects import DIALECTS, dialect
from sampling.server.schemas import request_schema, text_request_schema

V = 50
ASK = [{"role": "user", "content": "?"}]
TEXT = {"type": "text", "text": "x"}
VALIDATORS = {
    name: Draft202012Validator(request_schema(dialect(name), names=("m",), vocab_size=V, most_choices=1024))
    for name in DIALECTS
}
# What is right somewhere, and what is nearly right
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    6.0,
    6.5,
    -1.0,
    2**31,
    2**31 - 1,
    1e300,
    "",
    "x",
    "none",
    "auto",
    [],
    {},
    [7],
    ["x"],
]
VALUES: dict[str, list[Any]] = {
    "stop": [
        *("\n", ["a", "b"], [""], "x" * 1024, "x" * 1025, [None]),
        *(["a"] * many for many in (4, 5, 32, 33, 128, 129)),
    ],
    "temperature": [2.5, 1e6, 3.4e38, 3.5e38],
    "frequency_penalty": [-2.5, 1e6, -1e7],
    "presence_penalty": [2.5, -1e6, 1e7],
    "top_logprobs": [20, 21, 100, 101],
    "top_k": [2**31 + 1, -2],
    "stream_options": [
        *(
            {name: value}
            for name in ("include_usage", "continuous_usage_stats", "include_obfuscation", "other")
            for value in (True, False, None, 1)
        ),
        {"include_usage": True, "continuous_usage_stats": True},
    ],
    "response_format": [
        {"type": "text"},
        {"type": "json_object"},
        {"type": "text", "json_schema": None},
        {"type": "xml"},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {}, "strict": None, "other": None}},
    ],
    "metadata": [{"a": "b"}, {"a": 1}, {"a" * 65: "b"}, {"a": "b" * 513}, {str(k): "" for k in range(17)}],
    "modalities": [["text"], ["text", "audio"]],
    "tools": [[{"type": "function"}]],
    "prompt_cache_options": [
        {"mode": "explicit"},
        {"mode": "x"},
        {"ttl": "30m", "other": None},
        {"other": 1},
    ],
    "prediction": [
        {"type": "content", "content": "x"},
        {"type": "content", "content": [TEXT]},
        {"content": [{}]},
    ],
    "stop_token_ids": [[0, 49], [2.0], [2.5], [-1], [True], [*range(128)], [0] * 129],
    "service_tier": ["flex", "default"],
    "prompt_cache_retention": ["24h"],
    "safety_identifier": ["x" * 128, "x" * 129],
    "length_penalty": [1.0],
    "samplers": ["edskypmxt", [*"edskypmxt"], NOT_OFFERED["samplers"].neutral[0]],
    "repeat_last_n": [64],
    "thinking_token_budget": [-1],
    "request_id": ["a" * 256, "a" * 257, "a b", "\n", "é", "a-b:c"],
    "repeat_penalty": [1e-6, 1e6, 0, 1.5],
    "reasoning_format": ["deepseek", "other"],
    "dry_sequence_breakers": [["x"] * 128, ["x"] * 129, [1]],
    "truncation_side": ["left"],
    "mm_payload": ["tensors"],
    "task": ["query"],
    "messages": [
        *[[{"role": role, "content": "x"}] for role in ("developer", "system", "assistant", "tool", None, 1)],
        *[
            [{"role": role, "content": content}]
            for role in ("user", "assistant")
            for content in ("", None, [TEXT, TEXT], [], 1)
        ],
        *[
            [{"role": role, "content": [{"type": "refusal", "refusal": "x"}, TEXT]}]
            for role in ("user", "assistant")
        ],
        [{"role": "assistant", "content": [{"type": "refusal", "text": "x"}]}],
        [{"role": "user"}],
        [{"role": "assistant"}],
        [
            {
                "role": "assistant",
                "content": "x",
                "refusal": None,
                "tool_calls": [],
                "annotations": [],
                "audio": None,
            }
        ],
        *[
            [{"role": "assistant", "content": "x", name: "y"}]
            for name in ("refusal", "audio", "tool_calls", "annotations", "name", "other")
        ],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
        [{"role": "user", "content": [{**TEXT, "other": None}]}],
        [{"role": "user", "content": [{**TEXT, "other": 1}]}],
        [{"role": "user", "content": [{"type": "text"}]}],
        [{"role": "user", "content": "x", "other": None}],
        [None],
        ["x"],
    ],
    "logit_bias": [
        *({"0": 1}, {"49": -100}, {"50": 1}, {"x": 1}, {"1": True}),
        *({"1": bias} for bias in (101, -1e6, 1e7)),
    ],
}
NUMBERS = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "min_p")
NAMES = [
    *FIELDS,
    *VALUES,
    *NUMBERS,
    *("n", "seed", "top_k", "max_tokens", "logprobs", "top_logprobs", "stream", "nope"),
]


def values(name: str) -> list[Any]:
    return [*VALUES.get(name, []), *ODD, 0.5]


def refused(how: str, request: dict[str, Any]) -> str | None:
    """The field that the parser, or the vocabulary, refuses."""
    try:
        params = read(request, dialect(how)).params
    except InvalidRequest as error:
        return error.param
    strange = max([*params.stop_token_ids, *params.logit_bias], default=0) >= V
    return "an id" if strange else None


def check(how: str, fields: dict[str, Any]) -> None:
    """What is described is taken, as it comes over the wire, and nothing else."""
    request = json.loads(json.dumps({"model": "m", "messages": ASK, **fields}))
    blamed = refused(how, request)
    if blamed == "continue_final_message" and request[blamed] is True:
        return  # whose the final message is, is more than a schema can say
    assert VALIDATORS[how].is_valid(request) == (blamed is None)
    assert blamed in (None, "an id") or re.split(r"[.\[]", blamed)[0] in fields


@pytest.mark.parametrize("how", CHATTING)
def test_each_field_with_each_value(how: str) -> None:
    for name in dict.fromkeys(NAMES):
        strange = name in FIELDS and name not in dialect(how).fields
        for value in [None, *VALUES.get(name, ["none"])[:1]] if strange else values(name):
            check(how, {name: value})
    for value in values("top_logprobs"):
        check(how, {"logprobs": True, "top_logprobs": value})


TEXTS = {
    name: Draft202012Validator(
        text_request_schema(dialect(name), names=("m",), vocab_size=V, most_choices=1024)
    )
    for name in DIALECTS
}
PROMPTS: list[Any] = [
    *(
        "",
        "x",
        [],
        [7],
        [49],
        [50],
        [-1],
        [6.0],
        [6.5],
        [True],
        ["x"],
        ["x", ""],
        [[7]],
        [[7, 50]],
        [[7], []],
    ),
    *(["x", [7]], [[7], "x"], [7, "x"], [None], {}, 7, ["x"] * 1024, ["x"] * 1025),
]
OF_TEXTS = ("echo", "logprobs", "max_tokens", "n_predict", "suffix", "best_of", "user", "prompt_logprobs")
OF_VLLM = ("return_token_ids", "add_special_tokens", "stream")


def check_text(how: str, fields: dict[str, Any]) -> None:
    """The same of requests that continue texts."""
    request = json.loads(json.dumps({"model": "m", "prompt": "x", **fields}))
    try:
        asked = read_text_request(request, dialect(how))
        prompts = [token for one in asked.prompt.each if not isinstance(one, str) for token in one]
        strange = max([*asked.params.stop_token_ids, *asked.params.logit_bias, *prompts], default=0) >= V
        blamed = "an id" if strange else None
    except InvalidRequest as error:
        blamed = error.param
    assert TEXTS[how].is_valid(request) == (blamed is None), (request, blamed)
    assert blamed in (None, "an id", "prompt") or re.split(r"[.\[]", blamed)[0] in fields


@pytest.mark.parametrize("how", CHATTING)
def test_fields_of_texts(how: str) -> None:
    for prompt in PROMPTS:
        check_text(how, {"prompt": prompt})
    for name in dict.fromkeys([*NAMES, *OF_TEXTS, *OF_VLLM]):
        for value in [None, *VALUES.get(name, ["none"])[:1], *(ODD if name in (*OF_TEXTS, *OF_VLLM) else [])]:
            check_text(how, {name: value})
    for limit in ("max_tokens", "n_predict"):
        for value in (0, 1, -1, None):
            for other in (
                {"echo": True},
                {"echo": False},
                {"prompt_logprobs": 0},
                {"echo": True, "stream": True},
            ):
                check_text(how, {limit: value, **other})
    for stream in (True, False, None):
        check_text(how, {"stream": stream, "prompt_logprobs": 1})
        check_text(how, {"stream": stream, "stream_options": {"include_usage": True}})


@pytest.mark.parametrize("how", CHATTING)
@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.data())
def test_some_fields_together(how: str, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    names += data.draw(
        st.sampled_from(
            [
                [],
                ["stream", "stream_options"],
                ["logprobs", "top_logprobs"],
                ["min_tokens", "response_format"],
            ]
        )
    )
    fields = {name: data.draw(st.sampled_from(values(name))) for name in names}
    first = [OTHER_NAMES.get(name, name) for name in fields if fields[name] is not None]
    assume(len({*first}) == len(first))  # that two names of one field say the same
    check(how, fields)
