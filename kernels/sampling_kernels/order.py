"""The order of tokens: logit descending, then token id, as one integer key without ties."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64
    from torch import Tensor

ID_BITS = 19


def ordered_bits(logits: Float32[Tensor, "B V"]) -> Int64[Tensor, "B V"]:
    """Give every logit a whole number from -2^31 to 2^31 - 1 that compares as the logit does.

    The bits of a float32, with the magnitude inverted for negative numbers, compare like the float itself. -0.0 counts as 0.0.

    Args:
        logits: float32 [B, V], no NaN.

    Returns:
        int64 [B, V].

    Example:
        >>> import torch
        >>> ordered_bits(torch.tensor([[0.0, -0.0, 1.0, -1.0]])).tolist()
        [[0, 0, 1065353216, -1065353217]]
    """
    zero = torch.zeros((), dtype=torch.float32, device=logits.device)
    bits = torch.where(logits == 0, zero, logits).view(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).to(torch.int64)


def float_of_ordered(ordered: Int64[Tensor, "B V"]) -> Float32[Tensor, "B V"]:
    """The logits with the numbers that `ordered_bits` gives.

    Args:
        ordered: int64 [B, V], -2^31 .. 2^31 - 1.

    Returns:
        float32 [B, V].

    Example:
        >>> import torch
        >>> float_of_ordered(torch.tensor([[0, 1065353216, -1065353217]])).tolist()
        [[0.0, 1.0, -1.0]]
    """
    bits = ordered.to(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(torch.float32)


def order_key(logits: Float32[Tensor, "B V"], *, low_ids_first: bool = True) -> Int64[Tensor, "B V"]:
    """Give every token of a row its own integer, larger for tokens that come earlier.

    The upper bits are those of `ordered_bits`, the token id fills the 19 below.

    Args:
        logits: float32 [B, V], V < 2^19, no NaN.
        low_ids_first: Which of two equal logits comes first: the lower token id, or the higher.

    Returns:
        int64 [B, V], all different within a row.

    Example:
        >>> import torch
        >>> order_key(torch.tensor([[1.0, -2.0, 1.0, -0.0]])).argsort(descending=True).tolist()
        [[0, 2, 3, 1]]
    """
    ids = torch.arange(logits.shape[-1], device=logits.device)
    return (ordered_bits(logits) << ID_BITS) + (-ids if low_ids_first else ids)
