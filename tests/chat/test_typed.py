"""The types of requests and responses say what those are, and no more."""

from __future__ import annotations

from types import UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from sampling import (
    DIALECTS,
    ChatCompletion,
    ChatCompletionChunk,
    ChatFields,
    ChatMessage,
    LanguageModel,
    load,
)
from sampling.chat.fields import COMMON, FIELDS
from sampling.chat.messages import KEYS
from sampling.chat.not_offered import NOT_OFFERED
from sampling.chat.request import SAMPLING_FIELDS
from sampling.chat.typed import RefusalPart, TextPart
from sampling.chat.without_effect import WITHOUT_EFFECT

ASK = [{"role": "user", "content": "Name a fruit."}]
REQUESTS: list[dict[str, Any]] = [
    {},
    {"logprobs": True, "top_logprobs": 2, "n": 2, "seed": 1, "temperature": 1.5},
    {"dialect": "openai", "max_tokens": 2, "stream_options": {"include_usage": True}},
    {"dialect": "vllm", "stop": ["a"], "logprobs": True},
]


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


def misfits(value: Any, kind: Any, name: str = "it") -> list[str]:
    """Where a value is not what a type says; members that the type does not name are misfits, too."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is NotRequired:
        return misfits(value, parts[0], name)
    if origin is Literal:
        return [] if value in parts else [name]
    if origin in (Union, UnionType):
        found = [misfits(value, part, name) for part in parts]
        return [] if [] in found else found[0]
    if origin is list and isinstance(value, list):
        return [
            wrong for index, item in enumerate(value) for wrong in misfits(item, parts[0], f"{name}[{index}]")
        ]
    if is_typeddict(kind):
        if not isinstance(value, dict):
            return [name]
        members = get_type_hints(kind, include_extras=True)
        needed = {
            key for key, part in members.items() if kind.__total__ and get_origin(part) is not NotRequired
        }
        wrong = [f"{name}.{key}" for key in (needed - {*value}) | ({*value} - {*members})]
        return wrong + [
            w for key in value.keys() & members for w in misfits(value[key], members[key], f"{name}.{key}")
        ]
    return [] if type(value) is (origin or kind) else [name]


def test_the_roles_and_parts_of_every_dialect() -> None:
    """What a dialect does not have, it refuses when it is called."""
    members = get_type_hints(ChatMessage)
    assert {*get_args(members["role"])} == {role for dialect in DIALECTS.values() for role in dialect.roles}
    parts = {get_args(get_type_hints(kind)["type"])[0] for kind in (TextPart, RefusalPart)}
    assert parts == {kind for dialect in DIALECTS.values() for kind in dialect.assistant_parts}
    assert {*members} == {*KEYS}


def test_all_fields_with_an_effect() -> None:
    without = {*WITHOUT_EFFECT, *NOT_OFFERED, "stream"}
    assert {*ChatFields.__annotations__} == {
        *SAMPLING_FIELDS,
        *COMMON,
        *FIELDS,
        "stop",
        "stream_options",
    } - without


@pytest.mark.parametrize("fields", REQUESTS, ids=str)
def test_a_response(toy: LanguageModel, fields: dict[str, Any]) -> None:
    plain = {name: value for name, value in fields.items() if name != "stream_options"}
    assert misfits(toy.chat(ASK, **plain), ChatCompletion) == []


@pytest.mark.parametrize("fields", REQUESTS, ids=str)
def test_chunks(toy: LanguageModel, fields: dict[str, Any]) -> None:
    chunks = [*toy.chat(ASK, stream=True, **fields)]
    assert misfits(chunks, list[ChatCompletionChunk]) == []
    assert len(chunks) > 2


def test_misfits_are_found(toy: LanguageModel) -> None:
    response: Any = {**toy.chat(ASK, seed=1, logprobs=True), "created": "now", "text": "", "usage": {}}
    response["choices"][0]["logprobs"]["content"][0]["logprob"] = None
    assert sorted(misfits(response, ChatCompletion)) == [
        *("it.choices[0].logprobs.content[0].logprob", "it.created", "it.text"),
        *(f"it.usage.{name}_tokens" for name in ("completion", "prompt", "total")),
    ]
