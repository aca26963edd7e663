"""Every reading of the sampling parameters that the checks tell apart, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from sampling.dialects import Dialect, Stage, parts
from sampling.history import OUTPUT, PROMPT_AND_OUTPUT, Scope

PENALTY_SCOPES = ("repetition_counts", "frequency_counts", "presence_counts")

# Points on which a page is silent. Engines have sources, which are never silent about what they do; but a dialect is only
# their sampler, and what a server refuses before it is no part of that.
PAGES = ("qstash", "openai")
SILENT_PAGE = frozenset({"ties", "exact_hit", "zero_ties"})
SILENT_ENGINE = frozenset({"ranges"})


@dataclass(frozen=True, kw_only=True)
class Semantics:
    """How a sampler reads its parameters, rightly or wrongly.

    The first group is what dialects differ in, as `Dialect` has it; the second is what samplers get wrong.

    Args:
        name: What the reading is called.
        order: Stages in order; a tuple of truncations looks at one distribution jointly.
        repetition_counts: Which tokens the repetition penalty counts.
        frequency_counts: Which tokens the frequency penalty counts.
        presence_counts: Which tokens the presence penalty counts.
        low_ids_first: Which of two equal logits top_k and top_p take first.
        top_k_keeps_ties: Whether top_k keeps all that equal the k-th logit.
        exact_hit_stops: Whether top_p stops at a mass of exactly p or takes one token more.
        zero_temperature: Whether temperature 0 is allowed.
        greedy_below: Temperatures below this are greedy, with the changes of `greedy_becomes`.
        greedy_becomes: Parameters that a greedy request gets instead of its own.
        greedy_arg_max: Whether a greedy request takes the arg max after everything.
        lowest_temperature: Temperatures above 0 and below this become this.
        logprob_mode: Which distribution log probabilities are of: `raw`, `temperature` or `processed`.
        listed_ranks: A log probability of a higher rank is reported as -9999.0; None reports all.
        sampled_first: Whether the sampled token leads the alternatives, before the K most likely.
        at_most_k: Whether there are K alternatives even so.
        silent: Points on which the source of the dialect says nothing: another reading of them is no deviation.
        highest_temperature: Temperatures above this become this.
        crossing_tokens: Tokens that top_p keeps beyond those it should: -1 drops the crossing token.
        top_k_offset: Tokens that top_k keeps beyond k.
        temperature_factor: What the temperature is multiplied by before it is used.
        temperature_power: What it is raised to: 2 divides twice, -1 multiplies.
        zero_ties: At temperature 0, of equal logits the `low` id, the `high` id, or `all` alike.
        repetition_rule: `by_sign`, or `divide`, `multiply` or `reversed` whatever the sign.
        repetition_per_occurrence: Whether it acts once for every occurrence.
        frequency_multiplies: Whether the frequency penalty is multiplied by the count.
        frequency_divides: Whether the count is divided by how many tokens were counted.
        presence_multiplies: Whether the presence penalty is multiplied by the count.
        penalty_factor: What frequency and presence penalty are multiplied by: -1 rewards.
        bias_factor: What a bias is multiplied by.
        bias_limit: Biases are clamped to plus and minus this.
        min_p_of_maximum: Whether min_p is a fraction of the largest probability, or a probability itself.
        logits_dtype: What the logits are rounded to: `float64` (not at all), `float32`, `float16` or `bfloat16`.
        least_probability: Tokens less likely than this are never drawn.
        ignores: Parameters without effect.
        substitutes: (parameter, value that is given, value that is used).
    """

    name: str
    order: tuple[Stage, ...]
    repetition_counts: Scope = PROMPT_AND_OUTPUT
    frequency_counts: Scope = OUTPUT
    presence_counts: Scope = OUTPUT
    low_ids_first: bool = True
    top_k_keeps_ties: bool = False
    exact_hit_stops: bool = True
    zero_temperature: bool = True
    greedy_below: float = 0.0
    greedy_becomes: tuple[tuple[str, float], ...] = ()
    greedy_arg_max: bool = False
    lowest_temperature: float = 0.0
    logprob_mode: str = "raw"
    listed_ranks: int | None = None
    sampled_first: bool = False
    at_most_k: bool = True
    silent: frozenset[str] = frozenset()

    highest_temperature: float = math.inf
    crossing_tokens: int = 0
    top_k_offset: int = 0
    temperature_factor: float = 1.0
    temperature_power: float = 1.0
    zero_ties: str = "low"
    repetition_rule: str = "by_sign"
    repetition_per_occurrence: bool = False
    frequency_multiplies: bool = True
    frequency_divides: bool = False
    presence_multiplies: bool = False
    penalty_factor: float = 1.0
    bias_factor: float = 1.0
    bias_limit: float = math.inf
    min_p_of_maximum: bool = True
    logits_dtype: str = "float64"
    least_probability: float = 0.0
    ignores: frozenset[str] = frozenset()
    substitutes: tuple[tuple[str, float, float], ...] = ()

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of all stages, joint ones included."""
        return tuple(name for stage in self.order for name in parts(stage))

    @staticmethod
    def of(dialect: Dialect) -> Semantics:
        """The semantics of a dialect.

        Args:
            dialect: The dialect.

        Example:
            >>> from sampling.dialects import dialect
            >>> Semantics.of(dialect("sglang")).exact_hit_stops
            False
        """
        own = {field.name for field in fields(Semantics)}
        same: dict[str, Any] = {
            field.name: getattr(dialect, field.name) for field in fields(dialect) if field.name in own
        }
        counts = dialect.penalties_count
        return Semantics(
            **same,
            frequency_counts=counts,
            presence_counts=counts,
            silent=SILENT_PAGE if dialect.name in PAGES else SILENT_ENGINE,
        )


def moved(order: tuple[Stage, ...], name: str, *, before: str = "", after: str = "") -> tuple[Stage, ...]:
    """An order with one stage somewhere else.

    Args:
        order: The order.
        name: The stage that moves, taken out of a joint one if it is in one.
        before: The stage that it comes right before; or
        after: the stage that it comes right after.

    Returns:
        The new order; the same if it lacks one of the stages.

    Example:
        >>> moved(("temperature", "top_k", "top_p"), "temperature", after="top_p")
        ('top_k', 'top_p', 'temperature')
    """
    rest = without(order, name)
    place = next((index for index, stage in enumerate(rest) if (before or after) in parts(stage)), None)
    if place is None or not any(name in parts(stage) for stage in order):
        return order
    cut = place if before else place + 1
    return (*rest[:cut], name, *rest[cut:])


def joined(order: tuple[Stage, ...], first: str, second: str) -> tuple[Stage, ...]:
    """An order in which two truncations look at one distribution, where the second of them stood.

    Example:
        >>> joined(("temperature", "top_k", "top_p"), "top_k", "top_p")
        ('temperature', ('top_k', 'top_p'))
    """
    return tuple((first, second) if second in parts(stage) else stage for stage in without(order, first))


def without(order: tuple[Stage, ...], name: str) -> tuple[Stage, ...]:
    """An order that lacks one stage."""
    left = (tuple(part for part in parts(stage) if part != name) for stage in order)
    return tuple(stage if stage[1:] else stage[0] for stage in left if stage)
