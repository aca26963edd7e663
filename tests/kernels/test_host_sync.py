"""Blocks of rows, and where code may look at values."""

from __future__ import annotations

import pytest
import torch
from sampling_kernels.host_sync import TILE_ELEMENTS, can_sync, map_row_tiles, row_tiles
from torch import Tensor


@pytest.mark.parametrize(
    "shape", [(0, 5), (1, 5), (7, 2**15), (5, 2**16), (3, 2**17), (2, 2**18), (9, 3, 2**14)]
)
def test_blocks_hold_every_row_once_and_are_small(shape: tuple[int, ...]) -> None:
    table = torch.zeros(1).expand(shape)
    blocks = row_tiles(table)
    rows = [row for block in blocks for row in range(shape[0])[block]]
    assert rows == list(range(shape[0]))
    for block in blocks:
        assert len(range(shape[0])[block]) <= 1 or table[block].numel() <= TILE_ELEMENTS


def test_few_rows_are_one_block() -> None:
    assert row_tiles(torch.zeros(8, 1000)) == [slice(0, 8, None)]


def test_the_narrowest_rows_fill_a_block() -> None:
    rows = torch.zeros(1).expand(TILE_ELEMENTS + 1, 1)
    assert row_tiles(rows) == [slice(0, TILE_ELEMENTS), slice(TILE_ELEMENTS, TILE_ELEMENTS + 1)]


def test_no_rows_are_one_empty_block() -> None:
    assert row_tiles(torch.zeros(0, 1000)) == [slice(0, 0)]
    assert map_row_tiles(lambda rows: rows.sum(-1), torch.zeros(0, 1000)).shape == (0,)


def test_no_looking_and_no_blocks_where_values_are_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = torch.zeros(5, 2**16, device="meta")
    assert not can_sync(elsewhere)
    assert row_tiles(elsewhere) == [slice(0, 5)]
    assert can_sync(torch.zeros(1))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not can_sync(torch.zeros(1))


@pytest.mark.parametrize("rows", [1, 4, 5, 7])
def test_the_blocks_of_all_tables_belong_together(rows: int) -> None:
    torch.manual_seed(1)
    wide, narrow = torch.randint(0, 9, (rows, 2**16)), torch.randint(0, 9, (rows, 1))
    seen: list[int] = []

    def scaled_sum(some: Tensor, factor: Tensor) -> Tensor:
        seen.append(len(some))
        return (some * factor).sum(-1)

    assert torch.equal(map_row_tiles(scaled_sum, wide, narrow), (wide * narrow).sum(-1))
    assert seen == [min(2, rows - start) for start in range(0, rows, 2)]
