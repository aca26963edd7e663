"""The gradient of log probabilities in the logits: g (e_t - p) / T over the scored set, and through the edits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from sampling_kernels.host_sync import can_sync, row_tiles
from torch import Tensor

from sampling.core.history import History
from sampling.pipeline.pipeline import is_sparse_edit
from sampling.processors import Processor, SparseEdit, Temperature
from sampling.processors.base import write_logits
from sampling.scoring.bits import tokens_of, unpack
from sampling.scoring.measure import Measured, chunks, part_of
from sampling.scoring.request import Request

FEW = 32  # a row with less than one kept token of so many is computed token by token
Pullback = Callable[[Tensor], Tensor]


def gradient(
    request: Request, history: History, logits: Tensor, token_ids: Tensor, found: Measured, given: Tensor
) -> Tensor:
    """Compute the gradient in the logits.

    Args:
        request: What is done to the logits.
        history: What was sampled before.
        logits: [N, V].
        token_ids: int64 [N].
        found: What was measured, with words.
        given: The gradient in the log probabilities, float32 [N].

    Returns:
        Shaped and typed like the logits; zeros in rows whose log probability is no number.
    """
    result = torch.empty_like(logits)
    scale = torch.where(found.logprobs.isfinite(), given.double() / request.temperature[:, 0].double(), 0.0)

    def write(rows: slice) -> None:
        some, past = part_of(request, history, rows)
        edited, pullbacks = linearised(some.plan.edits, logits[rows].float(), past)
        target = result[rows] if result.dtype == torch.float32 else torch.empty_like(edited)
        write_kept(target, edited, token_ids[rows], found, rows, some.temperature, scale[rows])
        for pullback in reversed(pullbacks):
            target = pullback(target)
        result[rows] = target

    for rows in chunks(logits):
        write(rows)  # what it needs is gone before the next rows' is made
    return result


def write_kept(
    target: Tensor,
    edited: Tensor,
    token_ids: Tensor,
    found: Measured,
    rows: slice,
    temperature: Tensor,
    scale: Tensor,
) -> None:
    """Write the gradient in the logits after the edits, float32 [R, V]."""
    maximum, normalizer, words = found.maximum[rows], found.normalizer[rows], found.words[rows]
    temperature = temperature.expand(len(edited), 1)
    if can_sync(edited) and FEW * int(found.kept_counts[rows].sum()) < edited.numel():
        row, ids = tokens_of(words)
        d = (edited[row, ids].double() - maximum[row].double()) / temperature[row, 0].double()
        p = (d - normalizer[row]).exp_()
        target.zero_()
        target[row, ids] = (scale[row] * ((ids == token_ids[row]).double() - p)).float()
        return
    for tile in row_tiles(edited):
        p = torch.sub(edited[tile], maximum[tile, None], out=target[tile]).div_(temperature[tile])
        p.sub_(normalizer[tile, None].float()).exp_().mul_(unpack(words[tile], edited.shape[1]))
        p.mul_(-scale[tile, None].float())
        p.scatter_add_(1, token_ids[tile, None], scale[tile, None].float())
    nothing = scale == 0  # also of a row that is no numbers
    if not can_sync(nothing) or bool(nothing.any()):
        target.masked_fill_(nothing[:, None], 0.0)


def linearised(
    stages: Sequence[Processor], logits: Tensor, history: History
) -> tuple[Tensor, list[Pullback]]:
    """Run stages, and say for each how a gradient in its result becomes one in its argument.

    What a truncation masks has no gradient already, and the rest it leaves as it is.
    """
    pullbacks: list[Pullback] = []
    for stage in stages:
        if is_sparse_edit(stage):
            logits, pullback = sparse_edit(stage, logits, history)
            pullbacks.append(pullback)
        else:
            if isinstance(stage, Temperature):
                pullbacks.append(
                    partial(through_temperature, logits, stage.broadcast_to(stage.temperature, logits))
                )
            logits = stage(logits, history)
    return logits, pullbacks


def sparse_edit(stage: SparseEdit, logits: Tensor, history: History) -> tuple[Tensor, Pullback]:
    """Run a sparse edit: it changes each of its tokens by itself, so the gradient there is multiplied by its slope."""
    ids, *known = stage.token_ids(logits, history)
    before = logits.gather(-1, ids).double()
    slopes = stage.slope(before, *known).float()
    changed = write_logits(logits.clone(), ids, stage.update(before, *known).float())
    return changed, lambda given: write_logits(given, ids, given.gather(-1, ids) * slopes)


def through_temperature(logits: Tensor, temperature: Tensor, given: Tensor) -> Tensor:
    """Pull a gradient back through (l - max l) / T; T = 1 leaves logits as they are, T = 0 those that it does not ban."""
    largest = logits == logits.amax(-1, keepdim=True)
    share = largest.float() / largest.sum(-1, keepdim=True)
    divided = (given - share * given.sum(-1, keepdim=True)) / temperature
    return torch.where((temperature == 0) | (temperature == 1), given, divided)
