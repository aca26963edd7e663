"""Logits while truncations mask them, with their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from sampling_kernels.weights import weights

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32


def mask_logits(logits: Float32[Tensor, "B V"], kept: Bool[Tensor, "B V"]) -> Float32[Tensor, "B V"]:
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
        >>> mask_logits(torch.tensor([[1.0, -0.0]]), torch.tensor([[False, True]])).tolist()
        [[-inf, -0.0]]
    """
    return logits - kept.float().reciprocal_().sub_(1.0)


@dataclass(frozen=True)
class WeightedLogits:
    """Logits, and their weights once a stage has asked for them.

    Args:
        logits: float32 [B, V].
        w: Integer weights, int64 [B, V], or None.
    """

    logits: Tensor
    w: Tensor | None = None

    def with_weights(self) -> WeightedLogits:
        """Compute the weights where they are not known yet."""
        return self if self.w is not None else WeightedLogits(self.logits, weights(self.logits))

    def mask(self, kept: Tensor) -> WeightedLogits:
        """Mask the tokens that are not kept; the others' weights stay, since the largest logit does."""
        return WeightedLogits(mask_logits(self.logits, kept), None if self.w is None else self.w * kept)
