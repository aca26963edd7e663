"""What counts as logits."""

from __future__ import annotations

import torch
from sampling_kernels.weights import LARGEST_VOCABULARY
from torch import Tensor

from sampling.errors import InvalidRequest

TYPES = (torch.float32, torch.bfloat16, torch.float16)


def float32_logits(logits: Tensor) -> Tensor:
    """Check the form of logits and widen them to float32, which is exact.

    Args:
        logits: [B, V], float32, bfloat16 or float16, 1 <= V < 2^19.

    Returns:
        float32 [B, V].

    Raises:
        InvalidRequest: Another shape or type. (float64 would have to be rounded; round it as you see fit.)
    """
    if not isinstance(logits, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidRequest("logits", type(logits).__name__, "a tensor of shape (B, V)")
    if logits.dim() != 2 or not 1 <= logits.shape[1] <= LARGEST_VOCABULARY:
        raise InvalidRequest(
            "logits", tuple(logits.shape), f"of shape (B, V) with V from 1 to {LARGEST_VOCABULARY}"
        )
    if logits.dtype not in TYPES:
        raise InvalidRequest("logits", logits.dtype, f"one of {', '.join(map(str, TYPES))}")
    return logits.float()
