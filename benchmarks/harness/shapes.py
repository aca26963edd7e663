"""Models of true Llama shapes, built in memory: nothing is downloaded.

Their weights are random. How long a forward pass takes does not depend on their values, only on how many there are; what the
sampler takes does depend on the logits, so the last norm is scaled until these are spread like N(0, 5), where a top_p of
0.9 keeps about a hundred tokens. The toy has its trained weights.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Generator

from sampling.model import Llama, Llama3Scaling, LlamaConfig, load_llama
from sampling.model.memory import allocated
from sampling.toy import CHECKPOINT

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TOY = "toy"
WEIGHTS = 0.02  # standard deviation of every weight but the norms'
LOGITS = 5.0  # standard deviation of the logits

_LLAMA3 = LlamaConfig(
    vocab_size=128256,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    max_position_embeddings=8192,
)
SHAPES = {
    "Llama-3-8B": _LLAMA3,
    "Llama-3.2-1B": replace(
        _LLAMA3,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        head_dim=64,
        max_position_embeddings=131072,
        rope_scaling=Llama3Scaling(
            factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192
        ),
        tie_word_embeddings=True,
    ),
    "240M": replace(  # half as wide as Llama-3.2-1B, with its vocabulary
        _LLAMA3,
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=7,
        num_attention_heads=16,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=16384,
        tie_word_embeddings=True,
    ),
    TOY: LlamaConfig.read(CHECKPOINT),
}


def build(shape: str, dtype: str = "float32", device: str = "cpu", seed: int = 0) -> Llama:
    """A model of a shape, ready to run; the same weights for the same seed and device.

    Args:
        shape: A key of SHAPES.
        dtype: A key of DTYPES.
        device: "cpu" or "cuda".
        seed: Of the weights; the toy has its own.
    """
    if shape == TOY:
        return load_llama(CHECKPOINT, device=device, dtype=DTYPES[dtype])
    config = replace(SHAPES[shape], dtype=DTYPES[dtype])
    with torch.device("meta"):
        model = Llama(config)
    model = allocated(model.to(config.dtype), device).requires_grad_(False).eval()
    generator = Generator(device).manual_seed(seed)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.fill_(1.0)
        else:
            parameter.normal_(std=WEIGHTS, generator=generator)
    model.norm.weight.fill_(LOGITS / (WEIGHTS * config.hidden_size**0.5))
    return model


def weight_bytes(model: Llama) -> int:
    """Bytes of weights that one decode step reads: all but the embedding table, which counts only as a tied head."""
    table = model.embed_tokens.weight
    every = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return every if model.config.tie_word_embeddings else every - table.numel() * table.element_size()


def cache_bytes(model: Llama, rows: int, length: float) -> float:
    """Bytes of keys and values that a decode step over B rows of that length reads."""
    config = model.config
    width = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    return rows * length * width * model.embed_tokens.weight.element_size()
