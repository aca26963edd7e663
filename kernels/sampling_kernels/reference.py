"""The definition, readable: one function for each statement of docs/draw.md, in its sections.

What runs in a step is faster and returns the same bits. `tests/oracle.py` says the same without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.fixed_point import FIXED_POINT_BITS, ONE, ceil_product, floor_product, mulhi_u64
from sampling_kernels.logarithm import log_normalizer
from sampling_kernels.sort_key import TieBreak, sort_key
from sampling_kernels.weights import CUBINGS, FRACTION_BITS, LOWEST, POLE

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Float64, Int64
    from torch import Tensor

FLOAT32_BITS = 23  # of a float32's fraction


# 1. Before the weights


def add_bias(logits: Float32[Tensor, "B V"], bias: Float64[Tensor, "B V"]) -> Float32[Tensor, "B V"]:
    """Compute l + b."""
    return (logits.double() + bias).float()


def penalize_repetition(
    logits: Float32[Tensor, "B V"], r: Float64[Tensor, "B 1"], counts: Int64[Tensor, "B V"]
) -> Float32[Tensor, "B V"]:
    """Compute l / r if l > 0, else l r, where the token occurred."""
    wide = logits.double()
    return torch.where(counts > 0, torch.where(wide > 0, wide / r, wide * r), wide).float()


def penalize_frequency(
    logits: Float32[Tensor, "B V"], f: Float64[Tensor, "B 1"], counts: Int64[Tensor, "B V"]
) -> Float32[Tensor, "B V"]:
    """Compute l - f c."""
    return (logits.double() - f * counts).float()


def penalize_presence(
    logits: Float32[Tensor, "B V"], p: Float64[Tensor, "B 1"], counts: Int64[Tensor, "B V"]
) -> Float32[Tensor, "B V"]:
    """Compute l - p where the token occurred."""
    return (logits.double() - p * (counts > 0)).float()


def divide_by_temperature(
    logits: Float32[Tensor, "B V"], t: Float64[Tensor, "B 1"]
) -> Float32[Tensor, "B V"]:
    """Compute (l - m) / T, m = 0.0 for -0.0; l itself at T = 1; at T = 0 the first token keeps its logit, the rest is -inf."""
    maximum = logits.amax(-1, keepdim=True).double()
    d = logits.double() - torch.where(maximum == 0, 0.0, maximum)
    divided = (d / torch.where(t > 0, t, 1.0)).float()
    greedy = logits.masked_fill(~argmax_mask(logits), -torch.inf)
    return torch.where(t == 0, greedy, torch.where(t == 1, logits, divided))


# 2. Weights


def exponential(d: Float64[Tensor, ...]) -> Float64[Tensor, ...]:
    """Compute ((K + d) / (K - d))^(3^11), which is nearly e^d, with the same bits everywhere; -45 <= d <= 0."""
    power = (POLE + d) / (POLE - d)
    for _ in range(CUBINGS):
        power = (
            power**3
        )  # (x x) x, in one operation: written as a product, a compiler triples the expression each time
    return power


def weights(logits: Float32[Tensor, "B V"]) -> Int64[Tensor, "B V"]:
    """Turn logits into integers proportional to their probabilities: round(2^43 ((K + d) / (K - d))^(3^11)).

    Args:
        logits: float32 [B, V], V < 2^19 so that the sum of a row stays below 2^62. A row with NaN or +inf, or with nothing
            above -inf, has no meaning here.

    Returns:
        int64 [B, V]: 2^43 at the maximum of each row, 0 for -inf and for all that lies 30.5 or more below the maximum.

    Example:
        >>> import torch
        >>> weights(torch.tensor([[0.0, -1.0, -float("inf")]])).tolist()
        [[8796093022208, 3235901785497, 0]]
    """
    d = (logits.double() - logits.amax(-1, keepdim=True).double()).clamp(min=LOWEST)
    return (exponential(d) * 2.0**FRACTION_BITS).round().to(torch.int64)


# 3. Order: `sort_key`


# 4. What is kept


def top_p_mask(
    logits: Float32[Tensor, "B V"],
    p: Int64[Tensor, "B 1"],
    *,
    tie_break: TieBreak = "lowest_id",
    keep_ties: bool = False,
    stops_at_equality: bool = True,
) -> Bool[Tensor, "B V"]:
    """Keep the shortest prefix whose weight reaches max(1, ceil(P Z / 2^62)).

    Args:
        logits: float32 [B, V].
        p: P, the probability in units of 2^-62, int64 [B, 1]; 2^62 keeps everything.
        tie_break: Which of two equal logits comes first.
        keep_ties: Keep all that equal the last one, too.
        stops_at_equality: Whether a prefix that weighs exactly P Z / 2^62 is long enough, or takes one token more.

    Returns:
        bool [B, V], at least one True in each row.

    Source: Holtzman et al., "The Curious Case of Neural Text Degeneration", ICLR 2020.

    Example:
        >>> import torch
        >>> from sampling_kernels.fixed_point import to_fixed_point
        >>> top_p_mask(torch.zeros(1, 10), torch.tensor([[to_fixed_point("0.9")]])).sum().item()
        9
    """
    order = sort_key(logits, tie_break).argsort(-1, descending=True)
    in_order = weights(logits).gather(-1, order)
    before = in_order.cumsum(-1) - in_order  # weight of the tokens that come earlier
    needed = weight_needed(p, in_order.sum(-1, keepdim=True), stops_at_equality=stops_at_equality)
    last = (before < needed).sum(-1, keepdim=True) - 1
    return keep_up_to(logits, order.gather(-1, last), tie_break, keep_ties=keep_ties) | (p >= ONE)


def top_k_mask(
    logits: Float32[Tensor, "B V"],
    k: Int64[Tensor, "B 1"],
    *,
    tie_break: TieBreak = "lowest_id",
    keep_ties: bool = False,
) -> Bool[Tensor, "B V"]:
    """Keep the first k tokens of the order; k = 0 keeps everything. Arguments as in `top_p_mask`.

    Source: Fan, Lewis, Dauphin, "Hierarchical Neural Story Generation", ACL 2018.

    Example:
        >>> import torch
        >>> top_k_mask(torch.tensor([[1.0, 3.0, 2.0, 2.0]]), torch.tensor([[2]])).tolist()
        [[False, True, True, False]]
    """
    everything = torch.full_like(k, logits.shape[-1])
    last = torch.where(k > 0, k, everything).minimum(everything) - 1
    order = sort_key(logits, tie_break).argsort(-1, descending=True)
    return keep_up_to(logits, order.gather(-1, last), tie_break, keep_ties=keep_ties)


def min_p_mask(
    logits: Float32[Tensor, "B V"], p: Int64[Tensor, "B 1"], *, strict: bool = False
) -> Bool[Tensor, "B V"]:
    """Keep the tokens with w >= ceil(P 2^43 / 2^62), or, strictly, w > (P + floor(P / 2^23)) 2^43 / 2^62 and the likeliest.

    Source: Nguyen et al., "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs", ICLR 2025.
    """
    w, dropped = weights(logits), FIXED_POINT_BITS - FRACTION_BITS
    if not strict:
        return (w << dropped) >= p
    return ((w << dropped) > p + (p >> FLOAT32_BITS)) | (w == 2**FRACTION_BITS) | (p == 0)


def argmax_mask(logits: Float32[Tensor, "B V"]) -> Bool[Tensor, "B V"]:
    """Keep the first token of the order."""
    key = sort_key(logits)
    return key == key.amax(-1, keepdim=True)


def keep_up_to(
    logits: Float32[Tensor, "B V"], last: Int64[Tensor, "B 1"], tie_break: TieBreak, *, keep_ties: bool
) -> Bool[Tensor, "B V"]:
    """Keep the tokens of the order up to the given one, and on request all that equal it."""
    key = logits if keep_ties else sort_key(logits, tie_break)
    return key >= key.gather(-1, last)


def weight_needed(
    p: Int64[Tensor, "B 1"], normalizer: Int64[Tensor, "B 1"], *, stops_at_equality: bool
) -> Int64[Tensor, "B 1"]:
    """Return the least weight of a long enough prefix: max(1, ceil(P Z / 2^62)), or more than P Z / 2^62.

    Args:
        p: P, int64 [B, 1], 0 .. 2^62; 2^62 is taken as the largest below it.
        normalizer: Z, int64 [B, 1], 1 .. 2^62 - 1.
        stops_at_equality: Whether a prefix that weighs exactly P Z / 2^62 is long enough.
    """
    below_one = p.clamp(max=ONE - 1)
    if stops_at_equality:
        return ceil_product(below_one, normalizer).clamp(min=1)
    return floor_product(below_one, normalizer) + 1


# 5. The draw


def inverse_cdf_sample(
    w: Int64[Tensor, "B V"], high: Int64[Tensor, " B"], low: Int64[Tensor, " B"]
) -> Int64[Tensor, " B"]:
    """Return the first token, in order of token ids, whose running sum of weights is above floor(u Z / 2^64).

    Args:
        w: Weights, int64 [B, V], 0 <= w, sum of each row 1 .. 2^62 - 1.
        high: Upper 32 bits of u, int64 [B].
        low: Lower 32 bits of u, int64 [B].

    Returns:
        Token ids, int64 [B]; never one of weight 0.

    Example:
        >>> import torch
        >>> w, half = torch.tensor([[1, 0, 1, 2]]), torch.tensor([2**31])
        >>> inverse_cdf_sample(w, half, 0 * half).tolist()
        [3]
    """
    running = w.cumsum(-1)
    r, _ = mulhi_u64(high, low, running[:, -1])
    return (running <= r[:, None]).sum(-1)


# 6. Log probabilities


def token_logprobs(logits: Float32[Tensor, "B V"], token_ids: Int64[Tensor, "B K"]) -> Float32[Tensor, "B K"]:
    """Compute (l - m) - ln(Z / 2^43) of the given tokens, in float64, rounded to float32; -inf where the logit is -inf.

    Example:
        >>> import torch
        >>> token_logprobs(torch.zeros(1, 4), torch.tensor([[2]]))
        tensor([[-1.3863]])
    """
    d = logits.gather(-1, token_ids).double() - logits.amax(-1, keepdim=True).double()
    return (d - log_normalizer(weights(logits).sum(-1, keepdim=True))).float()


def token_ranks(logits: Float32[Tensor, "B V"], token_ids: Int64[Tensor, "B K"]) -> Int64[Tensor, "B K"]:
    """Return the ranks of the given tokens in the order; 1 is the most likely.

    Example:
        >>> import torch
        >>> token_ranks(torch.tensor([[0.0, 2.0, 2.0]]), torch.tensor([[0, 1, 2]])).tolist()
        [[3, 1, 2]]
    """
    key = sort_key(logits)
    return (key[:, None, :] > key.gather(-1, token_ids)[:, :, None]).sum(-1) + 1


def top_tokens(logits: Float32[Tensor, "B V"], k: int) -> Int64[Tensor, "B K"]:
    """Return the k most likely tokens in the order, 0 <= k <= V.

    Example:
        >>> import torch
        >>> top_tokens(torch.tensor([[0.0, 2.0, 2.0]]), 2).tolist()
        [[1, 2]]
    """
    return sort_key(logits).topk(k, dim=-1).indices
