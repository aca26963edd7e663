"""Log probabilities of the sampled tokens and of their alternatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sampling_kernels.logprobs import token_logprobs, token_ranks, top_tokens
from torch import Tensor


@dataclass(frozen=True)
class Logprobs:
    """Log probabilities of one position, in one mode.

    Args:
        logprobs: Of the sampled tokens, float32 [B].
        ranks: Of the sampled tokens, 1 for the most likely, int64 [B].
        top_token_ids: The K most likely tokens, int64 [B, K].
        top_logprobs: Their log probabilities, float32 [B, K].
    """

    logprobs: Tensor
    ranks: Tensor
    top_token_ids: Tensor
    top_logprobs: Tensor

    def masked(self, fine: Tensor) -> Logprobs:
        """NaN, rank 0 and token -1 in the rows that are not fine (bool [B])."""
        return Logprobs(
            torch.where(fine, self.logprobs, torch.nan),
            torch.where(fine, self.ranks, 0),
            torch.where(fine[:, None], self.top_token_ids, -1),
            torch.where(fine[:, None], self.top_logprobs, torch.nan),
        )


def logprobs_of(logits: Tensor, token_ids: Tensor, k: int) -> Logprobs:
    """Log probabilities, ranks and the top k under the distribution of `logits`.

    Args:
        logits: float32 [B, V], of the mode that is asked for.
        token_ids: The sampled tokens, int64 [B].
        k: How many alternatives.
    """
    chosen = token_ids[:, None]
    top_ids = top_tokens(logits, min(k, logits.shape[-1]))
    values = token_logprobs(logits, torch.cat([chosen, top_ids], dim=-1))  # [B, 1 + K]
    return Logprobs(values[:, 0], token_ranks(logits, chosen)[:, 0], top_ids, values[:, 1:])
