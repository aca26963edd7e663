"""Draws of mlx-lm's `categorical_sampling`, a row a call, under MLX's global key.

python mlx_lm_sampling.py CASES.pt TOKENS.pt
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import mlx.core as mx
import torch
from mlx_lm.sample_utils import categorical_sampling
from streams import steps_of


def tokens_of(case: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and logits of a batch of streams; a truncation keeps the likeliest."""
    steps = [logits for logits, _, _ in steps_of(case)]
    if case["top_k"] is not None:
        lowest = [logits.topk(case["top_k"]).values[:, -1:] for logits in steps]
        steps = [logits.where(logits >= low, -torch.inf) for logits, low in zip(steps, lowest, strict=True)]
    tokens = []
    for row in range(case["rows"]):
        mx.random.seed(case["seed"][row] % 2**64)
        tokens.append(
            [categorical_sampling(mx.array(step[row : row + 1].numpy()), 1.0).item() for step in steps]
        )
    return torch.tensor(tokens).T.reshape(-1), torch.cat(steps)


if __name__ == "__main__":
    torch.save([tokens_of(case) for case in torch.load(sys.argv[1])], sys.argv[2])
