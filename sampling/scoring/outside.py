"""Tokens that are not in their kept sets: named, never passed over."""

from __future__ import annotations

import torch
from sampling_kernels.blocks import BlockedLogits
from sampling_kernels.host_sync import can_sync
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.pipeline.pipeline import apply_edits
from sampling.scoring.bits import unpack
from sampling.scoring.inputs import Inputs
from sampling.scoring.measure import Measured, Outside, distance_of, measure, part_of, sum_exp


def refuse_outside(logits: Tensor, inputs: Inputs, found: Measured, outside: Outside) -> None:
    """Refuse the first token that may not be scored.

    Raises:
        InvalidArgument: "raise": a token is outside of its set, or its row cannot be sampled; "keep": it has no probability
            even if it is kept (NaN where a look would cost something).
    """
    if outside == "raise":
        wrong = ~found.in_support
    elif outside == "keep" and can_sync(logits):
        wrong = found.logprobs.isnan() & (found.kept_counts > 0)
    else:
        return
    rows: list[int] = wrong.nonzero()[:, 0].tolist()
    if rows:
        raise refusal(logits, inputs, rows, outside)


def refusal(logits: Tensor, inputs: Inputs, rows: list[int], outside: Outside) -> InvalidArgument:
    """Say of a row's token what is wrong with it, and how far it is from the boundary."""
    row, more = rows[0], f"; {len(rows) - 1} more rows" if len(rows) > 1 else ""
    one = slice(row, row + 1)
    request, past = part_of(inputs.request, inputs.history, one)
    ids, words = inputs.token_ids[one], None if inputs.words is None else inputs.words[one]
    found = measure(request, past, logits[one].detach(), ids, words, "-inf", with_words=True)
    name, token = f"token_ids[{row}]", int(ids)
    if int(found.kept_counts) == 0:
        return nothing_to_draw(rows)
    if outside == "keep":
        return InvalidArgument(
            name, token, f"a token with a probability: it is banned, or the temperature is 0{more}"
        )
    edited = apply_edits(request.plan.edits, logits[one].detach().float(), past)
    blocked, temperature = BlockedLogits.of(edited), request.temperature
    total = sum_exp(blocked, blocked.maximum, temperature)
    kept = unpack(found.words, edited.shape[1])
    least = torch.where(kept, edited, torch.inf).amin(-1, keepdim=True)
    both = torch.cat([edited.gather(1, ids[:, None]), least], -1)
    share = (distance_of(both, blocked.maximum, temperature).exp() / total)[0].tolist()
    whose = "the parameters keep" if inputs.words is None else "the engine kept"
    words = (
        f"one of the {int(found.kept_counts)} that {whose} in this row: its probability before truncation is {share[0]:.4g}, "
        f"the least of theirs {share[1]:.4g}; outside='keep' or '-inf' scores it{more}"
    )
    return InvalidArgument(name, token, words)


def nothing_to_draw(rows: list[int]) -> InvalidArgument:
    """Return the error of rows without a distribution."""
    more = f"; {len(rows) - 1} more rows" if len(rows) > 1 else ""
    words = f"numbers that can be sampled{more}"
    return InvalidArgument("logits", f"row {rows[0]} with NaN, +inf or nothing left", words)
