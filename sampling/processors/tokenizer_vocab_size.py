"""Ids that no token has."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sampling.core.history import History
from sampling.core.params import integer
from sampling.processors.base import Processor


class TokenizerVocabSize(Processor):
    """Ban the token ids from a size on: a model's logits may be wider than its tokenizer.

    Args:
        size: How many ids there are.

    Example:
        >>> import torch
        >>> from sampling import History
        >>> TokenizerVocabSize(2)(torch.zeros(1, 3), History.start([[]]))
        tensor([[0., 0., -inf]])
    """

    name = "tokenizer_vocab_size"

    def __init__(self, size: int) -> None:
        self.size = integer("size", size, 1)
        self.params = [size]

    def process(self, logits: Tensor, history: History) -> Tensor:
        """Set the logits of the ids past the size to -inf."""
        ids = torch.arange(logits.shape[-1], device=logits.device)
        return logits.masked_fill(ids >= self.size, -math.inf)
