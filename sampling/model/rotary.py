"""Rotary position embedding, with the scaling of Llama-3.1."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sampling.model.config import Llama3Scaling, LlamaConfig


def rotary_frequencies(config: LlamaConfig) -> Tensor:
    """Radians that each pair of a head's channels turns by from one position to the next.

    Pair i turns by theta^(-2i / D). Llama-3.1 divides the slow ones by `factor`, keeps the fast ones, and
    mixes in between, by how often a pair turns within the original context.

    Args:
        config: The model's shape.

    Returns:
        [D / 2] float32, on the CPU.

    Source:
        "RoFormer: Enhanced Transformer with Rotary Position Embedding", arXiv:2104.09864, section 3.4;
        the scaling as the released Llama-3.1 checkpoints' `rope_scaling` states it.
    """
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device="cpu") / config.head_dim
    frequencies = 1.0 / config.rope_theta**exponents
    return frequencies if config.rope_scaling is None else _stretched(frequencies, config.rope_scaling)


def _stretched(frequencies: Tensor, scaling: Llama3Scaling) -> Tensor:
    turns = scaling.original_max_position_embeddings * frequencies / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = ((turns - low) / (high - low)).clamp(0.0, 1.0)
    return (1.0 - kept) * frequencies / scaling.factor + kept * frequencies


class Rotary(nn.Module):
    """Cosines and sines of every position's turn.

    Args:
        config: The model's shape.
    """

    frequencies: Tensor

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("frequencies", rotary_frequencies(config), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Rotary:
        """Move with the model but stay float32: rounded to bfloat16, far positions are off by whole turns."""
        super()._apply(fn, recurse)
        self.frequencies = rotary_frequencies(self.config).to(self.frequencies.device)
        return self

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines, [B, T, 1, D / 2] float32 each, of positions [B, T]."""
        angles = positions[:, :, None, None].float() * self.frequencies
        return angles.cos(), angles.sin()


def rotate(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs (x_i, x_(i + D/2)) of all heads, [B, T, H, D], by their position's angles."""
    cosine, sine = rotation
    first, second = heads.float().chunk(2, dim=-1)
    turned = (first * cosine - second * sine, second * cosine + first * sine)
    return torch.cat(turned, dim=-1).to(heads.dtype)
