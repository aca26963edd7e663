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

CHUNK = 64


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

    @property
    def maximum(self) -> Tensor:
        """The largest logit of each row, float32 [B, 1]."""
        return self.maxima.amax(-1, keepdim=True)


def tokens_of(
    chunks: Shaped[Tensor, "B N 64"], which: Int64[Tensor, "B C"]
) -> tuple[Shaped[Tensor, "B C*64"], Int64[Tensor, "B C*64"]]:
    """The tokens of some chunks, side by side.

    Args:
        chunks: [B, N, 64].
        which: Numbers of chunks, int64 [B, C].

    Returns:
        Their values [B, C 64] and token ids, int64 [B, C 64].
    """
    ids = which[:, :, None] * CHUNK + torch.arange(CHUNK, device=which.device)
    return chunks.gather(1, which[:, :, None].expand_as(ids)).flatten(1), ids.flatten(1)
