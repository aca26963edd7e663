"""Sampling and accepting apart: forced tokens, speculative decoding, slots that are free from the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from sampling import InvalidArgument, SampleOutput, Sampler, SamplingParams, draw

V = 40
PARAMS = [
    SamplingParams(seed=1, temperature=0.8, top_p=0.9, frequency_penalty=0.7, logprobs=True, top_logprobs=3),
    SamplingParams(seed=2, temperature=1.5, presence_penalty=1.0),
    SamplingParams(seed=3, top_k=3, repetition_penalty=1.4),
]
PLAIN = [SamplingParams(seed=seed, temperature=1.2, presence_penalty=0.5) for seed in (4, 5, 6)]
KINDS: dict[str, dict[str, Any]] = {
    "from candidates": {},
    "from full rows": {"params": PLAIN},
    "of a fixed length": {"max_history": 30},
    "with all modes": {"logprob_modes": ["processed", "raw"]},
    "by gumbel": {"rule": "gumbel"},
}


def logits(step: int, rows: int = 3) -> Tensor:
    return torch.randn(rows, V, generator=torch.Generator().manual_seed(step)) * 2


def sampler_of(kind: str) -> Sampler:
    options = {"params": PARAMS, "vocab_size": V, "prompt_ids": [[1, 2], [], [3]], **KINDS[kind]}
    return Sampler(**options)


def assert_same(one: SampleOutput, other: SampleOutput) -> None:
    for name in ("token_ids", "ranks", "top_token_ids", "status"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    for name in ("logprobs", "top_logprobs"):
        assert torch.equal(getattr(one, name).view(torch.int32), getattr(other, name).view(torch.int32)), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_both(kind: str) -> None:
    """Compiled ones: tests/sampler/test_sampler_compiled.py."""
    stepping, apart = sampler_of(kind), sampler_of(kind)
    for step in range(5):
        expected = stepping.step(logits(step))
        first, second = apart.sample(logits(step)), apart.sample(logits(step))
        assert_same(first, expected)
        assert_same(second, expected)
        apart.accept(first.token_ids if step % 2 else first.token_ids.tolist())
        assert apart.history.sampled.tolist() == [step + 1] * 3
    assert torch.equal(apart.history.tokens[:, :7], stepping.history.tokens[:, :7])


def test_forced_tokens_count() -> None:
    """By hand: after two forced 7s and one 5 the penalties are 2 f + p and f + p, and the position is 3."""
    params = SamplingParams(seed=9, frequency_penalty=0.5, presence_penalty=0.25)
    sampler = Sampler([params], vocab_size=V, logprob_modes=["penalised"])
    for token in (7, 7, 5):
        sampler.accept([token])
    row = logits(0, 1)
    penalised = row.clone()
    penalised[0, 7] -= 2 * 0.5 + 0.25
    penalised[0, 5] -= 0.5 + 0.25
    out = sampler.step(row)
    assert out.token_ids.tolist() == draw(penalised, seed=9, position=3).tolist()
    exact = penalised.double().log_softmax(-1)[0, out.token_ids[0]]
    assert out.logprobs[0].item() == pytest.approx(exact.item(), abs=1e-5)


class Ascending:
    """Tokens must ascend."""

    def allowed(self, sampled: Sequence[int]) -> Tensor:
        return torch.arange(V) > max(sampled, default=-1)


def test_forced_tokens_count_for_constraints_and_lengths() -> None:
    params = SamplingParams(seed=1, min_tokens=2, stop_token_ids=[39])
    sampler = Sampler([params], vocab_size=V, dialect="vllm", constraints=[Ascending()])
    sampler.accept([38])
    out = sampler.sample(torch.zeros(1, V))
    assert "nothing left" in sampler.explain(out.status[0])  # 39 alone is above 38, and comes too early
    sampler.accept([-1])
    assert sampler.sample(torch.zeros(1, V)).token_ids.tolist() == [-1]
    sampler.accept([20])
    assert sampler.sample(torch.zeros(1, V)).token_ids.tolist() == [39]


def test_what_another_sampler_drew_is_accepted() -> None:
    teacher, pupil = sampler_of("from candidates"), sampler_of("from candidates")
    for step in range(6):
        drawn = teacher.sample(logits(step))
        assert_same(pupil.sample(logits(step)), drawn)
        forced = torch.tensor([step, int(drawn.token_ids[1]), -1])  # forced, sampled, and a row that waits
        teacher.accept(forced)
        pupil.accept(forced)
    assert teacher.history.sampled.tolist() == [6, 6, 0]


def after(row: Sequence[int]) -> Tensor:
    """The logits of a model that sees the row's tokens; [V]."""
    seed = sum((index + 1) * token for index, token in enumerate(row))
    return torch.randn(V, generator=torch.Generator().manual_seed(seed))


def test_speculative_decoding_gives_the_tokens_of_plain_decoding() -> None:
    """Drafts are right or wrong at random; what is accepted is what would have been sampled."""
    plain, quick = sampler_of("from candidates"), sampler_of("from candidates")
    rows: list[list[int]] = [[], [], []]
    for _ in range(24):
        out = plain.step(torch.stack([after(row) for row in rows]))
        rows = [[*row, token] for row, token in zip(rows, out.token_ids.tolist(), strict=True)]
    fast: list[list[int]] = [[], [], []]
    chance, passes = torch.Generator().manual_seed(1), 0
    while min(map(len, fast)) < 24:
        right = torch.rand(3, 3, generator=chance) < 0.7
        draft = [
            [token if good else (token + 1) % V for token, good in zip(row[len(mine) :], fine, strict=False)]
            for row, mine, fine in zip(rows, fast, right.tolist(), strict=True)
        ]
        passes += 1
        going = [True] * 3
        for place in range(4):  # one pass of the model gives the logits after each token of the draft
            out = quick.sample(torch.stack([after(mine[:]) for mine in fast])).token_ids.tolist()
            quick.accept([token if on else -1 for token, on in zip(out, going, strict=True)])
            for row in range(3):
                if going[row]:
                    fast[row].append(out[row])
                    going[row] = place < len(draft[row]) and draft[row][place] == out[row]
    assert passes < 24
    assert [row[:24] for row in fast] == rows


def test_slots_that_are_free_from_the_beginning() -> None:
    sampler = Sampler(num_slots=3, vocab_size=V)
    empty = sampler.step(logits(0))
    assert empty.token_ids.tolist() == [-1, -1, -1]
    assert [sampler.explain(status) for status in empty.status] == ["free slot"] * 3
    assert sampler.seeds == [None] * 3
    assert sampler.add(PARAMS[0], [1, 2]) == 0
    assert sampler.add(PARAMS[1], []) == 1
    alone = Sampler(PARAMS[:2], vocab_size=V, prompt_ids=[[1, 2], []])
    for step in range(3):
        assert sampler.step(logits(step)).token_ids.tolist() == [
            *alone.step(logits(step)[:2]).token_ids.tolist(),
            -1,
        ]
    sampler.remove([0])
    assert sampler.add_all(PARAMS[1:], [[], [3]]) == [0, 2]
    assert sampler.sample(logits(5)).token_ids[1] == alone.step(logits(5)[:2]).token_ids[1]


def test_tokens_of_free_slots_are_left_out() -> None:
    sampler = Sampler([PARAMS[0]], num_slots=2, vocab_size=V)
    sampler.accept([5, 6])
    assert sampler.history.sampled.tolist() == [1, 0]


def test_more_requests_than_slots() -> None:
    with pytest.raises(
        InvalidArgument, match="params: got '3 requests', must be at most 2, as many as slots"
    ):
        Sampler(PARAMS, num_slots=2, vocab_size=V)
    sampler = Sampler(PARAMS[:1], num_slots=2, vocab_size=V)
    with pytest.raises(InvalidArgument, match="params: got '2 requests', must be at most 1"):
        sampler.add_all(PARAMS[1:])
    assert sampler.seeds == [1, None]
    assert sampler.add(PARAMS[1], []) == 1
    with pytest.raises(InvalidArgument, match="params: got '1 requests', must be at most 0"):
        sampler.add(PARAMS[2], [])
    assert [Sampler(PARAMS, vocab_size=V).add(PARAMS[0], []), Sampler(vocab_size=V).add(PARAMS[0], [])] == [
        3,
        0,
    ]


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "2"])
def test_a_number_of_slots_that_is_none(number: Any) -> None:
    with pytest.raises(InvalidArgument, match="num_slots: got"):
        Sampler(num_slots=number, vocab_size=V)


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        ([1, 2], r"token_ids: got 'a tensor of shape \(2,\)', must be one for each of the 3 slots"),
        ([[1, 2, 3]], r"token_ids: got \[1, 2, 3\], must be an integer"),
        (torch.tensor([[1, 2, 3]]), "token_ids: got 'a tensor of shape"),
        ([1, 2, V], f"token_ids: got {V}, must be an integer from .* to {V - 1}"),
        (torch.tensor([1, 2, V]), f"token_ids: got {V}, must be"),
        ([1, 2, 0.5], "token_ids: got 0.5"),
        (torch.tensor([1.0, 2, 3]), "token_ids: got torch.float32"),
        (5, "token_ids: got 5, must be a list"),
        (None, "token_ids: got None"),
    ],
)
def test_tokens_that_are_none(tokens: Any, told: str) -> None:
    sampler = sampler_of("from candidates")
    with pytest.raises(InvalidArgument, match=told):
        sampler.accept(tokens)
    assert sampler.history.sampled.tolist() == [0, 0, 0]
