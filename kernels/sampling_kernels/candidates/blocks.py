"""The blocks of a row that are looked at token by token."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sampling_kernels.blocks import BLOCK, BLOCK_BITS, BlockedLogits, gather_blocks
from sampling_kernels.candidates.constants import CANDIDATE_BLOCKS, MAX_EDIT_BLOCKS, MIN_OTHER_BLOCKS


@dataclass(frozen=True)
class CandidateBlocks:
    """The blocks with the largest maxima, and those of tokens that will be edited.

    Args:
        rows: The whole rows before any edit.
        block_ids: Which blocks, ascending, int64 [B, C].
        values: The logits of their tokens, which edits write to, float32 [B, C 64].
        max_outside: The largest logit of the other blocks, float32 [B, 1]; -inf where there are none.
        overflow: Where the tokens to edit leave too few blocks to others, bool [B]; not even all of them may be there.
        weights: The weight of each block of the whole rows where it is known, int64 [B, N].
        normalizer: What the first truncation takes shares of, where it is known, within BLOCK_SUM_MARGIN, float64 [B, 1].
    """

    rows: BlockedLogits
    block_ids: Tensor
    values: Tensor
    max_outside: Tensor
    overflow: Tensor
    weights: Tensor | None = None
    normalizer: Tensor | None = None

    @staticmethod
    def of(
        rows: BlockedLogits, edited: Tensor | None = None, weights: Tensor | None = None
    ) -> CandidateBlocks:
        """Choose the blocks of rows.

        Args:
            rows: The rows.
            edited: Ids of tokens whose blocks have to be among them, int64 [B, E].
            weights: The weight of each block where it is known, int64 [B, N].
        """
        first, count, blocks = rows.maxima, CANDIDATE_BLOCKS, rows.maxima.shape[1]
        if edited is not None:
            first = first.scatter(1, edited >> BLOCK_BITS, math.inf)
            count += min(edited.shape[1], MAX_EDIT_BLOCKS)
        count = min(count, blocks)
        ordered, block_ids = first.topk(min(count + 1, blocks))
        block_ids = block_ids[:, :count].sort(-1).values
        max_outside = F.pad(ordered[:, count:], (0, 1), value=-math.inf)[:, :1]
        overflow = torch.zeros_like(block_ids[:, 0], dtype=torch.bool)
        if edited is not None and count < blocks:
            overflow = ordered[:, count - MIN_OTHER_BLOCKS] == math.inf
        values = gather_blocks(rows.values, block_ids)
        return CandidateBlocks(rows, block_ids, values, max_outside, overflow, weights)

    @property
    def maximum(self) -> Tensor:
        """Return the largest logit of each row, edits included, float32 [B, 1]."""
        return self.values.amax(-1, keepdim=True).maximum(self.max_outside)

    @property
    def may_overflow(self) -> bool:
        """Return True if so many tokens are edited that their blocks may leave too few to others."""
        return self.block_ids.shape[1] == CANDIDATE_BLOCKS + MAX_EDIT_BLOCKS

    def select(self, rows: Tensor) -> CandidateBlocks:
        """Take some rows, int64 [R]."""
        return CandidateBlocks(
            self.rows.select(rows),
            self.block_ids[rows],
            self.values[rows],
            self.max_outside[rows],
            self.overflow[rows],
            None if self.weights is None else self.weights[rows],
            None if self.normalizer is None else self.normalizer[rows],
        )

    def positions_of(self, token_ids: Tensor) -> Tensor:
        """Return where the tokens to edit stand among the values, int64 [B, E]; anywhere in a row with an overflow."""
        begins = torch.arange(0, self.values.shape[1], BLOCK, device=token_ids.device)
        begin_of_block = torch.zeros_like(self.rows.maxima, dtype=torch.int64)
        begin_of_block.scatter_(1, self.block_ids, begins.expand_as(self.block_ids))
        return begin_of_block.gather(1, token_ids >> BLOCK_BITS) + (token_ids & (BLOCK - 1))
