"""The edits of a step's plan: on full rows, with blame for what they break, or on the candidate blocks alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sampling_kernels.blocks import BlockedLogits
from sampling_kernels.candidates.blocks import CandidateBlocks
from sampling_kernels.host_sync import can_sync
from sampling_kernels.validity import NOT_A_NUMBER, NOTHING_LEFT
from torch import Tensor

from sampling.core.history import History
from sampling.pipeline.pipeline import apply_edits
from sampling.pipeline.plan import StepPlan
from sampling.processors import Processor, SparseEdit
from sampling.processors.base import write_logits
from sampling.sampler.inputs import all_valid
from sampling.sampler.status import RowStatus


def edit_full_rows(
    plan: StepPlan, history: History, raw: BlockedLogits, status: Tensor
) -> tuple[BlockedLogits, Tensor]:
    """Return full rows after all edits, and their status, int64 [B]."""
    if can_sync(status):
        logits = apply_edits(plan.edits, raw.logits, history)
        rows = raw if logits is raw.logits else BlockedLogits.of(logits)
        if all_valid(rows.maximum):
            return rows, status
    logits, status = apply_edits_with_blame(plan.edits, plan.places, history, raw.logits, status)
    return raw if logits is raw.logits else BlockedLogits.of(logits), status


def apply_edits_with_blame(
    edits: Sequence[Processor], places: Sequence[int], history: History, raw: Tensor, status: Tensor
) -> tuple[Tensor, Tensor]:
    """Apply edits one by one, and say which of them made a row impossible to sample.

    A sparse edit breaks a row when one of its logits is NaN or +inf. A row with nothing left was emptied by the last stage
    that masked a token.

    Args:
        edits: Stages.
        places: The place of each in the plan.
        history: What the rows have sampled so far.
        raw: float32 [B, V].
        status: int64 [B].

    Returns:
        The logits, and the status of each row.
    """
    logits, emptied = raw, torch.zeros_like(status)
    for place, stage in zip(places, edits, strict=False):
        nothing_left = RowStatus.encode(place + 1, NOTHING_LEFT)
        if isinstance(stage, SparseEdit):
            ids, before, after = stage.edits(logits, history)
            broken = (after.isnan() | (after == torch.inf)).any(-1)
            masks = ((after == -torch.inf) & (before > -torch.inf)).any(-1)
            status = torch.where((status == 0) & broken, RowStatus.encode(place + 1, NOT_A_NUMBER), status)
            emptied = torch.where(masks, nothing_left, emptied)
            logits = write_logits(logits.clone() if logits is raw else logits, ids, after)
        else:
            logits = stage(logits, history)
            emptied = torch.full_like(status, nothing_left)
    empty = (status == 0) & (logits.amax(-1) == -torch.inf)
    return logits, torch.where(empty, emptied, status)


def edit_candidate_blocks(
    plan: StepPlan, history: History, raw: BlockedLogits, weights: Tensor | None
) -> CandidateBlocks:
    """Apply the dense edits to full rows, and the sparse ones to a copy of the candidate blocks.

    Args:
        plan: The plan.
        history: What the rows have sampled so far.
        raw: The rows before any edit.
        weights: The weight of each of their blocks where it is known, int64 [B, N].
    """
    rows = raw
    if plan.dense_edits:
        rows, weights = BlockedLogits.of(apply_edits(plan.dense_edits, raw.logits, history)), None
    found = [group[0].token_ids(rows.logits, history) for group in plan.sparse_edits]
    if not found:
        return CandidateBlocks.of(rows, None, weights)
    ids = torch.cat([token_ids for token_ids, *_ in found], -1)
    blocks = CandidateBlocks.of(rows, ids, weights)
    positions = blocks.positions_of(ids).split([token_ids.shape[1] for token_ids, *_ in found], -1)
    for group, position, (_, *known) in zip(plan.sparse_edits, positions, found, strict=True):
        values = blocks.values.gather(-1, position)
        for edit in group:
            values = edit.update(values.double(), *known).float()
        write_logits(blocks.values, position, values)
    return blocks
