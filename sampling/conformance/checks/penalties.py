"""Penalties: what they count, how they act, and their place in the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sampling.conformance.comparison import Comparison, check, ignored
from sampling.conformance.semantics import Semantics
from sampling.core.history import OUTPUT, PROMPT_AND_OUTPUT, Scope

SCOPES = (
    OUTPUT,
    PROMPT_AND_OUTPUT,
    Scope(prompt=True, skipped=1),
    *(Scope(prompt=p, last=last) for last in (20, 64) for p in (True, False)),
)


def scope(own: Semantics, name: str, counts: str) -> Comparison:
    """Return which tokens a penalty may count.

    Args:
        own: The dialect's semantics.
        name: Of the penalty.
        counts: The field of the semantics that has its scope.
    """

    def counting(scopes: Sequence[Scope]) -> dict[str, Semantics]:
        return {in_words(scope): own.but(**dict[str, Any]({counts: scope})) for scope in scopes}

    mine: Scope = getattr(own, counts)
    return Comparison(
        null={in_words(mine): own},
        alternatives=counting([replace(mine, prompt=not mine.prompt)]),
        finer={**counting(SCOPES), **ignored(own, name)},
    )


def in_words(scope: Scope) -> str:
    """Return which tokens count."""
    if scope.last is not None:
        return f"the last {scope.last} {'with' if scope.prompt else 'without'} the prompt count"
    but = f" but for the first {scope.skipped} tokens" if scope.skipped > 1 else " but for the first token"
    prompt = f"the prompt{but if scope.skipped else ''} and " if scope.prompt else ""
    return f"{prompt}the sampled tokens count"


@check("penalties.presence-scope", needs=["presence_penalty"])
def presence_scope(own: Semantics) -> Comparison:
    """Return which tokens the presence penalty may count."""
    return scope(own, "presence_penalty", "presence_counts")


@check("penalties.repetition-scope", needs=["repetition_penalty"])
def repetition_scope(own: Semantics) -> Comparison:
    """Return which tokens the repetition penalty may count."""
    return scope(own, "repetition_penalty", "repetition_scope")


@check("penalties.frequency-counts", needs=["frequency_penalty", "presence_penalty"])
def frequency_counts(own: Semantics) -> Comparison:
    """Return how frequency and presence penalty may act on tokens that were sampled more than once."""
    return Comparison(
        null={"times the count": own},
        alternatives={
            "the frequency penalty acts once, as presence does": own.but(frequency_multiplies=False),
            **ignored(own, "frequency_penalty"),
        },
        finer={
            "the frequency penalty is divided by the length": own.but(frequency_divides=True),
            "the frequency penalty counts the prompt": own.but(frequency_counts=PROMPT_AND_OUTPUT),
            "the presence penalty is multiplied by the count": own.but(presence_multiplies=True),
            "penalties are added": own.but(penalty_factor=-1.0),
            "penalties are added to negative logits": own.but(penalties_follow_sign=True),
            "penalties are subtracted whatever the sign": own.but(penalties_follow_sign=False),
            **ignored(own, "presence_penalty"),
            **ignored(own, "frequency_penalty", "presence_penalty"),
        },
    )


@check("penalties.repetition-sign", needs=["repetition_penalty"])
def repetition_sign(own: Semantics) -> Comparison:
    """Return what a repetition penalty may do to logits of both signs."""
    return Comparison(
        null={"it divides positive logits and multiplies negative ones": own},
        alternatives={
            "it divides whatever the sign": own.but(repetition_rule="divide"),
            "it multiplies whatever the sign": own.but(repetition_rule="multiply"),
            "it multiplies positive logits and divides negative ones": own.but(repetition_rule="reversed"),
            "it acts once for every occurrence": own.but(repetition_per_occurrence=True),
            **ignored(own, "repetition_penalty"),
        },
    )


@check("penalties.temperature-order", needs=["temperature"])
def temperature_order(own: Semantics) -> Comparison:
    """Return which penalties may come after the temperature; the repetition penalty scales, as the temperature does."""
    late, every = dict[str, Semantics](), own
    for name in ("frequency_penalty", "presence_penalty"):
        late[f"{name} after the temperature"] = own.moving(name, after="temperature")
        every = every.moving(name, after="temperature")
    late["frequency_penalty and presence_penalty after the temperature"] = every
    return Comparison(null={"the dialect's order": own}, alternatives=late)
