"""The first tokens of a row through its chunks, against a Python sort."""

from __future__ import annotations

import math
from collections.abc import Callable

import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_kernels import reference
from sampling_kernels.blocks import BLOCK, BlockedLogits, blocked
from sampling_kernels.candidates.blocks import CandidateBlocks
from sampling_kernels.candidates.constants import CANDIDATE_BLOCKS
from sampling_kernels.candidates.top import top_candidates, top_tokens_in_blocks
from torch import Tensor

INF = math.inf
HardRows = Callable[[int], Tensor]
WIDE = BLOCK * (CANDIDATE_BLOCKS + 20) + 7
levels = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -INF])
rows = st.lists(st.one_of(levels, st.floats(-40, 3, width=32)), max_size=150)


def crowded() -> Tensor:
    """All the top tokens in two chunks."""
    row = torch.randn(WIDE)
    row[64 * 100 : 64 * 102] += 20
    return row


def scattered() -> Tensor:
    """One top token in each chunk."""
    row = torch.randn(WIDE)
    row[17::64] += 20
    return row


def scattered_ties() -> Tensor:
    """One top token in each chunk, all equal: more than there are places."""
    return torch.zeros(WIDE).index_fill(0, torch.arange(17, WIDE, 64), 5.0)


def tied_at_the_ceiling() -> Tensor:
    """A hundred above, and the rest equal."""
    return torch.zeros(WIDE).index_fill(0, torch.randperm(WIDE)[:100], 1.0)


def crowds_behind_the_sight() -> Tensor:
    """More chunks start with an 8 than are in sight; a full chunk of 7s lies in one of the others."""
    row = torch.zeros(WIDE).index_fill(0, torch.arange(0, 64 * (CANDIDATE_BLOCKS + 5), 64), 8.0)
    row[-BLOCK:] = 7.0
    return row


def descending() -> Tensor:
    return torch.arange(WIDE).flip(0).float()


LAYOUTS = [crowded, scattered, scattered_ties, tied_at_the_ceiling, crowds_behind_the_sight, descending]


def layouts() -> list[Tensor]:
    torch.manual_seed(1)
    return [make() for make in LAYOUTS]


def check_leading(logits: Tensor, count: int) -> None:
    """Right ids in their order, right logits, and a ceiling that is the largest of all others."""
    chunks = blocked(logits)
    values, ids = top_candidates(CandidateBlocks.of(BlockedLogits.of(logits)), count)
    assert values.shape == ids.shape
    padded = chunks.flatten(1).tolist()
    for row, own, named in zip(padded, values.tolist(), ids.tolist(), strict=True):
        *chosen, _ = named
        assert chosen == sorted(set(chosen))
        assert len(chosen) >= min(count, logits.shape[1])
        assert [row[i] for i in chosen] == own[:-1]
        others = [x for i, x in enumerate(row) if i not in set(chosen)] if len(chosen) < len(row) else []
        assert own[-1] == max(others, default=-INF)
        assert named[-1] == 0


@pytest.mark.parametrize("place", range(len(LAYOUTS)), ids=[make.__name__ for make in LAYOUTS])
@pytest.mark.parametrize("count", [1, 63, 128, 200])
def test_leading_tokens_of_unfriendly_layouts(place: int, count: int) -> None:
    check_leading(layouts()[place][None], count)


@pytest.mark.parametrize("vocabulary", [1, 2, 63, 64, 65, 127, 128, 129, 1003, WIDE])
def test_leading_tokens_of_hard_rows(hard_rows: HardRows, vocabulary: int) -> None:
    check_leading(hard_rows(vocabulary), 128)


@given(rows, st.floats(-10, 10, width=32), st.integers(1, 200))
def test_leading_tokens(row: list[float], finite: float, count: int) -> None:
    check_leading(torch.tensor([[*row, finite]]), count)


def check_top(logits: Tensor, ks: list[int]) -> None:
    chunks = blocked(logits)
    maxima = chunks.amax(-1)
    expected = [oracle.order(row) for row in logits.tolist()]
    for k in ks:
        first = [order[:k] for order in expected]
        assert top_tokens_in_blocks(chunks, maxima, k).tolist() == first
        assert reference.top_tokens(logits, k).tolist() == first


def test_top_tokens_of_unfriendly_layouts() -> None:
    check_top(torch.stack(layouts()), [0, 1, 2, 20, 64, 65, 200])


@pytest.mark.parametrize("vocabulary", [1, 2, 63, 64, 65, 127, 1003])
def test_top_tokens_of_hard_rows(hard_rows: HardRows, vocabulary: int) -> None:
    check_top(
        hard_rows(vocabulary), sorted({0, 1, 2, 20, vocabulary - 1, vocabulary} & set(range(vocabulary + 1)))
    )


@given(rows, st.floats(-10, 10, width=32), st.integers(0, 150))
def test_top_tokens(row: list[float], finite: float, k: int) -> None:
    check_top(torch.tensor([[*row, finite]]), [min(k, len(row) + 1)])


@pytest.mark.compiled
def test_compiled_equals_eager(
    compiled: Callable[..., Callable[..., list[Tensor]]], hard_rows: HardRows
) -> None:
    """One row and several; of the leading tokens that equal the ceiling, any may be missing, so ids are not compared."""

    def both(logits: Tensor) -> list[Tensor]:
        found = []
        for rows in (slice(0, 1), slice(1, 5)):
            whole = BlockedLogits.of(logits[rows])
            top = top_tokens_in_blocks(whole.values, whole.maxima, 20)
            found += [top_candidates(CandidateBlocks.of(whole), 128)[0], top]
        return found

    logits = hard_rows(1003)[[3, 0, 4, 6, 12]]
    assert all(map(torch.equal, compiled(both)(logits), both(logits)))
