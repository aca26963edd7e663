"""Which tokens top_k, top_p and min_p keep: the masks of `reference`, without a sort."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.fixed_point import FIXED_POINT_BITS, ONE
from sampling_kernels.radix_select import prefix_mask
from sampling_kernels.reference import FLOAT32_BITS, weight_needed
from sampling_kernels.weights import FRACTION_BITS, weights

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int64
    from torch import Tensor

    from sampling_kernels.sort_key import TieBreak


def top_p_mask(
    logits: Float32[Tensor, "B V"],
    p: Int64[Tensor, "B 1"],
    w: Int64[Tensor, "B V"] | None = None,
    *,
    tie_break: TieBreak = "lowest_id",
    keep_ties: bool = False,
    stops_at_equality: bool = True,
) -> Bool[Tensor, "B V"]:
    """Compute `reference.top_p_mask`.

    Args:
        logits: float32 [B, V].
        p: P, the probability in units of 2^-62, int64 [B, 1]; 2^62 keeps everything.
        w: The weights of the logits where they are known, int64 [B, V].
        tie_break: Which of two equal logits comes first.
        keep_ties: Keep all that equal the last one, too.
        stops_at_equality: Whether a prefix that weighs exactly P Z / 2^62 is long enough, or takes one token more.

    Returns:
        bool [B, V], at least one True in each row.

    Example:
        >>> import torch
        >>> from sampling_kernels.fixed_point import to_fixed_point
        >>> top_p_mask(torch.zeros(1, 10), torch.tensor([[to_fixed_point("0.9")]])).sum().item()
        9
    """
    w = weights(logits) if w is None else w
    needed = weight_needed(p, w.sum(-1, keepdim=True), stops_at_equality=stops_at_equality)
    return prefix_mask(logits, w, needed, tie_break=tie_break, keep_ties=keep_ties) | (p >= ONE)


def top_k_mask(
    logits: Float32[Tensor, "B V"],
    k: Int64[Tensor, "B 1"],
    *,
    tie_break: TieBreak = "lowest_id",
    keep_ties: bool = False,
) -> Bool[Tensor, "B V"]:
    """Compute `reference.top_k_mask`.

    Args:
        logits: float32 [B, V].
        k: int64 [B, 1]; 0 keeps everything.
        tie_break: Which of two equal logits comes first.
        keep_ties: Keep all that equal the k-th logit, too.

    Returns:
        bool [B, V].

    Example:
        >>> import torch
        >>> top_k_mask(torch.tensor([[1.0, 3.0, 2.0, 2.0]]), torch.tensor([[2]])).tolist()
        [[False, True, True, False]]
    """
    everything = torch.full_like(k, logits.shape[-1])
    needed = torch.where(k > 0, k, everything).minimum(everything)
    each = torch.ones_like(logits, dtype=torch.int64)
    return prefix_mask(logits, each, needed, tie_break=tie_break, keep_ties=keep_ties)


def extend_to_ties(kept: Bool[Tensor, "B C"], logits: Float32[Tensor, "B C"]) -> Bool[Tensor, "B C"]:
    """Keep, besides a prefix of the order of tokens, all that equal its last one.

    Args:
        kept: bool [B, C], at least one True in each row.
        logits: float32 [B, C].

    Returns:
        bool [B, C].

    Example:
        >>> import torch
        >>> extend_to_ties(torch.tensor([[True, False, False]]), torch.tensor([[1.0, 1.0, 0.0]])).tolist()
        [[True, True, False]]
    """
    return logits >= torch.where(kept, logits, torch.inf).amin(-1, keepdim=True)


def argmax_mask(logits: Float32[Tensor, "B V"]) -> Bool[Tensor, "B V"]:
    """Compute `reference.argmax_mask`: the arg max, of equal ones the lowest token id.

    Args:
        logits: float32 [B, V].

    Returns:
        bool [B, V], one True in each row.

    Example:
        >>> import torch
        >>> argmax_mask(torch.tensor([[1.0, 3.0, 3.0]])).tolist()
        [[False, True, False]]
    """
    ids = torch.arange(logits.shape[-1], device=logits.device)
    best = torch.where(logits == logits.amax(-1, keepdim=True), ids, logits.shape[-1])
    return ids == best.amin(-1, keepdim=True)


def min_p_mask(
    logits: Float32[Tensor, "B V"],
    p: Int64[Tensor, "B 1"],
    w: Int64[Tensor, "B V"] | None = None,
    *,
    strict: bool = False,
) -> Bool[Tensor, "B V"]:
    """Compute `reference.min_p_mask`: the likeliest token weighs 2^43, so the threshold is ceil(P 2^43 / 2^62).

    Args:
        logits: float32 [B, V].
        p: P, the probability in units of 2^-62, int64 [B, 1]; 0 keeps everything.
        w: The weights of the logits where they are known, int64 [B, V].
        strict: Whether a token p times as likely, to the precision of float32, goes, too; the likeliest never do.

    Returns:
        bool [B, V], at least one True in each row.

    Example:
        >>> import torch
        >>> from sampling_kernels.fixed_point import to_fixed_point
        >>> min_p_mask(torch.tensor([[0.0, -1.0, -2.0]]), torch.tensor([[to_fixed_point("0.2")]])).tolist()
        [[True, True, False]]
    """
    dropped_bits = FIXED_POINT_BITS - FRACTION_BITS
    needed = (p + (2**dropped_bits - 1)) >> dropped_bits
    if strict:
        above = ((p + (p >> FLOAT32_BITS)) >> dropped_bits) + 1
        needed = torch.where(p > 0, above.clamp(max=2**FRACTION_BITS), needed)
    return (weights(logits) if w is None else w) >= needed
