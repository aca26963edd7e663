"""A draw handed to a host as logits: whatever the host draws from them, it is this token."""

from __future__ import annotations

import torch
from torch import Tensor


def one_hot_logits(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return 0 at each row's token and -inf elsewhere.

    A temperature, a truncation or a generator of the host's own changes nothing of that.

    Args:
        logits: [B, V]; the result has its shape, type and device.
        tokens: int64 [B].

    Example:
        >>> one_hot_logits(torch.zeros(1, 3), torch.tensor([1]))
        tensor([[-inf, 0., -inf]])
    """
    return torch.full_like(logits, -torch.inf).scatter_(1, tokens[:, None], 0.0)
