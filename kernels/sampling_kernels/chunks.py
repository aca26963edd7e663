"""Rows in chunks of 64 tokens: what holds for a chunk's maximum or sum saves a look at its tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Int64, Shaped

CHUNK_BITS = 6
CHUNK = 2**CHUNK_BITS


def chunked(rows: Shaped[Tensor, "B V"], fill: float = -math.inf) -> Shaped[Tensor, "B N 64"]:
    """View rows as chunks of 64 tokens; a last chunk that is not full ends in `fill`.

    Args:
        rows: [B, V].
        fill: What stands in the places past V.

    Returns:
        [B, N, 64], N = ceil(V / 64); a view where 64 divides V.

    Example:
        >>> import torch
        >>> chunked(torch.zeros(1, 100)).isinf().sum(-1).tolist()
        [[0, 28]]
    """
    missing = -rows.shape[-1] % CHUNK
    full = F.pad(rows, (0, missing), value=fill) if missing else rows
    return full.view(rows.shape[0], full.shape[-1] // CHUNK, CHUNK)


@dataclass(frozen=True)
class Chunks:
    """Rows of logits in chunks, with the maxima that more than one step of a computation needs.

    Args:
        logits: float32 [B, V].
        values: The same in chunks, float32 [B, N, 64].
        maxima: The largest logit of each chunk, float32 [B, N]; NaN where there is one.
    """

    logits: Tensor
    values: Tensor
    maxima: Tensor

    @staticmethod
    def of(logits: Tensor) -> Chunks:
        """Cut rows and take the maxima; one pass over the logits, float32 [B, V]."""
        values = chunked(logits)
        return Chunks(logits, values, values.amax(-1))

    def select(self, rows: Tensor) -> Chunks:
        """Some rows, int64 [R]."""
        values = self.values[rows]
        return Chunks(values.flatten(1)[:, : self.logits.shape[1]], values, self.maxima[rows])

    @property
    def maximum(self) -> Tensor:
        """The largest logit of each row, float32 [B, 1]."""
        return self.maxima.amax(-1, keepdim=True)


def tokens_in(chunks: Shaped[Tensor, "B N 64"], which: Int64[Tensor, "B C"]) -> Shaped[Tensor, "B C*64"]:
    """The tokens of some chunks, side by side.

    Args:
        chunks: [B, N, 64].
        which: Numbers of chunks, int64 [B, C].

    Returns:
        Their values [B, C 64].
    """
    rows, count = chunks.shape[:2]
    flat = which + torch.arange(rows, device=which.device)[:, None] * count
    return chunks.flatten(0, 1).index_select(0, flat.flatten()).view(rows, which.shape[1] * CHUNK)


def token_ids(which: Int64[Tensor, "B C"], places: Int64[Tensor, "B K"]) -> Int64[Tensor, "B K"]:
    """Which tokens stand at some places of `tokens_in`.

    Args:
        which: Numbers of the chunks, int64 [B, C].
        places: int64 [B, K], 0 .. C 64 - 1.

    Returns:
        Token ids, int64 [B, K].

    Example:
        >>> import torch
        >>> token_ids(torch.tensor([[2, 5]]), torch.tensor([[0, 65]])).tolist()
        [[128, 321]]
    """
    return which.gather(1, places >> CHUNK_BITS) * CHUNK + (places & (CHUNK - 1))
