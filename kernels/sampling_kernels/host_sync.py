"""Where code may look at values to choose its way, and rows in tiles where it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

TILE_ELEMENTS = 2**17


def can_sync(tensor: Tensor) -> bool:
    """Return True if the host may read values at no cost: in eager code on a CPU.

    A compiled graph would break there, and another device's queue would have to run dry. So the ways that a look chooses
    between always give the same result, and where none is allowed the one that serves all rows is taken.
    """
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def row_tiles(tensor: Tensor) -> Sequence[slice]:
    """Cut rows into tiles that stay in a core's cache from one eager operation to the next.

    Args:
        tensor: [B, ...].

    Returns:
        Slices of rows, in order; a single one where a compiler fuses the operations, or where launching them costs more.

    Example:
        >>> import torch
        >>> row_tiles(torch.zeros(5, 2**16))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = tensor.shape[0]
    if not can_sync(tensor):
        return [slice(0, rows)]
    at_once = max(1, TILE_ELEMENTS // max(1, tensor[:1].numel()))
    return [slice(start, min(start + at_once, rows)) for start in range(0, rows, at_once)] or [slice(0, 0)]


def map_row_tiles(function: Callable[..., Tensor], *tables: Tensor) -> Tensor:
    """Apply a function of rows tile by tile and put its results together; the same values as in one go.

    Args:
        function: Takes the tiles of all tables, returns one row for each row.
        tables: Tensors of B rows; the first decides how large a tile is.
    """
    tiles = row_tiles(tables[0])
    if len(tiles) == 1:
        return function(*tables)
    return torch.cat([function(*(table[tile] for table in tables)) for tile in tiles])
