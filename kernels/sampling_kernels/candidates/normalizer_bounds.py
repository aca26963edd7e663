"""Bounds of the normalizer that rows have after a temperature, for a fraction of what the normalizer itself costs.

Everything is in units of the largest token's weight, 2^43.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.blocks import BLOCK
from sampling_kernels.candidates.constants import BLOCK_SUM_MARGIN
from sampling_kernels.host_sync import map_row_tiles
from sampling_kernels.weights import FRACTION_BITS

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64
    from torch import Tensor

    from sampling_kernels.candidates.blocks import CandidateBlocks


def sum_exp_blocks(
    blocks: Float32[Tensor, "B N 64"], maximum: Float32[Tensor, "B 1"], temperature: Float32[Tensor, "B 1"]
) -> Float32[Tensor, "B N"]:
    """Sum e^((l - m) / T) over each block, within BLOCK_SUM_MARGIN."""
    return (blocks - maximum[:, :, None]).div_(temperature[:, :, None]).exp_().sum(-1)


def add_candidate_blocks(
    blocks: CandidateBlocks, maximum: Tensor, temperature: Tensor, least: Tensor, most: Tensor
) -> tuple[Tensor, Tensor]:
    """Bound the whole row, from the tokens of its candidate blocks and bounds of each other block, float64 [B, N]."""
    inside = blocks.values.unflatten(1, (-1, BLOCK))
    seen = map_row_tiles(sum_exp_blocks, inside, maximum, temperature)
    seen = seen.sum(-1, keepdim=True, dtype=torch.float64)
    done = torch.zeros_like(most, dtype=torch.bool).scatter_(1, blocks.block_ids, True)
    least, most = (one.masked_fill(done, 0.0).sum(-1, keepdim=True).add_(seen) for one in (least, most))
    return least * (1 - BLOCK_SUM_MARGIN), most * (1 + BLOCK_SUM_MARGIN)


def block_bounds(
    blocks: CandidateBlocks, temperature: Float32[Tensor, "B 1"]
) -> tuple[Float64[Tensor, "B 1"], Float64[Tensor, "B 1"]]:
    """Bound the normalizer without a look at tokens outside the candidate blocks.

    A block weighs at least what its largest token weighs and at most 64 times that. Where its weight before the temperature is
    known, it is worth so many of its largest token; at T <= 1, which makes less of the others, it is worth no more of them.

    Args:
        blocks: The candidate blocks of B rows.
        temperature: T > 0, float32 [B, 1].

    Returns:
        (least, most), float64 [B, 1]: least <= Z / 2^43 <= most.

    Example:
        >>> import torch
        >>> from sampling_kernels.blocks import BlockedLogits
        >>> from sampling_kernels.candidates.blocks import CandidateBlocks
        >>> blocks = CandidateBlocks.of(BlockedLogits.of(torch.zeros(1, 64 * 1000)))
        >>> [round(one.item()) for one in block_bounds(blocks, torch.ones(1, 1))]
        [9064, 64001]
    """
    maximum, maxima, t = blocks.maximum, blocks.rows.maxima.double(), temperature.double()
    largest = (maxima - maximum).div_(t).exp_()  # [B, N]
    worth = torch.full_like(maxima, BLOCK)
    if blocks.weights is not None:
        # each token's may be 1/2 too low
        weight = blocks.weights.double().add_(BLOCK).mul_(2.0**-FRACTION_BITS)
        before = (maxima - blocks.rows.maximum).exp_()  # 0 leaves the worth at 64, as no weight is
        worth = torch.where(t <= 1, (weight / before).minimum(worth), worth)
    return add_candidate_blocks(blocks, maximum, temperature, largest, worth * largest)


def float32_bounds(
    blocks: CandidateBlocks, temperature: Float32[Tensor, "B 1"]
) -> tuple[Float64[Tensor, "B 1"], Float64[Tensor, "B 1"]]:
    """Bound the normalizer to 2^-15, from one look at every token in float32.

    Args:
        blocks: The candidate blocks of B rows.
        temperature: T > 0, float32 [B, 1].

    Returns:
        (least, most), float64 [B, 1]: least <= Z / 2^43 <= most.

    Example:
        >>> import torch
        >>> from sampling_kernels.blocks import BlockedLogits
        >>> from sampling_kernels.candidates.blocks import CandidateBlocks
        >>> blocks = CandidateBlocks.of(BlockedLogits.of(torch.zeros(1, 1000)))
        >>> least, most = float32_bounds(blocks, torch.ones(1, 1))
        >>> bool(least < 1000 < most), f"{most.item() - least.item():.3f}"
        (True, '0.031')
    """
    maximum = blocks.maximum
    sums = map_row_tiles(sum_exp_blocks, blocks.rows.values, maximum, temperature).double()
    return add_candidate_blocks(blocks, maximum, temperature, sums, sums)
