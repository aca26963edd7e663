"""The random words of the next positions, computed many at once."""

from __future__ import annotations

import torch
from sampling_kernels.inverse_cdf import INTEGER_RULE
from sampling_kernels.philox import random_words
from torch import Tensor

POSITIONS_AHEAD = 32


class UniformCache:
    """The random words of the integer rule's u for B rows at their next 32 positions.

    Philox is two hundred operations on small tensors; in eager code those cost the same for one position as for many.

    Args:
        seeds: int64 [B].
        choices: int64 [B].
        positions: The next position of each row, int64 [B].

    Example:
        >>> import torch
        >>> zero = torch.tensor([0])
        >>> high, low = UniformCache(zero, zero, zero).at(zero)
        >>> f"{high.item():08x} {low.item():08x}"
        'e169c58d 6627e8d5'
    """

    def __init__(self, seeds: Tensor, choices: Tensor, positions: Tensor) -> None:
        self._first = positions
        ahead = positions[:, None] + torch.arange(POSITIONS_AHEAD, device=positions.device)
        self._words = random_words(seeds[:, None], ahead, choices[:, None], INTEGER_RULE)  # [B, 32] each

    def cover(self, positions: Tensor) -> bool:
        """Return True if the words of all these positions are here, int64 [B]."""
        ahead = positions - self._first
        return bool(((ahead >= 0) & (ahead < POSITIONS_AHEAD)).all())

    def at(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return high and low words at positions that are covered, int64 [B]."""
        column = (positions - self._first)[:, None]
        high, low = (words.gather(1, column)[:, 0] for words in self._words)
        return high, low
