"""What is wrong with an argument, with a field of a request and with a row are errors of their own."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
import torch

from sampling import (
    AllowedTokens,
    CacheFull,
    History,
    Intersection,
    InvalidArgument,
    InvalidRequest,
    LanguageModel,
    LogitBias,
    MinTokens,
    NotEnoughMemory,
    RowError,
    Sampler,
    SamplingError,
    SamplingParams,
    Scope,
    Temperature,
    TopK,
    TopP,
    UnsampleableRow,
    chain,
    dialect,
    draw,
    load,
)

HISTORY = History.start([[]])
PARAMS = SamplingParams()

ARGUMENTS: dict[str, Callable[[], object]] = {
    "a number": lambda: TopP(1.1),
    "a bias": lambda: LogitBias({"x": 1.0}),
    "a whole number": lambda: TopK(1.5),
    "a count": lambda: MinTokens(-1, [1]),
    "a scope": lambda: Scope(last=0),
    "parts": lambda: Intersection(),
    "stages": lambda: chain(3),  # pyright: ignore[reportArgumentType]
    "rows": lambda: AllowedTokens([None, None])(torch.zeros(1, 2), HISTORY),
    "a prompt": lambda: History.start([[-1]]),
    "a shape": lambda: Temperature(1)(torch.zeros(3), HISTORY),
    "a type": lambda: draw(torch.zeros(1, 3, dtype=torch.float64), seed=1, position=0),
    "a seed": lambda: draw(torch.zeros(1, 3), seed=2**64, position=0),
    "a rule": lambda: draw(torch.zeros(1, 3), seed=1, position=0, rule="dice"),  # pyright: ignore[reportArgumentType]
    "a size": lambda: Sampler([PARAMS], vocab_size=0),
    "no params": lambda: Sampler([3], vocab_size=9),  # pyright: ignore[reportArgumentType]
    "a mode": lambda: Sampler([PARAMS], vocab_size=9, logprob_modes=["cooked"]),  # pyright: ignore[reportArgumentType]
    "a slot": lambda: Sampler([PARAMS], vocab_size=9).remove([1]),
    "logits": lambda: Sampler([PARAMS], vocab_size=9).step(torch.zeros(1, 8)),
    "a dialect": lambda: dialect("vlm"),  # pyright: ignore[reportArgumentType]
    "a device": lambda: History.start([[]], device="nowhere"),
    "a number type": lambda: load(None, dtype="float8"),
}


@pytest.mark.parametrize("call", ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments_and_tensors(call: Callable[[], object]) -> None:
    with pytest.raises(InvalidArgument, match=r": got .*, must be ") as caught:
        call()
    assert type(caught.value) is InvalidArgument


@pytest.fixture(scope="module")
def toy() -> LanguageModel:
    return load(None)


FIELDS: dict[str, dict[str, object]] = {
    "temperature": {"temperature": 2.1},
    "n": {"n": 0},
    "seed": {"seed": 1.5},
    "logit_bias": {"logit_bias": {"9999999": 1}},
    "stop": {"stop": 3},
    "stream_options": {"stream": True, "stream_options": {"include_usage": 1}},
    "logprobs": {"logprobs": 1},
    "top_logprobs": {"top_logprobs": 3},
    "min_p": {"dialect": "openai", "min_p": 0.1},
    "chat_template_kwargs": {"chat_template_kwargs": 1},
    "stop_token_ids": {"dialect": "vllm", "stop_token_ids": [-1]},
    "response_format": {"response_format": {"type": "xml"}},
    "brightness": {"brightness": 1},
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_requests(toy: LanguageModel, name: str) -> None:
    fields = FIELDS[name]
    with pytest.raises(InvalidRequest) as caught:
        toy.chat([{"role": "user", "content": "Hi"}], **fields)  # pyright: ignore
    assert caught.value.param.startswith(name)


def test_params_are_a_request() -> None:
    for fields in ({"top_p": 2}, {"logit_bias": {"x": 1}}, {"stop_token_ids": 3}, {"logprobs": "yes"}):
        with pytest.raises(InvalidRequest):
            SamplingParams(**fields)
    with pytest.raises(InvalidRequest, match="logit_bias: got 9, must be token ids below 9"):
        Sampler([SamplingParams(logit_bias={9: 1})], vocab_size=9)


def test_who_catches_one_kind_gets_no_other() -> None:
    assert issubclass(InvalidRequest, InvalidArgument)
    assert issubclass(InvalidArgument, ValueError)
    assert not issubclass(InvalidArgument, InvalidRequest)
    kinds = (CacheFull, UnsampleableRow, NotEnoughMemory)
    for kind in kinds:
        assert issubclass(kind, RowError)
        assert issubclass(kind, SamplingError)
        assert not any(issubclass(kind, other) for other in kinds if other is not kind)


@pytest.mark.parametrize("kind", [InvalidArgument, InvalidRequest])
def test_a_kind_crosses_the_border_of_a_process(kind: type[InvalidArgument]) -> None:
    error = pickle.loads(pickle.dumps(kind("top_p", 2, "at most 1")))
    assert (type(error), error.param, error.value, error.allowed) == (kind, "top_p", 2, "at most 1")
