"""The keyed draw: one token per row from integer weights and a counter-based uniform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.chunks import chunked, token_ids, tokens_in
from sampling_kernels.philox import WORD, philox
from sampling_kernels.shares import multiply_high
from sampling_kernels.weights import chunk_weights, weights_in_place

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64
    from torch import Tensor

INTEGER_RULE = 0


def uniform_words(
    seed: Int64[Tensor, " B"], position: Int64[Tensor, " B"], choice: Int64[Tensor, " B"], rule: int
) -> tuple[Int64[Tensor, " B"], Int64[Tensor, " B"]]:
    """The 64-bit uniform u = high 2^32 + low that belongs to (seed, choice, position).

    Philox-4x32-10 with the key (seed mod 2^32, seed >> 32) and the counter (0, position, choice, rule); low and high are its
    first two words.

    Args:
        seed: int64 [B]; its 64 bits are the key, so 2^64 - 1 is -1.
        position: Tokens sampled so far in this choice, int64 [B], 0 .. 2^32 - 1.
        choice: Index of the choice, int64 [B], 0 .. 2^32 - 1.
        rule: Tag of the draw rule.

    Returns:
        (high, low), 32-bit words in int64 [B].
    """
    zero = torch.zeros_like(position)
    key = (seed & WORD, (seed >> 32) & WORD)
    low, high, _, _ = philox((zero, position, choice, zero + rule), key)
    return high, low


def draw_by_running_sum(
    w: Int64[Tensor, "B V"], high: Int64[Tensor, " B"], low: Int64[Tensor, " B"]
) -> Int64[Tensor, " B"]:
    """The token at the fraction u / 2^64 of the row's weight, in token-id order: the twin that defines the draw.

    With r = floor(u Z / 2^64), the first token whose running sum of weights exceeds r.

    Args:
        w: Weights, int64 [B, V], 0 <= w, sum of each row 1 .. 2^62 - 1.
        high: Upper words of u, int64 [B].
        low: Lower words of u, int64 [B].

    Returns:
        Token ids, int64 [B]; never one of weight 0.

    Example:
        >>> import torch
        >>> w, half = torch.tensor([[1, 0, 1, 2]]), torch.tensor([2**31])
        >>> draw_by_running_sum(w, half, 0 * half).tolist()
        [3]
    """
    running = w.cumsum(-1)  # [B, V]
    r, _ = multiply_high(high, low, running[:, -1])
    return (running <= r[:, None]).sum(-1)


def chunk_of(
    sums: Int64[Tensor, "B N"], high: Int64[Tensor, " B"], low: Int64[Tensor, " B"]
) -> tuple[Int64[Tensor, "B 1"], Int64[Tensor, "B 1"]]:
    """The chunk in which the fraction u / 2^64 of the row's weight lies, and what of r is left inside it."""
    running = sums.cumsum(-1)
    r, _ = multiply_high(high, low, running[:, -1])
    chunk = (running <= r[:, None]).sum(-1, keepdim=True).clamp_(max=sums.shape[1] - 1)
    return chunk, r[:, None] - (running - sums).gather(1, chunk)


def place_of(w: Int64[Tensor, "B C"], rest: Int64[Tensor, "B 1"]) -> Int64[Tensor, "B 1"]:
    """The first place whose running sum of weights is above `rest`; some place in a row that has no meaning."""
    return (w.cumsum(-1) <= rest).sum(-1, keepdim=True).clamp_(max=w.shape[1] - 1)


def draw_by_weight(
    w: Int64[Tensor, "B V"], high: Int64[Tensor, " B"], low: Int64[Tensor, " B"]
) -> Int64[Tensor, " B"]:
    """`draw_by_running_sum`, fast: the chunk first, then the token in it.

    Args:
        w: Weights, int64 [B, V], 0 <= w, sum of each row 1 .. 2^62 - 1.
        high: Upper words of u, int64 [B].
        low: Lower words of u, int64 [B].

    Returns:
        Token ids, int64 [B].

    Example:
        >>> import torch
        >>> w, half = torch.tensor([[1, 0, 1, 2]]), torch.tensor([2**31])
        >>> draw_by_weight(w, half, 0 * half).tolist()
        [3]
    """
    chunks = chunked(w, fill=0)
    chunk, rest = chunk_of(chunks.sum(-1), high, low)
    return token_ids(chunk, place_of(tokens_in(chunks, chunk), rest))[:, 0]


def draw_by_chunk(
    chunks: Float32[Tensor, "B N 64"],
    maxima: Float32[Tensor, "B N"],
    high: Int64[Tensor, " B"],
    low: Int64[Tensor, " B"],
) -> Int64[Tensor, " B"]:
    """The draw from logits whose weights nobody has computed yet; it keeps only those of one chunk.

    Args:
        chunks: Logits in chunks, float32 [B, N, 64].
        maxima: The largest logit of each chunk, float32 [B, N].
        high: Upper words of u, int64 [B].
        low: Lower words of u, int64 [B].

    Returns:
        Token ids, int64 [B].

    Example:
        >>> import torch
        >>> chunks, half = chunked(torch.zeros(1, 1000)), torch.tensor([2**31])
        >>> draw_by_chunk(chunks, chunks.amax(-1), half, 0 * half).tolist()
        [500]
    """
    chunk, rest = chunk_of(chunk_weights(chunks, maxima), high, low)
    w = weights_in_place(tokens_in(chunks, chunk), maxima.amax(-1, keepdim=True))
    return token_ids(chunk, place_of(w, rest))[:, 0]
