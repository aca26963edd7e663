"""Biases on single tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from sampling.errors import InvalidRequest
from sampling.history import History
from sampling.params import token_id
from sampling.processors.base import Processor
from sampling.processors.numbers import LARGEST, decimals

Bias = Mapping[int, float] | Mapping[str, float]


class LogitBias(Processor):
    """Add biases to the logits of a few tokens: l + b.

    A bias of -inf bans the token outright; the request field allows -100 to 100 only.

    Args:
        bias: Token ids (integers or strings of digits) and biases, one mapping for all rows or a list of one per row.

    Raises:
        InvalidRequest: A bad id or a bias that is NaN or +inf; when called, an id outside the logits' width.

    Source: "Create Chat Completion", `logit_bias`.

    Example:
        >>> import torch
        >>> LogitBias({2: 1.5})(torch.zeros(1, 3), History.start([[]]))
        tensor([[0.0000, 0.0000, 1.5000]])
    """

    name = "logit_bias"

    def __init__(self, bias: Bias | Sequence[Bias]) -> None:
        rows = [bias] if isinstance(bias, Mapping) else list(bias)
        tables = [checked_bias(row) for row in rows]
        pairs = [list(table.items()) or [(0, 0.0)] for table in tables]
        widest = max(map(len, pairs), default=0)
        # Writing one value to one token twice changes nothing, so shorter rows repeat their first pair.
        padded = [row + row[:1] * (widest - len(row)) for row in pairs]
        self.ids = torch.tensor([[token for token, _ in row] for row in padded])  # [B or 1, D]
        self.values = torch.tensor([[value for _, value in row] for row in padded], dtype=torch.float32)
        self.highest_id = max((token for table in tables for token in table), default=-1)
        self.shown = tables

    def __call__(self, logits: Tensor, history: History) -> Tensor:
        """Add the biases."""
        if self.highest_id >= logits.shape[-1]:
            raise InvalidRequest(
                "logit_bias", self.highest_id, f"token ids below {logits.shape[-1]}, the width of the logits"
            )
        ids = self.ids.to(logits.device).expand(logits.shape[0], -1)
        biased = logits.gather(-1, ids).double() + self.values.to(logits.device).double()
        return logits.scatter(-1, ids, biased.float())


def checked_bias(bias: object) -> dict[int, float]:
    """Read one row's biases: any finite number, or -inf."""
    if not isinstance(bias, Mapping):
        raise InvalidRequest("logit_bias", bias, "a mapping of token ids to biases")
    table = {
        token_id("logit_bias", key): value for key, value in cast("Mapping[object, object]", bias).items()
    }
    if len(table) < len(cast("Mapping[object, object]", bias)):
        raise InvalidRequest("logit_bias", bias, "a mapping that names each token id once")
    for token, value in table.items():
        decimals(f"logit_bias[{token}]", cast("float", value), -math.inf, LARGEST)
    return cast("dict[int, float]", table)
