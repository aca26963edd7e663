"""The draw with its margin from few columns of a row: the same tokens, runners-up and distances as from all of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

from sampling import Pipeline, SamplingParams
from sampling.core.history import History
from sampling.replay import replay_tokens
from sampling.sampler.rules import RULES, RngKeys, Rule, noisy_arg_max
from sampling.sampler.rules.noisy_arg_max import NoisyArgMax

V = 6000
SEEDS = [0, 5, -3, 2**40 + 1, 7, 8, 9]
RULES_OF_ENGINES: list[Rule] = ["vllm-0.33", "vllm-0.33-fp64", "sglang-0.5.23"]
PAST: dict[str, Any] = {"prompt_ids": [[7, 8]] * 7, "output_ids": [[1] * count for count in range(7)]}


def hashed(rule: str) -> NoisyArgMax:
    found = RULES[rule]
    assert isinstance(found, NoisyArgMax)
    return found


def rows() -> Tensor:
    """Seven rows: two spreads, many ties, flat, mostly masked, a single token, a peak among large numbers."""
    generator = torch.Generator().manual_seed(1)
    found = torch.randn(7, V, generator=generator)
    found[1] *= 5
    found[2] = (found[2] * 2).round()
    found[3] = 0.0
    found[4, torch.randperm(V, generator=generator)[30:]] = -math.inf
    found[5] = -math.inf
    found[5, 77] = 3.0
    found[6] = found[6] * 1e4
    found[6, 4000:] = -1e30
    return found


def first_two(
    processed: Tensor, rule: NoisyArgMax, keys: RngKeys
) -> tuple[list[int], list[int], list[float]]:
    """Token, runner-up and distance of each row, by a sort of the scores of all columns."""
    places = torch.arange(V)[None].expand_as(processed)
    if rule.ranked:
        places = torch.tensor(np.lexsort((places.numpy(), -processed.numpy())))
        processed = processed.gather(1, places)
    noise = rule.noise(keys, torch.arange(V)[None])
    scores = (processed.to(noise.dtype) + noise).numpy()
    order = np.lexsort((np.arange(V)[None].repeat(len(scores), 0), -scores))
    tokens, seconds, distances = [], [], []
    for row, score in enumerate(scores):
        best, next_one = order[row, 0], order[row, 1]
        alone = score[next_one] == -math.inf
        tokens.append(int(places[row, best]))
        seconds.append(int(places[row, best if alone else next_one]))
        distances.append(float(np.float64(score[best]) - np.float64(score[next_one])))
    return tokens, seconds, distances


@pytest.mark.parametrize("fewest", [noisy_arg_max.REACHING_BLOCKS, 1])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"temperature": 0.7},
        {"top_p": 0.9},
        {"top_k": 50},
        {"top_k": 50, "top_p": 0.9, "temperature": 1.3},
        {"min_p": 0.05},
        {"repetition_penalty": 1.5, "presence_penalty": 0.5, "logit_bias": {9: 4.0}},
        {"temperature": 0.0},
    ],
)
@pytest.mark.parametrize("name", RULES_OF_ENGINES)
def test_equals_the_draw_from_all_columns(
    name: Rule, given: dict[str, Any], fewest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noisy_arg_max, "REACHING_BLOCKS", fewest)  # with 1 block, most rows are drawn in full
    params, logits = [SamplingParams(seed=seed, **given) for seed in SEEDS], rows()
    said = replay_tokens(logits, [77] * 7, params, rule=name, **PAST)
    sorts = name == "sglang-0.5.23" and bool({"top_k", "top_p"} & {*given} or given.get("temperature") == 0)
    rule = hashed("sglang-0.5.23-ranked" if sorts else name)
    history = History.start(PAST["prompt_ids"], output_ids=PAST["output_ids"])
    processed = Pipeline.from_params(params, rule.dialect)(logits, history)
    keys = RngKeys(torch.tensor(SEEDS), history.lengths - 1, torch.zeros(7, dtype=torch.int64))
    tokens, seconds, distances = first_two(processed, rule, keys)
    assert said.drawn.tolist() == tokens
    assert said.margin.runner_up.tolist() == seconds
    near = said.margin.distance == 0  # of equals in another order
    expected = torch.tensor(distances, dtype=torch.float64)
    assert torch.equal(said.margin.distance, expected.masked_fill(near, 0.0) if rule.ranked else expected)
    own = processed.double().log_softmax(-1)[:, 77]
    torch.testing.assert_close(said.logprobs.double(), own, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("name", [*RULES_OF_ENGINES, "sglang-0.5.23-ranked"])
def test_no_noise_is_above_its_bound(name: str) -> None:
    rule = hashed(name)
    assert rule.tail is not None
    keys = RngKeys(torch.tensor([3, -1]), torch.tensor([0, 2**31]), torch.zeros(2, dtype=torch.int64))
    columns = torch.arange(2**19)[None]
    words = rule.tail(keys, columns).long() & 2**32 - 1
    bound = 32 * math.log(2) - words.double().log()
    gap = bound - rule.noise(keys, columns).double()
    assert float(gap.min()) > -(2.0**-18)
    assert float(gap.sort().values[0, 2**18]) < 1.0  # and no bound is far above most of the noise
    assert float(bound.max()) > 12


@pytest.mark.parametrize("name", RULES_OF_ENGINES)
def test_few_columns_of_a_row_are_looked_at(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, seen = hashed(name), list[int]()
    whole = NoisyArgMax.drawn_of

    def drawn_of(self: NoisyArgMax, logits: Tensor, token_ids: Tensor, keys: RngKeys) -> Any:
        seen.append(logits.numel())
        return whole(self, logits, token_ids, keys)

    monkeypatch.setattr(NoisyArgMax, "drawn_of", drawn_of)
    logits = torch.randn(64, 2**14, generator=torch.Generator().manual_seed(2))
    logits[::2] = 0.0
    keys = RngKeys(torch.arange(64), torch.arange(64), torch.zeros(64, dtype=torch.int64))
    rule.drawn(WeightedLogits(logits), keys)
    assert sum(seen) < logits.numel() / 8


def test_rows_that_cannot_be_sampled_decide_nothing() -> None:
    logits = rows()
    logits[1, 5], logits[2] = math.nan, -math.inf
    for params in (SamplingParams(seed=1), SamplingParams(seed=1, top_p=0.9)):
        said = replay_tokens(logits, [77] * 7, params, rule="vllm-0.33", **PAST)
        assert (said.drawn == -1).tolist() == [False, True, True, False, False, False, False]
        assert not said.decided[1:3].any()
        assert said.logprobs[1:3].isnan().all()


def test_no_rows_are_no_tokens() -> None:
    for params in (SamplingParams(seed=1), SamplingParams(seed=1, top_p=0.9)):
        said = replay_tokens(torch.zeros(0, V), [], params, rule="vllm-0.33")
        assert said.drawn.shape == said.margin.distance.shape == said.logprobs.shape == (0,)


def test_bfloat16_rows_are_what_they_are_in_float32() -> None:
    narrow = rows()[:3].bfloat16()
    past = {name: ids[:3] for name, ids in PAST.items()}
    for params in (SamplingParams(seed=1), SamplingParams(seed=1, top_k=9)):
        one, other = (
            replay_tokens(some, [1, 2, 3], params, rule="vllm-0.33", **past)
            for some in (narrow, narrow.float())
        )
        assert torch.equal(one.drawn, other.drawn)
        assert torch.equal(one.margin.distance, other.margin.distance)
