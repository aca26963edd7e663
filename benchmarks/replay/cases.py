"""What engines and rules draw from: batches over vocabularies, truncations, seeds and positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

Case = dict[str, Any]
# Small vocabularies have most of the rows: an interpreter of GPU code takes its time for large ones.
SIZES = ((16, 200), (100, 150), (1000, 100), (3001, 50), (32000, 10), (128256, 4))
TRUNCATIONS: tuple[dict[str, Any], ...] = (
    {"top_k": None, "top_p": None},
    {"top_k": 40, "top_p": None},
    {"top_k": None, "top_p": 0.9},
    {"top_k": 12, "top_p": 0.8},
)
SEEDS = (0, 1, 42, -2, -5, 2**31 - 1, 2**32 - 1, 2**32, 2**32 + 7, 2**40 + 7, 2**62, 2**63 - 9, -(2**63))
LAST_POSITIONS = (0, 1, 511, 131071, 2**31 - 1)


# Rows and steps of a batch of streams.
STREAMS = ((16, 5, 50), (100, 5, 30), (1000, 5, 20), (3001, 4, 10), (32000, 3, 4), (128256, 2, 3))


def hashed_cases(rule: str, sizes: Sequence[tuple[int, int]] = SIZES) -> list[Case]:
    """Batches for a rule that draws each token by itself, from (seed, position, column) alone."""
    generator = torch.Generator().manual_seed(18)
    return [hashed_case(rule, v, rows, cut, generator) for v, rows in sizes for cut in TRUNCATIONS]


def hashed_case(rule: str, v: int, rows: int, cut: dict[str, Any], generator: torch.Generator) -> Case:
    """A batch of rows that have nothing in common but their width and their truncation."""
    logits = torch.randn(rows, v, generator=generator) * (1 + 4 * torch.rand(rows, 1, generator=generator))
    random = torch.randint(0, 2**31, (rows,), generator=generator).tolist()
    return {
        "rule": rule,
        "logits": logits,
        "seed": [SEEDS[i % len(SEEDS)] if i % 2 else random[i] - 2**30 for i in range(rows)],
        "choice": [i % 3 if i % 5 == 0 else 0 for i in range(rows)],
        "position": [LAST_POSITIONS[i % 5] if i % 7 == 0 else random[-i] % 5000 for i in range(rows)],
        **(cut if v > 40 else cut | {"top_k": cut["top_k"] and 5}),
    }


def stream_cases(
    rule: str,
    highest_seed: int = 2**63 - 1,
    *,
    one_seed: bool = False,
    cuts: Sequence[dict[str, Any]] = TRUNCATIONS,
    longer: int = 1,
) -> list[Case]:
    """Batches whose rows draw several tokens each, one after the other, from a stream.

    Args:
        rule: Its name.
        highest_seed: That the engine takes.
        one_seed: Whether all rows of a batch have the same.
        cuts: The truncations.
        longer: How many times as many steps there are.
    """
    generator = torch.Generator().manual_seed(19)
    seeds = [
        seed
        for seed in SEEDS
        if -highest_seed <= seed <= highest_seed and (highest_seed > 2**32 or seed >= 0)
    ]
    made = []
    for place, (v, rows, steps) in enumerate((v, rows, steps * longer) for v, rows, steps in STREAMS):
        for cut in cuts:
            case = hashed_case(rule, v, rows * steps, cut, generator)
            row_seeds = [seeds[(place + (0 if one_seed else row)) % len(seeds)] for row in range(rows)]
            made.append(
                case
                | {"rows": rows, "seed": row_seeds * steps, "choice": [0] * rows * steps}
                | {"position": [step for step in range(steps) for _ in range(rows)]}
            )
    return made


def constant_cases(rule: str, forbidden: int) -> list[Case]:
    """Streams over a model whose logits are the same at each step, and which does not say its first tokens.

    Args:
        rule: Its name.
        forbidden: How many tokens have the logit -10000: those that begin and end texts.
    """
    made = stream_cases(rule, 2**32 - 2, one_seed=True, cuts=TRUNCATIONS[:2], longer=2)
    for case in made:
        row = case["logits"][:1].clone()
        row[:, :forbidden] = -1e4
        case["logits"] = row.repeat(len(case["seed"]), 1)
    return made
