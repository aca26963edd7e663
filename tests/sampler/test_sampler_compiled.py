"""A compiled sampler gives what an eager one gives, also where the leading tokens are not enough."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from traced import tracing

from sampling import Sampler, SamplingParams


def check_more_edits_than_are_in_sight(**kwargs: Any) -> None:
    """In one row of three, a token in each of 600 chunks has a bias; the rows alone, edited whole, give the same tokens."""
    width = 64 * 1000
    torch.manual_seed(1)
    logits = 4 * torch.randn(3, width)
    few, many = {5: 2.0, 70: -2.0}, dict.fromkeys(range(7, 64 * 600, 64), 9.0)
    params = [SamplingParams(seed=seed, logit_bias=(few, many)[seed == 1], top_p=0.9) for seed in range(3)]
    sampler = Sampler(params, vocab_size=width, **kwargs)
    alone = [Sampler([one], vocab_size=width, logprob_modes=["processed"]) for one in params]
    sampled: list[list[int]] = []
    for _ in range(3):
        out = sampler.step(logits)
        expected = [one.step(row[None]) for one, row in zip(alone, logits, strict=True)]
        assert out.status.tolist() == [0, 0, 0]
        assert out.token_ids.tolist() == [int(one.token_ids) for one in expected]
        sampled.append(out.token_ids.tolist())
        assert sampler.history.tokens[:, : len(sampled)].T.tolist() == sampled
        assert sampler.history.sampled.tolist() == [len(sampled)] * 3


def test_more_edits_than_are_in_sight() -> None:
    check_more_edits_than_are_in_sight()


@pytest.mark.usefixtures("traced")
def test_more_edits_than_are_in_sight_compiled() -> None:
    check_more_edits_than_are_in_sight(compile=True, max_history=8)


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled")
def test_compiled_samplers_of_different_vocabularies_sample_and_accept_apart() -> None:
    """One after the other in one process: the compiler tries to make one graph of them. The first two are only traced."""
    torch.manual_seed(0)
    with tracing():
        check_sampling_and_accepting(1003, 20)
        check_sampling_and_accepting(6400, 0)
    check_sampling_and_accepting(2003, 5)


def check_sampling_and_accepting(width: int, alternatives: int) -> None:
    """A compiled sampler that samples and accepts gives what an eager one gives that steps."""
    params = [
        SamplingParams(seed=1, top_p=0.9, logprobs=True, top_logprobs=alternatives),
        SamplingParams(seed=2, top_p=0.8, presence_penalty=1.5),
        SamplingParams(seed=3, top_p=0.9, logprobs=True),
    ]
    stepping, apart = (Sampler(params, vocab_size=width, max_history=8, compile=on) for on in (False, True))
    for sampler in (stepping, apart):
        sampler.accept([width - 1, 7, 7])  # the highest id at once: later, it would ask for another graph
    for step in range(3):
        logits = 4 * torch.randn(3, width)
        expected = stepping.step(logits)
        first, second = apart.sample(logits), apart.sample(logits)
        for out in (first, second):
            for name in ("token_ids", "logprobs", "ranks", "top_token_ids", "top_logprobs", "status"):
                assert torch.equal(getattr(out, name), getattr(expected, name)), name
        apart.accept(first.token_ids if step % 2 else first.token_ids.tolist())
        assert apart.history.sampled.tolist() == [step + 2] * 3
    assert torch.equal(apart.history.tokens, stepping.history.tokens)
