"""What the official `openai` client sends by itself, and what its users add, against the dialects that take it."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from server.live import ANSWER, QUESTION

ASKED: dict[str, Any] = {"model": "sampling-toy", "messages": QUESTION, "temperature": 0}


@pytest.fixture(scope="module")
def openai_server(serving):
    return serving(dialect="openai")


@pytest.fixture(scope="module")
def vllm_server(serving):
    return serving(dialect="vllm", max_context=100)


@pytest.fixture(scope="module")
def default_server(serving):
    return serving()


def create(server, **fields: Any):
    return server.ask(lambda client: client.chat.completions.create(**{**ASKED, **fields}))


def refusal(server, **fields: Any) -> openai.BadRequestError:
    with pytest.raises(openai.BadRequestError) as caught:
        create(server, **fields)
    return caught.value


def text(completion: Any) -> str:
    return completion.choices[0].message.content


def stream(server, **fields: Any) -> list[Any]:
    async def chunks(client):
        return [
            chunk async for chunk in await client.chat.completions.create(**{**ASKED, **fields}, stream=True)
        ]

    return server.ask(chunks)


EVERYDAY = {
    "max_completion_tokens": 20,
    "user": "me",
    "store": True,
    "metadata": {"run": "7"},
    "service_tier": "auto",
    "safety_identifier": "x",
    "prompt_cache_key": "x",
    "parallel_tool_calls": False,
    "tool_choice": "none",
    "modalities": ["text"],
    "stop": "\n",
}


def test_what_clients_of_openai_send(openai_server):
    messages = [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, *QUESTION]
    assert text(create(openai_server, **EVERYDAY)) == ANSWER
    assert text(create(openai_server, messages=messages, max_completion_tokens=3))


def test_the_default_dialect_says_where_they_are_served(default_server):
    for name, value in EVERYDAY.items():
        if name == "stop":
            assert text(create(default_server, stop=value)) == ANSWER
        else:
            error = refusal(default_server, **{name: value})
            assert error.param == name
            assert "--dialect openai" in error.body["message"]


@pytest.mark.parametrize("which", ["openai_server", "vllm_server", "default_server"])
def test_a_conversation_that_goes_on(which, request):
    """The answer goes back as `model_dump` has it, as the client's own object, and without its null members."""
    server = request.getfixturevalue(which)
    first = create(server).choices[0].message
    again = [
        text(create(server, messages=[*QUESTION, answer, *QUESTION]))
        for answer in (first, first.model_dump(), first.model_dump(exclude_none=True))
    ]
    assert again == [again[0]] * 3


def test_text_parts_in_every_dialect(openai_server, vllm_server, default_server):
    parts = [{"type": "text", "text": QUESTION[0]["content"]}]
    for server in (openai_server, vllm_server, default_server):
        assert text(create(server, messages=[{"role": "user", "content": parts}])) == ANSWER
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
        error = refusal(server, messages=[{"role": "user", "content": [*parts, image]}])
        assert (error.status_code, error.param) == (400, "messages[0].content[1].type")


def test_tools_are_refused_by_name(openai_server, default_server):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    for server in (openai_server, default_server):
        error = refusal(server, tools=[tool])
        assert (error.status_code, error.param) == (400, "tools")
        assert "tools are not offered" in error.body["message"]


def test_usage_at_the_end_of_a_stream(openai_server, vllm_server, default_server):
    for server in (openai_server, vllm_server, default_server):
        *_, last = stream(server, stream_options={"include_usage": True})
        assert (last.usage.completion_tokens, last.usage.total_tokens) == (8, last.usage.prompt_tokens + 8)


def test_what_load_generators_ask_of_vllm(vllm_server):
    """Each request gets exactly its tokens, and every chunk tells how many there were."""
    extra = {"ignore_eos": True, "top_k": -1, "min_tokens": 20}
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = stream(vllm_server, max_completion_tokens=20, stream_options=options, extra_body=extra)
    assert chunks[-1].usage.completion_tokens == 20
    counted = [chunk.usage.completion_tokens for chunk in chunks]
    assert counted == sorted(counted)
    assert counted[0] == 0
    (model, *_) = vllm_server.ask(lambda client: client.models.list()).data
    assert (model.id, model.root, model.max_model_len) == ("sampling-toy", "sampling-toy", 100)
