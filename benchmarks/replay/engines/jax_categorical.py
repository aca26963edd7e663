"""Draws of `jax.random.categorical`, a row a call.

python jax_categorical.py CASES.pt TOKENS.pt
"""

from __future__ import annotations

import sys

import jax
import torch

jax.config.update("jax_enable_x64", True)  # for seeds of 64 bits


def tokens_of(case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and logits of a batch; a truncation keeps the likeliest."""
    logits = case["logits"]
    if case["top_k"] is not None:
        logits = logits.where(logits >= logits.topk(case["top_k"]).values[:, -1:], -torch.inf)
    tokens = []
    for row, seed, position in zip(logits.numpy(), case["seed"], case["position"], strict=True):
        key = jax.random.fold_in(jax.random.key(seed), position)
        tokens.append(int(jax.random.categorical(key, row)))
    return torch.tensor(tokens), logits


if __name__ == "__main__":
    torch.save([tokens_of(case) for case in torch.load(sys.argv[1])], sys.argv[2])
