"""Log probabilities of the sampled tokens and of their alternatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sampling_kernels.chunks import Chunks
from sampling_kernels.leading import top_tokens_in_chunks
from sampling_kernels.logarithm import log_total
from sampling_kernels.logprobs import ranks_of_listed
from sampling_kernels.weights import chunk_weights
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

    @staticmethod
    def none(tokens: Tensor) -> Logprobs:
        """NaN, rank 0 and no alternatives, for the tokens of B rows whose log probabilities nobody wants."""
        nan = torch.full_like(tokens, torch.nan, dtype=torch.float32)
        return Logprobs(nan, torch.zeros_like(tokens), tokens[:, None][:, :0], nan[:, None][:, :0])

    def masked(self, fine: Tensor) -> Logprobs:
        """NaN, rank 0 and token -1 in the rows that are not fine (bool [B])."""
        return Logprobs(
            torch.where(fine, self.logprobs, torch.nan),
            torch.where(fine, self.ranks, 0),
            torch.where(fine[:, None], self.top_token_ids, -1),
            torch.where(fine[:, None], self.top_logprobs, torch.nan),
        )


@dataclass(frozen=True)
class Measured:
    """What the log probabilities of B rows need besides the sampled tokens.

    Args:
        logits: float32 [B, V], of the mode that is asked for.
        maximum: The largest logit of each row, float64 [B, 1].
        sums: The weight of each chunk, int64 [B, N].
        top_token_ids: The K most likely tokens, int64 [B, K].
    """

    logits: Tensor
    maximum: Tensor
    sums: Tensor
    top_token_ids: Tensor

    @staticmethod
    def of(rows: Chunks, k: int) -> Measured:
        """Measure rows.

        Args:
            rows: Their logits.
            k: How many alternatives; at most V are given.
        """
        top = top_tokens_in_chunks(rows.values, rows.maxima, min(k, rows.logits.shape[-1]))
        return Measured(rows.logits, rows.maximum.double(), chunk_weights(rows.values, rows.maxima), top)

    def logprobs(self, token_ids: Tensor) -> Logprobs:
        """Log probabilities and ranks of the sampled tokens, int64 [B], and those of the alternatives."""
        ids = torch.cat([token_ids[:, None], self.top_token_ids], dim=-1)
        ids = ids.clamp_(max=self.logits.shape[1] - 1)  # rows without meaning may have drawn any number
        d = self.logits.gather(-1, ids).double() - self.maximum
        values = (d - log_total(self.sums.sum(-1, keepdim=True))).float()  # [B, 1 + K]
        ranks = ranks_of_listed(self.logits, token_ids, self.top_token_ids)
        return Logprobs(values[:, 0], ranks, self.top_token_ids, values[:, 1:])
