"""Draws of `numpy.random.Generator.choice`.

python numpy_choice.py CASES.pt TOKENS.pt
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
import torch
from streams import steps_of


def tokens_of(case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and logits of a batch of streams; a truncation keeps the likeliest."""
    generators = [np.random.default_rng(seed % 2**64) for seed in case["seed"][: case["rows"]]]
    tokens, processed = [], []
    for logits, k, _ in steps_of(case):
        if k is not None:
            logits = logits.where(logits >= logits.topk(int(k[0])).values[:, -1:], -torch.inf)
        shares = np.exp(logits.double().numpy() - logits.double().numpy().max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        drawn = [one.choice(len(row), p=row) for one, row in zip(generators, shares, strict=True)]
        tokens.append(torch.tensor(drawn))
        processed.append(logits)
    return torch.cat(tokens), torch.cat(processed)


if __name__ == "__main__":
    torch.save([tokens_of(case) for case in torch.load(sys.argv[1])], sys.argv[2])
