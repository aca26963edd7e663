"""Biases: ban, force, and their place in the order."""

from __future__ import annotations

from sampling.conformance.comparison import Comparison, check, ignored
from sampling.conformance.semantics import Semantics


def others(own: Semantics) -> dict[str, Semantics]:
    """Return what else a bias may be."""
    return {**ignored(own, "logit_bias"), "a bias that is subtracted": own.but(bias_factor=-1.0)}


@check("bias.ban", "bias.force", needs=["logit_bias"])
def added(own: Semantics) -> Comparison:
    """Return what else a bias may be than added."""
    return Comparison(null={"a bias that is added": own}, alternatives=others(own))


@check("bias.temperature-order", needs=["logit_bias", "temperature"])
def temperature_order(own: Semantics) -> Comparison:
    """Return where biases may come among the temperature and the repetition penalty, which does not commute with them."""
    side = "after" if own.precedes("logit_bias", "temperature") else "before"
    return Comparison(
        null={"the dialect's order": own},
        alternatives={
            f"the bias {side} the temperature": own.moving("logit_bias", **{side: "temperature"}),
        },
        finer={
            "the repetition penalty before the bias": own.moving("repetition_penalty", before="logit_bias"),
            "the repetition penalty after the bias": own.moving("repetition_penalty", after="logit_bias"),
            **others(own),
        },
    )
