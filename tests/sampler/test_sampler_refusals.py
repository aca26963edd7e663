"""What a sampler refuses: each with one error that names the argument, what was given and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sampling import History, Sampler, SamplingParams, Temperature
from sampling.core.errors import InvalidArgument

VOCABULARY = 50


def sampler_of(slots: int) -> Sampler:
    return Sampler([SamplingParams()] * slots, vocab_size=VOCABULARY)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        (
            {"prompt_ids": [[1], [VOCABULARY]]},
            rf"prompt_ids: got {VOCABULARY}, must be token ids below {VOCABULARY}",
        ),
        ({"prompt_ids": [[1], [-2]]}, r"prompt_ids.*got -2"),
        ({"prompt_ids": [[1]]}, "prompt_ids"),
        ({"choices": [0]}, "choices"),
        ({"choices": [0, -1]}, "choice: got -1"),
        ({"choices": [0, 1.5]}, "choice: got 1.5"),
        ({"vocab_size": 0}, "vocab_size: got 0"),
        ({"vocab_size": 2**19}, f"vocab_size: got {2**19}"),
        ({"dialect": "gpt"}, "dialect: got 'gpt'"),
        ({"logprob_modes": ["raw", "cooked"]}, "logprob_modes: got 'cooked', must be any of raw"),
        ({"max_history": 0}, "max_history"),
        ({"tokenizer_vocab_size": 0}, "tokenizer_vocab_size|size"),
    ],
)
def test_bad_arguments(kwargs: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        Sampler([SamplingParams()] * 2, **{"vocab_size": VOCABULARY, **kwargs})


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"params": 3}, "params: got 3, must be a list"),
        ({"prompt_ids": 3}, "prompt_ids: got 3, must be a list"),
        ({"choices": 0}, "choices: got 0, must be a list"),
        ({"constraints": 3}, "constraints: got 3, must be a list"),
        ({"logprob_modes": 3}, "logprob_modes: got 3, must be a list"),
        ({"logprob_modes": [None]}, "logprob_modes: got None, must be any of raw"),
        ({"rule": []}, r"rule: got \[\], must be one of integer, gumbel"),
        ({"device": "abacus"}, "device: got 'abacus', must be a device that torch can use here"),
        ({"device": "meta"}, "device: got 'meta', must be a device that torch can use here"),
        ({"device": 1.5}, "device: got '1.5', must be a device that torch can use here"),
        ({"max_history": 2**62}, "max_history: got 4611686018427387904, must be an integer from 1 to"),
    ],
)
def test_arguments_of_other_types(kwargs: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        Sampler(**{"params": [SamplingParams()], "vocab_size": VOCABULARY, **kwargs})


def test_params_of_another_type() -> None:
    with pytest.raises(
        InvalidArgument, match=r"params: got SamplingParams.*, must be a list, with an entry for each request"
    ):
        Sampler(SamplingParams(), vocab_size=VOCABULARY)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidArgument, match=r"params: got \{'temperature': 1\}, must be SamplingParams"):
        Sampler([{"temperature": 1}], vocab_size=VOCABULARY)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("token", [VOCABULARY, 10**6, 2**63, 10**18])
def test_a_bias_for_an_id_outside_the_vocabulary(token: int) -> None:
    with pytest.raises(
        InvalidArgument, match=rf"logit_bias: got {token}, must be token ids below {VOCABULARY}"
    ):
        Sampler([SamplingParams(logit_bias={token: 1})], vocab_size=VOCABULARY)


def test_a_prompt_longer_than_the_limit_is_refused() -> None:
    with pytest.raises(
        InvalidArgument, match="prompt_ids: got 'a prompt of 5 tokens', must be at most max_history = 4"
    ):
        Sampler([SamplingParams()], vocab_size=3, prompt_ids=[[0] * 5], max_history=4)


@pytest.mark.parametrize(
    "fields", [{"top_k": 2**31 + 1}, {"repetition_penalty": 1e300}, {"repetition_penalty": 1e-300}]
)
def test_what_params_accept_the_sampler_serves(fields: dict[str, Any]) -> None:
    """Whatever is out of range is refused by SamplingParams, not later."""
    try:
        request = SamplingParams(seed=1, **fields)
    except InvalidArgument:
        return
    out = Sampler([request], vocab_size=3).step(torch.tensor([[0.0, 1.0, -1.0]]))
    assert out.status.tolist() == [0]


@pytest.mark.parametrize("shape", [(1, VOCABULARY), (2, VOCABULARY + 1), (2, VOCABULARY, 1), (VOCABULARY,)])
def test_logits_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument, match=r"logits: got \(.*\), must be a tensor of shape \(2, 50\)"):
        sampler_of(2).step(torch.zeros(shape))


def test_logits_that_are_no_tensor() -> None:
    with pytest.raises(InvalidArgument, match=r"logits: got 'list', must be a tensor of shape \(1, 50\)"):
        sampler_of(1).step([[0.0] * VOCABULARY])  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidArgument, match=r"logits: got 'list', must be a tensor of shape \(B, V\)"):
        Temperature(0.5)([[0.0] * VOCABULARY], History.start([[]]))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("slots", [[2], [-1], [0], [True], [1.0]])
def test_only_slots_in_use_can_be_removed(slots: list[int]) -> None:
    sampler = sampler_of(2)
    sampler.remove([0])
    with pytest.raises(InvalidArgument, match=rf"slots: got {slots[0]}, must be slots in use"):
        sampler.remove(slots)
