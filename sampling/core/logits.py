"""What counts as logits."""

from __future__ import annotations

import torch
from sampling_kernels.weights import LARGEST_VOCABULARY
from torch import Tensor

from sampling.core.errors import InvalidArgument

TYPES = (torch.float32, torch.bfloat16, torch.float16)


def float32_logits(logits: Tensor) -> Tensor:
    """Check the form of logits and widen them to float32, which is exact; arguments as in `checked_logits`."""
    return checked_logits(logits).float()


def checked_logits(logits: Tensor) -> Tensor:
    """Check the form of logits.

    Args:
        logits: [B, V], float32, bfloat16 or float16, 1 <= V < 2^19.

    Returns:
        The same.

    Raises:
        InvalidArgument: Another shape or type. (float64 would have to be rounded; round it as you see fit.)
    """
    form = form_of(logits)
    if isinstance(form, str) or len(form) != 2 or not 1 <= form[1] <= LARGEST_VOCABULARY:
        words = f"a tensor of shape (B, V) with V from 1 to {LARGEST_VOCABULARY}"
        raise InvalidArgument("logits", form, words)
    if logits.dtype not in TYPES:
        raise InvalidArgument("logits", logits.dtype, f"one of {', '.join(map(str, TYPES))}")
    return logits


def form_of(logits: object) -> tuple[int, ...] | str:
    """Return the shape of a tensor, or the type of what is none."""
    return tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
