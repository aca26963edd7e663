"""From a batch of requests and a dialect to one pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch

from sampling.core.errors import InvalidArgument, InvalidRequest
from sampling.core.params import SamplingParams, json_integer
from sampling.dialects import Dialect, parts
from sampling.dialects.others import naming_others
from sampling.dialects.rules import Ties
from sampling.pipeline.pipeline import Pipeline, at_last_other, in_two
from sampling.processors import (
    AllowedTokens,
    ArgMax,
    Edit,
    FrequencyPenalty,
    Joint,
    LogitBias,
    MinP,
    MinTokens,
    PresencePenalty,
    Processor,
    RepetitionPenalty,
    Shaping,
    Temperature,
    TopK,
    TopP,
    Truncation,
    UsableIds,
)
from sampling.processors.base import by_reach

Batch = Sequence[SamplingParams]


def ties(rule: Ties) -> dict[str, bool]:
    """What truncations take for one of the dialects' rules of equal logits; low ids first where that is not defined."""
    return {"low_ids_first": rule != "high", "keep_ties": rule == "all"}


BUILDERS: dict[str, Callable[[Dialect, Batch], Processor]] = {
    "logit_bias": lambda d, batch: LogitBias([p.logit_bias for p in batch]),
    "min_tokens": lambda d, batch: MinTokens(
        [p.min_tokens for p in batch], [p.stop_token_ids for p in batch]
    ),
    "repetition_penalty": lambda d, batch: RepetitionPenalty(
        [p.repetition_penalty for p in batch], scope=d.repetition_counts
    ),
    "frequency_penalty": lambda d, batch: FrequencyPenalty(
        [p.frequency_penalty for p in batch], scope=d.penalties_count, follow_sign=d.penalties_follow_sign
    ),
    "presence_penalty": lambda d, batch: PresencePenalty(
        [p.presence_penalty for p in batch], scope=d.penalties_count, follow_sign=d.penalties_follow_sign
    ),
    "temperature": lambda d, batch: Temperature([p.temperature for p in batch]),
    "top_k": lambda d, batch: TopK([p.top_k for p in batch], **ties(d.top_k_ties)),
    "top_p": lambda d, batch: TopP(
        [p.top_p for p in batch], **ties(d.top_p_ties), exact_hit_stops=d.exact_hit_stops
    ),
    "min_p": lambda d, batch: MinP([p.min_p for p in batch], strict=d.min_p_strict),
}

MASKS = (UsableIds, AllowedTokens)
SORTS = ("edits", "heavy", "light", "shaping", "last")

NEUTRAL = {f.name: getattr(SamplingParams(), f.name) for f in fields(SamplingParams) if f.name in BUILDERS}


@dataclass(frozen=True)
class Assembly:
    """The pipeline of a batch, and the arg max that some dialects take after it.

    Args:
        pipeline: What the batch's log probabilities are computed after.
        places: Which of `MASKS` and then of the dialect's order each of its stages is.
        arg_max: The last step before the draw, for rows that are greedy.
        edits: The stages that do more than shape the distribution, and what stands between them.
        heavy: The first of them, up to the last that looks at whole rows.
        light: The others, which change a few tokens each, in groups that change the same.
        shaping: The stages after the edits, which log probabilities are computed after.
        last: The stages between the edits and the draw.
    """

    pipeline: Pipeline
    places: tuple[int, ...]
    arg_max: ArgMax | None = None
    edits: tuple[Processor, ...] = field(init=False)
    heavy: tuple[Processor, ...] = field(init=False)
    light: tuple[tuple[Edit, ...], ...] = field(init=False)
    shaping: tuple[Shaping, ...] = field(init=False)
    last: tuple[Shaping, ...] = field(init=False)

    def to(self, device: torch.device | str) -> Assembly:
        """The same with all numbers on a device."""
        return Assembly(self.pipeline.to(device), self.places, self.arg_max and self.arg_max.to(device))

    def __post_init__(self) -> None:
        """Sort the stages by what they look at."""
        edits, shaping = in_two(self.pipeline.stages)
        heavy, light = at_last_other(edits)
        last = (*shaping, self.arg_max) if self.arg_max else shaping
        for name, stages in zip(SORTS, (edits, heavy, by_reach(light), shaping, last), strict=True):
            object.__setattr__(self, name, stages)


def is_greedy(params: SamplingParams, dialect: Dialect) -> bool:
    """Whether the dialect takes the arg max whatever else the request says."""
    return params.temperature < dialect.greedy_below


def top_k_of(value: object, dialect: Dialect) -> int:
    """Check a top_k as a dialect's requests write it; 0 is what pipelines know as off."""
    low, high = dialect.ranges.top_k
    off = {*dialect.top_k_off}
    if isinstance(value, int | float) and not isinstance(value, bool) and value in off:
        return 0
    lowest = low if low in off else low + 1
    try:
        return json_integer("top_k", value, lowest, high)
    except InvalidArgument as error:
        others = "".join(f", or {one} for all tokens" for one in sorted(off - {low}))
        raise InvalidRequest("top_k", value, f"{error.allowed}{others}") from None


def translated(params: SamplingParams, dialect: Dialect) -> SamplingParams:
    """The parameters as the dialect's engine would run them.

    Raises:
        InvalidRequest: The dialect has no such stage, a value is outside of its ranges, or it does not take temperature 0.
    """
    if params.ranges != dialect.ranges:
        params = replace(params, ranges=dialect.ranges)
    for name, neutral in NEUTRAL.items():
        if name not in dialect.stages and getattr(params, name) != neutral:
            raise InvalidRequest(
                name, getattr(params, name), f"left out: the dialect {dialect.name!r} has no {name}"
            )
    if params.temperature == 0 and not dialect.zero_temperature:
        raise InvalidRequest("temperature", 0.0, f"above 0 in the dialect {dialect.name!r}")
    if is_greedy(params, dialect):
        changes: dict[str, Any] = dict(dialect.greedy_becomes)
        return replace(params, **changes)
    if 0 < params.temperature < dialect.lowest_temperature:
        return replace(params, temperature=dialect.lowest_temperature)
    return params


def checked_params(params: SamplingParams, dialect: Dialect) -> SamplingParams:
    """Refuse parameters that a dialect cannot serve.

    Raises:
        InvalidArgument: No SamplingParams.
        InvalidRequest: A stage or a value that the dialect does not have.
    """
    if not isinstance(params, SamplingParams):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument("params", params, "SamplingParams, such as SamplingParams(temperature=0.7)")
    naming_others(lambda one: translated(params, one), dialect)
    return params


def assemble(batch: Batch, dialect: Dialect, masks: Sequence[Processor] = ()) -> Assembly:
    """Build the pipeline that serves a batch of requests, one per row.

    A stage that is neutral in every row is left out.

    Args:
        batch: The parameters of B rows.
        dialect: The order and the rules.
        masks: What comes before everything else, of the types in `MASKS`.

    Returns:
        The pipeline and, where the dialect has one, the final arg max.

    Raises:
        InvalidRequest: A row asks for what the dialect does not have.
    """
    run = [translated(params, dialect) for params in batch]

    def in_use(name: str) -> bool:
        return any(getattr(params, name) != NEUTRAL[name] for params in run)

    stages: list[Processor] = list(masks)
    places = [MASKS.index(type(mask)) for mask in masks]
    for place, entry in enumerate(dialect.order, start=len(MASKS)):
        used = [BUILDERS[name](dialect, run) for name in parts(entry) if in_use(name)]
        truncations = [part for part in used if isinstance(part, Truncation)]
        stages += [Joint(*truncations)] if len(used) > 1 else used
        places += [place] * min(len(used), 1)
    greedy = [dialect.greedy_arg_max and is_greedy(params, dialect) for params in batch]
    return Assembly(Pipeline(*stages), tuple(places), ArgMax(greedy) if any(greedy) else None)
