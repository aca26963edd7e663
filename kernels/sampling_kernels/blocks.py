"""Rows in blocks of 64 tokens: what holds for a block's maximum or sum saves a look at its tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Int64, Shaped

BLOCK_BITS = 6
BLOCK = 2**BLOCK_BITS


def blocked(rows: Shaped[Tensor, "B V"], fill: float = -math.inf) -> Shaped[Tensor, "B N 64"]:
    """View rows as blocks of 64 tokens; a last block that is not full ends in `fill`.

    Args:
        rows: [B, V].
        fill: What stands in the places past V.

    Returns:
        [B, N, 64], N = ceil(V / 64); a view where 64 divides V.

    Example:
        >>> import torch
        >>> blocked(torch.zeros(1, 100)).isinf().sum(-1).tolist()
        [[0, 28]]
    """
    missing = -rows.shape[-1] % BLOCK
    full = F.pad(rows, (0, missing), value=fill) if missing else rows
    return full.view(rows.shape[0], full.shape[-1] // BLOCK, BLOCK)


@dataclass(frozen=True)
class BlockedLogits:
    """Rows of logits in blocks, with the maxima that more than one step of a computation needs.

    Args:
        logits: float32 [B, V].
        values: The same in blocks, float32 [B, N, 64].
        maxima: The largest logit of each block, float32 [B, N]; NaN where there is one.
    """

    logits: Tensor
    values: Tensor
    maxima: Tensor

    @staticmethod
    def of(logits: Tensor) -> BlockedLogits:
        """Cut rows into blocks and take the maxima; one pass over the logits, float32 [B, V]."""
        values = blocked(logits)
        return BlockedLogits(logits, values, values.amax(-1))

    def select(self, rows: Tensor) -> BlockedLogits:
        """Take some rows, int64 [R]."""
        values = self.values[rows]
        return BlockedLogits(values.flatten(1)[:, : self.logits.shape[1]], values, self.maxima[rows])

    @property
    def maximum(self) -> Tensor:
        """Return the largest logit of each row, float32 [B, 1]."""
        return self.maxima.amax(-1, keepdim=True)


def gather_blocks(
    blocks: Shaped[Tensor, "B N 64"], block_ids: Int64[Tensor, "B C"]
) -> Shaped[Tensor, "B C*64"]:
    """Gather the tokens of some blocks, side by side.

    Args:
        blocks: [B, N, 64].
        block_ids: int64 [B, C].

    Returns:
        Their values, [B, C 64].
    """
    rows, count = blocks.shape[:2]
    flat = block_ids + torch.arange(rows, device=block_ids.device)[:, None] * count
    return blocks.flatten(0, 1).index_select(0, flat.flatten()).view(rows, block_ids.shape[1] * BLOCK)


def ids_in_blocks(block_ids: Int64[Tensor, "B C"], positions: Int64[Tensor, "B K"]) -> Int64[Tensor, "B K"]:
    """Return which tokens stand at some positions of `gather_blocks`.

    Args:
        block_ids: int64 [B, C].
        positions: int64 [B, K], 0 .. C 64 - 1.

    Returns:
        Token ids, int64 [B, K].

    Example:
        >>> import torch
        >>> ids_in_blocks(torch.tensor([[2, 5]]), torch.tensor([[0, 65]])).tolist()
        [[128, 321]]
    """
    return block_ids.gather(1, positions >> BLOCK_BITS) * BLOCK + (positions & (BLOCK - 1))
