"""Which tokens top_k, top_p and min_p keep, as statements on integers.

Each has a twin that defines it by sorting; the fast form finds the last token that it keeps without a sort.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.order import order_key
from sampling_kernels.search import first_in_order
from sampling_kernels.shares import SHARE_BITS, WHOLE, ceil_share, floor_share
from sampling_kernels.weights import FRACTION_BITS, weights, weights_in_place

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int64
    from torch import Tensor


FLOAT32_BITS = 23  # of a float32's fraction


def weight_needed(
    share: Int64[Tensor, "B 1"], total: Int64[Tensor, "B 1"], *, exact_hit_stops: bool
) -> Int64[Tensor, "B 1"]:
    """The least weight of a prefix that holds a share of the total: max(1, ceil(P Z / 2^62)), or more than P Z / 2^62.

    Args:
        share: P, int64 [B, 1], 0 .. 2^62; 2^62 is taken as the largest share below it.
        total: Z, int64 [B, 1], 1 .. 2^62 - 1.
        exact_hit_stops: Whether a prefix that weighs exactly the share is enough.

    Returns:
        int64 [B, 1], 1 .. Z.
    """
    partial = share.clamp(max=WHOLE - 1)
    needed = ceil_share(partial, total) if exact_hit_stops else floor_share(partial, total) + 1
    return needed.clamp(min=1)


def keep_top_p_by_sorting(
    logits: Float32[Tensor, "B V"],
    share: Int64[Tensor, "B 1"],
    *,
    low_ids_first: bool = True,
    keep_ties: bool = False,
    exact_hit_stops: bool = True,
) -> Bool[Tensor, "B V"]:
    """The twin that defines `keep_top_p`, by sorting: the shortest prefix that holds the share of the row's weight.

    With w the weights, Z their sum and P the share in units of 2^-62, a prefix is long enough when its weight reaches
    max(1, ceil(P Z / 2^62)).

    Args:
        logits: float32 [B, V].
        share: P, int64 [B, 1], 0 .. 2^62; 2^62 keeps everything.
        low_ids_first: Which of two equal logits comes first.
        keep_ties: Keep all that equal the last one, too.
        exact_hit_stops: Whether a prefix that weighs exactly the share is enough; otherwise it takes one token more.

    Returns:
        bool [B, V], at least one True in each row.

    Source: Holtzman et al., "The Curious Case of Neural Text Degeneration", ICLR 2020.

    Example:
        >>> import torch
        >>> from sampling_kernels.shares import share_of_decimal
        >>> keep_top_p_by_sorting(torch.zeros(1, 10), torch.tensor([[share_of_decimal("0.9")]])).sum().item()
        9
    """
    key = order_key(logits, low_ids_first=low_ids_first)
    sorted_key, order = key.sort(-1, descending=True)
    in_order = weights(logits).gather(-1, order)
    before = in_order.cumsum(-1) - in_order  # weight of the tokens that come earlier
    total = in_order.sum(-1, keepdim=True)
    needed = weight_needed(share, total, exact_hit_stops=exact_hit_stops)
    last = (before < needed).sum(-1, keepdim=True) - 1
    if keep_ties:
        return (logits >= logits.gather(-1, order.gather(-1, last))) | (share >= WHOLE)
    return (key >= sorted_key.gather(-1, last)) | (share >= WHOLE)


def keep_top_k_by_sorting(
    logits: Float32[Tensor, "B V"],
    k: Int64[Tensor, "B 1"],
    *,
    low_ids_first: bool = True,
    keep_ties: bool = False,
) -> Bool[Tensor, "B V"]:
    """The twin that defines `keep_top_k`, by sorting: the first k tokens in the order of `order_key`.

    Args:
        logits: float32 [B, V].
        k: int64 [B, 1]; 0 keeps everything.
        low_ids_first: Which of two equal logits comes first.
        keep_ties: Keep all that equal the k-th logit, too.

    Returns:
        bool [B, V].

    Source: Fan, Lewis, Dauphin, "Hierarchical Neural Story Generation", ACL 2018.

    Example:
        >>> import torch
        >>> keep_top_k_by_sorting(torch.tensor([[1.0, 3.0, 2.0, 2.0]]), torch.tensor([[2]])).tolist()
        [[False, True, True, False]]
    """
    key = order_key(logits, low_ids_first=low_ids_first)
    everything = torch.full_like(k, logits.shape[-1])
    last = torch.where(k > 0, k, everything).minimum(everything) - 1  # [B, 1]
    ranked = key.argsort(-1, descending=True)
    last_id = ranked.gather(-1, last)
    if keep_ties:
        return logits >= logits.gather(-1, last_id)
    return key >= key.gather(-1, last_id)


def keep_top_p(
    logits: Float32[Tensor, "B V"],
    share: Int64[Tensor, "B 1"],
    w: Int64[Tensor, "B V"] | None = None,
    *,
    low_ids_first: bool = True,
    keep_ties: bool = False,
    exact_hit_stops: bool = True,
) -> Bool[Tensor, "B V"]:
    """Keep the shortest prefix, in the order of `order_key`, that holds the share of the row's weight.

    Args:
        logits: float32 [B, V].
        share: P, int64 [B, 1], 0 .. 2^62; 2^62 keeps everything.
        w: The weights of the logits where they are known, int64 [B, V].
        low_ids_first: Which of two equal logits comes first.
        keep_ties: Keep all that equal the last one, too.
        exact_hit_stops: Whether a prefix that weighs exactly the share is enough; otherwise it takes one token more.

    Returns:
        bool [B, V], at least one True in each row.

    Source: Holtzman et al., "The Curious Case of Neural Text Degeneration", ICLR 2020.

    Example:
        >>> import torch
        >>> from sampling_kernels.shares import share_of_decimal
        >>> keep_top_p(torch.zeros(1, 10), torch.tensor([[share_of_decimal("0.9")]])).sum().item()
        9
    """
    w = weights_in_place(logits) if w is None else w
    needed = weight_needed(share, w.sum(-1, keepdim=True), exact_hit_stops=exact_hit_stops)
    kept = first_in_order(logits, w, needed, low_ids_first=low_ids_first, all_ties=keep_ties)
    return kept | (share >= WHOLE)


def keep_top_k(
    logits: Float32[Tensor, "B V"],
    k: Int64[Tensor, "B 1"],
    *,
    low_ids_first: bool = True,
    keep_ties: bool = False,
) -> Bool[Tensor, "B V"]:
    """Keep the first k tokens in the order of `order_key`.

    Args:
        logits: float32 [B, V].
        k: int64 [B, 1]; 0 keeps everything.
        low_ids_first: Which of two equal logits comes first.
        keep_ties: Keep all that equal the k-th logit, too.

    Returns:
        bool [B, V].

    Source: Fan, Lewis, Dauphin, "Hierarchical Neural Story Generation", ACL 2018.

    Example:
        >>> import torch
        >>> keep_top_k(torch.tensor([[1.0, 3.0, 2.0, 2.0]]), torch.tensor([[2]])).tolist()
        [[False, True, True, False]]
    """
    everything = torch.full_like(k, logits.shape[-1])
    needed = torch.where(k > 0, k, everything).minimum(everything)
    each = torch.ones_like(logits, dtype=torch.int64)
    return first_in_order(logits, each, needed, low_ids_first=low_ids_first, all_ties=keep_ties)


def with_equals(kept: Bool[Tensor, "B C"], logits: Float32[Tensor, "B C"]) -> Bool[Tensor, "B C"]:
    """Keep, besides a prefix of the order of tokens, all that equal its last one.

    Args:
        kept: bool [B, C], at least one True in each row.
        logits: float32 [B, C].

    Returns:
        bool [B, C].

    Example:
        >>> import torch
        >>> with_equals(torch.tensor([[True, False, False]]), torch.tensor([[1.0, 1.0, 0.0]])).tolist()
        [[True, True, False]]
    """
    return logits >= torch.where(kept, logits, torch.inf).amin(-1, keepdim=True)


def keep_first(logits: Float32[Tensor, "B V"]) -> Bool[Tensor, "B V"]:
    """Keep the first token in the order of `order_key`: the arg max, of equal ones the lowest token id.

    Args:
        logits: float32 [B, V].

    Returns:
        bool [B, V], one True in each row.

    Example:
        >>> import torch
        >>> keep_first(torch.tensor([[1.0, 3.0, 3.0]])).tolist()
        [[False, True, False]]
    """
    ids = torch.arange(logits.shape[-1], device=logits.device)
    best = torch.where(logits == logits.amax(-1, keepdim=True), ids, logits.shape[-1])
    return ids == best.amin(-1, keepdim=True)


def keep_min_p(
    logits: Float32[Tensor, "B V"],
    share: Int64[Tensor, "B 1"],
    w: Int64[Tensor, "B V"] | None = None,
    *,
    strict: bool = False,
) -> Bool[Tensor, "B V"]:
    """Keep the tokens that are at least `share` times as likely as the likeliest one.

    The likeliest token weighs 2^43, so the condition is w >= ceil(P 2^43 / 2^62); or, strictly, w > (1 + 2^-23) P 2^43 / 2^62.

    Args:
        logits: float32 [B, V].
        share: P, int64 [B, 1], 0 .. 2^62; 0 keeps everything.
        w: The weights of the logits where they are known, int64 [B, V].
        strict: Whether a token `share` times as likely, to the precision of float32, goes, too; the likeliest never do.

    Returns:
        bool [B, V], at least one True in each row.

    Source: Nguyen et al., "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs", ICLR 2025.

    Example:
        >>> import torch
        >>> from sampling_kernels.shares import share_of_decimal
        >>> keep_min_p(torch.tensor([[0.0, -1.0, -2.0]]), torch.tensor([[share_of_decimal("0.2")]])).tolist()
        [[True, True, False]]
    """
    dropped_bits = SHARE_BITS - FRACTION_BITS
    needed = (share + (2**dropped_bits - 1)) >> dropped_bits
    if strict:
        above = ((share + (share >> FLOAT32_BITS)) >> dropped_bits) + 1
        needed = torch.where(share > 0, above.clamp(max=2**FRACTION_BITS), needed)
    return (weights_in_place(logits) if w is None else w) >= needed
