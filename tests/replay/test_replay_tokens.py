"""Recorded tokens drawn again: vLLM's rule in plain Python is the oracle, and a changed token is found where it stands."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from vllm_draws import PROMPT, V, answer

from sampling import InvalidArgument, SamplingParams
from sampling.replay import replay_tokens


def past(tokens: list[int]) -> dict[str, Any]:
    return {
        "prompt_ids": [PROMPT] * len(tokens),
        "output_ids": [tokens[:place] for place in range(len(tokens))],
    }


@pytest.mark.parametrize("seed", [0, 5, -3, 2**40 + 1])
def test_every_token_is_the_rules(seed: int) -> None:
    logits, tokens = answer(seed)
    said = replay_tokens(logits, tokens, SamplingParams(seed=seed), rule="vllm-0.33", **past(tokens))
    assert said.drawn.tolist() == tokens
    assert said.as_said.all()
    assert said.decided.all()
    expected = torch.log_softmax(logits.double(), -1).gather(1, torch.tensor(tokens)[:, None])[:, 0]
    torch.testing.assert_close(said.logprobs.double(), expected, rtol=0, atol=1e-6)


def test_a_changed_token_is_found_at_its_place() -> None:
    logits, tokens = answer(5)
    changed = [*tokens]
    changed[11] = (tokens[11] + 1) % V
    said = replay_tokens(logits, changed, SamplingParams(seed=5), rule="vllm-0.33", **past(changed))
    assert said.differs.nonzero()[:, 0].tolist() == [11]
    assert said.drawn[11] == tokens[11]


def test_the_second_choice_has_the_next_seed() -> None:
    logits, tokens = answer(6)
    said = replay_tokens(logits, tokens, SamplingParams(seed=5), rule="vllm-0.33", choices=1, **past(tokens))
    assert said.as_said.all()


def test_a_runner_up_within_the_error_of_the_logits_is_too_close_to_tell() -> None:
    logits, tokens = answer(5)
    first = replay_tokens(logits, tokens, SamplingParams(seed=5), rule="vllm-0.33", **past(tokens))
    place = int(first.margin.distance.argmin())
    changed = [*tokens]
    changed[place] = int(first.margin.runner_up[place])
    near = float(first.margin.distance[place])
    for error, within in ((0.4 * near, False), (0.6 * near, True)):  # both logits may be off
        said = replay_tokens(
            logits, changed, SamplingParams(seed=5), rule="vllm-0.33", logit_error=error, **past(changed)
        )
        assert bool(said.within_margin[place]) is within
        assert bool(said.differs[place]) is not within


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rule": "vllm"}, "rule"),
        ({"params": SamplingParams()}, "seed"),
        ({"params": [SamplingParams(seed=1)]}, "params"),
        ({"prompt_ids": None}, "prompt_ids"),
        ({"params": SamplingParams(seed=1, repetition_penalty=2), "prompt_ids": None}, "prompt_ids"),
        ({"prompt_ids": [[], [], []]}, "prompt_ids"),
        ({"params": SamplingParams(seed=1, presence_penalty=1), "output_ids": None}, "output_ids"),
        ({"logit_error": -1}, "logit_error"),
        ({"token_ids": [1, 2, V]}, "token_ids"),
        ({"token_ids": [1, 2]}, "token_ids"),
        ({"logits": torch.zeros(3, V, device="meta")}, "logits"),
        ({"token_ids": torch.zeros(3, dtype=torch.int64, device="meta")}, "token_ids"),
        ({"token_ids": [1, 2, -1]}, "token_ids"),
        ({"params": None}, "params"),
        ({"params": {"seed": 5}}, "params"),
        ({"params": [SamplingParams(seed=5), 5, SamplingParams(seed=5)]}, "params"),
        ({"prompt_ids": 5}, "prompt_ids"),
        ({"output_ids": 5}, "output_ids"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(change: dict[str, Any], field: str) -> None:
    logits, tokens = answer(5, length=3)
    given: dict[str, Any] = {
        "logits": logits,
        "token_ids": tokens,
        "params": SamplingParams(seed=5),
        "rule": "vllm-0.33",
        **past(tokens),
    }
    with pytest.raises(InvalidArgument) as caught:
        replay_tokens(**{**given, **change})
    assert caught.value.param == field
