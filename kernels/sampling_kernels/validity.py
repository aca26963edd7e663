"""Rows that cannot be sampled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from sampling_kernels.host_sync import can_sync

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64
    from torch import Tensor

NOT_A_NUMBER = 1
NOTHING_LEFT = 2


def row_validity(logits: Float32[Tensor, "B V"]) -> Int64[Tensor, " B"]:
    """Say for each row whether it can be sampled, and why not.

    Args:
        logits: float32 [B, V].

    Returns:
        int64 [B]: 0, or 1 for NaN or +inf somewhere in the row, or 2 where every logit is -inf.

    Example:
        >>> import torch
        >>> inf = float("inf")
        >>> row_validity(torch.tensor([[0.0, -inf], [0.0, inf], [-inf, -inf]])).tolist()
        [0, 1, 2]
    """
    return validity_of_maximum(logits.amax(-1))  # NaN if any is NaN


def validity_of_maximum(maximum: Float32[Tensor, " B"]) -> Int64[Tensor, " B"]:
    """Say the same from the largest logit of each row.

    Args:
        maximum: float32 [B], NaN where any logit of the row is NaN.

    Returns:
        int64 [B], as `row_validity`.

    Example:
        >>> import torch
        >>> validity_of_maximum(torch.tensor([0.0, float("nan")])).tolist()
        [0, 1]
    """
    unbounded = maximum.isnan() | (maximum == torch.inf)
    return unbounded * NOT_A_NUMBER + (maximum == -torch.inf) * NOTHING_LEFT


def replace_invalid_rows(
    logits: Float32[Tensor, "B V"],
) -> tuple[Float32[Tensor, "B V"], Int64[Tensor, " B"]]:
    """Replace rows that cannot be sampled by zeros, so that they do no harm.

    Args:
        logits: float32 [B, V].

    Returns:
        The logits, and what `row_validity` says of them.
    """
    if can_sync(logits) and math.isfinite(logits.amax(-1).sum().item()):
        return logits, logits.new_zeros(logits.shape[0], dtype=torch.int64)
    validity = row_validity(logits)
    return torch.where((validity > 0)[:, None], 0.0, logits), validity
