"""The shape of a small Llama with random weights, and models of it."""

from __future__ import annotations

import torch

from sampling.model import Llama, LlamaConfig

CONFIG = LlamaConfig(
    vocab_size=97,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=64,
)


def small(config: LlamaConfig = CONFIG, seed: int = 0) -> Llama:
    """A model without gradients."""
    torch.manual_seed(seed)
    return Llama(config).requires_grad_(False)
