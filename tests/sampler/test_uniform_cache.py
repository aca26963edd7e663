"""UniformCache computed ahead are those of their positions, however unevenly the rows advance."""

from __future__ import annotations

import math

import oracle
import pytest
import torch
from sampling_kernels.inverse_cdf import INTEGER_RULE
from sampling_kernels.philox import random_words

from sampling import Sampler, SamplingParams
from sampling.sampler.uniform_cache import POSITIONS_AHEAD, UniformCache

SEEDS = [5, 2**64 - 1, 2**63, 0]
VOCABULARY = 40
STEPS = 2 * POSITIONS_AHEAD + 10


def signed(seed: int) -> int:
    return seed - 2**64 if seed >= 2**63 else seed


def test_rows_that_advance_unevenly() -> None:
    """One row always, one never, one every third time, one until the middle; from different first positions."""
    seeds, choices = torch.tensor([signed(seed) for seed in SEEDS]), torch.tensor([0, 1, 2, 7])
    positions = torch.tensor([0, 3, 1000, 2**31])
    uniforms = UniformCache(seeds, choices, positions)
    for call in range(POSITIONS_AHEAD):
        assert uniforms.cover(positions)
        high, low = uniforms.at(positions)
        words = random_words(seeds, positions, choices, INTEGER_RULE)
        assert torch.equal(torch.stack([high, low]), torch.stack(words))
        named = zip(SEEDS, positions.tolist(), choices.tolist(), strict=True)
        assert [(h << 32) + w for h, w in zip(high.tolist(), low.tolist(), strict=True)] == [
            oracle.uniform(*one) for one in named
        ]
        positions = positions + torch.tensor([1, 0, call % 3 == 0, call < 16])
    assert not uniforms.cover(positions)
    assert not uniforms.cover(torch.tensor([0, 2, 1000, 2**31]))


def step_logits(step: int) -> torch.Tensor:
    """Row 1 is broken in every second step, row 2 in all but every fifth, row 3 for forty steps."""
    torch.manual_seed(step)
    logits = torch.randn(4, VOCABULARY) * 3
    logits[1, 3] = math.nan if step % 2 else 0.0
    logits[2] = -math.inf if step % 5 else logits[2]
    logits[3, 0] = math.inf if 10 <= step < 50 else 0.0
    return logits


def requests() -> list[SamplingParams]:
    ps = [0.9, 0.5, 0.99, 1.0]
    return [SamplingParams(seed=seed, top_p=p) for seed, p in zip(SEEDS, ps, strict=True)]


def expected_token(row: list[float], params: SamplingParams, position: int, choice: int) -> int:
    """-1 where the row cannot be sampled."""
    if not all(x < math.inf for x in row) or max(row) == -math.inf:
        return -1
    shaped = oracle.keep(row, oracle.nucleus(row, str(params.top_p)))
    return oracle.draw(shaped, params.seed or 0, position, choice)


@pytest.mark.parametrize("steps", [STEPS])
def test_a_sampler_past_two_refreshes(steps: int) -> None:
    """A row's position is how many tokens it has sampled, not how many steps there were."""
    params, choices = requests(), [0, 1, 2, 3]
    sampler = Sampler(params, vocab_size=VOCABULARY, choices=choices, logprob_modes=[])
    positions = [0] * 4
    for step in range(steps):
        logits = step_logits(step)
        expected = [
            expected_token(row, *one)
            for row, *one in zip(logits.tolist(), params, positions, choices, strict=True)
        ]
        assert sampler.step(logits).token_ids.tolist() == expected
        positions = [n + (token >= 0) for n, token in zip(positions, expected, strict=True)]
    assert positions[0] == steps
    assert positions[1] == steps // 2
    assert positions[3] == steps - 40


def test_slots_that_come_and_go_between_refreshes() -> None:
    """A new request starts at position 0 in the slot of another, and the others go on where they were."""
    params = requests()[:3]
    sampler = Sampler(params, vocab_size=VOCABULARY, logprob_modes=[])
    positions = [0] * 3
    for step in range(POSITIONS_AHEAD + 8):
        if step == 20:
            sampler.remove([1])
            params[1], positions[1] = SamplingParams(seed=99, top_p=0.8), 0
            assert sampler.add(params[1], [4, 4]) == 1
        torch.manual_seed(step)
        logits = torch.randn(3, VOCABULARY)
        expected = [
            expected_token(row, *one, 0) for row, *one in zip(logits.tolist(), params, positions, strict=True)
        ]
        assert sampler.step(logits).token_ids.tolist() == expected
        positions = [n + 1 for n in positions]


def test_a_history_that_others_write_to() -> None:
    """Tokens that were forced, and a history set back: the words are those of the positions all the same."""
    logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(1))
    params = SamplingParams(top_p=0.9, seed=3)
    sampler = Sampler([params], vocab_size=VOCABULARY)
    before = sampler.history.clone()
    for forced in (0, 40):
        for _ in range(forced):
            sampler.history.accept(torch.tensor([1]))
        position = int(sampler.history.sampled)
        expected = expected_token(logits[0].tolist(), params, position, 0)
        assert sampler.step(logits).token_ids.tolist() == [expected]
    sampler.history = before
    assert sampler.step(logits).token_ids.tolist() == [expected_token(logits[0].tolist(), params, 0, 0)]
