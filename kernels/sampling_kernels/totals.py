"""Bounds of the total weight that rows have after a temperature, for a fraction of what the total itself costs.

Everything is in units of the largest token's weight, 2^43. With d = (l - m) / T, a weight is e^d (1 + 8.1e-8) + 2^-44 at most
and e^d (1 - 8.1e-8) - 2^-44 at least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.branching import in_blocks
from sampling_kernels.chunks import CHUNK
from sampling_kernels.weights import FRACTION_BITS

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64
    from torch import Tensor

    from sampling_kernels.leading import Sight

# Of a chunk's sum in float32: three roundings of gap and quotient, 32 * 3 * 2^-24 (d down to -32), the exponential, for which
# 32 units in the last place are allowed, 63 additions, and the definition's 8.1e-8; together 1.2e-5. What is left of it has
# room for twice the definition's error where a chunk's weight is known, and for the 2^-44 of every weight, 3e-8 of a total
# that is at least 1.
TOTAL_MARGIN = 2.0**-16


def chunk_masses(
    chunks: Float32[Tensor, "B N 64"], maximum: Float32[Tensor, "B 1"], temperature: Float32[Tensor, "B 1"]
) -> Float32[Tensor, "B N"]:
    """Sum of e^((l - m) / T) over each chunk, within TOTAL_MARGIN."""
    return (chunks - maximum[:, :, None]).div_(temperature[:, :, None]).exp_().sum(-1)


def bounds(
    sight: Sight, maximum: Tensor, temperature: Tensor, least: Tensor, most: Tensor
) -> tuple[Tensor, Tensor]:
    """Bounds of the whole row, from its tokens in sight and bounds of each chunk out of sight, float64 [B, N]."""
    inside = sight.values.unflatten(1, (-1, CHUNK))
    seen = in_blocks(chunk_masses, inside, maximum, temperature).sum(-1, keepdim=True, dtype=torch.float64)
    done = torch.zeros_like(most, dtype=torch.bool).scatter_(1, sight.which, True)
    least, most = (one.masked_fill(done, 0.0).sum(-1, keepdim=True).add_(seen) for one in (least, most))
    return least * (1 - TOTAL_MARGIN), most * (1 + TOTAL_MARGIN)


def quick_bounds(
    sight: Sight, temperature: Float32[Tensor, "B 1"]
) -> tuple[Float64[Tensor, "B 1"], Float64[Tensor, "B 1"]]:
    """Bounds that take no look at tokens out of sight.

    A chunk holds at least the mass of its largest token and at most 64 times that. Where its weight before the temperature is
    known, it is worth so many of its largest token; at T <= 1, which makes less of the others, it is worth no more of them.

    Args:
        sight: What is in sight of B rows.
        temperature: T > 0, float32 [B, 1].

    Returns:
        (least, most), float64 [B, 1]: least <= Z / 2^43 <= most.

    Example:
        >>> import torch
        >>> from sampling_kernels.chunks import Chunks
        >>> from sampling_kernels.leading import Sight
        >>> sight = Sight.of(Chunks.of(torch.zeros(1, 64 * 1000)))
        >>> [round(one.item()) for one in quick_bounds(sight, torch.ones(1, 1))]
        [9064, 64001]
    """
    maximum, maxima, t = sight.maximum, sight.whole.maxima.double(), temperature.double()
    largest = (maxima - maximum).div_(t).exp_()  # [B, N]
    worth = torch.full_like(maxima, CHUNK)
    if sight.sums is not None:
        weight = sight.sums.double().add_(CHUNK).mul_(2.0**-FRACTION_BITS)  # each token's may be 1/2 too low
        before = (maxima - sight.whole.maximum).exp_()  # 0 leaves the worth at 64, as no weight is
        worth = torch.where(t <= 1, (weight / before).minimum(worth), worth)
    return bounds(sight, maximum, temperature, largest, worth * largest)


def total_bounds(
    sight: Sight, temperature: Float32[Tensor, "B 1"]
) -> tuple[Float64[Tensor, "B 1"], Float64[Tensor, "B 1"]]:
    """Bounds 2^-15 apart, from one look at every token in float32.

    Args:
        sight: What is in sight of B rows.
        temperature: T > 0, float32 [B, 1].

    Returns:
        (least, most), float64 [B, 1]: least <= Z / 2^43 <= most.

    Example:
        >>> import torch
        >>> from sampling_kernels.chunks import Chunks
        >>> from sampling_kernels.leading import Sight
        >>> least, most = total_bounds(Sight.of(Chunks.of(torch.zeros(1, 1000))), torch.ones(1, 1))
        >>> bool(least < 1000 < most), f"{most.item() - least.item():.3f}"
        (True, '0.031')
    """
    maximum = sight.maximum
    masses = in_blocks(chunk_masses, sight.whole.values, maximum, temperature).double()
    return bounds(sight, maximum, temperature, masses, masses)
