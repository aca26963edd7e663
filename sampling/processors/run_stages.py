"""Order-preserving stages run over rows to their end: over candidates where they are certain, over full rows elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, Self

import torch
from sampling_kernels.blocks import BlockedLogits
from sampling_kernels.candidates.blocks import CandidateBlocks
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.host_sync import can_sync, row_tiles
from sampling_kernels.validity import replace_invalid_rows
from sampling_kernels.weighted_logits import WeightedLogits
from torch import Tensor

from sampling.processors.base import Rows

if TYPE_CHECKING:
    from sampling.processors.order_preserving import OrderPreservingStage


class Finalizer(Protocol):
    """What is made of rows when the stages are through with them."""

    def select(self, rows: Rows) -> Self:
        """Take some rows."""
        ...

    def of_full_rows(self, rows: WeightedLogits) -> Tensor:
        """Make it from full rows."""
        ...

    def of_candidates(self, candidates: Candidates) -> tuple[Tensor, Tensor]:
        """Make the same from candidates, and say in which rows that is certain, bool [B]."""
        ...


class ReturnLogits:
    """Return the logits, [B, V].

    Args:
        width: V.
    """

    def __init__(self, width: int) -> None:
        self.width = width

    def select(self, rows: Rows) -> ReturnLogits:
        """Return the same for all rows."""
        return self

    def of_full_rows(self, rows: WeightedLogits) -> Tensor:
        """Return the logits."""
        return rows.logits

    def of_candidates(self, candidates: Candidates) -> tuple[Tensor, Tensor]:
        """Return the logits of the candidates, and -inf for all others."""
        masked = torch.full_like(candidates.blocks.rows.values, -torch.inf).flatten(1)
        full = masked.scatter_(1, candidates.token_ids[:, :-1], candidates.logits[:, :-1])
        return full[:, : self.width].contiguous(), candidates.certain


def run_on_full_rows(stages: Sequence[OrderPreservingStage], logits: Tensor, finalizer: Finalizer) -> Tensor:
    """Run the stages over full rows, a tile of them at a time."""
    parts: list[Tensor] = []
    for tile in row_tiles(logits):
        rows = WeightedLogits(logits[tile])
        for stage in stages:
            rows = stage.select(tile).process_rows(rows)
        parts.append(finalizer.select(tile).of_full_rows(rows))
    return torch.cat(parts)


def run_on_candidates(
    stages: Sequence[OrderPreservingStage], blocks: CandidateBlocks, finalizer: Finalizer
) -> tuple[Tensor, Tensor]:
    """Run the stages over the candidates.

    Returns:
        What the finalizer makes of them, and in which rows that is certain, bool [B].
    """
    candidates = Candidates.of(blocks)
    for stage in stages:
        candidates = stage.process_candidates(candidates)
    result, certain = finalizer.of_candidates(candidates)
    return result, certain & candidates.remainder_is_masked


def run(stages: Sequence[OrderPreservingStage], logits: Tensor, finalizer: Finalizer) -> Tensor:
    """Run the stages over candidates where the host may look whether they are certain, and over full rows elsewhere.

    Args:
        stages: In order.
        logits: float32 [B, V] of valid rows.
        finalizer: What to make of the rows.
    """
    for stage in stages:
        stage.check(logits)
    if not can_sync(logits) or not any(stage.truncates for stage in stages):
        return run_on_full_rows(stages, logits, finalizer)
    blocks = CandidateBlocks.of(BlockedLogits.of(logits))
    result, certain = run_on_candidates(stages, blocks, finalizer)
    rest = (~certain).nonzero()[:, 0]
    if len(rest) == 0:
        return result
    selected = [stage.select(rest) for stage in stages]
    return result.index_copy(0, rest, run_on_full_rows(selected, logits[rest], finalizer.select(rest)))


def process_logits(stages: Sequence[OrderPreservingStage], logits: Tensor) -> Tensor:
    """Return the logits after some stages; rows that cannot be sampled stay as they are.

    Args:
        stages: In order.
        logits: float32 [B, V].

    Returns:
        float32 [B, V].
    """
    valid, status = replace_invalid_rows(logits)
    result = run(stages, valid, ReturnLogits(logits.shape[1]))
    return result if valid is logits else torch.where((status > 0)[:, None], logits, result)
