"""Log probabilities, ranks and alternatives, from the same integers as the draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sampling_kernels.branching import in_blocks, may_branch
from sampling_kernels.logarithm import log_total
from sampling_kernels.order import order_key
from sampling_kernels.weights import weights

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64
    from torch import Tensor


def token_logprobs(logits: Float32[Tensor, "B V"], token_ids: Int64[Tensor, "B K"]) -> Float32[Tensor, "B K"]:
    """Log probabilities of the given tokens: (l - max(l)) - ln(sum(w) / 2^43), in float64, rounded to float32.

    Args:
        logits: float32 [B, V].
        token_ids: int64 [B, K].

    Returns:
        float32 [B, K]; -inf where the logit is -inf.

    Example:
        >>> import torch
        >>> token_logprobs(torch.zeros(1, 4), torch.tensor([[2]]))
        tensor([[-1.3863]])
    """
    maximum = logits.amax(-1, keepdim=True).double()
    d = logits.gather(-1, token_ids).double() - maximum
    return (d - log_total(weights(logits).sum(-1, keepdim=True))).float()


def token_ranks(logits: Float32[Tensor, "B V"], token_ids: Int64[Tensor, "B K"]) -> Int64[Tensor, "B K"]:
    """Ranks of the given tokens in the order of `order_key`; 1 is the most likely.

    Args:
        logits: float32 [B, V].
        token_ids: int64 [B, K].

    Returns:
        int64 [B, K].

    Example:
        >>> import torch
        >>> token_ranks(torch.tensor([[0.0, 2.0, 2.0]]), torch.tensor([[0, 1, 2]])).tolist()
        [[3, 1, 2]]
    """
    key = order_key(logits)
    return (key[:, None, :] > key.gather(-1, token_ids)[:, :, None]).sum(-1) + 1


def ranks_of_listed(
    logits: Float32[Tensor, "B V"], token_ids: Int64[Tensor, " B"], listed: Int64[Tensor, "B K"]
) -> Int64[Tensor, " B"]:
    """`token_ranks` of one token a row, fast: its place in a list of the most likely ones, if it is there.

    Args:
        logits: float32 [B, V].
        token_ids: int64 [B].
        listed: The K most likely tokens in order, int64 [B, K].

    Returns:
        int64 [B].

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.0, 2.0, 2.0], [0.0, 1.0, 2.0]])
        >>> ranks_of_listed(logits, torch.tensor([2, 0]), torch.tensor([[1, 2], [2, 1]])).tolist()
        [2, 3]
    """
    here = listed == token_ids[:, None]  # [B, K]
    places = torch.arange(1, listed.shape[1] + 1, device=logits.device)
    rank = (here * places).sum(-1)
    if may_branch(logits):
        missing = (rank == 0).nonzero()[:, 0]
        if len(missing) == 0:
            return rank
        return rank.index_copy(0, missing, counted_ranks(logits[missing], token_ids[missing]))
    return torch.where(rank > 0, rank, counted_ranks(logits, token_ids))


def counted_ranks(logits: Float32[Tensor, "B V"], token_ids: Int64[Tensor, " B"]) -> Int64[Tensor, " B"]:
    """Ranks by counting the tokens that come before: larger logits, and equal ones with lower ids."""
    ids = torch.arange(logits.shape[-1], device=logits.device)

    def count(some: Tensor, token: Tensor) -> Tensor:
        own = some.gather(-1, token)
        return ((some > own) | ((some == own) & (ids < token))).sum(-1)

    return in_blocks(count, logits, token_ids[:, None]) + 1


def top_tokens(logits: Float32[Tensor, "B V"], k: int) -> Int64[Tensor, "B K"]:
    """The k most likely tokens in the order of `order_key`.

    Args:
        logits: float32 [B, V].
        k: How many, 0 .. V.

    Returns:
        int64 [B, k].

    Example:
        >>> import torch
        >>> top_tokens(torch.tensor([[0.0, 2.0, 2.0]]), 2).tolist()
        [[1, 2]]
    """
    return order_key(logits).topk(k, dim=-1).indices
