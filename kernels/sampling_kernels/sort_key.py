"""The order of tokens: logit descending, then token id, as one integer without ties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64
    from torch import Tensor

TieBreak = Literal["lowest_id", "highest_id"]  # which of two equal logits comes first

ID_BITS = 19


def sortable_int(logits: Float32[Tensor, "B V"]) -> Int64[Tensor, "B V"]:
    """Give every logit an integer from -2^31 to 2^31 - 1 that compares as the logit does.

    The bits of a float32, with the magnitude inverted for negative numbers, compare like the float itself. -0.0 counts as 0.0.

    Args:
        logits: float32 [B, V], no NaN.

    Returns:
        int64 [B, V].

    Example:
        >>> import torch
        >>> sortable_int(torch.tensor([[0.0, -0.0, 1.0, -1.0]])).tolist()
        [[0, 0, 1065353216, -1065353217]]
    """
    zero = torch.zeros((), dtype=torch.float32, device=logits.device)
    bits = torch.where(logits == 0, zero, logits).view(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).to(torch.int64)


def float_from_sortable(sortable: Int64[Tensor, "B V"]) -> Float32[Tensor, "B V"]:
    """Invert `sortable_int`.

    Args:
        sortable: int64 [B, V], -2^31 .. 2^31 - 1.

    Returns:
        float32 [B, V].

    Example:
        >>> import torch
        >>> float_from_sortable(torch.tensor([[0, 1065353216, -1065353217]])).tolist()
        [[0.0, 1.0, -1.0]]
    """
    bits = sortable.to(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(torch.float32)


def sort_key(logits: Float32[Tensor, "B V"], tie_break: TieBreak = "lowest_id") -> Int64[Tensor, "B V"]:
    """Give every token of a row its own integer, larger for tokens that come earlier.

    The upper bits are those of `sortable_int`, the token id fills the 19 below.

    Args:
        logits: float32 [B, V], V < 2^19, no NaN.
        tie_break: Which of two equal logits comes first.

    Returns:
        int64 [B, V], all different within a row.

    Example:
        >>> import torch
        >>> sort_key(torch.tensor([[1.0, -2.0, 1.0, -0.0]])).argsort(descending=True).tolist()
        [[0, 2, 3, 1]]
    """
    ids = torch.arange(logits.shape[-1], device=logits.device)
    return (sortable_int(logits) << ID_BITS) + (-ids if tie_break == "lowest_id" else ids)
