"""Our provider in inspect-ai, where that is installed; benchmarks/adapters records answers beside those of `chat`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sampling import InvalidArgument, load

pytest.importorskip("inspect_ai")
from inspect_ai.model import ChatMessageUser, GenerateConfig
from inspect_ai.tool import ToolInfo

from sampling.adapters.inspect_ai import SamplingAPI

QUESTION = "Name a fruit."


@pytest.fixture(scope="module")
def provider() -> SamplingAPI:
    return SamplingAPI("toy", dtype="float32")


def answered(provider: SamplingAPI, tools: Any = (), **fields: Any) -> Any:
    given = [ChatMessageUser(content=QUESTION)]
    return asyncio.run(provider.generate(given, [*tools], "none", GenerateConfig(**fields)))


def test_answers_are_those_of_chat(provider):
    output = answered(
        provider, temperature=1.4, seed=3, num_choices=3, max_tokens=5, logprobs=True, top_logprobs=2
    )
    response = load(None, dtype="float32").chat(
        [{"role": "user", "content": QUESTION}],
        dialect="vllm",
        temperature=1.4,
        seed=3,
        n=3,
        max_tokens=5,
        logprobs=True,
        top_logprobs=2,
    )
    for ours, theirs in zip(response["choices"], output.choices, strict=True):
        assert theirs.message.text == ours["message"]["content"]
        assert theirs.stop_reason == {"stop": "stop", "length": "max_tokens"}[ours["finish_reason"]]
        tokens = ours["logprobs"]["content"]  # pyright: ignore
        assert [one.logprob for one in theirs.logprobs.content] == [one["logprob"] for one in tokens]
        tops = [[top.token for top in one.top_logprobs] for one in theirs.logprobs.content]
        assert tops == [[top["token"] for top in one["top_logprobs"]] for one in tokens]
    assert output.usage.total_tokens == response["usage"]["total_tokens"]


def test_what_is_not_offered_is_refused(provider):
    with pytest.raises(InvalidArgument, match="best_of: got 2, must be left out"):
        answered(provider, best_of=2)
    with pytest.raises(InvalidArgument, match="tools: got"):
        answered(provider, tools=[ToolInfo(name="search", description="")])
    with pytest.raises(InvalidArgument, match="base_url: got 'http://here', must be left out"):
        SamplingAPI("toy", base_url="http://here")
    with pytest.raises(InvalidArgument, match="compile: got True, must be left out"):
        SamplingAPI("toy", compile=True)
