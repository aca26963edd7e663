"""What is in sight of rows whose tokens are edited, against lists in Python."""

from __future__ import annotations

import math

import pytest
import torch
from sampling_kernels.blocks import BLOCK, BlockedLogits
from sampling_kernels.candidates.blocks import CandidateBlocks
from sampling_kernels.candidates.constants import CANDIDATE_BLOCKS, MAX_EDIT_BLOCKS
from torch import Tensor

COUNT = 600  # of chunks: more than are ever in sight


def rows_of(seed: int, count: int = COUNT) -> Tensor:
    """Two rows whose logits all differ."""
    torch.manual_seed(seed)
    return torch.stack([torch.randperm(count * BLOCK).float() for _ in range(2)])


def one_in_each(chunks: int, edits: int) -> Tensor:
    """So many edits in so many chunks, spread over both rows; int64 [2, E]."""
    return torch.stack([(torch.arange(edits) % chunks * step + 3) % COUNT * BLOCK + 5 for step in (1, 7)])


@pytest.mark.parametrize("edits", [1, 5, MAX_EDIT_BLOCKS, MAX_EDIT_BLOCKS + 50])
def test_the_sight_is_the_chunks_of_the_edits_and_those_with_the_largest_logits(edits: int) -> None:
    logits, ids = rows_of(1), one_in_each(min(edits, 200), edits)
    sight = CandidateBlocks.of(BlockedLogits.of(logits), ids)
    size = CANDIDATE_BLOCKS + min(edits, MAX_EDIT_BLOCKS)
    assert sight.block_ids.shape == (2, size)
    assert not sight.overflow.any()
    for place in range(2):
        row, edited = logits[place].tolist(), {token // BLOCK for token in ids[place].tolist()}
        largest = [max(row[begin : begin + BLOCK]) for begin in range(0, len(row), BLOCK)]
        others = sorted(set(range(COUNT)) - edited, key=lambda chunk: -largest[chunk])
        inside, outside = others[: size - len(edited)], others[size - len(edited) :]
        assert sight.block_ids[place].tolist() == sorted(edited | {*inside})
        assert sight.max_outside[place].item() == largest[outside[0]]


@pytest.mark.parametrize("edits", [330, 400])
@pytest.mark.parametrize("more", [0, 1])
def test_a_row_is_crowded_when_edits_leave_less_than_half_of_the_room(edits: int, more: int) -> None:
    """Of E >= 256 edits, the chunks may be as many as are in sight but for 64: 128 + 256 - 64 = 320."""
    ids = one_in_each(320 + more, edits)
    ids[1] = 7  # the other row has all its edits in one place
    assert CandidateBlocks.of(BlockedLogits.of(rows_of(2)), ids).overflow.tolist() == [bool(more), False]


def test_a_row_with_few_edits_is_never_crowded() -> None:
    assert not CandidateBlocks.of(BlockedLogits.of(rows_of(2)), one_in_each(200, 200)).overflow.any()


def test_nothing_is_crowded_without_edits_or_where_all_chunks_are_in_sight() -> None:
    everywhere = torch.arange(100 * BLOCK).repeat(2, 1)
    assert not CandidateBlocks.of(BlockedLogits.of(rows_of(3, 100)), everywhere).overflow.any()
    assert not CandidateBlocks.of(BlockedLogits.of(rows_of(3))).overflow.any()
    assert not CandidateBlocks.of(BlockedLogits.of(torch.full((2, COUNT * BLOCK), math.inf))).overflow.any()


def test_edits_are_written_where_their_tokens_stand() -> None:
    logits, ids = rows_of(4), one_in_each(30, 40)
    sight = CandidateBlocks.of(BlockedLogits.of(logits), ids)
    places = sight.positions_of(ids)
    assert torch.equal(sight.values.gather(1, places), logits.gather(1, ids))
    after = torch.linspace(-5e6, 5e6, 40).expand(2, -1)
    sight.values.scatter_(1, places, after)
    assert torch.equal(sight.maximum, logits.scatter(1, ids, after).amax(-1, keepdim=True))


def test_the_largest_logit_may_be_out_of_sight() -> None:
    logits = rows_of(5)
    sight = CandidateBlocks.of(BlockedLogits.of(logits))
    sight.values.fill_(-math.inf)
    assert torch.equal(sight.maximum, sight.max_outside)
    assert sight.maximum.isfinite().all()


def test_rows_are_chosen_with_all_that_belongs_to_them() -> None:
    logits = torch.randn(3, 3 * BLOCK - 7)
    rows = torch.tensor([2, 0])
    whole = BlockedLogits.of(logits)
    some = whole.select(rows)
    assert torch.equal(some.logits, logits[rows])
    assert torch.equal(some.values, whole.values[rows])
    assert torch.equal(some.maxima, whole.maxima[rows])
    sums = torch.arange(9).view(3, 3)
    sight, own = (
        CandidateBlocks.of(whole, torch.tensor([[0], [70], [140]]), sums),
        CandidateBlocks.of(some, None, sums[rows]),
    )
    for name in ("block_ids", "values", "max_outside", "overflow", "weights"):
        assert torch.equal(getattr(sight.select(rows), name), getattr(own, name)), name
