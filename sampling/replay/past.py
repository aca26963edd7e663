"""How far rows are whose logits depend on no token of before."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.history import History, Prompts, checked_tokens
from sampling.core.whole_numbers import whole_tensor
from sampling.scoring.request import Request, checked_rows, history_of


class Lengths(NamedTuple):
    """What a rule asks of a history, int64 [N] each.

    Args:
        prompt_lengths: How many tokens each prompt has.
        sampled: How many were sampled after it.
    """

    prompt_lengths: Tensor
    sampled: Tensor

    @property
    def lengths(self) -> Tensor:
        """Return how many tokens each row has, int64 [N]."""
        return self.prompt_lengths + self.sampled


def past_of(
    request: Request, prompt_ids: Prompts | None, output_ids: Prompts | None, rows: int, device: torch.device
) -> History | Lengths:
    """Return what rows have sampled before; no more than how much, where the request asks for no more.

    Raises:
        InvalidArgument: It is asked for and was not given, has other rows, or is none.
    """
    if request.plan.edits:
        return history_of(request, prompt_ids, output_ids, rows, device)
    given = (("prompt_ids", prompt_ids), ("output_ids", output_ids))
    counts = [token_counts(name, checked_rows(name, ids, rows)) for name, ids in given]
    return Lengths(*(torch.tensor(count, dtype=torch.int64, device=device) for count in counts))


def token_counts(name: str, rows: Prompts) -> list[int]:
    """Return how many tokens each row has.

    Raises:
        InvalidArgument: One has something else than token ids.
    """
    counts: list[int] = []
    for index, row in enumerate(rows):
        where = f"{name}[{index}]"
        if isinstance(row, Tensor):
            tokens = whole_tensor(where, row, (1,), "a tensor [T] of whole numbers, or a list")
            if len(tokens) and int(tokens.amin()) < 0:
                raise InvalidArgument(where, int(tokens.amin()), "token ids of at least 0")
            counts.append(len(tokens))
        else:
            counts.append(len(checked_tokens(name, [row])[0]))
    return counts
