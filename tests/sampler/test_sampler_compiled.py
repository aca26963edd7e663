"""A compiled sampler gives what an eager one gives, also where the leading tokens are not enough."""

from __future__ import annotations

from typing import Any

import pytest
import torch

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


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled")
def test_more_edits_than_are_in_sight_compiled() -> None:
    check_more_edits_than_are_in_sight(compile=True, max_history=8)


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled")
def test_compiled_samplers_of_different_vocabularies_and_alternatives() -> None:
    """One after the other in one process: the compiler tries to make one graph of them."""
    torch.manual_seed(0)
    for width, alternatives in ((1003, 20), (6400, 0), (2003, 5)):
        params = [
            SamplingParams(seed=seed, top_p=0.9, logprobs=True, top_logprobs=alternatives)
            for seed in range(3)
        ]
        logits = 4 * torch.randn(3, width)
        outputs = [
            Sampler(params, vocab_size=width, **kwargs).step(logits)
            for kwargs in ({"compile": True, "max_history": 8}, {})
        ]
        got, expected = ((out.token_ids, out.top_token_ids, out.top_logprobs) for out in outputs)
        assert all(map(torch.equal, got, expected))
