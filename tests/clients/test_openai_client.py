"""The official `openai` client: whatever it can ask of this API, it gets, and its own types hold what it gets."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from typing import Literal

import httpx2
import openai
import pydantic
import pytest
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from server.live import ANSWER, PATIENCE, QUESTION

from sampling.chat.batch import ChatBatch

MODEL = "sampling-toy"
ASKED = {"model": MODEL, "messages": QUESTION}
PIECES = ["The", " capital", " of", " Turkey", " is", " Ankara", "."]
WARM = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 2.0, "max_tokens": 24}
JSON = {"response_format": {"type": "json_object"}, "max_tokens": 400}


class Country(pydantic.BaseModel):
    """What the toy is made to say about a country."""

    name: str
    continent: Literal["Asia", "Europe"] | None


class City(pydantic.BaseModel):
    """What the toy is made to say about a city."""

    name: Literal["Ankara", "Lima"]
    capital: bool
    country: Country


@pytest.fixture(scope="module")
def server(serving):
    return serving()


@pytest.fixture(scope="module")
def openai_server(serving):
    return serving(dialect="openai")


def create(server, **fields):
    """The parsed response."""
    return server.ask(lambda client: client.chat.completions.create(**{**ASKED, **fields}))


def stream(server, **fields):
    """The parsed chunks."""

    async def chunks(client):
        return [
            chunk async for chunk in await client.chat.completions.create(**{**ASKED, **fields}, stream=True)
        ]

    return server.ask(chunks)


def body(server, **fields):
    """The response's body as it came, which the client's types take without any conversion."""

    async def raw(client):
        response = await client.chat.completions.with_raw_response.create(**{**ASKED, **fields})
        return await response.http_response.aread()

    return server.ask(raw)


def surprises(value):
    """The fields that the client's types do not know."""
    if isinstance(value, list):
        return {name for item in value for name in surprises(item)}
    if not isinstance(value, pydantic.BaseModel):
        return set()
    own = {name for name in type(value).model_fields for name in surprises(getattr(value, name))}
    return own | set(value.model_extra or {})


def texts(completion):
    """The contents of the choices."""
    return [choice.message.content for choice in completion.choices]


def test_the_published_answer(server):
    completion = create(server, temperature=0)
    (choice,) = completion.choices
    assert (choice.message.role, choice.message.content) == ("assistant", ANSWER)
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    assert completion.model == MODEL
    usage = completion.usage
    assert (usage.completion_tokens, usage.total_tokens) == (8, usage.prompt_tokens + 8)
    assert completion._request_id == completion.id  # what its header says


FULL = {"seed": 1, "n": 2, "logprobs": True, "top_logprobs": 3, "temperature": 1.5, "stop": [" is"]}


@pytest.mark.parametrize(
    ("fields", "unknown"),
    [({"seed": 1}, {"stop_reason"}), ({}, {"stop_reason", "seed"}), (FULL, {"stop_reason"})],
)
def test_responses_are_strictly_of_the_clients_types(server, fields, unknown):
    completion = ChatCompletion.model_validate_json(body(server, **fields), strict=True)
    assert surprises(completion) == unknown


@pytest.mark.parametrize(("fields", "unknown"), [(FULL, set()), ({}, {"seed"})])
def test_in_the_openai_dialect_no_field_is_unknown_but_a_fresh_seed(openai_server, fields, unknown):
    completion = ChatCompletion.model_validate_json(body(openai_server, **fields), strict=True)
    assert surprises(completion) == unknown


def test_chunks_are_strictly_of_the_clients_types(server, openai_server):
    options = {"stream_options": {"include_usage": True}}
    for served, more, unknown in ((server, {}, {"stop_reason"}), (openai_server, options, set())):
        *events, done, rest = body(served, **FULL, **more, stream=True).decode().split("\n\n")
        assert (done, rest) == ("data: [DONE]", "")
        data = [event.removeprefix("data: ") for event in events]
        chunks = [ChatCompletionChunk.model_validate_json(text, strict=True) for text in data]
        assert surprises(chunks) == unknown


def test_a_stream(server):
    chunks = stream(server, temperature=0)
    first, *pieces, last = [chunk.choices[0] for chunk in chunks]
    assert (first.delta.role, first.delta.content, first.finish_reason) == ("assistant", None, None)
    assert [(piece.delta.role, piece.delta.content) for piece in pieces] == [(None, p) for p in PIECES]
    assert (last.delta.content, last.finish_reason) == ("", "stop")
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * len(chunks[:-1])
    assert chunks[-1].usage.completion_tokens == 8
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1


def test_usage_of_a_stream_comes_when_asked_for_in_the_openai_dialect(openai_server):
    asked = stream(openai_server, temperature=0, stream_options={"include_usage": True})
    *chunks, last = asked
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert all("usage" in chunk.model_fields_set for chunk in chunks)
    assert (last.choices, last.usage.completion_tokens) == ([], 8)
    unasked = stream(openai_server, temperature=0)
    assert len(unasked) == len(chunks)
    assert not any("usage" in chunk.model_fields_set for chunk in unasked)


@pytest.mark.parametrize("n", [1, 3])
def test_the_clients_own_accumulation_of_a_stream_is_the_response(server, n):
    fields = {**WARM, "seed": 6, "n": n, "logprobs": True, "top_logprobs": 2}

    async def accumulated(client):
        async with client.chat.completions.stream(**{**ASKED, **fields}) as streaming:
            return await streaming.get_final_completion()

    streamed, whole = server.ask(accumulated), create(server, **fields)
    assert texts(streamed) == texts(whole)
    assert streamed.usage == whole.usage
    for mine, theirs in zip(streamed.choices, whole.choices, strict=True):
        assert mine.finish_reason == theirs.finish_reason
        assert mine.logprobs.content == theirs.logprobs.content


def test_four_choices(server):
    whole = create(server, **WARM, seed=2, n=4)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert len(set(texts(whole))) == 4
    assert texts(create(server, **WARM, seed=2)) == texts(whole)[:1]
    joined = [""] * 4
    for chunk in stream(server, **WARM, seed=2, n=4):
        for choice in chunk.choices:
            joined[choice.index] += choice.delta.content or ""
    assert joined == texts(whole)


def test_a_seed_repeats_the_text_and_another_one_does_not(server):
    assert texts(create(server, **WARM, seed=3)) == texts(create(server, **WARM, seed=3))
    assert texts(create(server, **WARM, seed=3)) != texts(create(server, **WARM, seed=4))


def test_a_fresh_seed_is_named_and_replays(server):
    fresh = create(server, **WARM)
    assert texts(create(server, **WARM, seed=fresh.seed)) == texts(fresh)


def test_logprobs(server):
    (choice,) = create(server, temperature=2.0, max_tokens=24, seed=5, logprobs=True, top_logprobs=20).choices
    entries = choice.logprobs.content
    assert b"".join(bytes(entry.bytes) for entry in entries).decode() == choice.message.content
    assert choice.logprobs.refusal is None
    for entry in entries:
        values = [other.logprob for other in entry.top_logprobs]
        assert len({tuple(other.bytes or other.token) for other in entry.top_logprobs}) == 20
        assert values == sorted(values, reverse=True)
        assert sum(map(math.exp, values)) <= 1 + 1e-6
        listed = [other.logprob for other in entry.top_logprobs if other.bytes == entry.bytes]
        assert entry.logprob == (listed[0] if listed else -9999.0)


def test_logprobs_of_a_stream(server):
    fields = {**WARM, "seed": 5, "logprobs": True, "top_logprobs": 1}
    logprobs = [chunk.choices[0].logprobs for chunk in stream(server, **fields)]
    streamed = [entry for part in logprobs if part is not None for entry in part.content]
    assert streamed == create(server, **fields).choices[0].logprobs.content


def test_stop(server):
    (choice,) = create(server, temperature=0, stop=["?", " is"]).choices
    assert (choice.message.content, choice.finish_reason) == ("The capital of Turkey", "stop")
    assert choice.stop_reason == " is"
    chunks = [chunk.choices[0] for chunk in stream(server, temperature=0, stop=["?", " is"])]
    assert "".join(chunk.delta.content or "" for chunk in chunks) == "The capital of Turkey"
    assert chunks[-1].stop_reason == " is"


def test_max_tokens(server):
    completion = create(server, temperature=0, max_tokens=3)
    assert texts(completion) == ["The capital of"]
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 3


def test_logit_bias_forces_and_bans(server, toy):
    (token,) = toy.tokenizer.encode(" Ankara", add_special_tokens=False)
    forced = create(server, temperature=0, max_tokens=3, logit_bias={str(token): 100})
    assert texts(forced) == [" Ankara Ankara Ankara"]
    banned = create(server, temperature=0, logit_bias={str(token): -100})
    assert texts(banned)[0].startswith("The capital of Turkey is")
    assert "Ankara" not in texts(banned)[0]


def test_json_mode(server):
    completion = create(server, temperature=1.5, seed=1, n=4, **JSON)
    assert [choice.finish_reason for choice in completion.choices] == ["stop"] * 4
    assert all(isinstance(json.loads(text), dict) for text in texts(completion))
    pieces = stream(server, temperature=1.5, seed=1, **JSON)
    joined = "".join(chunk.choices[0].delta.content or "" for chunk in pieces)
    assert joined == texts(completion)[0]


def test_json_schema_from_a_pydantic_model(server):
    fields = {"temperature": 1.0, "seed": 8, "n": 2, "max_tokens": 400, "response_format": City}
    parsed = server.ask(lambda client: client.chat.completions.parse(**{**ASKED, **fields}))
    for choice in parsed.choices:
        assert isinstance(choice.message.parsed, City)
        assert choice.message.parsed == City.model_validate_json(choice.message.content, strict=True)

    async def streamed(client):
        async with client.chat.completions.stream(**{**ASKED, **fields}) as streaming:
            return await streaming.get_final_completion()

    assert [c.message.parsed for c in server.ask(streamed).choices] == [
        c.message.parsed for c in parsed.choices
    ]


def test_a_message_that_was_cut_off_is_the_clients_own_error(server):
    fields = {"temperature": 0, "max_tokens": 2, "response_format": City}
    with pytest.raises(openai.LengthFinishReasonError):
        server.ask(lambda client: client.chat.completions.parse(**{**ASKED, **fields}))


TEXT = {"model": MODEL, "prompt": "The capital of"}


def continued(server, *, strict=True, **fields):
    """The parsed text completion."""
    return server.ask(lambda client: client.completions.create(**{**TEXT, **fields}), strict=strict)


def test_text_completions_are_strictly_of_the_clients_types(server, openai_server):
    fields = {"seed": 1, "n": 2, "logprobs": 3, "stop": [" is"], "max_tokens": 4}
    for served, unknown in ((server, {"stop_reason", "bytes"}), (openai_server, {"bytes"})):
        assert surprises(continued(served, **fields)) == unknown


def test_text_is_continued(server):
    # its types have no null for the first token of a prompt, which OpenAI's own answers have
    fields = {"temperature": 0, "echo": True, "logprobs": 1, "strict": False}
    (choice,) = continued(server, prompt="The capital of Turkey", **fields).choices
    assert choice.text == "The capital of Turkey is Ankara."
    assert "".join(choice.logprobs.tokens) == choice.text
    assert choice.logprobs.token_logprobs[0] is None
    both = continued(server, prompt=["The capital", "Hi"], max_tokens=1).choices
    assert [choice.index for choice in both] == [0, 1]
    with pytest.raises(openai.BadRequestError) as caught:
        continued(server, suffix="!")
    assert caught.value.param == "suffix"


def test_a_stream_of_text(server):
    async def chunks(client):
        stream = await client.completions.create(**TEXT, seed=1, stream=True, max_tokens=9)
        return [chunk async for chunk in stream]

    told = server.ask(chunks, strict=False)  # nor one for a choice that goes on
    assert (
        "".join(chunk.choices[0].text for chunk in told)
        == continued(server, seed=1, max_tokens=9).choices[0].text
    )
    assert [chunk.choices[0].finish_reason for chunk in told[:-1]] == [None] * (len(told) - 1)


def test_models(server):
    (model,) = server.ask(lambda client: client.models.list()).data
    assert Model.model_validate(model.to_dict(), strict=True).id == MODEL
    assert surprises(model) == {"root", "max_model_len"}  # as vLLM adds them
    assert server.ask(lambda client: client.models.retrieve(MODEL)) == model
    with pytest.raises(openai.NotFoundError, match="model: got 'another', must be one of"):
        server.ask(lambda client: client.models.retrieve("another"))


def test_requests_at_once_get_what_each_gets_alone(server):
    seeds = range(8)

    async def together(client):
        asked = (
            client.chat.completions.create(**{**ASKED, **WARM}, seed=seed, n=1 + seed % 3) for seed in seeds
        )
        return await asyncio.gather(*asked)

    whole = server.ask(together)
    assert len({completion.id for completion in whole}) == len(seeds)
    for seed, completion in zip(seeds, whole, strict=True):
        assert texts(completion) == texts(create(server, **WARM, seed=seed, n=1 + seed % 3))


def test_a_bad_request(server):
    with pytest.raises(openai.BadRequestError) as caught:
        create(server, temperature=2.5)
    error = caught.value
    assert (error.status_code, error.param, error.code) == (400, "temperature", None)
    assert error.type == "invalid_request_error"
    assert error.body["message"].startswith(
        "temperature: got 2.5, must be a number from 0 to 2; or serve with "
    )
    assert error.body["message"] in error.message
    assert error.request_id == error.response.headers["x-request-id"]
    with pytest.raises(openai.BadRequestError) as caught:
        stream(server, top_logprobs=21, logprobs=True)
    assert caught.value.param == "top_logprobs"


def test_an_unknown_model(server):
    ask = {**ASKED, "model": "gpt-4"}
    with pytest.raises(openai.NotFoundError) as caught:
        server.ask(lambda client: client.chat.completions.create(**ask))
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


def test_a_wrong_key(serving):
    locked = serving(api_key="correct-horse")
    with pytest.raises(openai.AuthenticationError) as caught:
        create(locked, temperature=0)
    assert (caught.value.status_code, caught.value.code) == (401, "invalid_api_key")
    completion = locked.ask(
        lambda client: client.chat.completions.create(**ASKED, temperature=0), key="correct-horse"
    )
    assert texts(completion) == [ANSWER]


def test_a_full_queue(serving, monkeypatch):
    small = serving(max_batch=1, max_queue=0)
    go_on, step = threading.Event(), ChatBatch.step

    def held_step(batch):
        assert go_on.wait(PATIENCE)
        return step(batch)

    monkeypatch.setattr(ChatBatch, "step", held_step)

    async def two(client):
        asked = [
            asyncio.create_task(client.chat.completions.create(**ASKED, temperature=0)) for _ in range(2)
        ]
        (refused,), (served,) = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        go_on.set()
        return refused.exception(), await served

    try:
        refused, served = small.ask(two)
    finally:
        go_on.set()
    assert isinstance(refused, openai.RateLimitError)
    assert (refused.code, refused.type) == ("queue_full", "rate_limit_error")
    assert refused.response.headers["retry-after"] == "1"
    assert texts(served) == [ANSWER]


def test_a_stream_that_fails_is_an_error(server, monkeypatch):
    steps, step = iter(range(100)), ChatBatch.step

    def failing_step(batch):
        if next(steps) == 2:
            raise MemoryError
        return step(batch)

    monkeypatch.setattr(ChatBatch, "step", failing_step)
    seen = []

    async def reading(client):
        async for chunk in await client.chat.completions.create(**ASKED, temperature=0, stream=True):
            seen.append(chunk.choices[0].delta.content)

    with pytest.raises(openai.APIError) as caught:
        server.ask(reading)
    assert (caught.value.code, caught.value.type) == ("internal_error", "server_error")
    assert seen == [None, "The", " capital"]
    assert texts(create(server, temperature=0)) == [ANSWER]


@pytest.fixture
def client(listening):
    """The blocking client on a socket; proxies that the environment names are left alone."""
    with openai.OpenAI(
        api_key="TOKEN",
        base_url=f"http://127.0.0.1:{listening.port}/v1",
        max_retries=0,
        timeout=PATIENCE,
        http_client=httpx2.Client(trust_env=False),
        _strict_response_validation=True,
    ) as connected:
        yield connected


def test_at_the_pages_own_path(client):
    there = client.with_options(base_url=str(client.base_url).replace("/v1", "/llm/v1"))
    assert texts(there.chat.completions.create(**ASKED, temperature=0)) == [ANSWER]
