"""Wrong penalties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from conformance.faulty.sampler import FaultySampler, Mutant, instead
from conformance.faulty.temperature import TABLE
from torch import Tensor

from sampling.conformance.reference import Asked, Reference, history
from sampling.core.history import OUTPUT, PROMPT_AND_OUTPUT, History, Scope
from sampling.dialects import PENALTIES, TRUNCATIONS
from sampling.dialects.qstash import QSTASH
from sampling.processors import FrequencyPenalty, PresencePenalty, Processor, RepetitionPenalty


class FrequencyByLength(FrequencyPenalty):
    """Subtract the penalty times the share of the tokens that the token has."""

    def penalised(self, logits: Tensor, counts: Tensor, penalty: Tensor) -> Tensor:
        """Compute l - f count / length, for distinct tokens."""
        return logits - penalty * counts / counts.sum(-1, keepdim=True).clamp(min=1)


class AlwaysDivided(RepetitionPenalty):
    """Divide, whatever the sign."""

    def penalised(self, logits: Tensor, counts: Tensor, penalty: Tensor) -> Tensor:
        """Compute l / r where the token occurred."""
        return torch.where(counts > 0, logits / penalty, logits)


class OncePerOccurrence(RepetitionPenalty):
    """Apply the penalty as often as the token occurred."""

    def penalised(self, logits: Tensor, counts: Tensor, penalty: Tensor) -> Tensor:
        """Compute l / r^count or l r^count."""
        factor = penalty**counts
        return torch.where(logits > 0, logits / factor, logits * factor)


class SharedCounts(FaultySampler):
    """The choices of a request count into one table."""

    def choice(self, asked: Asked, outputs: Sequence[list[int]], index: int, seed: int) -> dict[str, Any]:
        """Let every choice have the first one's past."""
        return super().choice(asked, [outputs[0]] * len(outputs), index, seed)


class Leaking(FaultySampler):
    """What one request sampled is counted for the next, too."""

    def __init__(self) -> None:
        super().__init__()
        self._before: list[int] = []

    def history(self, asked: Asked) -> History:
        """Count the request before this one."""
        past = history(asked.prompt_ids, [*self._before, *asked.output_ids])
        self._before = [token for token in asked.output_ids if token < asked.width]
        return past


def counting(**scopes: Scope) -> Reference:
    """Other tokens count."""
    return FaultySampler(replace(QSTASH, **scopes))


def always(kind: type[Any], other: type[Any]) -> Reference:
    """One penalty in the place of another, which counts the same tokens."""
    return FaultySampler(stage=instead(kind, lambda stage: other(stage.params, scope=stage.scope)))


def inverted(stage: RepetitionPenalty) -> Processor:
    """Divide negative logits and multiply positive ones."""
    return RepetitionPenalty(1 / stage.penalty[:, 0], scope=stage.scope)


SCOPE, COUNTS, SIGN = "penalties.presence-scope", "penalties.frequency-counts", "penalties.repetition-sign"
LATE = ("logit_bias", "temperature", *PENALTIES, *TRUNCATIONS)

MUTANTS = (
    Mutant(
        "presence-counts-prompt",
        "counts the prompt for presence and frequency",
        "llama.cpp (window with the prompt), TGI",
        SCOPE,
        lambda: counting(penalty_scope=PROMPT_AND_OUTPUT),
    ),
    Mutant(
        "penalties-lag",
        "does not count the last token yet",
        "samplers that run one step ahead of the bookkeeping",
        COUNTS,
        lambda: FaultySampler(past=lambda prompt, output: (prompt, output[:-1])),
    ),
    Mutant(
        "presence-multiplies",
        "multiplies presence by the count",
        TABLE,
        COUNTS,
        lambda: always(PresencePenalty, FrequencyPenalty),
    ),
    Mutant(
        "frequency-counts-once",
        "subtracts frequency once, whatever the count",
        TABLE,
        COUNTS,
        lambda: always(FrequencyPenalty, PresencePenalty),
    ),
    Mutant(
        "frequency-by-length",
        "divides the count by the length",
        "TGI, batched frequency penalty",
        COUNTS,
        lambda: always(FrequencyPenalty, FrequencyByLength),
    ),
    Mutant(
        "penalties-subtract-nothing",
        "takes penalties and subtracts nothing",
        "a parameter that is accepted and never read",
        COUNTS,
        lambda: FaultySampler(past=lambda _prompt, _output: ((), ())),
    ),
    Mutant(
        "penalties-follow-the-sign",
        "adds frequency and presence penalty to negative logits",
        "openvino-genai 2026.4.1",
        COUNTS,
        lambda: FaultySampler(replace(QSTASH, penalties_follow_sign=True)),
    ),
    Mutant(
        "repetition-ignored",
        "takes repetition_penalty and does nothing",
        "a parameter that is accepted and never read",
        SIGN,
        lambda: FaultySampler(stage=instead(RepetitionPenalty, lambda _: None)),
        spared_by=("bias.temperature-order",),
    ),
    Mutant(
        "repetition-always-divides",
        "divides negative logits, too, and so makes them likelier",
        "the CTRL paper's formula taken literally",
        SIGN,
        lambda: always(RepetitionPenalty, AlwaysDivided),
    ),
    Mutant(
        "repetition-inverted",
        "multiplies positive logits and divides negative ones",
        TABLE,
        SIGN,
        lambda: FaultySampler(stage=instead(RepetitionPenalty, inverted)),
    ),
    Mutant(
        "repetition-counts-prompt",
        "counts the prompt for repetition",
        "vLLM, transformers, llama.cpp",
        "penalties.repetition-scope",
        lambda: counting(repetition_scope=PROMPT_AND_OUTPUT),
    ),
    Mutant(
        "repetition-per-occurrence",
        "applies repetition as often as the token occurred",
        "a scatter of the penalty over tokens that are not distinct",
        SIGN,
        lambda: always(RepetitionPenalty, OncePerOccurrence),
    ),
    Mutant(
        "penalties-after-temperature",
        "subtracts penalties after the temperature",
        TABLE,
        "penalties.temperature-order",
        lambda: FaultySampler(replace(QSTASH, order=LATE)),
    ),
    Mutant(
        "choices-share-counts",
        "counts all choices of a request together",
        "TGI #1810, #1811: penalties that leak into other rows",
        "penalties.per-choice",
        SharedCounts,
    ),
    Mutant(
        "penalties-leak",
        "counts the request before, too",
        "TGI #1810, #1811: state that outlives its request",
        SCOPE,
        Leaking,
    ),
    Mutant(
        "penalties-window",
        "counts the last two tokens only",
        "llama.cpp (64), mlx-lm (20), here shorter",
        SCOPE,
        lambda: counting(penalty_scope=Scope(prompt=OUTPUT.prompt, last=2)),
    ),
)
