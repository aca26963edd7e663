"""What a step needs to know besides the logits and the history."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from sampling_kernels.blocks import BlockedLogits
from sampling_kernels.host_sync import can_sync
from sampling_kernels.validity import validity_of_maximum
from torch import Tensor

from sampling.core.history import History
from sampling.dialects import Mode
from sampling.pipeline.plan import StepPlan
from sampling.sampler.draw import SampleTokens
from sampling.sampler.rules import RULES, Rule
from sampling.sampler.status import FREE, FULL


@dataclass(frozen=True)
class StepInputs:
    """The plan and the numbers of B slots.

    Args:
        plan: What is done to their logits.
        seeds: The 64 bits of each slot's seed, as the rule has it of seed and choice, int64 [B].
        choices: Its index among the n choices, int64 [B].
        free: Whether nobody is in it, bool [B].
        some_free: Whether any is free, known on the host.
        rule: The rule of the draw.
        modes: Which log probabilities are reported.
        num_top_logprobs: K.
        max_history: Most tokens of a slot, or None.
    """

    plan: StepPlan
    seeds: Tensor
    choices: Tensor
    free: Tensor
    some_free: bool
    rule: Rule
    modes: tuple[Mode, ...]
    num_top_logprobs: int
    max_history: int | None

    def check_rows(self, history: History, logits: Tensor) -> tuple[BlockedLogits, Tensor]:
        """Return the rows and the status of each, int64 [B]; a row whose status is not 0 may hold anything."""
        if self.some_free:  # a row that costs little in free slots: one token, and nothing else
            first = torch.arange(logits.shape[1], device=logits.device) == 0
            logits = torch.where(self.free[:, None], torch.where(first, 0.0, -torch.inf), logits)
        raw = BlockedLogits.of(logits)
        if all_valid(raw.maximum):
            return raw, self._status(history, torch.zeros_like(self.seeds))
        status = validity_of_maximum(raw.maximum[:, 0])
        if can_sync(status):
            raw = BlockedLogits.of(torch.where((status > 0)[:, None], 0.0, logits))
        return raw, self._status(history, status)

    def _status(self, history: History, validity: Tensor) -> Tensor:
        """Return why slots do not take part: free or full, or else what is wrong with their logits; int64 [B]."""
        if self.max_history is not None:
            validity = torch.where(history.lengths >= self.max_history, FULL, validity)
        return torch.where(self.free, FREE, validity) if self.some_free else validity

    def finalizer(self, history: History, words: tuple[Tensor, Tensor] | None = None) -> SampleTokens:
        """Return the draw of the next tokens; words are the integer rule's random words where they are known."""
        rule = RULES[self.rule]
        keys = rule.keys(self.seeds, rule.position(history), self.choices, words)
        return SampleTokens(self.rule, keys)


def all_valid(maximum: Tensor) -> bool:
    """Return True if all rows can be sampled; reads values, so False where the host may not wait.

    Args:
        maximum: The largest logit of each row, float32 [B, 1].
    """
    return can_sync(maximum) and math.isfinite(maximum.sum().item())
