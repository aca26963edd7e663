"""What a type checker says to a stranger's code: `make check` reads this file, nobody runs it.

Each comment names the error that a wrong line has to have: without the error the comment is one itself.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_type

import torch
from torch import Tensor

import sampling
from sampling import (
    AllowedTokens,
    ChatCompletion,
    ChatCompletionChunk,
    ChatMessage,
    Constraint,
    Dialect,
    FrequencyPenalty,
    History,
    LogitBias,
    Logprobs,
    OrderPreservingStage,
    Pipeline,
    Processor,
    SampleOutput,
    Sampler,
    SamplingParams,
    Scope,
    SparseEdit,
    Temperature,
    TopP,
    Trace,
    Truncation,
    chain,
    dialect,
    draw,
    load,
)

LOGITS = torch.zeros(2, 9)


class Within(Truncation):
    name = "within"

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        return logits >= logits.amax(-1, keepdim=True) - 1


class Even:
    def allowed(self, sampled: Sequence[int]) -> Tensor:
        return torch.arange(9) % 2 == 0


class Odd:
    def allowed(self, sampled: str) -> int:
        return 1


@sampling.stage
def softened(logits: Tensor) -> Tensor:
    return logits / 2


def lifted(logits: Tensor, history: History) -> Tensor:
    return logits + history.sampled[:, None]


def right() -> None:
    """Nothing of this has an error."""
    history = History.start([[1], torch.tensor([2])])
    stages = chain(softened, lifted, Within(), Temperature([0.5, 1.0]), TopP(torch.tensor([0.5, 0.9])))
    assert_type(stages, Pipeline)
    assert_type(stages(LOGITS, history), Tensor)
    assert_type(TopP(0.9)(LOGITS), Tensor)
    assert_type(stages.trace(LOGITS, history), Trace)
    assert_type(softened, Processor)
    assert_type(draw(LOGITS, seed=7, history=history, rule="gumbel"), Tensor)
    assert_type(draw(LOGITS, seed=[1, 2], position=0), Tensor)
    assert_type(sampling.logprobs(LOGITS, [1, 2], top=3), Logprobs)
    _: tuple[type[Processor], ...] = (SparseEdit, OrderPreservingStage, Truncation)
    by_id: dict[int, float] = {1: 2.0}
    by_text: dict[str, float] = {"1": 2.0}
    by_both: dict[int | str, float] = {1: 2.0, "2": 1.0}
    params = [SamplingParams(logit_bias=bias) for bias in (by_id, by_text, by_both)]
    LogitBias(by_id), LogitBias([by_text, by_both])  # pyright: ignore[reportUnusedExpression]
    assert_type(Pipeline.from_params(params, dialect="vllm"), Pipeline)
    sampler = Sampler(num_slots=2, vocab_size=9, logprob_modes=["raw", "processed"], dialect=dialect("vllm"))
    slot: int = sampler.add(params[0], [1, 2], constraint=Even())
    assert_type(sampler.sample(LOGITS), SampleOutput)
    sampler.accept([slot, -1])
    sampler.accept(sampler.step(LOGITS).token_ids)
    constraints: list[Constraint | None] = [Even(), None]
    AllowedTokens(constraints)
    assert_type(sampling.DIALECTS["vllm"], Dialect)
    FrequencyPenalty(0.5, scope=Scope(prompt=True, last=64))


def wrong() -> None:
    """Each line has an error."""
    draw(LOGITS, seed=7, position=0, rule="dice")  # pyright: ignore[reportArgumentType]
    draw(LOGITS, position=0)  # pyright: ignore[reportCallIssue]
    dialect("vlm")  # pyright: ignore[reportArgumentType]
    Sampler([SamplingParams()], vocab_size=9, dialect="gpt")  # pyright: ignore[reportArgumentType]
    Sampler([SamplingParams()], vocab_size=9, logprob_modes=["cooked"])  # pyright: ignore[reportArgumentType]
    Sampler([SamplingParams()], vocab_size=9, rule="dice")  # pyright: ignore[reportArgumentType]
    Sampler([{"top_p": 0.9}], vocab_size=9)  # pyright: ignore[reportArgumentType]
    SamplingParams(temperature="hot")  # pyright: ignore[reportArgumentType]
    SamplingParams(temprature=1.0)  # pyright: ignore[reportCallIssue]
    SamplingParams(logit_bias={1.5: 1.0})  # pyright: ignore[reportArgumentType]
    Pipeline.from_params([SamplingParams()], dialect="vlm")  # pyright: ignore[reportArgumentType]
    chain(3)  # pyright: ignore[reportArgumentType]
    chain(TopP)  # pyright: ignore[reportArgumentType]
    chain(lambda logits: 1)  # pyright: ignore[reportArgumentType]
    TopP()  # pyright: ignore[reportCallIssue]
    TopP(0.9, True)  # pyright: ignore[reportCallIssue]
    AllowedTokens(Odd())  # pyright: ignore[reportArgumentType]
    sampling.logprobs(LOGITS, [0.5, 1])  # pyright: ignore[reportArgumentType]
    sampling.stage("softened")  # pyright: ignore[reportArgumentType]
    from sampling import nothing  # pyright: ignore  # noqa: F401


def chatting() -> None:
    """A chat, a stream, and what cannot be said in them."""
    model = load(None)
    ask: list[ChatMessage] = [{"role": "user", "content": "Name a fruit."}]
    response = model.chat(ask, temperature=0.7, stop=["."], logit_bias={"5": 1.0}, seed=1, logprobs=True)
    assert_type(response, ChatCompletion)
    text: str = response["choices"][0]["message"]["content"]
    total: int = response["usage"]["total_tokens"]
    stream = model.chat(ask, stream=True, dialect="openai", stream_options={"include_usage": True})
    assert_type(stream, Iterator[ChatCompletionChunk])
    answer = response["choices"][0]["message"]
    model.chat([*ask, answer, {"role": "user", "content": [{"type": "text", "text": "And"}], "name": "Ann"}])
    texts = [chunk["choices"][0]["delta"].get("content", "") for chunk in stream]
    assert_type(texts, list[str])
    assert text
    assert total
    model.chat(ask, temprature=0.7)  # pyright: ignore[reportCallIssue]
    model.chat(ask, temperature="hot")  # pyright: ignore[reportArgumentType]
    model.chat([{"role": "boss", "content": "?"}])  # pyright: ignore[reportArgumentType]
    model.chat([{"role": "user", "text": "?"}])  # pyright: ignore[reportArgumentType]
    model.chat([{"role": "user", "content": [{"type": "image_url"}]}])  # pyright: ignore[reportArgumentType]
    model.chat(ask, dialect="gpt")  # pyright: ignore[reportArgumentType]
    print(len(response["text"]))  # pyright: ignore
