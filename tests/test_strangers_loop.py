"""Processors and the draw in somebody else's decode loop over transformers' model give the tokens of `LanguageModel.chat`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from sampling import (
    FrequencyPenalty,
    History,
    LanguageModel,
    LogitBias,
    Pipeline,
    PresencePenalty,
    Sampler,
    SamplingParams,
    Temperature,
    TopP,
    Truncation,
    chain,
    draw,
    load,
)
from sampling.toy import CHECKPOINT

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


@pytest.fixture(scope="module")
def ours() -> LanguageModel:
    return load(None, dtype="float32")


@pytest.fixture(scope="module")
def theirs() -> LlamaForCausalLM:
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(str(CHECKPOINT), dtype=torch.float32).eval()


@dataclass
class Request:
    """What a stranger keeps of a request.

    Args:
        text: The question.
        fields: The fields of the API.
        ids: Prompt and sampled tokens.
    """

    text: str
    fields: dict[str, Any]
    ids: list[int] = field(default_factory=list)

    @property
    def messages(self) -> list[dict[str, str]]:
        return [{"role": "user", "content": self.text}]


REQUESTS = [
    Request("Name a fruit.", {"temperature": 1.3, "top_p": 0.95, "presence_penalty": 0.5, "seed": 3}),
    Request(
        "What is the capital of Peru?", {"temperature": 0.8, "frequency_penalty": 0.7, "seed": 2**63 + 5}
    ),
    Request(
        "Say something nice.", {"temperature": 2.0, "top_p": 0.8, "seed": -7, "logit_bias": {"300": 2.5}}
    ),
    Request("What is the capital of Mali?", {"temperature": 0, "seed": 1}),
    Request("Tell me about Turkey.", {"temperature": 1.7, "seed": 12, "presence_penalty": -1.0}),
]


def pipeline(requests: list[Request]) -> Pipeline:
    """One pipeline for a batch of requests, a number per row."""

    def numbers(name: str, neutral: float) -> list[float]:
        return [request.fields.get(name, neutral) for request in requests]

    return chain(
        LogitBias([request.fields.get("logit_bias", {}) for request in requests]),
        FrequencyPenalty(numbers("frequency_penalty", 0.0)),
        PresencePenalty(numbers("presence_penalty", 0.0)),
        Temperature(numbers("temperature", 1.0)),
        TopP(numbers("top_p", 1.0)),
    )


def prompt(model: LanguageModel, request: Request) -> list[int]:
    return model.tokenizer.apply_chat_template(
        request.messages, add_generation_prompt=True, return_dict=False
    )


def seeds(requests: list[Request]) -> list[int]:
    return [request.fields["seed"] for request in requests]


def expected(model: LanguageModel, request: Request) -> dict[str, Any]:
    return model.chat(request.messages, max_tokens=12, **request.fields)


def assert_same(model: LanguageModel, request: Request, sampled: list[int]) -> None:
    response = expected(model, request)
    assert len(sampled) == response["usage"]["completion_tokens"]
    ended = response["choices"][0]["finish_reason"] == "stop"
    text = model.tokenizer.decode(sampled[: len(sampled) - ended], skip_special_tokens=False)
    assert text == response["choices"][0]["message"]["content"]


@torch.no_grad()
@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.text)
def test_one_request_through_transformers_cache(
    ours: LanguageModel, theirs: LlamaForCausalLM, request_: Request
) -> None:
    ids = prompt(ours, request_)
    history, stages = History.start([ids]), pipeline([request_])
    fed, cache, sampled = torch.tensor([ids]), None, []
    while len(sampled) < 12 and (not sampled or sampled[-1] not in ours.model.config.eos_token_ids):
        out = theirs(fed, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        processed = stages(out.logits[:, -1], history)
        token = draw(processed, seed=request_.fields["seed"], position=history.sampled)
        history.accept(token)
        sampled.append(token.item())
        fed = token[:, None]
    assert_same(ours, request_, sampled)


def last_logits(model: LlamaForCausalLM, requests: list[Request]) -> Tensor:
    """The stranger's forward pass: row by row, without a cache; [B, V]."""
    return torch.cat([model(torch.tensor([request.ids])).logits[:, -1] for request in requests])


@torch.no_grad()
def test_rows_that_join_and_leave(ours: LanguageModel, theirs: LlamaForCausalLM) -> None:
    waiting = [Request(request.text, request.fields, prompt(ours, request)) for request in REQUESTS]
    starts = {request.text: len(request.ids) for request in waiting}
    running, done, history = [], [], History.start([])
    while waiting or running:
        for _ in range(min(2, len(waiting))):  # two join at every step
            running.append(waiting.pop(0))
            history.extend(History.start([running[-1].ids]))
        processed = pipeline(running)(last_logits(theirs, running), history)
        tokens = draw(processed, seed=seeds(running), position=history.sampled)
        history.accept(tokens)
        for request, token in zip(running, tokens.tolist(), strict=True):
            request.ids.append(token)
        going = [
            row
            for row, request in enumerate(running)
            if request.ids[-1] not in ours.model.config.eos_token_ids
            and len(request.ids) < starts[request.text] + 12
        ]
        done += [request for row, request in enumerate(running) if row not in going]
        running, history = [running[row] for row in going], history.select(going)
    assert len(done) == len(REQUESTS)
    for request in done:
        assert_same(ours, request, request.ids[starts[request.text] :])


def params(request: Request) -> SamplingParams:
    return SamplingParams(**request.fields)


@torch.no_grad()
def test_a_sampler_with_drafts_and_a_pipeline_of_requests(
    ours: LanguageModel, theirs: LlamaForCausalLM
) -> None:
    """One request by speculative decoding, whose drafts are the answer with every third token wrong."""
    request = Request(REQUESTS[0].text, REQUESTS[0].fields, prompt(ours, REQUESTS[0]))
    history, stages, answer = (
        History.start([request.ids]),
        Pipeline.from_params(params(request)),
        [*request.ids],
    )
    ends = ours.model.config.eos_token_ids
    while len(answer) < len(request.ids) + 12 and answer[-1] not in ends:
        logits = last_logits(theirs, [Request("", {}, answer)])
        token = draw(stages(logits, history), seed=request.fields["seed"], history=history)
        history.accept(token)
        answer.append(token.item())
    sampled = answer[len(request.ids) :]
    assert_same(ours, request, sampled)

    sampler = Sampler(num_slots=2, vocab_size=ours.model.config.vocab_size)
    slot, fed, passes = sampler.add(params(request), request.ids), [*request.ids], 0
    while len(fed) < len(answer):
        known = len(fed)
        draft = [
            (token + 1) % 300 if place % 3 == 2 else token
            for place, token in enumerate(sampled[known - len(request.ids) :][:4])
        ]
        every = theirs(torch.tensor([fed + draft])).logits[0, known - 1 :]
        passes += 1
        for logits, guess in zip(every, [*draft, None], strict=True):
            token = sampler.sample(logits.expand(2, -1)).token_ids
            sampler.accept(token)
            fed.append(token[slot].item())
            if fed[-1] != guess or len(fed) == len(answer):
                break
    assert fed == answer
    assert passes < len(sampled)


class Epsilon(Truncation):
    """Keep tokens of at least this probability, as docs/own_stack says how: transformers has the same one."""

    name = "epsilon"
    row_fields = ("least",)

    def __init__(self, *least: float) -> None:
        self.params = least
        self.least = torch.tensor(least, dtype=torch.float64)[:, None]

    def keep(self, logits: Tensor, w: Tensor | None = None) -> Tensor:
        """By the probabilities of the whole row."""
        p = logits.double().softmax(-1)
        return (p >= self.broadcast_to(self.least, logits)) | (logits == logits.amax(-1, keepdim=True))


def epsilon_function(logits: Tensor) -> Tensor:
    return logits.masked_fill(logits.softmax(-1) < 0.03, -torch.inf)


@torch.no_grad()
@pytest.mark.parametrize("own", [Epsilon(0.03), epsilon_function], ids=["a class", "a function"])
def test_an_own_truncation_beside_ours(ours: LanguageModel, theirs: LlamaForCausalLM, own: Any) -> None:
    from transformers import EpsilonLogitsWarper

    ids = prompt(ours, REQUESTS[0])
    history, banned, tokens = History.start([ids]), 0, [*ids]
    stages = chain(PresencePenalty(0.5), Temperature(1.7), own, TopP(0.95))
    before, after = chain(PresencePenalty(0.5), Temperature(1.7)), TopP(0.95)
    for _ in range(10):
        logits = last_logits(theirs, [Request("", {}, tokens)])
        expected = EpsilonLogitsWarper(0.03)(torch.tensor([tokens]), before(logits, history))  # pyright: ignore
        result = stages(logits, history)
        assert torch.equal(result > -torch.inf, after(expected) > -torch.inf)
        banned += int((expected == -torch.inf).sum())
        token = draw(result, seed=3, history=history)
        assert token.item() == draw(after(expected), seed=3, history=history).item()
        history.accept(token)
        tokens.append(token.item())
    assert banned > 0
