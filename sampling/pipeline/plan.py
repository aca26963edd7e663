"""The plan of a step: what it has to do for its batch, worked out once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from sampling.core.params import SamplingParams
from sampling.dialects import Dialect, parts
from sampling.dialects.rules import FrequencyForm, Ties
from sampling.pipeline.effective import NEUTRAL, EffectiveParams
from sampling.pipeline.pipeline import Pipeline, split_edits, split_stages
from sampling.processors import (
    AllowedTokens,
    ArgMax,
    FrequencyPenalty,
    Intersection,
    LogitBias,
    MinP,
    MinTokens,
    OrderPreservingStage,
    PresencePenalty,
    Processor,
    RepetitionPenalty,
    SparseEdit,
    Temperature,
    TokenizerVocabSize,
    TopK,
    TopP,
    Truncation,
)
from sampling.processors.base import Rows, group_by_index_key

Requests = Sequence[SamplingParams]


def ties(rule: Ties) -> dict[str, Any]:
    """Return what truncations take for one of the dialects' rules of equal logits; low ids where that is not defined."""
    return {"tie_break": "highest_id" if rule == "high" else "lowest_id", "keep_ties": rule == "all"}


FREQUENCY: dict[FrequencyForm, Callable[[Dialect, Requests], Processor]] = {
    "subtracted": lambda d, batch: FrequencyPenalty(
        [p.frequency_penalty for p in batch], scope=d.penalty_scope, follow_sign=d.penalties_follow_sign
    ),
    "repetition": lambda d, batch: RepetitionPenalty(
        [1 + p.frequency_penalty for p in batch], scope=d.penalty_scope
    ),
}
BUILDERS: dict[str, Callable[[Dialect, Requests], Processor]] = {
    "logit_bias": lambda d, batch: LogitBias([p.logit_bias for p in batch]),
    "min_tokens": lambda d, batch: MinTokens(
        [p.min_tokens for p in batch], [p.stop_token_ids for p in batch]
    ),
    "repetition_penalty": lambda d, batch: RepetitionPenalty(
        [p.repetition_penalty for p in batch], scope=d.repetition_scope
    ),
    "frequency_penalty": lambda d, batch: FREQUENCY[d.frequency_form](d, batch),
    "presence_penalty": lambda d, batch: PresencePenalty(
        [p.presence_penalty for p in batch], scope=d.penalty_scope, follow_sign=d.penalties_follow_sign
    ),
    "temperature": lambda d, batch: Temperature([p.temperature for p in batch]),
    "top_k": lambda d, batch: TopK([p.top_k for p in batch], **ties(d.top_k_ties)),
    "top_p": lambda d, batch: TopP(
        [p.top_p for p in batch], **ties(d.top_p_ties), stops_at_equality=d.top_p_stops_at_equality
    ),
    "min_p": lambda d, batch: MinP([p.min_p for p in batch], strict=d.min_p_strict),
}

MASKS = (TokenizerVocabSize, AllowedTokens)


@dataclass(frozen=True)
class StepPlan:
    """What a step does to the logits of a batch, from the model's to those that are drawn from.

    Args:
        pipeline: What the batch's log probabilities are computed after.
        places: Which of `MASKS` and then of the dialect's order each of its stages is.
        arg_max: The last stage before the draw, for rows that are greedy.
        edits: All stages up to the last that is not order-preserving.
        dense_edits: The first of them, up to the last that may change any logit.
        sparse_edits: The others, which change a few tokens each, in groups that change the same.
        order_preserving: The stages after the edits, which log probabilities are computed after.
        final: The stages between the edits and the draw.
    """

    pipeline: Pipeline
    places: tuple[int, ...]
    arg_max: ArgMax | None = None
    edits: tuple[Processor, ...] = field(init=False)
    dense_edits: tuple[Processor, ...] = field(init=False)
    sparse_edits: tuple[tuple[SparseEdit, ...], ...] = field(init=False)
    order_preserving: tuple[OrderPreservingStage, ...] = field(init=False)
    final: tuple[OrderPreservingStage, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Sort the stages by what they look at."""
        edits, order_preserving = split_stages(self.pipeline.stages)
        dense, sparse = split_edits(edits)
        sorts = {
            "edits": edits,
            "dense_edits": dense,
            "sparse_edits": group_by_index_key(sparse),
            "order_preserving": order_preserving,
            "final": (*order_preserving, self.arg_max) if self.arg_max else order_preserving,
        }
        for name, stages in sorts.items():
            object.__setattr__(self, name, stages)

    def to(self, device: torch.device | str) -> StepPlan:
        """Move all numbers to a device."""
        return StepPlan(self.pipeline.to(device), self.places, self.arg_max and self.arg_max.to(device))

    def select(self, rows: Rows) -> StepPlan:
        """Return the plan of some rows."""
        return StepPlan(self.pipeline.select(rows), self.places, self.arg_max and self.arg_max.select(rows))


def make_plan(
    batch: Sequence[EffectiveParams], dialect: Dialect, masks: Sequence[Processor] = ()
) -> StepPlan:
    """Plan the steps of a batch of requests, one per row.

    A stage that is neutral in every row is left out.

    Args:
        batch: The effective parameters of B rows.
        dialect: The order and the rules.
        masks: What comes before everything else, of the types in `MASKS`.

    Returns:
        The plan.
    """
    run = [one.params for one in batch]

    def in_use(name: str) -> bool:
        return any(getattr(params, name) != NEUTRAL[name] for params in run)

    stages: list[Processor] = list(masks)
    places = [MASKS.index(type(mask)) for mask in masks]
    for place, entry in enumerate(dialect.order, start=len(MASKS)):
        used = [BUILDERS[name](dialect, run) for name in parts(entry) if in_use(name)]
        truncations = [part for part in used if isinstance(part, Truncation)]
        stages += [Intersection(*truncations)] if len(used) > 1 else used
        places += [place] * min(len(used), 1)
    arg_max = [one.arg_max for one in batch]
    return StepPlan(Pipeline(*stages), tuple(places), ArgMax(arg_max) if any(arg_max) else None)
