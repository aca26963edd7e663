"""Tokens that may not come before others have: what ends a message, until it is long enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History
from sampling.core.params import LARGEST_MIN_TOKENS, integer, token_ids
from sampling.processors.base import SparseEdit, check_same_rows
from sampling.processors.bias import LARGEST_ID
from sampling.processors.numbers import column


class MinTokens(SparseEdit):
    """Ban some tokens until a row has sampled enough: -inf.

    Args:
        min_tokens: How many tokens have to be sampled first, an integer or one per row; 0 bans nothing.
        ids: The tokens that are banned until then, one list for all rows or a list of one per row.

    Raises:
        InvalidArgument: A number or an id that is none, or lists of different lengths; when called, an id outside the logits'
            width.

    Source: vLLM, `min_tokens`; transformers, `MinNewTokensLengthLogitsProcessor`.

    Example:
        >>> import torch
        >>> history = History.start([[4, 4]])
        >>> processor = MinTokens(1, [2])
        >>> processor(torch.zeros(1, 3), history)
        tensor([[0., 0., -inf]])
        >>> history.accept(torch.tensor([0]))
        >>> processor(torch.zeros(1, 3), history)
        tensor([[0., 0., 0.]])
    """

    name = "min_tokens"
    row_fields = ("least", "ids")

    def __init__(self, min_tokens: int | Sequence[int], ids: Sequence[int] | Sequence[Sequence[int]]) -> None:
        counts = [*min_tokens] if isinstance(min_tokens, Sequence) else [min_tokens]
        least = [integer(self.name, count, 0, LARGEST_MIN_TOKENS) for count in counts]
        lists = [token_ids("ids", one) for one in rows_of(ids)]
        rows = max(len(least), len(lists))
        if not least or not {len(least), len(lists)} <= {1, rows}:
            raise InvalidArgument("ids", f"{len(lists)} lists", f"one, or one for each of {len(least)} rows")
        least, lists = least * (rows // len(least)), lists * (rows // len(lists))
        # Writing one value to one token twice changes nothing, so shorter rows repeat their first id.
        widest = max(1, *map(len, lists))
        padded = [(*row, *(row[:1] or (0,)) * (widest - len(row))) for row in lists]
        self.least = column(
            [count if row else 0 for count, row in zip(least, lists, strict=True)], torch.int64
        )
        self.ids = torch.tensor([[min(token, LARGEST_ID) for token in row] for row in padded])  # [B or 1, D]
        self.highest_id = max((token for row in lists for token in row), default=0)
        self.params = [(count, [*row]) for count, row in zip(least, lists, strict=True)]

    def token_ids(self, logits: Tensor, history: History) -> tuple[Tensor, ...]:
        """Return the ids, and whether their row has sampled too few tokens."""
        check_same_rows(history, logits)
        if self.highest_id >= logits.shape[-1]:
            words = f"token ids below {logits.shape[-1]}, the width of the logits"
            raise InvalidArgument("stop_token_ids", self.highest_id, words)
        early = history.sampled[:, None] < self.broadcast_to(self.least, logits)
        return self.broadcast_to(self.ids, logits).expand(len(logits), -1), early

    def update(self, logits: Tensor, *known: Tensor) -> Tensor:
        """Ban them while it is early."""
        return torch.where(known[0], -math.inf, logits)


def rows_of(ids: Sequence[int] | Sequence[Sequence[int]]) -> list[Sequence[int]]:
    """Return one list of ids, or one per row, as one per row."""
    if len(ids) and all(isinstance(one, Sequence) and not isinstance(one, str) for one in ids):
        return [*cast("Sequence[Sequence[int]]", ids)]
    return [cast("Sequence[int]", ids)]
