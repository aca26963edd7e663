"""One sampling step on tensors: from the model's logits to a token and its log probabilities in every row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from sampling_kernels.branching import may_branch
from sampling_kernels.chunks import Chunks
from sampling_kernels.faults import NOT_A_NUMBER, NOTHING_LEFT, faults_of, without_faults
from torch import Tensor

from sampling.assembly import Assembly
from sampling.draw import Keys, ToTokens
from sampling.history import History
from sampling.logprobs import Logprobs, Measured
from sampling.pipeline import edited as edits_applied
from sampling.processors import Edit, Truncation
from sampling.processors.base import overwritten
from sampling.processors.shaping import completed, from_leading, from_whole, shaped

FREE_SLOT, FULL_SLOT = -1, -2


@dataclass(frozen=True)
class SampleOutput:
    """One sampled token per slot; tensors on the sampler's device.

    Args:
        token_ids: int64 [B]; -1 where nothing was sampled.
        logprobs: Of those tokens in the dialect's mode, float32 [B].
        ranks: Their ranks, 1 for the most likely, int64 [B].
        top_token_ids: The K most likely tokens, int64 [B, K].
        top_logprobs: Their log probabilities, float32 [B, K].
        status: 0, or why nothing was sampled, int64 [B]; `Sampler.explain` puts it in words.
        modes: Every log probability mode that was asked for, by name.
    """

    token_ids: Tensor
    logprobs: Tensor
    ranks: Tensor
    top_token_ids: Tensor
    top_logprobs: Tensor
    status: Tensor
    modes: Mapping[str, Logprobs]


@dataclass(frozen=True)
class Batch:
    """What the step of B slots needs to know besides the logits and the history.

    Args:
        assembly: Their stages.
        seeds: The 64 bits of each slot's seed, int64 [B].
        choices: Its index among the n choices, int64 [B].
        free: Whether nobody is in it, bool [B].
        some_free: Whether any is free, known on the host.
        rule: The rule of the draw.
        modes: Which log probabilities are reported.
        alternatives: K.
        max_history: Most tokens of a slot, or None.
        by_leading: Whether the leading tokens are tried before whole rows.
    """

    assembly: Assembly
    seeds: Tensor
    choices: Tensor
    free: Tensor
    some_free: bool
    rule: str
    modes: tuple[str, ...]
    alternatives: int
    max_history: int | None
    by_leading: bool

    def status(self, history: History, faults: Tensor) -> Tensor:
        """Why slots do not take part: free or full, or else the faults of their logits; int64 [B]."""
        if self.max_history is not None:
            faults = torch.where(history.lengths >= self.max_history, FULL_SLOT, faults)
        return torch.where(self.free, FREE_SLOT, faults) if self.some_free else faults

    def occupied(self, logits: Tensor) -> Tensor:
        """The logits with a row that costs little in the free slots: one token, and nothing else."""
        if not self.some_free:
            return logits
        first = torch.arange(logits.shape[1], device=logits.device) == 0
        return torch.where(self.free[:, None], torch.where(first, 0.0, -torch.inf), logits)


@dataclass(frozen=True)
class Attempt:
    """A step up to its tokens.

    Args:
        edited: The logits that the shaping stages begin with, float32 [B, V].
        ending: The draw.
        tokens: What was drawn, int64 [B].
        enough: Where that is the result, bool [B]; elsewhere whole rows have to be drawn from.
        status: 0, or why a row can not be sampled, int64 [B].
        measured: What the log probabilities need, by mode.
    """

    edited: Tensor
    ending: ToTokens
    tokens: Tensor
    enough: Tensor
    status: Tensor
    measured: Mapping[str, Measured]


def edited(batch: Batch, history: History, logits: Tensor) -> tuple[Chunks, Chunks, Tensor]:
    """Apply the stages before the shaping ones.

    Returns:
        The rows before and after them, and the status of each, int64 [B]. Rows whose status is not 0 may hold anything.
    """
    raw = Chunks.of(batch.occupied(logits))
    faults = faults_of(raw.maximum[:, 0])
    if may_branch(faults):
        if bool(faults.any()):
            raw = Chunks.of(torch.where((faults > 0)[:, None], 0.0, raw.logits))
        processed = edits_applied(batch.assembly.edits, raw.logits, history)
        rows = raw if processed is raw.logits else Chunks.of(processed)
        if math.isfinite(rows.maximum.sum().item()):
            return raw, rows, batch.status(history, faults)
    return watched(batch, history, raw, batch.status(history, faults))


def watched(batch: Batch, history: History, raw: Chunks, status: Tensor) -> tuple[Chunks, Chunks, Tensor]:
    """Apply the stages before the shaping ones one by one, and say which of them made a row impossible to sample.

    An edit breaks a row when one of its logits is NaN or +inf. A row with nothing left was emptied by the last stage that
    banned a token.
    """
    processed, emptied = raw.logits, torch.zeros_like(status)
    for place, stage in zip(batch.assembly.places, batch.assembly.edits, strict=False):
        code = 2 * (place + 1)
        if isinstance(stage, Edit):
            ids, before, after = stage.edits(processed, history)
            broken = (after.isnan() | (after == torch.inf)).any(-1)
            bans = ((after == -torch.inf) & (before > -torch.inf)).any(-1)
            status = torch.where((status == 0) & broken, code + NOT_A_NUMBER, status)
            emptied = torch.where(bans, code + NOTHING_LEFT, emptied)
            processed = overwritten(processed.clone() if processed is raw.logits else processed, ids, after)
        else:
            processed = stage(processed, history)
            emptied = torch.full_like(status, code + NOTHING_LEFT)
    rows = raw if processed is raw.logits else Chunks.of(processed)
    nothing = (status == 0) & (rows.maximum[:, 0] == -torch.inf)
    return raw, rows, torch.where(nothing, emptied, status)


def tempered(batch: Batch, history: History, raw: Tensor) -> Tensor:
    """The logits after all stages but the truncations."""
    logits = raw
    for stage in batch.assembly.pipeline:
        if not isinstance(stage, Truncation):
            logits = without_faults(stage(logits, history))[0]
    return logits


def attempt(
    batch: Batch, history: History, logits: Tensor, uniform: tuple[Tensor, Tensor] | None = None
) -> Attempt:
    """Run a step up to its tokens; nothing in it has to look at a value.

    Args:
        batch: The slots.
        history: What they have sampled so far.
        logits: The model's, float32 [B, V].
        uniform: The words of the integer rule's u where they are known, int64 [B].
    """
    raw, processed, status = edited(batch, history, logits)
    of_mode = {
        "raw": lambda: raw,
        "temperature": lambda: Chunks.of(tempered(batch, history, raw.logits)),
        "processed": lambda: Chunks.of(shaped(batch.assembly.shaping, processed.logits)),
    }
    measured = {mode: Measured.of(of_mode[mode](), batch.alternatives) for mode in batch.modes}
    ending = ToTokens(batch.rule, Keys(batch.seeds, history.sampled, batch.choices, uniform))
    last = batch.assembly.last
    if batch.by_leading:
        tokens, enough = from_leading(last, processed, ending)
        return Attempt(processed.logits, ending, tokens, enough | (status != 0), status, measured)
    tokens = from_whole(last, processed.logits, ending)
    return Attempt(processed.logits, ending, tokens, torch.ones_like(batch.free), status, measured)


def report(batch: Batch, attempt: Attempt, tokens: Tensor) -> SampleOutput:
    """What a step gives, once every row has its token.

    Args:
        batch: The slots.
        attempt: The step so far.
        tokens: int64 [B]; rows with a status may have any.
    """
    fine = attempt.status == 0
    drawn = tokens * fine
    modes = {mode: measured.logprobs(drawn) for mode, measured in attempt.measured.items()}
    if not (may_branch(fine) and bool(fine.all())):
        drawn = torch.where(fine, drawn, -1)
        modes = {mode: logprobs.masked(fine) for mode, logprobs in modes.items()}
    first = modes[batch.modes[0]] if modes else Logprobs.none(drawn)
    return SampleOutput(
        drawn,
        first.logprobs,
        first.ranks,
        first.top_token_ids,
        first.top_logprobs,
        attempt.status,
        modes,
    )


def complete(batch: Batch, attempt: Attempt) -> Tensor:
    """The tokens of an attempt, with those of the rows that leading tokens were not enough for, int64 [B]."""
    last = batch.assembly.last
    return completed(attempt.tokens, attempt.enough, last, attempt.edited, attempt.ending)


def whole_step(batch: Batch, history: History, logits: Tensor) -> SampleOutput:
    """A step in one piece."""
    tried = attempt(batch, history, logits)
    output = report(batch, tried, tried.tokens)
    history.accept(output.token_ids)
    return output


def step_of_two(
    batch: Batch, history: History, logits: Tensor, uniform: tuple[Tensor, Tensor] | None = None
) -> SampleOutput:
    """A step that tries leading tokens first, and whole rows where those are not enough."""
    tried = attempt(batch, history, logits, uniform)
    output = report(batch, tried, complete(batch, tried))
    history.accept(output.token_ids)
    return output


def hopeful_step(batch: Batch, history: History, logits: Tensor) -> tuple[Attempt, SampleOutput]:
    """A step whose output holds if the leading tokens are enough in every row; the history has yet to take the tokens."""
    tried = attempt(batch, history, logits)
    return tried, report(batch, tried, tried.tokens)
