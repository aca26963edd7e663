"""Biases on single tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History
from sampling.core.params import LARGEST, Bias, bias_table
from sampling.processors.base import SparseEdit

LARGEST_ID = 2**63 - 1


class LogitBias(SparseEdit):
    """Add biases to the logits of a few tokens: l + b.

    A bias of -inf bans the token outright; the request field allows -100 to 100 only.

    Args:
        bias: Token ids (integers or strings of digits) and biases, one mapping for all rows or a list of one per row.

    Raises:
        InvalidArgument: A bad id or a bias that is NaN or +inf; when called, an id outside the logits' width.

    Source: "Create Chat Completion", `logit_bias`.

    Example:
        >>> import torch
        >>> LogitBias({2: 1.5})(torch.zeros(1, 3), History.start([[]]))
        tensor([[0.0000, 0.0000, 1.5000]])
    """

    name = "logit_bias"
    row_fields = ("ids", "values")

    def __init__(self, bias: Bias | Sequence[Bias]) -> None:
        rows = list(bias) if isinstance(bias, Sequence) else [bias]
        tables = [bias_table("logit_bias", row, -math.inf, LARGEST) for row in rows]
        # -0.0 is the number that changes nothing when it is added, not even the sign of a zero.
        pairs = [
            [(token, value or -0.0) for token, value in table.items()] or [(0, -0.0)] for table in tables
        ]
        widest = max(map(len, pairs), default=0)
        # Writing one value to one token twice changes nothing, so shorter rows repeat their first pair.
        padded = [row + row[:1] * (widest - len(row)) for row in pairs]
        # Ids that int64 cannot hold are refused in every call, by highest_id.
        self.ids = torch.tensor(  # [B or 1, D]
            [[min(token, LARGEST_ID) for token, _ in row] for row in padded], dtype=torch.int64
        )
        self.values = torch.tensor(
            [[value for _, value in row] for row in padded], dtype=torch.float32
        ).double()
        self.highest_id = max((token for table in tables for token in table), default=0)
        self.params = tables

    def token_ids(self, logits: Tensor, history: History) -> tuple[Tensor, ...]:
        """Return the ids with a bias, and the biases."""
        if self.highest_id >= logits.shape[-1]:
            raise InvalidArgument(
                "logit_bias", self.highest_id, f"token ids below {logits.shape[-1]}, the width of the logits"
            )
        return self.broadcast_to(self.ids, logits).expand(len(logits), -1), self.broadcast_to(
            self.values, logits
        )

    def update(self, logits: Tensor, *known: Tensor) -> Tensor:
        """Add the biases."""
        return logits + known[0]
