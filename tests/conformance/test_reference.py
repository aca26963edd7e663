"""The reference callable: its tokens and log probabilities are those of `Sampler`, its answers those of the API."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sampling import Sampler, SamplingParams
from sampling.conformance.reference import reference
from sampling.core.errors import InvalidArgument, RowError
from sampling.dialects import DIALECTS

LOGITS = np.random.default_rng(5).normal(size=24).astype(np.float32) * 2
PROMPT, OUTPUT = [3, 4], [1, 1, 7]
MANY_HAVE: dict[str, Any] = {"temperature": 0.7, "top_p": 0.9, "logit_bias": {2: 1.5}}


def shared(dialect: str) -> dict[str, Any]:
    """Those of some parameters that a dialect has."""
    return {name: value for name, value in MANY_HAVE.items() if name in DIALECTS[dialect].stages}


def sampled(dialect: str, seed: int, choice: int, output: list[int], **fields: Any) -> tuple[int, float]:
    """The token and its log probability by `Sampler`, which has a history, a batch and a draw of its own."""
    sampler = Sampler(
        [SamplingParams(seed=seed, **fields)],
        vocab_size=len(LOGITS),
        prompt_ids=[PROMPT],
        choices=[choice],
        dialect=dialect,
    )
    for token in output:
        sampler.history.accept(torch.tensor([token]))
    out = sampler.step(torch.from_numpy(LOGITS)[None])
    return int(out.token_ids), float(out.logprobs)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_tokens_are_those_of_the_sampler(dialect: str) -> None:
    seeds = [*range(30), -1, 2**64 - 1]
    tokens = reference(dialect).many(LOGITS, shared(dialect), PROMPT, OUTPUT, seeds)
    assert tokens == [sampled(dialect, seed, 0, OUTPUT, **shared(dialect))[0] for seed in seeds]
    assert len(set(tokens)) >= 3
    assert reference(dialect)(LOGITS, shared(dialect), PROMPT, OUTPUT, 5) == tokens[5]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_choices_are_those_of_the_sampler(dialect: str) -> None:
    params = {**shared(dialect), "n": 3, "max_tokens": 4, "logprobs": True}
    for index, choice in enumerate(reference(dialect).choices(LOGITS, params, PROMPT, OUTPUT, 11)):
        assert choice["index"] == index
        assert choice["finish_reason"] == "length"
        output = list(OUTPUT)
        for entry in choice["logprobs"]["content"]:
            token, logprob = sampled(dialect, 11, index, output, **shared(dialect))
            assert entry["logprob"] == pytest.approx(logprob, abs=1e-6)
            output.append(token)
        assert len(output) == len(OUTPUT) + 4


def test_a_report_is_an_answer_of_the_api() -> None:
    choice = reference().report(
        LOGITS, {"logit_bias": {3: 100}, "max_tokens": 3, "logprobs": True}, [], [], 1
    )
    assert choice["message"] == {"role": "assistant", "content": "\ufffd" * 3}
    assert [entry["bytes"] for entry in choice["logprobs"]["content"]] == [[0xC4]] * 3
    stopped = reference().report(LOGITS, {"logit_bias": {1: 100}, "max_tokens": 9, "stop": ["bb"]}, [], [], 1)
    assert stopped["message"]["content"] == ""
    assert (stopped["finish_reason"], stopped["stop_reason"]) == ("stop", "bb")


def test_json_mode_draws_from_legal_tokens() -> None:
    tokens = reference().many(LOGITS, {"response_format": {"type": "json_object"}}, [], [], range(200))
    assert set(tokens) == {5, 11}  # "{" and '{"'


def test_without_a_seed_draws_vary() -> None:
    assert len(set(reference().many(LOGITS, {}, [], [], [None] * 200))) > 3


def test_what_can_not_be_sampled_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="temperature: got 3"):
        reference()(LOGITS, {"temperature": 3}, [], [], 1)
    with pytest.raises(InvalidArgument, match=r"logit_bias: got 24, must be token ids below 24"):
        reference()(LOGITS, {"logit_bias": {24: 1}}, [], [], 1)
    with pytest.raises(InvalidArgument, match="best_of: got 2"):
        reference()(LOGITS, {"best_of": 2}, [], [], 1)
    with pytest.raises(RowError, match="cannot be sampled"):
        reference()(np.full(3, -np.inf, dtype=np.float32), {}, [], [], 1)
