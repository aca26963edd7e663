"""Ranks of sampled tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.host_sync import can_sync, map_row_tiles

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64
    from torch import Tensor


def ranks_given_top(
    logits: Float32[Tensor, "B V"], token_ids: Int64[Tensor, " B"], top_token_ids: Int64[Tensor, "B K"]
) -> Int64[Tensor, " B"]:
    """Compute `reference.token_ranks` of one token a row: its place in a list of the most likely ones, if it is there.

    Args:
        logits: float32 [B, V].
        token_ids: int64 [B].
        top_token_ids: The K most likely tokens in order, int64 [B, K].

    Returns:
        int64 [B].

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.0, 2.0, 2.0], [0.0, 1.0, 2.0]])
        >>> ranks_given_top(logits, torch.tensor([2, 0]), torch.tensor([[1, 2], [2, 1]])).tolist()
        [2, 3]
    """
    here = top_token_ids == token_ids[:, None]  # [B, K]
    places = torch.arange(1, top_token_ids.shape[1] + 1, device=logits.device)
    rank = (here * places).sum(-1)
    if can_sync(logits):
        missing = (rank == 0).nonzero()[:, 0]
        if len(missing) == 0:
            return rank
        return rank.index_copy(0, missing, counted_ranks(logits[missing], token_ids[missing]))
    return torch.where(rank > 0, rank, counted_ranks(logits, token_ids))


def counted_ranks(logits: Float32[Tensor, "B V"], token_ids: Int64[Tensor, " B"]) -> Int64[Tensor, " B"]:
    """Compute the same by counting the tokens that come before: larger logits, and equal ones with lower ids."""
    ids = torch.arange(logits.shape[-1], device=logits.device)

    def count(some: Tensor, token: Tensor) -> Tensor:
        own = some.gather(-1, token)
        return ((some > own) | ((some == own) & (ids < token))).sum(-1)

    return map_row_tiles(count, logits, token_ids[:, None]) + 1
