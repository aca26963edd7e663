"""The draw: one token per row from integer weights and a counter-based uniform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampling_kernels.blocks import blocked, gather_blocks, ids_in_blocks
from sampling_kernels.fixed_point import mulhi_u64
from sampling_kernels.weights import block_weights, weights

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64
    from torch import Tensor

INTEGER_RULE = 0


def sample_block(
    sums: Int64[Tensor, "B N"], high: Int64[Tensor, " B"], low: Int64[Tensor, " B"]
) -> tuple[Int64[Tensor, "B 1"], Int64[Tensor, "B 1"]]:
    """Find the block in which the fraction u / 2^64 of the row's weight lies, and what of r is left inside it."""
    running = sums.cumsum(-1)
    r, _ = mulhi_u64(high, low, running[:, -1])
    block = (running <= r[:, None]).sum(-1, keepdim=True).clamp_(max=sums.shape[1] - 1)
    return block, r[:, None] - (running - sums).gather(1, block)


def sample_in_block(
    block: Int64[Tensor, "B 1"], w: Int64[Tensor, "B 64"], rest: Int64[Tensor, "B 1"]
) -> Int64[Tensor, " B"]:
    """Find the first token of a block whose running sum of weights is above `rest`; any token in a row without meaning."""
    position = (w.cumsum(-1) <= rest).sum(-1, keepdim=True).clamp_(max=w.shape[1] - 1)
    return ids_in_blocks(block, position)[:, 0]


def inverse_cdf_sample(
    w: Int64[Tensor, "B V"], high: Int64[Tensor, " B"], low: Int64[Tensor, " B"]
) -> Int64[Tensor, " B"]:
    """Compute `reference.inverse_cdf_sample`, fast: the block first, then the token in it.

    Args:
        w: Weights, int64 [B, V], 0 <= w, sum of each row 1 .. 2^62 - 1.
        high: Upper 32 bits of u, int64 [B].
        low: Lower 32 bits of u, int64 [B].

    Returns:
        Token ids, int64 [B].

    Example:
        >>> import torch
        >>> w, half = torch.tensor([[1, 0, 1, 2]]), torch.tensor([2**31])
        >>> inverse_cdf_sample(w, half, 0 * half).tolist()
        [3]
    """
    blocks = blocked(w, fill=0)
    block, rest = sample_block(blocks.sum(-1), high, low)
    return sample_in_block(block, gather_blocks(blocks, block), rest)


def inverse_cdf_sample_blocked(
    blocks: Float32[Tensor, "B N 64"],
    maxima: Float32[Tensor, "B N"],
    high: Int64[Tensor, " B"],
    low: Int64[Tensor, " B"],
) -> Int64[Tensor, " B"]:
    """Sample from logits whose weights nobody has computed yet; keeps only those of one block.

    Args:
        blocks: Logits in blocks, float32 [B, N, 64].
        maxima: The largest logit of each block, float32 [B, N].
        high: Upper 32 bits of u, int64 [B].
        low: Lower 32 bits of u, int64 [B].

    Returns:
        Token ids, int64 [B].

    Example:
        >>> import torch
        >>> blocks, half = blocked(torch.zeros(1, 1000)), torch.tensor([2**31])
        >>> inverse_cdf_sample_blocked(blocks, blocks.amax(-1), half, 0 * half).tolist()
        [500]
    """
    block, rest = sample_block(block_weights(blocks, maxima), high, low)
    return sample_in_block(block, weights(gather_blocks(blocks, block), maxima.amax(-1, keepdim=True)), rest)
