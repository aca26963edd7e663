"""One sampling step on tensors: from the model's logits to a token and its log probabilities in every row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from sampling_kernels.branching import may_branch
from sampling_kernels.faults import without_faults
from torch import Tensor

from sampling.assembly import Assembly
from sampling.draw import Keys, ToTokens
from sampling.history import History
from sampling.logprobs import Logprobs, Measured
from sampling.pipeline import applied
from sampling.pipeline import edited as edits_applied
from sampling.processors import Truncation
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


def edited(batch: Batch, history: History, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Apply the stages before the shaping ones.

    Returns:
        The logits without faults, before and after them, float32 [B, V]; and the status of each row, int64 [B].
    """
    raw, faults = without_faults(batch.occupied(logits))
    status = batch.status(history, faults)
    if may_branch(raw):
        processed = edits_applied(batch.assembly.edits, raw, history)
        if processed is raw or math.isfinite(processed.amax(-1).sum().item()):
            return raw, processed, status
    processed = raw
    for place, stage in zip(batch.assembly.places, batch.assembly.edits, strict=False):
        processed, faults = without_faults(applied(stage, processed, history, own=processed is not raw))
        status = torch.where((status == 0) & (faults > 0), 2 * (place + 2) + faults, status)
    return raw, processed, status


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
        "temperature": lambda: tempered(batch, history, raw),
        "processed": lambda: shaped(batch.assembly.shaping, processed),
    }
    measured = {mode: Measured.of(of_mode[mode](), batch.alternatives) for mode in batch.modes}
    ending = ToTokens(batch.rule, Keys(batch.seeds, history.sampled, batch.choices, uniform))
    last = batch.assembly.last
    if batch.by_leading:
        tokens, enough = from_leading(last, processed, ending)
        return Attempt(processed, ending, tokens, enough | (status != 0), status, measured)
    tokens = from_whole(last, processed, ending)
    return Attempt(processed, ending, tokens, torch.ones_like(batch.free), status, measured)


def finish(batch: Batch, history: History, attempt: Attempt) -> SampleOutput:
    """Complete a step: the rows that leading tokens were not enough for, log probabilities, and the history.

    Args:
        batch: The slots.
        history: What they have sampled so far; takes the tokens.
        attempt: The step so far.
    """
    tokens, fine = attempt.tokens, attempt.status == 0
    if batch.by_leading:
        last = batch.assembly.last
        tokens = completed(tokens, attempt.enough, last, attempt.edited, attempt.ending)
    modes = {mode: measured.logprobs(tokens) for mode, measured in attempt.measured.items()}
    if not (may_branch(tokens) and bool(fine.all())):
        tokens = torch.where(fine, tokens, -1)
        modes = {mode: logprobs.masked(fine) for mode, logprobs in modes.items()}
    history.accept(tokens)
    first = modes[batch.modes[0]]
    return SampleOutput(
        tokens,
        first.logprobs,
        first.ranks,
        first.top_token_ids,
        first.top_logprobs,
        attempt.status,
        modes,
    )


def whole_step(batch: Batch, history: History, logits: Tensor) -> SampleOutput:
    """A step in one piece, for a graph."""
    return finish(batch, history, attempt(batch, history, logits))
