"""The keyed draw against Python integers."""

from __future__ import annotations

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels.keyed_draw import draw_by_weight, uniform_words

words = st.integers(0, 2**32 - 1)
seeds = st.one_of(st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1))
weight_rows = st.lists(st.one_of(st.just(0), st.integers(1, 3), st.integers(0, 2**43)), max_size=40)


def signed(seed: int) -> int:
    return seed - 2**64 if seed >= 2**63 else seed


def pick(w: list[int], u: int) -> int:
    high, low = torch.tensor([u >> 32]), torch.tensor([u & 0xFFFFFFFF])
    return int(draw_by_weight(torch.tensor([w]), high, low))


@given(seeds, words, words, st.integers(0, 5))
def test_uniforms(seed: int, position: int, choice: int, rule: int) -> None:
    high, low = uniform_words(*(torch.tensor([n]) for n in (signed(seed), position, choice)), rule)
    assert (int(high) << 32) + int(low) == oracle.uniform(seed, position, choice, rule)


def test_the_first_uniform_by_hand() -> None:
    """Seed, position and choice 0 is the first published answer: w0 = 6627e8d5 below w1 = e169c58d."""
    zero = torch.tensor([0])
    high, low = uniform_words(zero, zero, zero, 0)
    assert (int(high), int(low)) == (0xE169C58D, 0x6627E8D5)


def test_uniforms_of_a_batch() -> None:
    seed, position, choice = (
        torch.tensor([5, 5, 5, -1]),
        torch.tensor([0, 1, 0, 0]),
        torch.tensor([0, 0, 1, 0]),
    )
    high, low = uniform_words(seed, position, choice, 0)
    expected = [oracle.uniform(*one) for one in [(5, 0, 0), (5, 1, 0), (5, 0, 1), (2**64 - 1, 0, 0)]]
    assert [(h << 32) + one for h, one in zip(high.tolist(), low.tolist(), strict=True)] == expected
    assert len(set(expected)) == 4


@given(
    weight_rows, st.integers(1, 2**43), st.one_of(st.sampled_from([0, 2**64 - 1]), st.integers(0, 2**64 - 1))
)
def test_draws(w: list[int], positive: int, u: int) -> None:
    w = [*w, positive]
    token = pick(w, u)
    assert token == oracle.pick(w, u)
    assert w[token] > 0


@pytest.mark.parametrize("w", [[1], [0, 1], [1, 0], [0, 0, 3, 0, 2, 0], [2**43] * 5, [2**61, 0, 2**61 - 1]])
def test_extremes_take_the_first_and_the_last_positive_weight(w: list[int]) -> None:
    positive = [i for i, one in enumerate(w) if one]
    assert pick(w, 0) == positive[0]
    assert pick(w, 2**64 - 1) == positive[-1]


def test_every_boundary_of_a_small_row() -> None:
    w = [1, 0, 2, 5]
    eighth = 2**61
    assert [pick(w, i * eighth) for i in range(8)] == [0, 2, 2, 3, 3, 3, 3, 3]
    assert [pick(w, i * eighth + eighth - 1) for i in range(8)] == [0, 2, 2, 3, 3, 3, 3, 3]


def test_rows_of_a_batch_are_their_own() -> None:
    torch.manual_seed(1)
    w = torch.randint(0, 2**43, (40, 300)) * (torch.rand(40, 300) < 0.5)
    w[:, 7] += 1
    high, low = torch.randint(2**32, (2, 40))
    expected = [
        oracle.pick(r, (h << 32) + one)
        for r, h, one in zip(w.tolist(), high.tolist(), low.tolist(), strict=True)
    ]
    assert draw_by_weight(w, high, low).tolist() == expected
