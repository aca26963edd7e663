"""vLLM's seeded draw in plain Python, and a text that it samples."""

from __future__ import annotations

import math
import struct

import torch

PROMPT, V = [7, 8, 9], 60


def murmur3(block: bytes) -> int:
    """MurmurHash3 x86_32 of whole words, hash seed 0."""
    word, h = 2**32 - 1, 0
    for (k,) in struct.iter_unpack("<I", block):
        k = k * 0xCC9E2D51 & word
        h ^= (k << 15 | k >> 17) * 0x1B873593 & word
        h = ((h << 13 | h >> 19) & word) * 5 + 0xE6546B64 & word
    h ^= len(block)
    h = (h ^ h >> 16) * 0x85EBCA6B & word
    h = (h ^ h >> 13) * 0xC2B2AE35 & word
    return h ^ h >> 16


def vllm_token(row: list[float], seed: int, position: int) -> int:
    noise = [
        -math.log(-math.log1p(-(murmur3(struct.pack("<QII", seed % 2**64, position, token)) + 0.5) / 2**32))
        for token in range(len(row))
    ]
    scores = [logit + added for logit, added in zip(row, noise, strict=True)]
    return scores.index(max(scores))


def answer(seed: int, length: int = 30) -> tuple[torch.Tensor, list[int]]:
    """Logits of a text, and what vLLM samples from them at temperature 1."""
    logits = 2 * torch.randn(length, V, generator=torch.Generator().manual_seed(3))
    rows = enumerate(logits.tolist())
    return logits, [vllm_token(row, seed, len(PROMPT) + place - 1) for place, row in rows]
