"""Temperature."""

from __future__ import annotations

import torch
from sampling_kernels.banning import banned
from sampling_kernels.truncation import keep_first
from torch import Tensor

from sampling.core.params import LARGEST, SMALLEST
from sampling.processors.leading import Leading, Weighed
from sampling.processors.numbers import Number, column, decimals
from sampling.processors.shaping import Shaping


class Temperature(Shaping):
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
    per_row = ("temperature", "divisor")

    def __init__(self, temperature: Number) -> None:
        values = [float(text) for text in decimals(self.name, temperature, 0, LARGEST)]
        self.temperature = column([max(v, SMALLEST) if v > 0 else v for v in values], torch.float32)
        self.divisor = torch.where(self.temperature > 0, self.temperature, 1.0).double()
        self.some_greedy, self.some_neutral = 0.0 in values, 1.0 in values
        self.shown = values

    def shape(self, rows: Weighed) -> Weighed:
        """Divide, or take the arg max where the temperature is 0."""
        return Weighed(self.cooled(rows.logits))

    def shape_leading(self, leading: Leading) -> Leading:
        """The same."""
        t = self.fitted(self.temperature, leading.logits).expand(len(leading.logits), 1)
        return leading.cooled(self.cooled(leading.logits), t)

    def cooled(self, logits: Tensor) -> Tensor:
        """The new logits, float32 [B, C]."""
        t = self.fitted(self.temperature, logits)
        maximum = logits.amax(-1, keepdim=True).double()
        maximum = maximum.masked_fill(maximum == 0, 0.0)  # of 0.0 and -0.0 either may be the largest
        divided = logits.double().sub_(maximum).div_(self.fitted(self.divisor, logits))
        cooled = divided.float()
        if self.some_neutral:
            cooled = torch.where(t == 1, logits, cooled)
        if self.some_greedy:
            cooled = torch.where(t == 0, banned(logits, keep_first(logits)), cooled)
        return cooled
