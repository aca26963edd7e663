"""What each dialect takes beyond the page: the fields and the messages that clients send."""

from __future__ import annotations

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from sampling.chat.fields import COMMON, FIELDS
from sampling.chat.request import SAMPLING_FIELDS, ChatRequest
from sampling.dialects import DIALECTS, OPENAI
from sampling.errors import InvalidRequest

ASK = [{"role": "user", "content": "?"}]


def read(how: str = "openai", **fields: object) -> ChatRequest:
    """A request with these fields."""
    return ChatRequest.parse({"messages": ASK, **fields}, how)


def refused(how: str = "openai", **fields: object) -> InvalidRequest:
    """Why a request is refused."""
    with pytest.raises(InvalidRequest) as caught:
        read(how, **fields)
    return caught.value


def test_the_openai_dialect_knows_every_field_of_the_official_client():
    known = {*COMMON, *SAMPLING_FIELDS, *OPENAI.fields, "messages", "stream_options"}
    assert {*CompletionCreateParamsNonStreaming.__annotations__} - known == {
        "prediction",
        "prompt_cache_options",
    }


HARMLESS = {
    "user": "me",
    "store": False,
    "metadata": {"run": "7"},
    "service_tier": "auto",
    "safety_identifier": "x",
    "prompt_cache_key": "x",
    "prompt_cache_retention": "24h",
    "parallel_tool_calls": True,
    "tools": [],
    "tool_choice": "none",
    "modalities": ["text"],
}


@pytest.mark.parametrize("name", HARMLESS)
def test_fields_that_change_nothing_are_taken(name):
    assert read(**{name: HARMLESS[name]}) == read()
    assert refused(**{name: {"a": 1}}).param.startswith(name)


@pytest.mark.parametrize("how", DIALECTS)
def test_null_counts_as_left_out_whatever_its_name(how):
    assert read(how, anything=None, tools=None, stop=None, **{"\ud800": None}) == read(how)


def test_a_dialect_that_names_an_unknown_field_is_refused():
    from dataclasses import replace

    with pytest.raises(InvalidRequest, match="fields: got 'usr', must be among"):
        ChatRequest.parse({"messages": ASK}, replace(OPENAI, fields=("usr",)))
    assert all(name in FIELDS for one in DIALECTS.values() for name in one.fields)
