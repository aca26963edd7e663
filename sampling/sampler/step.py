"""One sampling step on tensors: from the model's logits to a token and its log probabilities in every row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from sampling_kernels.branching import may_branch
from sampling_kernels.chunks import Chunks
from sampling_kernels.faults import NOT_A_NUMBER, NOTHING_LEFT, faults_of, without_faults
from sampling_kernels.leading import Sight
from torch import Tensor

from sampling.core.history import History
from sampling.pipeline.assembly import Assembly
from sampling.pipeline.pipeline import edited as edits_applied
from sampling.processors import Edit, Processor, Temperature, Truncation
from sampling.processors.base import overwritten
from sampling.processors.shaping import from_leading, from_whole, shaped
from sampling.sampler.draw import Keys, Rule, ToTokens
from sampling.sampler.logprobs import Logprobs, Measured

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
        in_sight: Whether they are looked for, and edited, without a copy of whole rows.
    """

    assembly: Assembly
    seeds: Tensor
    choices: Tensor
    free: Tensor
    some_free: bool
    rule: Rule
    modes: tuple[str, ...]
    alternatives: int
    max_history: int | None
    by_leading: bool
    in_sight: bool

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
        logits: float32 [B, V]; without the edits of `Assembly.light` where those were done in sight.
        ending: The draw.
        tokens: What was drawn, int64 [B].
        enough: Where that is the result, bool [B]; elsewhere whole rows have to be drawn from.
        lost: Where edits in sight were too many for it, or broke the row, so that the step has to be taken again with whole
            rows, bool [B]; None where whole rows were edited.
        status: 0, or why a row cannot be sampled, int64 [B].
        measured: What the log probabilities need, by mode.
    """

    logits: Tensor
    ending: ToTokens
    tokens: Tensor
    enough: Tensor
    lost: Tensor | None
    status: Tensor
    measured: Mapping[str, Measured]


def finite(maximum: Tensor) -> bool:
    """Whether a look, where one may be taken, finds that all rows can be sampled; of their largest logits, float32 [B, 1]."""
    return may_branch(maximum) and math.isfinite(maximum.sum().item())


def checked(batch: Batch, history: History, logits: Tensor) -> tuple[Chunks, Tensor]:
    """The rows, and the status of each, int64 [B]. Rows whose status is not 0 may hold anything."""
    raw = Chunks.of(batch.occupied(logits))
    if finite(raw.maximum):
        return raw, batch.status(history, torch.zeros_like(batch.seeds))
    faults = faults_of(raw.maximum[:, 0])
    if may_branch(faults):
        raw = Chunks.of(torch.where((faults > 0)[:, None], 0.0, raw.logits))
    return raw, batch.status(history, faults)


def edited(batch: Batch, history: History, raw: Chunks, status: Tensor) -> tuple[Chunks, Tensor]:
    """Whole rows after the stages before the shaping ones, and their status."""
    if may_branch(status):
        processed = edits_applied(batch.assembly.edits, raw.logits, history)
        rows = raw if processed is raw.logits else Chunks.of(processed)
        if finite(rows.maximum):
            return rows, status
    return watched(batch, history, raw, status)


def watched(batch: Batch, history: History, raw: Chunks, status: Tensor) -> tuple[Chunks, Tensor]:
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
    return rows, torch.where(nothing, emptied, status)


def seen(batch: Batch, history: History, raw: Chunks, sums: Tensor | None) -> Sight:
    """What is in sight after the stages before the shaping ones.

    The logits of most tokens stay where they are; edits are written to the copy of the chunks in sight.

    Args:
        batch: The slots.
        history: What they have sampled so far.
        raw: The rows before the stages.
        sums: The weight of each of their chunks where it is known, int64 [B, N].
    """
    heavy, light = batch.assembly.heavy, batch.assembly.light
    rows = Chunks.of(edits_applied(heavy, raw.logits, history)) if heavy else raw
    touched = [group[0].touched(rows.logits, history) for group in light]
    ids = torch.cat([found[0] for found in touched], -1) if touched else None
    sight = Sight.of(rows, ids, None if heavy else sums)
    places = () if ids is None else sight.places(ids).split([found[0].shape[1] for found in touched], -1)
    for group, place, (_, *known) in zip(light, places, touched, strict=True):
        values = sight.values.gather(-1, place)
        for edit in group:
            values = edit.changed(values.double(), *known).float()
        overwritten(sight.values, place, values)
    return sight


def without(kinds: tuple[type[Processor], ...], batch: Batch, history: History, raw: Tensor) -> Tensor:
    """The logits after all stages but those of some kinds."""
    logits = raw
    for stage in batch.assembly.pipeline:
        if not isinstance(stage, kinds):
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
    raw, status = checked(batch, history, logits)
    ending = ToTokens(batch.rule, Keys(batch.seeds, history.sampled, batch.choices, uniform))
    if batch.in_sight:
        measured = {mode: Measured.of(raw, batch.alternatives) for mode in batch.modes}
        sums = measured["raw"].sums if measured else None
        sight = seen(batch, history, raw, sums)
        lost = (sight.crowded | ~sight.maximum.isfinite()[:, 0]) & (status == 0)
        return led(batch, sight, ending, status, measured, lost)
    rows, status = edited(batch, history, raw, status)
    of_mode = {
        "raw": lambda: raw,
        "penalised": lambda: Chunks.of(without((Temperature, Truncation), batch, history, raw.logits)),
        "temperature": lambda: Chunks.of(without((Truncation,), batch, history, raw.logits)),
        "processed": lambda: Chunks.of(shaped(batch.assembly.shaping, rows.logits)),
    }
    measured = {mode: Measured.of(of_mode[mode](), batch.alternatives) for mode in batch.modes}
    if batch.by_leading:
        return led(batch, Sight.of(rows), ending, status, measured, None)
    tokens, everywhere = from_whole(batch.assembly.last, rows.logits, ending), torch.ones_like(batch.free)
    return Attempt(rows.logits, ending, tokens, everywhere, None, status, measured)


def led(
    batch: Batch,
    sight: Sight,
    ending: ToTokens,
    status: Tensor,
    measured: Mapping[str, Measured],
    lost: Tensor | None,
) -> Attempt:
    """The attempt with the leading tokens; arguments as in `Attempt`."""
    tokens, enough = from_leading(batch.assembly.last, sight, ending)
    enough |= status != 0
    enough = enough if lost is None else enough & ~lost
    return Attempt(sight.whole.logits, ending, tokens, enough, lost, status, measured)


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


def complete(batch: Batch, history: History, attempt: Attempt) -> Tensor:
    """The tokens of an attempt, with those of the rows that leading tokens were not enough for, int64 [B]."""
    rest = (~attempt.enough).nonzero()[:, 0]
    if len(rest) == 0:
        return attempt.tokens
    logits = attempt.logits[rest]
    if attempt.lost is not None:
        stages = [edit.select(rest) for group in batch.assembly.light for edit in group]
        logits = edits_applied(stages, logits, history.select(rest))
    last = [stage.select(rest) for stage in batch.assembly.last]
    return attempt.tokens.index_copy(0, rest, from_whole(last, logits, attempt.ending.select(rest)))


def whole_step(batch: Batch, history: History, logits: Tensor, accepts: bool) -> SampleOutput:
    """A step in one piece."""
    tried = attempt(batch, history, logits)
    output = report(batch, tried, tried.tokens)
    if accepts:
        history.accept(output.token_ids)
    return output


def hopeful_step(
    batch: Batch, history: History, logits: Tensor, accepts: bool
) -> tuple[Attempt, SampleOutput, bool]:
    """A step whose output holds if the leading tokens are enough in every row.

    Returns:
        The attempt, the output, and whether the history accepts: one of fixed capacity has taken the tokens if they hold, and
        none otherwise; one that grows does so on the host.
    """
    tried = attempt(batch, history, logits)
    output = report(batch, tried, tried.tokens)
    accepted = accepts and batch.max_history is not None
    if accepted:
        history.accept(output.token_ids.where(tried.enough.all(), -1))
    return tried, output, accepted
