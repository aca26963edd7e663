"""One sampling step on tensors: from the model's logits to a token and its log probabilities in every row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from sampling_kernels.blocks import BlockedLogits
from sampling_kernels.candidates.blocks import CandidateBlocks
from sampling_kernels.host_sync import can_sync
from sampling_kernels.validity import replace_invalid_rows
from torch import Tensor

from sampling.core.history import History
from sampling.pipeline.pipeline import apply_edits
from sampling.processors import Processor, SparseEdit, Temperature, Truncation
from sampling.processors.run_stages import process_logits, run, run_on_candidates, run_on_full_rows
from sampling.sampler.draw import SampleTokens
from sampling.sampler.edits import apply_edits_with_blame, edit_candidate_blocks, edit_full_rows
from sampling.sampler.inputs import StepInputs, all_valid
from sampling.sampler.logprobs import Logprobs, Measured
from sampling.sampler.output import SampleOutput

Words = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class CandidateStep:
    """A step up to the tokens that candidates give.

    Args:
        raw: The model's logits, float32 [B, V].
        logits: They after the edits that were applied to full rows, float32 [B, V].
        edits_left: The edits that were applied to candidate blocks alone.
        may_overflow: Whether these may have had too many tokens for that, so that other candidates may be certain.
        finalizer: The draw.
        token_ids: What was drawn, int64 [B].
        certain: Where that is the result, bool [B]; elsewhere the row has to be resolved in full.
        status: 0, or why a row cannot be sampled, int64 [B].
        measured: What the log probabilities need, by mode.
    """

    raw: Tensor
    logits: Tensor
    edits_left: tuple[SparseEdit, ...]
    may_overflow: bool
    finalizer: SampleTokens
    token_ids: Tensor
    certain: Tensor
    status: Tensor
    measured: Mapping[str, Measured]


def full_rows_step(
    inputs: StepInputs, history: History, logits: Tensor, words: Words | None, accepts: bool
) -> SampleOutput:
    """Take a step in one piece: a fixed number of passes over full rows, and no look at a value where none is allowed.

    Args:
        inputs: The slots.
        history: What they have sampled so far.
        logits: The model's, float32 [B, V].
        words: The random words of the integer rule where they are known, int64 [B].
        accepts: Whether the history accepts the tokens.
    """
    raw, status = inputs.check_rows(history, logits)
    rows, status = edit_full_rows(inputs.plan, history, raw, status)
    measured = measure(inputs, history, raw, rows)
    tokens = run_on_full_rows(inputs.plan.final, rows.logits, inputs.finalizer(history, words))
    output = build_output(inputs, status, tokens, measured)
    if accepts:
        history.accept(output.token_ids)
    return output


def candidate_step(
    inputs: StepInputs, history: History, logits: Tensor, words: Words | None = None
) -> CandidateStep:
    """Run a step up to the tokens that candidates give; nothing in it has to look at a value.

    Where log probabilities are of the model's logits alone, sparse edits are applied to the candidate blocks, and no full row
    is copied.

    Args:
        inputs: The slots.
        history: What they have sampled so far.
        logits: The model's, float32 [B, V].
        words: The random words of the integer rule where they are known, int64 [B].
    """
    plan, edits_left = inputs.plan, ()
    raw, status = inputs.check_rows(history, logits)
    if {*inputs.modes} <= {"raw"}:
        measured = measure(inputs, history, raw, raw)
        weights = measured["raw"].block_weights if measured else None
        blocks = edit_candidate_blocks(plan, history, raw, weights)
        edits_left = tuple(edit for group in plan.sparse_edits for edit in group)
    else:
        rows, status = edit_full_rows(plan, history, raw, status)
        measured, blocks = measure(inputs, history, raw, rows), CandidateBlocks.of(rows)
    finalizer = inputs.finalizer(history, words)
    tokens, certain = run_on_candidates(plan.final, blocks, finalizer)
    certain = (certain & blocks.maximum.isfinite()[:, 0]) | (status != 0)
    edits = (edits_left, blocks.may_overflow)
    return CandidateStep(raw.logits, blocks.rows.logits, *edits, finalizer, tokens, certain, status, measured)


def optimistic_step(
    inputs: StepInputs, history: History, logits: Tensor, accepts: bool
) -> tuple[CandidateStep, SampleOutput]:
    """Take a step whose output holds if every row is certain.

    Args:
        inputs: The slots.
        history: What they have sampled so far.
        logits: The model's, float32 [B, V].
        accepts: Whether the history accepts the tokens if they hold, and none otherwise.
    """
    step = candidate_step(inputs, history, logits)
    output = build_output(inputs, step.status, step.token_ids, step.measured)
    if accepts:
        history.accept(output.token_ids.where(step.certain.all(), -1))
    return step, output


def resolve_rows_in_full(inputs: StepInputs, history: History, step: CandidateStep) -> CandidateStep:
    """Resolve the rows that are not certain; the others stay as they are."""
    rows = (~step.certain).nonzero()[:, 0]
    if len(rows) == 0:
        return step
    logits, status, finalizer = step.logits[rows], step.status[rows], step.finalizer.select(rows)
    final = [stage.select(rows) for stage in inputs.plan.final]
    if step.edits_left:
        past = history.select(rows)
        logits = apply_edits([edit.select(rows) for edit in step.edits_left], logits, past)
        if not all_valid(logits.amax(-1)):
            plan, raw = inputs.plan, step.raw[rows]
            edits = [stage.select(rows) for stage in plan.edits]
            logits, status = apply_edits_with_blame(edits, plan.places, past, raw, status)
            logits = torch.where((status > 0)[:, None], 0.0, logits)
    resolve = run if step.may_overflow else run_on_full_rows
    tokens = resolve(final, logits, finalizer)
    return replace(
        step,
        token_ids=step.token_ids.index_copy(0, rows, tokens),
        status=step.status.index_copy(0, rows, status),
        certain=torch.ones_like(step.certain),
    )


def measure(
    inputs: StepInputs, history: History, raw: BlockedLogits, rows: BlockedLogits
) -> dict[str, Measured]:
    """Measure what the log probabilities of each mode need, from rows before and after all edits."""

    def logits_of(mode: str) -> BlockedLogits:
        match mode:
            case "raw":
                return raw
            case "processed":
                return BlockedLogits.of(process_logits(inputs.plan.order_preserving, rows.logits))
            case "penalised":
                return BlockedLogits.of(
                    logits_without((Temperature, Truncation), inputs, history, raw.logits)
                )
            case _:
                return BlockedLogits.of(logits_without((Truncation,), inputs, history, raw.logits))

    return {mode: Measured.of(logits_of(mode), inputs.num_top_logprobs) for mode in inputs.modes}


def logits_without(
    kinds: tuple[type[Processor], ...], inputs: StepInputs, history: History, logits: Tensor
) -> Tensor:
    """Return the logits after all stages but those of some kinds."""
    for stage in inputs.plan.pipeline:
        if not isinstance(stage, kinds):
            logits = replace_invalid_rows(stage(logits, history))[0]
    return logits


def build_output(
    inputs: StepInputs, status: Tensor, token_ids: Tensor, measured: Mapping[str, Measured]
) -> SampleOutput:
    """Build what a step gives, once every row has its token.

    Args:
        inputs: The slots.
        status: int64 [B].
        token_ids: int64 [B]; rows with a status may have any.
        measured: What the log probabilities need, by mode.
    """
    sampled = status == 0
    drawn = token_ids * sampled
    modes = {mode: one.logprobs(drawn) for mode, one in measured.items()}
    if not (can_sync(sampled) and bool(sampled.all())):
        drawn = torch.where(sampled, drawn, -1)
        modes = {mode: logprobs.masked(sampled) for mode, logprobs in modes.items()}
    first = modes[inputs.modes[0]] if modes else Logprobs.none(drawn)
    top = (first.top_token_ids, first.top_logprobs)
    return SampleOutput(drawn, first.logprobs, first.ranks, *top, status, modes)
