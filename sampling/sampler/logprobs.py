"""Log probabilities of the sampled tokens and of their alternatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sampling_kernels.blocks import BlockedLogits
from sampling_kernels.candidates.top import top_tokens_in_blocks
from sampling_kernels.host_sync import can_sync
from sampling_kernels.logarithm import log_normalizer
from sampling_kernels.ranks import ranks_given_top
from sampling_kernels.validity import replace_invalid_rows
from sampling_kernels.weights import block_weights
from torch import Tensor

from sampling.core.errors import InvalidArgument
from sampling.core.logits import float32_logits
from sampling.core.params import integer
from sampling.core.whole_numbers import whole_list, whole_tensor


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
        """Return NaN, rank 0 and no alternatives, for the tokens of B rows whose log probabilities nobody wants."""
        nan = torch.full_like(tokens, torch.nan, dtype=torch.float32)
        return Logprobs(nan, torch.zeros_like(tokens), tokens[:, None][:, :0], nan[:, None][:, :0])

    def masked(self, sampled: Tensor) -> Logprobs:
        """Return NaN, rank 0 and token -1 in the rows that were not sampled (bool [B])."""
        return Logprobs(
            torch.where(sampled, self.logprobs, torch.nan),
            torch.where(sampled, self.ranks, 0),
            torch.where(sampled[:, None], self.top_token_ids, -1),
            torch.where(sampled[:, None], self.top_logprobs, torch.nan),
        )


@dataclass(frozen=True)
class Measured:
    """What the log probabilities of B rows need besides the sampled tokens.

    Args:
        logits: float32 [B, V], of the mode that is asked for.
        maximum: The largest logit of each row, float64 [B, 1].
        block_weights: The weight of each block, int64 [B, N].
        top_token_ids: The K most likely tokens, int64 [B, K].
    """

    logits: Tensor
    maximum: Tensor
    block_weights: Tensor
    top_token_ids: Tensor

    @staticmethod
    def of(rows: BlockedLogits, k: int) -> Measured:
        """Measure rows.

        Args:
            rows: Their logits.
            k: How many alternatives; at most V are given.
        """
        top = top_tokens_in_blocks(rows.values, rows.maxima, min(k, rows.logits.shape[-1]))
        return Measured(rows.logits, rows.maximum.double(), block_weights(rows.values, rows.maxima), top)

    def logprobs(self, token_ids: Tensor) -> Logprobs:
        """Compute log probabilities and ranks of the sampled tokens, int64 [B], and those of the alternatives."""
        ids = torch.cat([token_ids[:, None], self.top_token_ids], dim=-1)
        ids = ids.clamp_(max=self.logits.shape[1] - 1)  # rows without meaning may have drawn any number
        d = self.logits.gather(-1, ids).double() - self.maximum
        values = (d - log_normalizer(self.block_weights.sum(-1, keepdim=True))).float()  # [B, 1 + K]
        ranks = ranks_given_top(self.logits, token_ids, self.top_token_ids)
        return Logprobs(values[:, 0], ranks, self.top_token_ids, values[:, 1:])


def logprobs(logits: Tensor, token_ids: Tensor | Sequence[int], *, top: int = 0) -> Logprobs:
    """Compute the log probabilities of given tokens: the same bits as `Sampler.step` reports of tokens that it draws.

    Of the model's logits they are those of the mode `raw`; of what a pipeline returns, those of the mode `processed`.

    Args:
        logits: [B, V], float32, or bfloat16 or float16, which are widened; B may be the positions of one text. No gradient
            goes through them.
        token_ids: One id for each row, a list or a tensor [B] of whole numbers; -1 for a row without a token.
        top: How many of the most likely tokens to report beside it, 0 to V.

    Returns:
        float32 log probabilities and int64 ranks. A banned token has -inf. Where there is no token, or the row cannot be
        sampled, all is NaN, rank 0 and token -1.

    Raises:
        InvalidArgument: The logits have another form, or there is not one token id below V for each row.

    Example:
        >>> import torch
        >>> found = logprobs(torch.tensor([[2.0, 1.0, 1.0, 0.0]]), [2], top=2)
        >>> found.logprobs, found.ranks, found.top_token_ids
        (tensor([-1.6265]), tensor([3]), tensor([[0, 1]]))
    """
    given = float32_logits(logits).detach()
    rows, width = given.shape
    top = integer("top", top, 0, width)
    ids = checked_ids(token_ids, rows, width).to(given.device, torch.int64)
    valid, status = replace_invalid_rows(given)
    found = Measured.of(BlockedLogits.of(valid), top).logprobs(ids.clamp(min=0))
    return found.masked((status == 0) & (ids >= 0))


def checked_ids(token_ids: Tensor | Sequence[int], rows: int, width: int, lowest: int = -1) -> Tensor:
    """Return one token id for each row, from the lowest to V - 1, as a tensor [B]; looked at where that costs nothing.

    Raises:
        InvalidArgument: There are more or fewer, or others.
    """
    if not isinstance(token_ids, Tensor) or can_sync(token_ids):
        given = whole_tensor("token_ids", token_ids).tolist() if isinstance(token_ids, Tensor) else token_ids
        token_ids = torch.tensor(whole_list("token_ids", given, lowest, width - 1), dtype=torch.int64)
    if whole_tensor("token_ids", token_ids).shape != (rows,):
        raise InvalidArgument("token_ids", f"{token_ids.numel()} ids", f"one for each of the {rows} rows")
    return token_ids
