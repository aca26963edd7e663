"""Temperature."""

from __future__ import annotations

import torch
from sampling_kernels.candidates.candidates import Candidates
from sampling_kernels.truncation import argmax_mask
from sampling_kernels.weighted_logits import WeightedLogits, mask_logits
from torch import Tensor

from sampling.core.params import LARGEST, SMALLEST
from sampling.processors.numbers import Number, column, decimals
from sampling.processors.order_preserving import OrderPreservingStage


class Temperature(OrderPreservingStage):
    """Divide the distance to the row maximum: (l - max(l)) / T.

    T = 1 leaves a row as it is. T = 0 keeps the arg max (of equal ones, the lowest token id) and bans the rest, the limit of
    T -> 0 but for exact ties.

    Args:
        temperature: T >= 0, a number or one per row.

    Source: "Create Chat Completion", `temperature`; Ackley, Hinton, Sejnowski, "A Learning Algorithm for Boltzmann
    Machines", 1985.

    Example:
        >>> import torch
        >>> from sampling import History
        >>> Temperature(0.5)(torch.tensor([[1.0, 3.0]]), History.start([[]]))
        tensor([[-4.,  0.]])
    """

    name = "temperature"
    row_fields = ("temperature", "divisor")

    def __init__(self, temperature: Number) -> None:
        values = [float(text) for text in decimals(self.name, temperature, 0, LARGEST)]
        self.temperature = column([max(v, SMALLEST) if v > 0 else v for v in values], torch.float32)
        self.divisor = torch.where(self.temperature > 0, self.temperature, 1.0).double()
        self.some_greedy, self.some_neutral = 0.0 in values, 1.0 in values
        self.params = values

    def process_rows(self, rows: WeightedLogits) -> WeightedLogits:
        """Divide, or take the arg max where the temperature is 0."""
        return WeightedLogits(self._divided(rows.logits))

    def process_candidates(self, candidates: Candidates) -> Candidates:
        """Do the same to candidates."""
        logits = candidates.logits
        t = self.broadcast_to(self.temperature, logits).expand(len(logits), 1)
        return candidates.divide(self._divided(logits), t)

    def _divided(self, logits: Tensor) -> Tensor:
        """Compute the new logits, float32 [B, C]."""
        t = self.broadcast_to(self.temperature, logits)
        maximum = logits.amax(-1, keepdim=True).double()
        maximum = maximum.masked_fill(maximum == 0, 0.0)  # of 0.0 and -0.0 either may be the largest
        divided = logits.double().sub_(maximum).div_(self.broadcast_to(self.divisor, logits)).float()
        if self.some_neutral:
            divided = torch.where(t == 1, logits, divided)
        if self.some_greedy:
            divided = torch.where(t == 0, mask_logits(logits, argmax_mask(logits)), divided)
        return divided
