"""The Gumbel draw: the arg max of logits plus keyed noise, the rule that a replay of another sampler needs.

Source: Gumbel, "Statistical Theory of Extreme Values", 1954; Maddison, Tarlow, Minka, "A* Sampling", NeurIPS 2014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.philox import WORD, philox

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Float64, Int64
    from torch import Tensor

GUMBEL_RULE = 1
LARGEST_UNIFORM = 1.0 - 2.0**-53


def gumbel_of_words(high: Int64[Tensor, ...], low: Int64[Tensor, ...]) -> Float64[Tensor, ...]:
    """Compute Gumbel noise from 64 random bits: -ln(-ln(1 - v)), v = (high 2^32 + low + 1/2) / 2^64.

    Large noise comes from small v, and small v are kept exactly, so the upper tail is resolved up to 65 ln 2 = 45.

    Args:
        high: Upper 32-bit words, int64.
        low: Lower 32-bit words, int64.

    Returns:
        float64, shaped like the words, finite.

    Example:
        >>> import torch
        >>> round(gumbel_of_words(torch.tensor(0), torch.tensor(0)).item(), 6)
        45.054567
    """
    v = (high.double() * 2.0**32 + low.double() + 0.5) * 2.0**-64
    return -torch.log(-torch.log1p(-v.clamp(max=LARGEST_UNIFORM)))


def gumbel_noise(
    seed: Int64[Tensor, " B"],
    position: Int64[Tensor, " B"],
    choice: Int64[Tensor, " B"],
    token_ids: Int64[Tensor, "#B C"],
) -> Float64[Tensor, "B C"]:
    """Return the noise that belongs to (seed, choice, position, token id), whichever other tokens are looked at.

    Philox-4x32-10 with the key (seed mod 2^32, seed >> 32) and the counter (token id, position, choice, 1); low and high
    are its first two words.

    Args:
        seed: int64 [B]; its 64 bits are the key.
        position: Tokens sampled so far in this choice, int64 [B].
        choice: Index of the choice, int64 [B].
        token_ids: int64 [B, C], or [1, C] for every row.

    Returns:
        float64 [B, C].
    """
    key = ((seed & WORD)[:, None], ((seed >> 32) & WORD)[:, None])
    rule = torch.full_like(seed, GUMBEL_RULE)[:, None]
    low, high, _, _ = philox((token_ids, position[:, None], choice[:, None], rule), key)
    return gumbel_of_words(high, low)


def gumbel_sample(logits: Float32[Tensor, "B V"], noise: Float[Tensor, "B V"]) -> Int64[Tensor, " B"]:
    """Return the arg max of logit + noise in the precision of the noise; of equal ones the lowest token id.

    Args:
        logits: float32 [B, V], something above -inf in each row.
        noise: float64 or float32 [B, V].

    Returns:
        Token ids, int64 [B]; never one whose logit is -inf.

    Example:
        >>> import torch
        >>> gumbel_sample(torch.tensor([[0.0, 1.0, 1.0]]), torch.zeros(1, 3, dtype=torch.float64)).tolist()
        [1]
    """
    score = logits.to(noise.dtype) + noise
    ids = torch.arange(logits.shape[-1], device=logits.device)
    best = score == score.amax(-1, keepdim=True)
    return torch.where(best, ids, logits.shape[-1] - 1).amin(-1)
