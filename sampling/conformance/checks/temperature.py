"""The temperature: its scale, its arg max and its limit."""

from __future__ import annotations

from sampling.conformance.comparison import Comparison, check, ignored
from sampling.conformance.semantics import Semantics


@check("temperature.scale", needs=["temperature"])
def scale(own: Semantics) -> Comparison:
    """Return what else a temperature may do than divide the logits."""
    return Comparison(
        null={"logits divided by the temperature": own},
        alternatives={
            **ignored(own, "temperature"),
            "logits times the temperature": own.but(temperature_power=-1.0),
            "the temperature divides twice": own.but(temperature_power=2.0),
            "temperatures above 1 become 1": own.but(highest_temperature=1.0),
        },
        finer={
            **factors(own, 0.05),
            **factors(own, 0.1),
            "logits rounded to bfloat16": own.but(logits_dtype="bfloat16"),
        },
        finest={**factors(own, 0.01), "logits rounded to float16": own.but(logits_dtype="float16")},
    )


def factors(own: Semantics, error: float) -> dict[str, Semantics]:
    """Return temperatures that are off by a share of them."""
    return {
        f"{error:.0%} too cold": own.but(temperature_factor=1 - error),
        f"{error:.0%} too hot": own.but(temperature_factor=1 + error),
    }


@check("temperature.zero", needs=["temperature"])
def zero(own: Semantics) -> Comparison:
    """Return what temperature 0 may be, among equal logits and after biases and penalties."""
    plain = own.but(greedy_below=0.0, greedy_overrides=())
    ties = {"the higher id": plain.but(zero_ties="high"), "any of the equal ones": plain.but(zero_ties="all")}
    return Comparison(
        null={"the arg max": own},
        alternatives={"temperature 0 is 1": plain.but(substitutes=(("temperature", 0, 1.0),))},
        finer={
            **ties,
            "the arg max before biases and penalties": own.ignoring("logit_bias", "presence_penalty"),
        },
        verdicts=dict.fromkeys(ties, own.silent_verdict("zero_ties")),
    )


@check("temperature.limit", needs=["temperature"])
def limit(own: Semantics) -> Comparison:
    """Return from where on small temperatures may be others."""
    plain = own.but(greedy_below=0.0, greedy_overrides=(), greedy_arg_max=False)
    return Comparison(
        null={"as temperature 0": own},
        alternatives={
            "no lowest temperature": plain.but(lowest_temperature=0.0),
            "temperatures below 0.01 become 0.01": plain.but(lowest_temperature=0.01),
            "temperatures below 0.1 become 0.1": plain.but(lowest_temperature=0.1),
            **ignored(own, "temperature"),
        },
        finer={
            "temperatures below 0.01 become 0": plain.but(
                greedy_below=0.01, greedy_overrides=(("temperature", 0.0),)
            )
        },
    )
