"""Wrong biases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from conformance.faulty.sampler import FaultySampler, Mutant, instead
from conformance.faulty.temperature import TABLE

from sampling.conformance.reference import Reference
from sampling.dialects import PENALTIES, TRUNCATIONS
from sampling.dialects.qstash import QSTASH
from sampling.processors import LogitBias

Bias = dict[int, float]


def biased(change: Callable[[Bias], Bias]) -> Reference:
    """Every table of biases misread."""

    def read(asked: dict[str, Any]) -> dict[str, Any]:
        table = {int(token): value for token, value in asked.get("logit_bias", {}).items()}
        return {**asked, "logit_bias": change(table)}

    return FaultySampler(fields=read)


BAN, FORCE = "bias.ban", "bias.force"

MUTANTS = (
    Mutant(
        "bias-clamped",
        "clamps biases to -5 .. 5",
        "a clamp as in vLLM 0.4.3 (there to -100 .. 100), only narrower",
        FORCE,
        lambda: biased(lambda table: {token: min(max(value, -5), 5) for token, value in table.items()}),
    ),
    Mutant(
        "bias-ignored",
        "takes logit_bias and adds nothing",
        "a parameter that is accepted and never read",
        FORCE,
        lambda: FaultySampler(stage=instead(LogitBias, lambda _: None)),
        spared_by=("bias.temperature-order", "temperature.zero", "reported.penalties-and-bias"),
    ),
    Mutant(
        "bias-on-the-id-before",
        "adds each bias to the id before",
        "ids counted from 1",
        BAN,
        lambda: biased(lambda table: {max(token - 1, 0): value for token, value in table.items()}),
    ),
    Mutant(
        "bias-never-bans",
        "takes the absolute value of a bias",
        "a sign lost on the way",
        BAN,
        lambda: biased(lambda table: {token: abs(value) for token, value in table.items()}),
    ),
    Mutant(
        "bias-after-temperature",
        "adds biases after the temperature",
        TABLE,
        "bias.temperature-order",
        lambda: FaultySampler(replace(QSTASH, order=(*PENALTIES, "temperature", "logit_bias", *TRUNCATIONS))),
    ),
)
