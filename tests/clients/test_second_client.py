"""A client of other descent, `huggingface_hub.InferenceClient`, over a socket."""

from __future__ import annotations

import asyncio
import json

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import _http
from server.live import ANSWER, PATIENCE, QUESTION

from sampling.server import PAGE_MODEL

FACTORY = _http.default_client_factory


def this_machine_only(request):
    """Refuse to go anywhere else."""
    assert request.url.host == "127.0.0.1"


@pytest.fixture(scope="module", autouse=True)
def no_network():
    """The client's connections, without proxies, and none to the hub; variables such as HF_HUB_OFFLINE do not matter."""
    hooks = {"request": [this_machine_only]}
    huggingface_hub.set_client_factory(lambda: httpx2.Client(trust_env=False, event_hooks=hooks))
    yield
    huggingface_hub.set_client_factory(FACTORY)


@pytest.fixture(params=["", "/v1", "/llm/v1"])
def address(listening, request):
    return f"http://127.0.0.1:{listening.port}{request.param}"


@pytest.fixture
def client(listening):
    url = f"http://127.0.0.1:{listening.port}/v1"
    with huggingface_hub.InferenceClient(base_url=url, api_key="TOKEN", timeout=PATIENCE) as connected:
        yield connected


def joined(chunks, index=0):
    """The text of one choice."""
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


def test_the_published_answer(address):
    with huggingface_hub.InferenceClient(base_url=address, api_key="TOKEN") as client:
        output = client.chat_completion(QUESTION, model=PAGE_MODEL, temperature=0, seed=1)
    (choice,) = output.choices
    assert (choice.message.role, choice.message.content) == ("assistant", ANSWER)
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    assert (output.model, output.usage.completion_tokens) == (PAGE_MODEL, 8)
    assert output.usage.total_tokens == output.usage.prompt_tokens + 8
    assert output.id.startswith("cmpl-")
    assert None not in (output.created, output.system_fingerprint)
    assert set(output) - set(output.__dataclass_fields__) == {"object"}
    assert set(choice) - set(choice.__dataclass_fields__) == {"stop_reason"}


def test_a_stream(client):
    chunks = [*client.chat_completion(QUESTION, model=PAGE_MODEL, temperature=0, stream=True)]
    assert joined(chunks) == ANSWER
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].usage.completion_tokens == 8


FULL = {
    "model": "sampling-toy",
    "temperature": 1.5,
    "top_p": 0.95,
    "frequency_penalty": 0.5,
    "presence_penalty": -0.5,
    "seed": 7,
    "n": 2,
    "max_tokens": 12,
    "stop": [" is"],
    "logprobs": True,
    "top_logprobs": 3,
}


def test_everything_that_it_can_ask_for(client):
    output = client.chat_completion(QUESTION, **FULL)
    streamed = [*client.chat_completion(QUESTION, **FULL, stream=True)]
    for choice in output.choices:
        assert choice.message.content == joined(streamed, choice.index)
        entries = choice.logprobs.content
        assert "".join(entry.token for entry in entries) == choice.message.content
        assert [len(entry.top_logprobs) for entry in entries] == [3] * len(entries)
        parts = [c.choices[0].logprobs for c in streamed if c.choices[0].index == choice.index]
        later = [entry for part in parts if part is not None for entry in part.content]
        assert json.loads(json.dumps(later)) == json.loads(json.dumps(entries))  # classes of two names


def test_its_openai_face(client):
    output = client.chat.completions.create(QUESTION, model=PAGE_MODEL, temperature=0)
    assert output.choices[0].message.content == ANSWER


def test_json_mode(client):
    output = client.chat_completion(
        QUESTION,
        model=PAGE_MODEL,
        temperature=1.5,
        seed=1,
        max_tokens=400,
        response_format={"type": "json_object"},
    )
    assert isinstance(json.loads(output.choices[0].message.content), dict)


@pytest.mark.parametrize(
    ("fields", "status", "param"), [({"temperature": 3}, 400, "temperature"), ({"model": "x"}, 404, "model")]
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors(client, fields, status, param, stream):
    with pytest.raises(HfHubHTTPError) as caught:
        client.chat_completion(QUESTION, **{"model": PAGE_MODEL, **fields}, stream=stream)
    assert caught.value.response.status_code == status
    if not stream:
        assert caught.value.response.json()["error"]["param"] == param


def test_its_asynchronous_form(listening, monkeypatch):
    monkeypatch.setattr(_http, "_GLOBAL_ASYNC_CLIENT_FACTORY", lambda: httpx2.AsyncClient(trust_env=False))

    async def talk():
        url = f"http://127.0.0.1:{listening.port}/v1"
        async with huggingface_hub.AsyncInferenceClient(base_url=url, api_key="TOKEN") as client:
            fields = {"model": PAGE_MODEL, "temperature": 0}
            streaming = await client.chat_completion(QUESTION, **fields, stream=True)
            chunks = [chunk async for chunk in streaming]
            many = [client.chat_completion(QUESTION, **fields) for _ in range(4)]
            return chunks, await asyncio.gather(*many)

    chunks, outputs = asyncio.run(talk())
    assert [joined(chunks)] + [output.choices[0].message.content for output in outputs] == [ANSWER] * 5
