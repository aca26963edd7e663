"""The numbers of a processor: scalars or one per row, checked and rounded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from sampling.core.errors import InvalidArgument

Number = float | Sequence[float] | Tensor


def decimals(name: str, value: Number, low: float, high: float) -> list[str]:
    """Read a scalar, or one number per row, as the decimals that they print as.

    A float32 0.9 prints as 0.9, although the float64 next to it does not.

    Raises:
        InvalidArgument: Not a number, or out of range.
    """
    if isinstance(value, Tensor):
        if value.dim() > 1:
            raise InvalidArgument(name, f"a tensor of shape {tuple(value.shape)}", "a number, or one per row")
        items: list[object] = list(wide(value).detach().cpu().reshape(-1).numpy())
    elif isinstance(value, Sequence):
        items = list(value)
    else:
        items = [value]
    if not items:
        raise InvalidArgument(name, value, "a number, or one per row")
    for item in items:
        fine = isinstance(item, int | float | np.number) and not isinstance(item, bool)
        if not fine or not low <= cast("float", item) <= high:
            raise InvalidArgument(name, item, f"a number from {low:g} to {high:g}")
    return [str(item) for item in items]


def wide(value: Tensor) -> Tensor:
    """Return a tensor of a type that numpy knows."""
    return value.float() if value.dtype == torch.bfloat16 else value


def column(values: Sequence[float], dtype: torch.dtype) -> Tensor:
    """Return one number per row as [B, 1], or [1, 1] for a scalar, ready to broadcast over the vocabulary."""
    return torch.tensor(values, dtype=dtype).reshape(-1, 1)
