"""Temperature."""

from __future__ import annotations

import math

import torch
from sampling_kernels.truncation import keep_first
from torch import Tensor

from sampling.history import History
from sampling.params import LARGEST, SMALLEST
from sampling.processors.base import Processor
from sampling.processors.numbers import Number, column, decimals


class Temperature(Processor):
    """Divide the distance to the row maximum: (l - max(l)) / T.

    T = 1 leaves a row as it is. T = 0 keeps the arg max (of equal ones, the lowest token id) and bans the rest, the limit of
    T -> 0 but for exact ties.

    Args:
        temperature: T >= 0, a number or one per row.

    Source: "Create Chat Completion", `temperature`; Ackley, Hinton, Sejnowski, "A Learning Algorithm for Boltzmann
    Machines", 1985.

    Example:
        >>> import torch
        >>> Temperature(0.5)(torch.tensor([[1.0, 3.0]]), History.start([[]]))
        tensor([[-4.,  0.]])
    """

    name = "temperature"

    def __init__(self, temperature: Number) -> None:
        values = [float(text) for text in decimals(self.name, temperature, 0, LARGEST)]
        self.temperature = column([max(v, SMALLEST) if v > 0 else v for v in values], torch.float32)
        self.shown = values

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Divide, or take the arg max where the temperature is 0."""
        t = self.fitted(self.temperature, logits)
        maximum = logits.amax(-1, keepdim=True).double()
        divided = (logits.double() - maximum) / torch.where(t > 0, t, 1.0).double()
        greedy = logits.masked_fill(~keep_first(logits), -math.inf)
        return torch.where(t == 1, logits, torch.where(t == 0, greedy, divided.float()))
