"""Wrong temperatures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from conformance.faulty.sampler import FaultySampler, Mutant, instead
from torch import Tensor

from sampling.conformance.reference import Asked, Reference
from sampling.core.history import History
from sampling.dialects.qstash import QSTASH
from sampling.processors import Processor, Temperature

TABLE = "the kit's own list of faults, not an engine"


def times(factor: float) -> Reference:
    """Every temperature multiplied."""
    return FaultySampler(
        fields=lambda asked: {**asked, "temperature": factor * asked.get("temperature", 1.0)}
    )


def where(becomes: dict[float, float]) -> Reference:
    """Some temperatures replaced."""

    def read(asked: dict[str, Any]) -> dict[str, Any]:
        given = asked.get("temperature", 1.0)
        return {**asked, "temperature": becomes.get(given, given)}

    return FaultySampler(fields=read)


def clamped(asked: dict[str, Any]) -> dict[str, Any]:
    """A temperature out of range becomes the nearest that is in it."""
    return {**asked, "temperature": min(max(asked.get("temperature", 1.0), 0.0), 2.0)}


class LastOfEquals(Processor):
    """The arg max, the highest id among equals."""

    name = "temperature"

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Ban all others."""
        last = logits.shape[1] - 1 - logits.flip(-1).argmax(-1, keepdim=True)
        return torch.full_like(logits, -torch.inf).scatter(-1, last, 0.0)


class Overflowing(Processor):
    """Exponentials of l / T in float32, the maximum not subtracted; NaN is taken for the largest, at id 0."""

    name = "temperature"

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Divide, and see whether float32 can hold it."""
        divided = logits / self.temperature
        if not bool(divided.exp().isinf().any()):
            return divided
        return torch.full_like(logits, -torch.inf).index_fill(-1, torch.tensor([0]), 0.0)


class Greedy(FaultySampler):
    """The most likely token at every temperature."""

    def processed(self, asked: Asked) -> Tensor:
        """Nothing else is left."""
        row = super().processed(asked)
        return torch.where(row == row.amax(-1, keepdim=True), row, -torch.inf)


class Rounded(FaultySampler):
    """Logits in bfloat16, eight bits of precision."""

    def processed(self, asked: Asked) -> Tensor:
        """Round what the model says."""
        return super().processed(replace(asked, logits=asked.logits.bfloat16().float()))


def overflowing(stage: Temperature) -> Processor:
    """Instead of a temperature above 0."""
    value = stage.temperature.item()
    return Overflowing(value) if value > 0 else stage


def last_of_equals(stage: Temperature) -> Processor:
    """Instead of temperature 0."""
    return stage if stage.temperature.item() > 0 else LastOfEquals()


def inverse(stage: Temperature) -> Processor:
    """The logits multiplied."""
    value = stage.temperature.item()
    return Temperature(1 / value) if value > 0 else stage


SCALE, ZERO, LIMIT, RANGE = (f"temperature.{name}" for name in ("scale", "zero", "limit", "range"))

MUTANTS = (
    Mutant("temperature-0.9-as-1", "serves 0.9 T", TABLE, SCALE, lambda: times(0.9)),
    Mutant("temperature-0.95-as-1", "serves 0.95 T", TABLE, SCALE, lambda: times(0.95)),
    Mutant("temperature-0.99-as-1", "serves 0.99 T", TABLE, SCALE, lambda: times(0.99)),
    Mutant(
        "temperature-multiplies",
        "multiplies the logits by T",
        "the inverse taken for beta",
        SCALE,
        lambda: FaultySampler(stage=instead(Temperature, inverse)),
    ),
    Mutant(
        "temperature-ignored",
        "samples at T = 1",
        "a parameter that is accepted and never read",
        SCALE,
        lambda: FaultySampler(stage=instead(Temperature, lambda _: None)),
        spared_by=("truncation.temperature-order", "penalties.temperature-order", "bias.temperature-order"),
    ),
    Mutant(
        "always-greedy",
        "takes the arg max at every temperature",
        "transformers serve without do_sample in the checkpoint's generation_config.json",
        SCALE,
        Greedy,
    ),
    Mutant(
        "logits-in-bfloat16",
        "rounds the logits to bfloat16",
        TABLE,
        SCALE,
        Rounded,
    ),
    Mutant(
        "zero-temperature-samples",
        "takes 0 for not given",
        "`temperature or 1.0`",
        ZERO,
        lambda: where({0.0: 1.0}),
    ),
    Mutant(
        "zero-temperature-takes-the-last",
        "takes the highest id among equal logits",
        "vLLM 0.4.3 and transformers sort ascending",
        ZERO,
        lambda: FaultySampler(stage=instead(Temperature, last_of_equals)),
    ),
    Mutant(
        "small-temperatures-raised",
        "raises temperatures below 0.01 to 0.01",
        "vLLM 0.33, SamplingParams",
        LIMIT,
        lambda: FaultySampler(replace(QSTASH, lowest_temperature=0.01)),
    ),
    Mutant(
        "small-temperatures-overflow",
        "divides by T without subtracting the maximum, and overflows",
        "softmax of l / T in float32",
        LIMIT,
        lambda: FaultySampler(stage=instead(Temperature, overflowing)),
    ),
    Mutant(
        "temperature-clamped",
        "clamps a temperature out of range instead of refusing it",
        "clients that clamp to 0 .. 2",
        RANGE,
        lambda: FaultySampler(fields=clamped),
    ),
)
