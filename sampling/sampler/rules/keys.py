"""What a draw is keyed by."""

from __future__ import annotations

from dataclasses import dataclass

from sampling_kernels.inverse_cdf import INTEGER_RULE
from sampling_kernels.philox import random_words
from torch import Tensor

from sampling.processors.base import Rows


@dataclass(frozen=True)
class RngKeys:
    """What a draw in each of B rows is keyed by, as the rule of the draw has made it of seed, position and choice.

    Args:
        seed: int64 [B]; its 64 bits.
        position: Where in the row's stream the draw is, int64 [B].
        choice: Index of the choice, int64 [B].
        words: High and low words of the integer rule's u where they are known, int64 [B].
    """

    seed: Tensor
    position: Tensor
    choice: Tensor
    words: tuple[Tensor, Tensor] | None = None

    def random_words(self) -> tuple[Tensor, Tensor]:
        """Return high and low words of the integer rule's u, int64 [B]."""
        if self.words is not None:
            return self.words
        return random_words(self.seed, self.position, self.choice, INTEGER_RULE)

    def select(self, rows: Rows) -> RngKeys:
        """Take some rows."""
        words = self.words and (self.words[0][rows], self.words[1][rows])
        return RngKeys(self.seed[rows], self.position[rows], self.choice[rows], words)
