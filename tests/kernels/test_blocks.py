"""Rows in chunks of 64 tokens."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from sampling_kernels.blocks import BLOCK, BlockedLogits, blocked, gather_blocks, ids_in_blocks
from torch import Tensor

WIDTHS = [1, 2, 63, 64, 65, 127, 128, 1003]


@pytest.mark.parametrize("vocabulary", WIDTHS)
@pytest.mark.parametrize("fill", [-math.inf, 0])
def test_token_i_stands_in_chunk_i_over_64(vocabulary: int, fill: float) -> None:
    rows = torch.arange(1, 2 * vocabulary + 1, dtype=torch.float32).view(2, vocabulary)
    chunks = blocked(rows, fill=fill)
    places = -(-vocabulary // BLOCK) * BLOCK
    assert chunks.shape == (2, places // BLOCK, BLOCK)
    for row, listed in zip(rows.tolist(), chunks.tolist(), strict=True):
        padded = [*row, *[fill] * (places - vocabulary)]
        assert listed == [padded[i : i + 64] for i in range(0, places, 64)]


def test_banned_tokens_fill_the_last_chunk_unless_told() -> None:
    assert blocked(torch.zeros(1, 65))[0, 1].tolist() == [0.0] + [-math.inf] * 63


def test_a_view_where_64_divides_the_width() -> None:
    rows = torch.zeros(3, 128)
    assert blocked(rows).data_ptr() == rows.data_ptr()


def test_rows_that_are_not_contiguous() -> None:
    columns = torch.arange(128.0 * 3).view(128, 3)
    assert torch.equal(blocked(columns.t()).flatten(1), columns.t())
    assert torch.equal(blocked(columns.t()[:, ::2]).flatten(1), columns.t()[:, ::2])


@pytest.mark.parametrize("vocabulary", [1, 2, 64, 65, 1003])
def test_maxima_of_chunks_and_of_rows(hard_rows: Callable[[int], Tensor], vocabulary: int) -> None:
    logits = hard_rows(vocabulary)
    whole = BlockedLogits.of(logits)
    assert whole.logits is logits
    assert torch.equal(whole.values, blocked(logits))
    rows = logits.tolist()
    assert whole.maxima.tolist() == [[max(row[i : i + 64]) for i in range(0, vocabulary, 64)] for row in rows]
    assert whole.maximum.tolist() == [[max(row)] for row in rows]


def test_tokens_of_some_chunks() -> None:
    rows = torch.randint(0, 1000, (2, 300))
    which = torch.tensor([[4, 0], [2, 2]])
    values = gather_blocks(blocked(rows, fill=-1), which)
    ids = ids_in_blocks(which, torch.arange(128).expand(2, -1))
    expected = [[*range(256, 320), *range(64)], [*range(128, 192)] * 2]
    assert ids.tolist() == expected
    padded = [[*row, *[-1] * 20] for row in rows.tolist()]
    assert values.tolist() == [[row[i] for i in line] for row, line in zip(padded, expected, strict=True)]
