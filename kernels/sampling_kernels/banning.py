"""Banning tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32
    from torch import Tensor


def banned(logits: Float32[Tensor, "B V"], kept: Bool[Tensor, "B V"]) -> Float32[Tensor, "B V"]:
    """Set the logits of all tokens that are not kept to -inf: l - (1 / kept - 1).

    That subtracts 0, which changes no bit, not even the sign of a zero, or infinity. A selection by a mask says the same, but
    eager code on a CPU runs it token by token.

    Args:
        logits: float32 [B, V], no NaN, no +inf.
        kept: bool [B, V].

    Returns:
        float32 [B, V].

    Example:
        >>> import torch
        >>> banned(torch.tensor([[1.0, -0.0]]), torch.tensor([[False, True]])).tolist()
        [[-inf, -0.0]]
    """
    return logits - kept.float().reciprocal_().sub_(1.0)
