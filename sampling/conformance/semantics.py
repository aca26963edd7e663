"""Every meaning of the sampling parameters that the checks tell apart, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from sampling.conformance.verdict import Verdict
from sampling.core.history import OUTPUT, Scope
from sampling.dialects import Dialect, Rules, Stage, parts

# Points on which a page is silent. Engines have sources, which are never silent about what they do; but a dialect is only
# their sampler, and what a server refuses before it is no part of that.
PAGES = ("qstash", "openai")
SILENT_PAGE = frozenset({"ties", "exact_hit", "zero_ties"})
SILENT_ENGINE = frozenset({"ranges"})


@dataclass(frozen=True, kw_only=True)
class Semantics(Rules):
    """How a sampler reads its parameters, rightly or wrongly: the `Rules` that dialects differ in, and what samplers get wrong.

    Args:
        frequency_counts: Which tokens the frequency penalty counts.
        presence_counts: Which tokens the presence penalty counts.
        silent: Points on which the source of the dialect says nothing: another meaning of them is no deviation.
        no_top_k: What a request says for no top_k.
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
        arg_max: Whether the most likely token is taken, whatever the temperature.
        top_p_bounded: Whether top_p stops where what is kept is p of itself and of all tokens left, each taken for as likely as
            the last one kept: a bound for the rest instead of the rest.
        most_candidates: top_p looks at so many of the most likely tokens only.
        last_goes: Whether top_p never keeps the least likely of the candidates, nor what equals it, but for the likeliest.
        bias_limit: Biases are clamped to plus and minus this.
        min_p_of_maximum: Whether min_p is a fraction of the largest probability, or a probability itself.
        logits_dtype: What the logits are rounded to: `float64` (not at all), `float32`, `float16` or `bfloat16`.
        least_probability: Tokens less likely than this are never drawn.
        ignores: Parameters without effect.
    """

    frequency_counts: Scope = OUTPUT
    presence_counts: Scope = OUTPUT
    silent: frozenset[str] = frozenset()
    no_top_k: int = 0
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
    arg_max: bool = False
    top_p_bounded: bool = False
    most_candidates: float = math.inf
    last_goes: bool = False
    min_p_of_maximum: bool = True
    logits_dtype: str = "float64"
    least_probability: float = 0.0
    ignores: frozenset[str] = frozenset()

    @staticmethod
    def of(dialect: Dialect) -> Semantics:
        """Return the semantics of a dialect.

        Args:
            dialect: The dialect.

        Example:
            >>> from sampling.dialects import dialect
            >>> Semantics.of(dialect("sglang")).top_p_stops_at_equality
            False
        """
        rules: dict[str, Any] = {field.name: getattr(dialect, field.name) for field in fields(Rules)}
        counts = dialect.penalty_scope
        return Semantics(
            **rules,
            frequency_counts=counts,
            presence_counts=counts,
            silent=SILENT_PAGE if dialect.name in PAGES else SILENT_ENGINE,
            no_top_k=dialect.top_k_off[0],
        )

    def but(self, **changes: Any) -> Semantics:
        """Return the same with some changes."""
        return replace(self, **changes)

    def ignoring(self, *names: str) -> Semantics:
        """Return the same without an effect of some parameters."""
        return replace(self, ignores=frozenset(names))

    def moving(self, name: str, *, before: str = "", after: str = "") -> Semantics:
        """Return the same with a stage somewhere else, as `moved` has it."""
        return replace(self, order=moved(self.order, name, before=before, after=after))

    def precedes(self, first: str, second: str) -> bool:
        """Return whether a stage comes before another; those of a joint entry come together."""
        places = [[name in parts(stage) for stage in self.order].index(True) for name in (first, second)]
        return places[0] < places[1]

    def silent_verdict(self, point: str) -> Verdict:
        """Return the verdict on another meaning of a point: ambiguous where the dialect's source is silent on it."""
        return Verdict.AMBIGUOUS if point in self.silent else Verdict.DEVIATES


def definite(semantics: Semantics, *, low_ids_first: bool = True) -> Semantics:
    """Return semantics that take the low or the high ids of equal logits where the original takes them in arbitrary order.

    Example:
        >>> from sampling.dialects import dialect
        >>> definite(Semantics.of(dialect("transformers"))).top_p_ties
        'low'
    """
    taken = "low" if low_ids_first else "high"
    rules = {name: getattr(semantics, name) for name in ("top_k_ties", "top_p_ties")}
    return replace(semantics, **{name: taken for name, rule in rules.items() if rule == "arbitrary"})


def moved(order: tuple[Stage, ...], name: str, *, before: str = "", after: str = "") -> tuple[Stage, ...]:
    """Return an order with one stage somewhere else.

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
    """Return an order in which two truncations look at one distribution, where the second of them stood.

    Example:
        >>> joined(("temperature", "top_k", "top_p"), "top_k", "top_p")
        ('temperature', ('top_k', 'top_p'))
    """
    return tuple((first, second) if second in parts(stage) else stage for stage in without(order, first))


def without(order: tuple[Stage, ...], name: str) -> tuple[Stage, ...]:
    """Return an order that lacks one stage."""
    left = (tuple(part for part in parts(stage) if part != name) for stage in order)
    return tuple(stage if stage[1:] else stage[0] for stage in left if stage)
