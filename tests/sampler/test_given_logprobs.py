"""Log probabilities of given tokens are those that a step reports, bit for bit; draws take their position from a history."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sampling import (
    DIALECTS,
    History,
    InvalidArgument,
    Pipeline,
    Processor,
    Sampler,
    SamplingParams,
    Temperature,
    Truncation,
    chain,
    draw,
    logprobs,
)

MODES = ("raw", "penalised", "temperature", "processed")
PARAMS = [
    SamplingParams(seed=1, temperature=0.7, top_p=0.9, logprobs=True, top_logprobs=7, presence_penalty=0.5),
    SamplingParams(seed=2, temperature=1.3, top_k=5, frequency_penalty=1.5, logit_bias={3: 4.0}),
    SamplingParams(seed=3, min_p=0.05, repetition_penalty=1.3),
    SamplingParams(seed=4, temperature=0),
]


def rows(step: int, width: int = 500) -> Tensor:
    return torch.randn(4, width, generator=torch.Generator().manual_seed(step)) * 3


def of_mode(mode: str, pipeline: Pipeline) -> Pipeline:
    """The stages that a mode comes after."""
    left_out: dict[str, tuple[type[Processor], ...]] = {
        "raw": (Processor,), "penalised": (Temperature, Truncation), "temperature": (Truncation,), "processed": (),
    }  # fmt: skip
    return chain(*(stage for stage in pipeline if not isinstance(stage, left_out[mode])))


def bits(tensor: Tensor) -> list[int]:
    return tensor.view(torch.int32 if tensor.dtype == torch.float32 else torch.int64).flatten().tolist()


@pytest.mark.parametrize("mode", MODES)
def test_the_same_bits_as_a_step(mode: Any) -> None:
    """A compiled step gives the bits of an eager one: tests/sampler/test_sampler_compiled.py."""
    sampler = Sampler(PARAMS, vocab_size=500, prompt_ids=[[1], [2], [3, 4], []], logprob_modes=[mode])
    history = History.start([[1], [2], [3, 4], []])
    stages = of_mode(mode, Pipeline.from_params(PARAMS))
    for step in range(3):
        out = sampler.step(rows(step))
        found = logprobs(stages(rows(step), history), out.token_ids, top=7)
        for name in ("logprobs", "ranks", "top_token_ids", "top_logprobs"):
            assert bits(getattr(found, name)) == bits(getattr(out, name)), (mode, step, name)
        history.accept(out.token_ids)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_pipeline_of_requests_is_the_samplers(dialect: Any) -> None:
    """The stages alone, drawn by hand, give the tokens of the sampler: order, rules of ties and final arg max included."""
    least = max(DIALECTS[dialect].greedy_below / 2, 0.0)
    asked = [
        SamplingParams(seed=1, temperature=0.7, top_p=0.9, presence_penalty=0.5),
        SamplingParams(seed=2, temperature=1.3, frequency_penalty=1.5, logit_bias={3: 4.0}),
        SamplingParams(seed=3, temperature=least or 1.0),
    ]
    if "logit_bias" not in DIALECTS[dialect].stages:
        asked[1] = SamplingParams(seed=2)
    for name in ("presence_penalty", "frequency_penalty"):
        if name not in DIALECTS[dialect].stages:
            asked[:2] = [
                SamplingParams(seed=1, temperature=0.7, top_p=0.9),
                SamplingParams(seed=2, top_p=0.3),
            ]
    sampler = Sampler(asked, vocab_size=60, dialect=dialect)
    history, pipeline = History.start([[]] * 3), Pipeline.from_params(asked, dialect=dialect)
    for step in range(12):
        logits = (rows(step, 60)[:3] * 2).round() / 2  # many ties
        token = draw(pipeline(logits, history), seed=[1, 2, 3], history=history)
        assert sampler.step(logits).token_ids.tolist() == token.tolist()
        history.accept(token)


def test_a_pipeline_of_one_request_serves_all_rows() -> None:
    one = Pipeline.from_params(SamplingParams(temperature=0.5, top_p=0.5), "vllm")
    assert repr(one) == "Pipeline(Temperature(0.5), TopP(0.5))"
    assert Pipeline.from_params([], "vllm").stages == ()


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if DIALECTS[name].greedy_arg_max])
def test_the_final_arg_max_is_there(dialect: Any) -> None:
    rules = DIALECTS[dialect]
    greedy = 0 if rules.zero_temperature else rules.greedy_below / 2
    pipeline = Pipeline.from_params([SamplingParams(temperature=greedy), SamplingParams()], dialect)
    kept = pipeline(torch.tensor([[1.0, 3.0, 3.0], [1.0, 3.0, 3.0]]), History.start([[], []])) > -math.inf
    assert kept.tolist() == [[False, True, False], [True, True, True]]


def test_by_hand() -> None:
    """Probabilities 1/2, 1/4, 1/8, 1/8."""
    logits = torch.tensor([[4.0, 2.0, 1.0, 1.0]]).log()
    found = logprobs(logits, [2], top=4)
    assert found.logprobs.tolist() == pytest.approx([math.log(1 / 8)], abs=1e-6)
    assert (found.ranks.tolist(), found.top_token_ids.tolist()) == ([3], [[0, 1, 2, 3]])
    assert logprobs(logits, torch.tensor([0])).top_token_ids.shape == (1, 0)
    exact = torch.log_softmax(rows(1).double(), -1)
    ids = torch.tensor([0, 7, 99, 499])
    found = logprobs(rows(1), ids)
    assert torch.allclose(found.logprobs.double(), exact.gather(1, ids[:, None])[:, 0], atol=1e-5)


def test_rows_without_a_token_or_a_distribution() -> None:
    logits = torch.zeros(4, 3)
    logits[1, 0], logits[2], logits[3, 2] = math.nan, -math.inf, -math.inf
    found = logprobs(logits, [-1, 0, 0, 2], top=1)
    assert found.logprobs[:3].isnan().all()
    assert found.ranks[:3].tolist() == [0, 0, 0]
    assert found.top_token_ids.flatten().tolist() == [-1, -1, -1, 0]
    assert found.logprobs[3] == -math.inf


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ([3], "token_ids: got 3, must be an integer from -1 to 2"),
        ([-2], "token_ids: got -2"),
        ([0, 0], "token_ids: got '2 ids', must be one for each of the 1 rows"),
        ([0.5], "token_ids: got 0.5"),
        (torch.tensor([0.5]), "token_ids: got torch.float32"),
        (torch.tensor([[0]]), "token_ids: got 'a tensor of shape"),
        (3, "token_ids: got 3, must be a list"),
    ],
)
def test_token_ids_that_are_none(ids: Any, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        logprobs(torch.zeros(1, 3), ids)


@pytest.mark.parametrize("top", [-1, 4, 1.5, None])
def test_a_number_of_alternatives_that_is_none(top: Any) -> None:
    with pytest.raises(InvalidArgument, match="top: got"):
        logprobs(torch.zeros(1, 3), [0], top=top)


def test_a_draw_takes_its_position_from_the_history() -> None:
    history, logits = History.start([[5, 6], []]), torch.zeros(2, 1000)
    for position in range(3):
        token = draw(logits, seed=7, history=history)
        assert token.tolist() == draw(logits, seed=7, position=position).tolist()
        history.accept(token)
    history = history.select([0]).merge(History.start([[]]))
    assert draw(logits, seed=7, history=history).tolist() == draw(logits, seed=7, position=[3, 0]).tolist()


def test_a_draw_has_one_position() -> None:
    logits, history = torch.zeros(2, 9), History.start([[], []])
    with pytest.raises(InvalidArgument, match="position: got 0, must be left out with a history"):
        draw(logits, seed=1, position=0, history=history)
    with pytest.raises(InvalidArgument, match="position: got None, must be given, unless history is"):
        draw(logits, seed=1)
    with pytest.raises(InvalidArgument, match="history: got '1 rows', must be of the 2 rows"):
        draw(logits, seed=1, history=History.start([[]]))
    with pytest.raises(InvalidArgument, match="history: got 3, must be a History"):
        draw(logits, seed=1, history=3)  # pyright: ignore[reportArgumentType]


def test_no_params() -> None:
    with pytest.raises(InvalidArgument, match=r"params: got \{'top_p': 1\}, must be SamplingParams"):
        Pipeline.from_params([{"top_p": 1}])  # pyright: ignore[reportArgumentType]
