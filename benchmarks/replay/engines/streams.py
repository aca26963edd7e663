"""Steps of batches whose rows draw one token after the other."""

from __future__ import annotations

from collections.abc import Iterator

import torch


def steps_of(case: dict) -> Iterator[tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]]:
    """Logits, top_k and top_p of each step."""
    rows = case["rows"]
    k, p = (None if case[name] is None else torch.full((rows,), case[name]) for name in ("top_k", "top_p"))
    for start in range(0, len(case["logits"]), rows):
        yield case["logits"][start : start + rows].clone(), k, p
