"""The keyed draw against Python integers."""

from __future__ import annotations

from collections.abc import Callable

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels import reference
from sampling_kernels.blocks import blocked
from sampling_kernels.inverse_cdf import (
    inverse_cdf_sample,
    inverse_cdf_sample_blocked,
)
from sampling_kernels.philox import random_words
from torch import Tensor

words = st.integers(0, 2**32 - 1)
seeds = st.one_of(st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1))
weight_rows = st.lists(st.one_of(st.just(0), st.integers(1, 3), st.integers(0, 2**43)), max_size=40)


def signed(seed: int) -> int:
    return seed - 2**64 if seed >= 2**63 else seed


Draw = Callable[[Tensor, Tensor, Tensor], Tensor]
Compile = Callable[[Callable[..., list[Tensor]]], Callable[..., list[Tensor]]]
every_form = pytest.mark.parametrize("draw", [reference.inverse_cdf_sample, inverse_cdf_sample])


def of_words(us: list[int]) -> tuple[Tensor, Tensor]:
    return torch.tensor([u >> 32 for u in us]), torch.tensor([u & 0xFFFFFFFF for u in us])


def pick(draw: Draw, w: list[int], u: int) -> int:
    return int(draw(torch.tensor([w]), *of_words([u])))


def boundaries(w: list[int]) -> list[int]:
    """The u on both sides of every running sum: the first that passes it, and its neighbours."""
    total, running, us = sum(w), 0, {0, 2**64 - 1}
    for one in w[:-1]:
        running += one
        first = -(-(running << 64) // total)
        us |= {first - 1, first, first + 1}
    return sorted(u for u in us if 0 <= u < 2**64)


@given(seeds, words, words, st.integers(0, 5))
def test_uniforms(seed: int, position: int, choice: int, rule: int) -> None:
    high, low = random_words(*(torch.tensor([n]) for n in (signed(seed), position, choice)), rule)
    assert (int(high) << 32) + int(low) == oracle.uniform(seed, position, choice, rule)


def test_the_first_uniform_by_hand() -> None:
    """Seed, position and choice 0 is the first published answer: w0 = 6627e8d5 below w1 = e169c58d."""
    zero = torch.tensor([0])
    high, low = random_words(zero, zero, zero, 0)
    assert (int(high), int(low)) == (0xE169C58D, 0x6627E8D5)


def test_uniforms_of_a_batch() -> None:
    seed, position, choice = (
        torch.tensor([5, 5, 5, -1]),
        torch.tensor([0, 1, 0, 0]),
        torch.tensor([0, 0, 1, 0]),
    )
    high, low = random_words(seed, position, choice, 0)
    expected = [oracle.uniform(*one) for one in [(5, 0, 0), (5, 1, 0), (5, 0, 1), (2**64 - 1, 0, 0)]]
    assert [(h << 32) + one for h, one in zip(high.tolist(), low.tolist(), strict=True)] == expected
    assert len(set(expected)) == 4


@every_form
@given(
    weight_rows, st.integers(1, 2**43), st.one_of(st.sampled_from([0, 2**64 - 1]), st.integers(0, 2**64 - 1))
)
def test_draws(draw: Draw, w: list[int], positive: int, u: int) -> None:
    w = [*w, positive]
    token = pick(draw, w, u)
    assert token == oracle.pick(w, u)
    assert w[token] > 0


@every_form
@pytest.mark.parametrize("w", [[1], [0, 1], [1, 0], [0, 0, 3, 0, 2, 0], [2**43] * 5, [2**61, 0, 2**61 - 1]])
def test_extremes_take_the_first_and_the_last_positive_weight(draw: Draw, w: list[int]) -> None:
    positive = [i for i, one in enumerate(w) if one]
    assert pick(draw, w, 0) == positive[0]
    assert pick(draw, w, 2**64 - 1) == positive[-1]


@every_form
def test_every_boundary_of_a_small_row(draw: Draw) -> None:
    w = [1, 0, 2, 5]
    eighth = 2**61
    assert [pick(draw, w, i * eighth) for i in range(8)] == [0, 2, 2, 3, 3, 3, 3, 3]
    assert [pick(draw, w, i * eighth + eighth - 1) for i in range(8)] == [0, 2, 2, 3, 3, 3, 3, 3]


@every_form
def test_rows_of_a_batch_are_their_own(draw: Draw) -> None:
    torch.manual_seed(1)
    w = torch.randint(0, 2**43, (40, 300)) * (torch.rand(40, 300) < 0.5)
    w[:, 7] += 1
    high, low = torch.randint(2**32, (2, 40))
    expected = [
        oracle.pick(r, (h << 32) + one)
        for r, h, one in zip(w.tolist(), high.tolist(), low.tolist(), strict=True)
    ]
    assert draw(w, high, low).tolist() == expected


@every_form
@pytest.mark.parametrize("vocabulary", [1, 2, 63, 64, 65, 127, 129, 300])
def test_both_sides_of_every_running_sum(draw: Draw, vocabulary: int) -> None:
    torch.manual_seed(vocabulary)
    w = (torch.randint(1, 2**43, (vocabulary,)) * (torch.rand(vocabulary) < 0.7)).tolist()
    w[vocabulary // 2] += 1
    us = boundaries(w)
    got = draw(torch.tensor([w]).expand(len(us), -1), *of_words(us))
    assert got.tolist() == [oracle.pick(w, u) for u in us]


@pytest.mark.parametrize("vocabulary", [1, 64, 65, 128, 300])
def test_rows_without_weight_get_an_id_of_the_last_chunk(vocabulary: int) -> None:
    """They have no meaning, but do no harm to the row beside them."""
    w = torch.stack([torch.zeros(vocabulary), torch.arange(vocabulary) == vocabulary - 1]).long()
    without, beside = inverse_cdf_sample(w, *of_words([2**63, 2**63])).tolist()
    assert 0 <= without < -(-vocabulary // 64) * 64
    assert beside == vocabulary - 1


@pytest.mark.parametrize("vocabulary", [1, 2, 3, 63, 64, 65, 127, 300])
def test_draws_from_logits(hard_rows: Callable[[int], Tensor], vocabulary: int) -> None:
    """At every running sum, from a row alone and from the same row many times in a batch."""
    for row in hard_rows(vocabulary):
        w = oracle.weights(row.tolist())
        us = boundaries(w)
        chunks = blocked(row[None])
        maxima = chunks.amax(-1)
        got = inverse_cdf_sample_blocked(
            chunks.expand(len(us), -1, -1), maxima.expand(len(us), -1), *of_words(us)
        ).tolist()
        assert got == [oracle.pick(w, u) for u in us]
        assert [int(inverse_cdf_sample_blocked(chunks, maxima, *of_words([u]))) for u in us[:3]] == got[:3]


@pytest.mark.parametrize("vocabulary", [1000, 1003, 8199])
def test_draws_from_wide_logits(hard_rows: Callable[[int], Tensor], vocabulary: int) -> None:
    logits, us = hard_rows(vocabulary), [(2 * i + 1) * 2**64 // 30 for i in range(15)]
    chunks = blocked(logits)
    expected = [oracle.pick(oracle.weights(row), u) for row, u in zip(logits.tolist(), us, strict=True)]
    assert inverse_cdf_sample_blocked(chunks, chunks.amax(-1), *of_words(us)).tolist() == expected


@pytest.mark.compiled
def test_compiled_equals_eager(compiled: Compile, hard_rows: Callable[[int], Tensor]) -> None:
    def drawn(logits: Tensor, high: Tensor, low: Tensor) -> list[Tensor]:
        chunks = blocked(logits)
        return [inverse_cdf_sample_blocked(chunks, chunks.amax(-1), high, low)]

    args = hard_rows(1003)[[0, 4, 6, 12]], *of_words([i * 2**62 + 2**40 for i in range(4)])
    assert torch.equal(compiled(drawn)(*args)[0], drawn(*args)[0])
