"""vLLM's seeded draw in plain Python, texts that it samples, and a trace of them."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

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


def vllm_token(row: list[float], seed: int, position: int, hashed: Callable[[bytes], int] = murmur3) -> int:
    noise = [
        -math.log(-math.log1p(-(hashed(struct.pack("<QII", seed % 2**64, position, token)) + 0.5) / 2**32))
        for token in range(len(row))
    ]
    scores = [logit + added for logit, added in zip(row, noise, strict=True)]
    return scores.index(max(scores))


def answer(seed: int, length: int = 30) -> tuple[torch.Tensor, list[int]]:
    """Logits of a text, and what vLLM samples from them at temperature 1."""
    logits = 2 * torch.randn(length, V, generator=torch.Generator().manual_seed(3))
    rows = enumerate(logits.tolist())
    return logits, [vllm_token(row, seed, len(PROMPT) + place - 1) for place, row in rows]


def written(
    folder: Path, seeds: list[int], changed: Collection[tuple[int, int]] = (), first: int = 30, **fields: Any
) -> list[str]:
    """Write a trace of vLLM's tokens and their logits.

    Args:
        folder: Where.
        seeds: Of the records.
        changed: Records and positions, from 0, of which the token is another one.
        first: How many tokens the first record has.
        fields: Of all records.

    Returns:
        The flags that name the files.
    """
    tensors: dict[str, torch.Tensor] = {}
    lines: list[str] = []
    for record, seed in enumerate(seeds):
        logits, tokens = answer(seed, 30 if record else first)
        for place in (place for number, place in changed if number == record):
            tokens[place] = (tokens[place] + 1) % V
        tensors[f"of {record}"] = logits
        line: dict[str, Any] = {
            "prompt_ids": PROMPT,
            "token_ids": tokens,
            "params": {"seed": seed},
            "top_logprobs": [[] for _ in tokens],
            "engine": "vllm",
            "logits": f"of {record}",
        }
        lines.append(json.dumps({**line, **fields}))
    trace, logits_file = folder / "trace.jsonl", folder / "logits.safetensors"
    trace.write_text("\n".join(lines))
    save_file(tensors, logits_file)
    return [str(trace), "--logits", str(logits_file)]
